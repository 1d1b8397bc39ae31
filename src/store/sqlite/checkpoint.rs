//! Moves the write-ahead log's pages into the file, on a thread and connection of its own.
//!
//! A passive checkpoint neither waits nor makes the lane wait. But under constant writes it never reaches the end of
//! the log, and the log grows (measured: 1.4 GB in half a minute; waiting for the write lock does not help, because the
//! lane takes it again within microseconds). So above [`limits::WAL_PAGES_MAX`] the lane is asked to pause between two
//! batches while the last pages are copied; its next commit then restarts the log.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use crate::limits;
use crate::store::StoreError;
use crate::store::sqlite::connection::{self, Role};

/// After this time without a commit the log is emptied.
const QUIET: Duration = Duration::from_secs(2);
/// The longest pause of the lane, whatever the checkpointer does.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The state shared by the lane and the checkpointer.
#[derive(Debug, Default)]
pub struct Wal {
    /// The log's length in pages, as last seen by the writing connection.
    pages: AtomicUsize,
    /// The length at which the checkpointer wants to be woken.
    wake_at: AtomicUsize,
    /// Whether the lane is asked to pause. A copy of [`Wishes::pause`] that the lane reads without a lock.
    is_pausing: AtomicBool,
    wishes: Mutex<Wishes>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wishes {
    stop: bool,
    pause: bool,
}

impl Wal {
    /// Makes the writing connection report the log's length after each commit.
    pub fn watch(self: &Arc<Self>, connection: &mut Connection) -> Result<(), StoreError> {
        let wal = Arc::clone(self);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            let pages = usize::try_from(pages).unwrap_or(0);
            wal.pages.store(pages, Ordering::Relaxed);
            if pages >= wal.wake_at.load(Ordering::Relaxed) {
                wal.changed.notify_all();
            }
            Ok(())
        }))?;
        Ok(())
    }

    /// Called by the lane before a transaction: waits while the checkpointer needs the lane to pause.
    pub fn stand_still(&self) {
        if !self.is_pausing.load(Ordering::Acquire) {
            return;
        }
        let wishes = self.wishes();
        drop(self.changed.wait_timeout_while(wishes, PAUSE_MAX, |wishes| wishes.pause));
    }

    fn pause(&self, pause: bool) {
        self.wishes().pause = pause;
        self.is_pausing.store(pause, Ordering::Release);
        self.changed.notify_all();
    }

    /// Waits for a limited time until the log has `wake_at` pages; true when the thread should stop.
    fn wait(&self, wake_at: usize) -> bool {
        self.wake_at.store(wake_at, Ordering::Relaxed);
        let is_short = |wishes: &mut Wishes| !wishes.stop && self.pages.load(Ordering::Relaxed) < wake_at;
        let woken = self.changed.wait_timeout_while(self.wishes(), QUIET, is_short);
        woken.unwrap_or_else(PoisonError::into_inner).0.stop
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The checkpointer's thread.
#[derive(Debug)]
pub struct Checkpointer {
    wal: Arc<Wal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub fn start(path: &Path, wal: Arc<Wal>) -> Result<Self, StoreError> {
        let connection = connection::open(path, Role::Checkpointer)?;
        let body = Body { connection, wal: Arc::clone(&wal), copied: 0 };
        let thread = std::thread::Builder::new()
            .name("checkpoints".into())
            .spawn(move || _ = crate::telemetry::alarm::guard("the thread of checkpoints", || body.run()))
            .map_err(|error| StoreError::Unavailable(format!("cannot start the thread of checkpoints: {error}")))?;
        Ok(Self { wal, thread: Mutex::new(Some(thread)) })
    }

    /// Empties the log and ends the thread. Blocks. Must be called after the lane has ended.
    pub fn stop(&self) {
        self.wal.wishes().stop = true;
        self.wal.changed.notify_all();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(thread.join());
        }
    }
}

struct Body {
    connection: Connection,
    wal: Arc<Wal>,
    /// The pages that are already in the file.
    copied: usize,
}

