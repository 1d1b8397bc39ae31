//! Inserts users, rooms and follows in bulk, for demonstrations and load tests.

use crate::clock::{Timestamp, Zone};
use crate::store::StoreError;
use crate::store::mysql::connection::Link;
use crate::store::mysql::shared::Shared;
use crate::store::seed::{self, SeedPlan, Seeded};
use crate::store::sql::LaneSql;

/// Inserts all of `plan` in one transaction, into a migrated database.
///
/// # Errors
/// The plan is inconsistent, the database already holds users, or the insertion failed. Nothing is written then.
pub async fn seed(link: &Link, zone: Zone, plan: &SeedPlan) -> Result<Seeded, StoreError> {
    plan.check()?;
    let shared = Shared { zone, ..Shared::alone(link.clone()) };
    let mut driver = shared.open_at_start().await?;
    let mut view = shared.view(&mut driver, Timestamp::now());
    let taken = seed::taken(&mut view).await?;
    plan.check_names(&taken, link.place())?;
    // Without a COMMIT, closing the connection rolls everything back.
    view.run("START TRANSACTION").await?;
    let seeded = seed::fill(&mut view, plan, &taken).await?;
    view.driver.commit().await?;
    Ok(seeded)
}
