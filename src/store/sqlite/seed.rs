//! Inserts users, rooms and follows in bulk, for demonstrations and load tests.

use std::collections::BTreeSet;
use std::path::Path;

use crate::clock::Timestamp;
use crate::ids::SystemIds;
use crate::store::StoreError;
use crate::store::caches::Caches;
use crate::store::seed::{self, SeedPlan, Seeded};
use crate::store::sql::at_once;
use crate::store::sqlite::driver::{View, statement};
use crate::store::sqlite::{connection, migrate};

/// Inserts all of `plan` in one transaction. The file is created if necessary.
///
/// # Errors
/// The plan is inconsistent, the file already holds users, or the database failed. Nothing is written then.
pub fn seed(path: &Path, plan: &SeedPlan) -> Result<Seeded, StoreError> {
    plan.check()?;
    migrate::migrate(path, false)?;
    let mut connection = connection::open(path, connection::Role::Writer)?;
    statement(&connection, "BEGIN IMMEDIATE")?;
    let caches = Caches::default();
    let now = Timestamp::now();
    let changed = BTreeSet::new();
    let mut view =
        View { driver: &mut connection, caches: &caches, now, ids: &SystemIds, shown_reactions: 0, changed, asked: 0 };
    let taken = at_once(seed::taken(&mut view))?;
    plan.check_names(&taken, &path.display().to_string())?;
    let seeded = at_once(seed::fill(&mut view, plan, &taken))?;
    statement(&connection, "COMMIT")?;
    Ok(seeded)
}