impl Body {
    fn run(mut self) {
        let mut pages_before = 0;
        loop {
            let is_stopping = self.wal.wait(self.copied + limits::WAL_CHECKPOINT_PAGES);
            let pages = self.wal.pages.load(Ordering::Relaxed);
            if is_stopping {
                self.checkpoint(CheckpointMode::TRUNCATE);
                return;
            }
            self.turn(pages, pages == pages_before);
            pages_before = pages;
        }
    }

    /// Does what a log of `pages` pages needs.
    fn turn(&mut self, pages: usize, is_quiet: bool) {
        if pages < self.copied {
            // The log was restarted.
            self.copied = 0;
        }
        if pages >= self.copied + limits::WAL_CHECKPOINT_PAGES {
            self.checkpoint(CheckpointMode::PASSIVE);
            if pages >= limits::WAL_PAGES_MAX {
                self.begin_anew();
            }
        } else if pages > 0 && is_quiet && self.checkpoint(CheckpointMode::TRUNCATE) {
            self.copied = 0;
            // If a commit came meanwhile, its number stays.
            let _ = self.wal.pages.compare_exchange(pages, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn begin_anew(&mut self) {
        // Copies once more, so that the lane only pauses for the pages written during the last checkpoint.
        self.checkpoint(CheckpointMode::PASSIVE);
        self.wal.pause(true);
        if self.checkpoint(CheckpointMode::RESTART) {
            self.copied = 0;
            self.wal.pages.store(0, Ordering::Relaxed);
        }
        self.wal.pause(false);
    }

    /// Runs a checkpoint; true if it succeeded. If the database is busy, a later round does it. Other failures show in
    /// the lane as well.
    fn checkpoint(&mut self, mode: CheckpointMode) -> bool {
        match self.connection.wal_checkpoint_v2(None::<&str>, mode) {
            Ok((_, copied)) => {
                self.copied = usize::try_from(copied).unwrap_or(0);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "checkpoint not done");
                self.copied = self.wal.pages.load(Ordering::Relaxed);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_too_long_begins_anew_and_a_quiet_one_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pregon.db");
        drop(connection::create(&path).unwrap());
        let wal = Arc::new(Wal::default());
        let mut writer = connection::open(&path, Role::Writer).unwrap();
        wal.watch(&mut writer).unwrap();
        let write = |text: &str| writer.execute_batch(text).unwrap();
        let pages = || wal.pages.load(Ordering::Relaxed);
        write("CREATE TABLE t (x)");
        write("INSERT INTO t VALUES (zeroblob(100000))");
        let long = pages();
        assert!(long > 20);
        write("INSERT INTO t VALUES (1)");
        assert!(pages() > long, "it goes on where it was");

        let checkpointer = connection::open(&path, Role::Checkpointer).unwrap();
        let mut body = Body { connection: checkpointer, wal: Arc::clone(&wal), copied: 0 };
        body.turn(limits::WAL_PAGES_MAX, false);
        write("INSERT INTO t VALUES (2)");
        assert!(pages() < 5, "{} pages: the log did not begin anew", pages());

        let file = folder.path().join("pregon.db-wal");
        assert!(std::fs::metadata(&file).unwrap().len() > 100_000);
        body.turn(pages(), true);
        assert_eq!((pages(), std::fs::metadata(&file).unwrap().len()), (0, 0));
        let rows: u32 = writer.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 3);
    }

    #[test]
    fn the_lane_stands_still_while_it_is_asked_to() {
        let wal = Arc::new(Wal::default());
        wal.stand_still();
        wal.pause(true);
        let (passed, has_passed) = std::sync::mpsc::channel();
        let lane = Arc::clone(&wal);
        let thread = std::thread::spawn(move || {
            passed.send("asked").unwrap();
            lane.stand_still();
            passed.send("passed").unwrap();
        });
        assert_eq!(has_passed.recv(), Ok("asked"));
        assert!(has_passed.recv_timeout(Duration::from_millis(50)).is_err(), "it went on");
        wal.pause(false);
        assert_eq!(has_passed.recv(), Ok("passed"));
        thread.join().unwrap();
    }
}
