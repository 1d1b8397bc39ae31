//! The schema's migrations: which exist, which a file has had, and running the rest.

use std::fmt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};

use crate::clock::Timestamp;
use crate::store::StoreError;
use crate::store::sqlite::connection;

struct Migration {
    number: u32,
    name: &'static str,
    sql: &'static str,
}

macro_rules! migrations {
    ($($number:literal $name:literal,)*) => {
        [$(Migration {
            number: $number,
            name: $name,
            sql: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
        },)*]
    };
}

const MIGRATIONS: [Migration; 11] = migrations! {
    1 "0001_people_and_chat",
    2 "0002_event_log",
    3 "0003_feed",
    4 "0004_adopted_rows",
    5 "0005_newest_reactions",
    6 "0006_logins_and_leaves",
    7 "0007_profile_pages",
    8 "0008_people_search",
    11 "0011_cursors_of_names",
    13 "0013_blocks",
    14 "0014_push",
};

/// A migration in the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanLine {
    /// Its number, from 1.
    pub number: u32,
    /// The file's name in `migrations/sqlite`, without `.sql`.
    pub name: &'static str,
    /// When the database got this migration; `None` if it is pending.
    pub applied: Option<String>,
}

impl fmt::Display for PlanLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.applied {
            Some(when) => write!(f, "{}  applied {when}", self.name),
            None => write!(f, "{}  to do", self.name),
        }
    }
}

/// Brings the file to this program's schema, and creates it if necessary. Returns the plan as it was before. A
/// `dry_run` only returns the plan, and creates no file.
///
/// # Errors
/// The file cannot be used, belongs to another program, or has a newer schema.
pub fn migrate(path: &Path, dry_run: bool) -> Result<Vec<PlanLine>, StoreError> {
    if !dry_run {
        return apply(path, &mut connection::create(path)?);
    }
    if !path.exists() {
        return Ok(plan_of(&[]));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let looking = Connection::open_with_flags(path, flags).map_err(|error| connection::opening(path, &error))?;
    Ok(plan_of(&applied(path, &looking)?))
}

/// Applies the pending migrations, each in its own transaction.
pub(super) fn apply(path: &Path, connection: &mut Connection) -> Result<Vec<PlanLine>, StoreError> {
    let plan = plan_of(&applied(path, connection)?);
    if plan.iter().any(|line| line.applied.is_none()) {
        take_missing(connection).map_err(|error| connection::opening(path, &error))?;
    }
    Ok(plan)
}

fn take_missing(connection: &mut Connection) -> rusqlite::Result<()> {
    for migration in &MIGRATIONS {
        // Two programs may start at once, so the pending migrations are read again under the lock.
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step.execute_batch(
            "CREATE TABLE IF NOT EXISTS pregon_migrations \
             (number INTEGER NOT NULL PRIMARY KEY, name text NOT NULL, applied_at char(26) NOT NULL)",
        )?;
        let is_there: bool = step.query_row(
            "SELECT EXISTS (SELECT 1 FROM pregon_migrations WHERE number = ?1)",
            [migration.number],
            |row| row.get(0),
        )?;
        if !is_there {
            step.execute_batch(migration.sql)?;
            step.execute(
                "INSERT INTO pregon_migrations (number, name, applied_at) VALUES (?1, ?2, ?3)",
                params![migration.number, migration.name, Timestamp::now().database_text()],
            )?;
        }
        step.commit()?;
    }
    Ok(())
}

fn plan_of(applied: &[(u32, String)]) -> Vec<PlanLine> {
    let when = |number| applied.iter().find(|(had, _)| *had == number).map(|(_, when)| when.clone());
    MIGRATIONS
        .iter()
        .map(|step| PlanLine { number: step.number, name: step.name, applied: when(step.number) })
        .collect()
}

fn applied(path: &Path, connection: &Connection) -> Result<Vec<(u32, String)>, StoreError> {
    let first_table: Option<String> = connection
        .query_row(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name <> 'pregon_migrations', name LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()
        .map_err(|error| connection::opening(path, &error))?;
    match first_table.as_deref() {
        None => return Ok(Vec::new()),
        Some("pregon_migrations") => {}
        Some(other) => {
            return Err(StoreError::Unavailable(format!(
                "{} belongs to another program (it has a table {other}): name another file",
                path.display()
            )));
        }
    }
    let mut query = connection.prepare("SELECT number, applied_at FROM pregon_migrations ORDER BY number")?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let applied = rows.collect::<rusqlite::Result<Vec<(u32, String)>>>()?;
    if applied.iter().any(|(number, _)| MIGRATIONS.iter().all(|step| step.number != *number)) {
        return Err(StoreError::Unavailable(format!(
            "{} was made by a newer pregon: use that one, or restore a backup that is older",
            path.display()
        )));
    }
    Ok(applied)
}
