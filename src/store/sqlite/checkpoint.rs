//! Moves the write-ahead log's pages into the file, on a thread and a connection of its own.
//!
//! A passive checkpoint never waits and never makes the lane wait, but under constant writes it never reaches the
//! log's end either, and the log grows. Above [`limits::WAL_PAGES_MAX`] the lane therefore waits for one that does.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use crate::limits;
use crate::store::StoreError;
use crate::store::sqlite::connection::{self, Role};

/// After this long without a commit the log is emptied.
const QUIET: Duration = Duration::from_secs(2);

/// The log's length, as the writing connection last saw it.
#[derive(Debug, Default)]
pub struct WalSize {
    pages: AtomicUsize,
    /// Pages at which the checkpointer wants to be woken.
    wake_at: AtomicUsize,
    is_stopping: Mutex<bool>,
    woken: Condvar,
}

impl WalSize {
    /// Lets the writing connection tell the log's length after each commit.
    pub fn watch(self: &Arc<Self>, connection: &mut Connection) -> Result<(), StoreError> {
        let size = Arc::clone(self);
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            let pages = usize::try_from(pages).unwrap_or(0);
            size.pages.store(pages, Ordering::Relaxed);
            if pages >= size.wake_at.load(Ordering::Relaxed) {
                size.woken.notify_one();
            }
            Ok(())
        }))?;
        Ok(())
    }

    /// Waits until the log has `wake_at` pages, but not for long; true when it is time to stop.
    fn wait(&self, wake_at: usize) -> bool {
        self.wake_at.store(wake_at, Ordering::Relaxed);
        let is_stopping = self.is_stopping.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_stopping || self.pages.load(Ordering::Relaxed) >= wake_at {
            return *is_stopping;
        }
        *self.woken.wait_timeout(is_stopping, QUIET).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The checkpointer's thread.
#[derive(Debug)]
pub struct Checkpointer {
    size: Arc<WalSize>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Checkpointer {
    /// Starts the thread.
    pub fn start(path: &Path, size: Arc<WalSize>) -> Result<Self, StoreError> {
        let connection = connection::open(path, Role::Checkpointer)?;
        let body = Body { connection, size: Arc::clone(&size), copied: 0 };
        let thread = std::thread::Builder::new()
            .name("checkpoints".into())
            .spawn(move || body.run())
            .map_err(|error| StoreError::Unavailable(format!("no thread for checkpoints: {error}")))?;
        Ok(Self { size, thread: Mutex::new(Some(thread)) })
    }

    /// Empties the log and ends the thread. Blocks. To be called when the lane has ended.
    pub fn stop(&self) {
        *self.size.is_stopping.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.size.woken.notify_one();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(thread.join());
        }
    }
}

struct Body {
    connection: Connection,
    size: Arc<WalSize>,
    /// Pages that are in the file already.
    copied: usize,
}

impl Body {
    fn run(mut self) {
        let mut pages_before = 0;
        loop {
            let is_stopping = self.size.wait(self.copied + limits::WAL_CHECKPOINT_PAGES);
            let pages = self.size.pages.load(Ordering::Relaxed);
            if is_stopping {
                self.checkpoint(CheckpointMode::TRUNCATE);
                return;
            }
            if pages < self.copied {
                // The log began anew.
                self.copied = 0;
            }
            if pages >= limits::WAL_PAGES_MAX {
                self.checkpoint(CheckpointMode::PASSIVE);
                self.checkpoint(CheckpointMode::FULL);
            } else if pages >= self.copied + limits::WAL_CHECKPOINT_PAGES {
                self.checkpoint(CheckpointMode::PASSIVE);
            } else if pages > 0 && pages == pages_before && self.checkpoint(CheckpointMode::TRUNCATE) {
                self.copied = 0;
                // A commit came meanwhile: then its number stays.
                let _ = self.size.pages.compare_exchange(pages, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
            pages_before = pages;
        }
    }

    /// True when it was done. Busy: a later round does it. What else may fail shows in the lane as well.
    fn checkpoint(&mut self, mode: CheckpointMode) -> bool {
        match self.connection.wal_checkpoint_v2(None::<&str>, mode) {
            Ok((_, copied)) => {
                self.copied = usize::try_from(copied).unwrap_or(0);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "checkpoint not done");
                self.copied = self.size.pages.load(Ordering::Relaxed);
                false
            }
        }
    }
}
