//! Copies a database that may be in use.

use std::path::Path;
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use crate::store::StoreError;
use crate::store::sqlite::connection;

/// Everything in one step: between two steps another connection's write would restart the copy, and under steady writes
/// it would never end. A reader of the write-ahead log blocks no writer, however long it reads.
const STEP_PAGES: i32 = i32::MAX;

/// Copies the database `from`, which may be in use, to the new file `to`.
///
/// The copy's logs get new epochs, because the original goes on to give out the same places. A client that comes to the
/// copy with a cursor of the original therefore starts over.
///
/// # Errors
/// There is no database, `to` exists or cannot be written, or the copy is damaged because the original is. No copy is
/// left then.
pub fn backup(from: &Path, to: &Path) -> Result<(), StoreError> {
    if !from.exists() {
        return Err(StoreError::Unavailable(format!("{} does not exist: name the database's file", from.display())));
    }
    // Created exclusively, so that no other program's file is overwritten.
    std::fs::OpenOptions::new().write(true).create_new(true).open(to).map_err(|error| {
        StoreError::Unavailable(format!("cannot create {} ({error}): name a new file", to.display()))
    })?;
    let result = copy(from, to).and_then(|()| verify(from, to));
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
    // A single file, without a log beside it.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    target.execute_batch("UPDATE pregon_topics SET epoch = epoch + 1, seq = 0")?;
    target.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Reads the whole copy once, as a restore will.
fn verify(from: &Path, to: &Path) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let written = Connection::open_with_flags(to, flags).map_err(|error| connection::opening(to, &error))?;
    let found = written.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match found {
        Ok(found) if found == "ok" => Ok(()),
        Ok(found) => Err(damaged(from, &found)),
        Err(error) => Err(damaged(from, &error.to_string())),
    }
}

fn damaged(from: &Path, how: &str) -> StoreError {
    StoreError::Broken(format!(
        "{} is damaged, so its copy was removed ({}): restore an older backup, or save what can be read \
         with sqlite3's .recover",
        from.display(),
        how.lines().collect::<Vec<_>>().join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, mpsc};

    use super::*;
    use crate::store::sqlite::migrate;

    #[test]
    fn a_database_that_is_written_all_the_time_is_copied_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from.db");
        let to = folder.path().join("to.db");
        migrate(&from, false).unwrap();
        let writer = connection::open(&from, connection::Role::Writer).unwrap();
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
            INSERT INTO pregon_revoked (jti, expires) SELECT i || hex(zeroblob(4096)), 0 FROM n; \
            INSERT INTO pregon_revoked (jti, expires) VALUES ('', 0)";
        writer.execute_batch(fill).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let writing = std::thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                writer.pragma_update(None, "synchronous", "OFF").unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    writer.execute("UPDATE pregon_revoked SET expires = expires + 1 WHERE jti = ''", []).unwrap();
                }
            }
        });
        let (done, copied) = mpsc::channel();
        std::thread::spawn({
            let from = from.clone();
            let to = to.clone();
            move || done.send(backup(&from, &to))
        });
        let result = copied.recv_timeout(Duration::from_secs(20));
        is_over.store(true, Ordering::Relaxed);
        writing.join().unwrap();
        result.expect("the copy does not end").unwrap();
        let rows =
            Connection::open(&to).unwrap().query_row("SELECT count(*) FROM pregon_revoked", [], |row| row.get(0));
        assert_eq!(rows, Ok(3001));
    }

    #[test]
    fn a_damaged_database_makes_no_backup() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from.db");
        let to = folder.path().join("to.db");
        migrate(&from, false).unwrap();
        let writer = connection::open(&from, connection::Role::Writer).unwrap();
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
            INSERT INTO pregon_revoked (jti, expires) SELECT i || hex(zeroblob(100)), 0 FROM n; \
            PRAGMA wal_checkpoint(TRUNCATE)";
        writer.execute_batch(fill).unwrap();
        drop(writer);
        backup(&from, &to).unwrap();
        std::fs::remove_file(&to).unwrap();
        // A page near the end, which holds rows of that table.
        let mut file = std::fs::OpenOptions::new().write(true).open(&from).unwrap();
        file.seek(SeekFrom::End(-3 * 4096)).unwrap();
        file.write_all(&[0x5a; 2048]).unwrap();
        drop(file);
        let refused = backup(&from, &to).unwrap_err().to_string();
        assert!(refused.contains("is damaged") && refused.contains("restore an older backup"), "{refused}");
        assert!(!to.exists(), "nothing is left behind");
    }
}
