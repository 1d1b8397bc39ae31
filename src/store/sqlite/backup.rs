//! A copy of a database in use.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use crate::store::StoreError;
use crate::store::sqlite::connection;

/// Pages copied between two looks at the lock.
const STEP_PAGES: i32 = 1024;

/// Copies the database `from`, which may be in use, to the new file `to`.
///
/// The copy's logs begin anew (their epochs grow), since a place that the original goes on to fill must not be taken
/// for the copy's: clients that come back with a cursor of the original start over.
///
/// # Errors
/// There is no database, or `to` exists or cannot be written. Nothing is left behind then.
pub fn backup(from: &Path, to: &Path) -> Result<(), StoreError> {
    if !from.exists() {
        return Err(StoreError::Unavailable(format!("{} does not exist: name the database's file", from.display())));
    }
    // Made here and now, so that no other program's file is overwritten.
    std::fs::OpenOptions::new().write(true).create_new(true).open(to).map_err(|error| {
        StoreError::Unavailable(format!("{} cannot be made ({error}): name a new file", to.display()))
    })?;
    let result = copy(from, to);
    if result.is_err() {
        drop(std::fs::remove_file(to));
    }
    result
}

fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(from, flags).map_err(|error| connection::opening(from, &error))?;
    let mut target = Connection::open(to).map_err(|error| connection::opening(to, &error))?;
    Backup::new(&source, &mut target)?.run_to_completion(STEP_PAGES, Duration::from_millis(5), None)?;
    // A file of its own, without a log beside it.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    target.execute_batch("UPDATE pregon_topics SET epoch = epoch + 1, seq = 0")?;
    target.close().map_err(|(_, error)| error)?;
    Ok(())
}
