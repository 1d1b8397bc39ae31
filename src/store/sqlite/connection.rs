//! Opens connections, and classifies their errors.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::store::StoreError;

/// The purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The lane's connection, the only one that writes.
    Writer,
    /// Answers reads.
    Reader,
    /// Moves the log's pages into the file.
    Checkpointer,
}

/// How long a connection waits for another's lock. The lane retries a few times; the checkpointer must not hold it up
/// for long.
fn busy_timeout(role: Role) -> Duration {
    match role {
        Role::Writer => Duration::from_secs(1),
        Role::Reader => Duration::from_secs(5),
        Role::Checkpointer => Duration::from_millis(200),
    }
}

/// Statements that a connection keeps prepared: more than there are SQL texts.
const STATEMENTS_MAX: usize = 256;

/// Opens a connection to an existing database.
///
/// # Errors
/// One sentence that says what to do, if the file cannot be opened or is not a database.
pub fn open(path: &Path, role: Role) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| opening(path, &error))?;
    configure(&connection, role).map_err(|error| opening(path, &error))?;
    require_writable(path, &connection)?;
    Ok(connection)
}

/// Creates the folder and the file if they do not exist, and switches the file to a write-ahead log.
///
/// # Errors
/// As [`open`].
pub fn create(path: &Path) -> Result<Connection, StoreError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| {
            StoreError::Unavailable(format!(
                "cannot create the folder {} ({error}): make it writable, or name another database file",
                folder.display()
            ))
        })?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| opening(path, &error))?;
    let prepare = |connection: &Connection| {
        configure(connection, Role::Writer)?;
        connection.pragma_update(None, "journal_mode", "WAL")
    };
    prepare(&connection).map_err(|error| opening(path, &error))?;
    require_writable(path, &connection)?;
    Ok(connection)
}

/// Refuses a file that this user may not write: SQLite would silently open it read-only.
fn require_writable(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    match connection.is_readonly(rusqlite::MAIN_DB) {
        Ok(false) => Ok(()),
        Ok(true) => Err(read_only(path)),
        Err(error) => Err(opening(path, &error)),
    }
}

fn read_only(path: &Path) -> StoreError {
    StoreError::Unavailable(format!("{} is read-only: let this user write it and its folder", path.display()))
}

fn configure(connection: &Connection, role: Role) -> rusqlite::Result<()> {
    connection.busy_timeout(busy_timeout(role))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // A statement keeps its plan. Otherwise SQLite plans most of ours anew each time they are run, because their parameters
    // have other values, and that takes several times as long as running them.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // FULL: a commit is on disk when it returns. Checkpoints are left to their own connection.
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 0;",
    )?;
    match role {
        Role::Writer => connection.pragma_update(None, "cache_size", -8 * 1024),
        Role::Reader => {
            // The system caches the file; docs/performance.md has what a larger cache costs, and that it saves nothing.
            connection.pragma_update(None, "cache_size", -256)?;
            connection.pragma_update(None, "query_only", true)
        }
        Role::Checkpointer => Ok(()),
    }
}

/// One sentence for the operator who starts the server.
pub(super) fn opening(path: &Path, error: &rusqlite::Error) -> StoreError {
    if let Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) = error.sqlite_error_code() {
        return read_only(path);
    }
    let path = path.display();
    StoreError::Unavailable(match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen) => {
            format!("{path} cannot be opened: check that its folder exists and that this user may write there")
        }
        Some(ErrorCode::NotADatabase) => {
            format!("{path} is not a SQLite database: move it away, or name another file")
        }
        Some(ErrorCode::DatabaseCorrupt) => format!("{path} is damaged: restore it from a backup"),
        Some(ErrorCode::DiskFull) => format!("no room left on the disk of {path}: make room"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            format!("{path} is locked by another program: stop that one, or name another file")
        }
        _ => format!("{path} cannot be used ({error})"),
    })
}

/// Whether one statement failed because of its own content, and not because of disk, file or locks. Then only the write
/// that made it fails.
pub fn is_own_fault(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        None => true,
        Some(code) => matches!(
            code,
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
                | ErrorCode::Unknown
        ),
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        if is_own_fault(&error) { Self::Broken(error.to_string()) } else { Self::Unavailable(error.to_string()) }
    }
}
