//! Reading connections: a few threads behind one bounded queue, so that no caller's thread waits for the disk.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::store::StoreError;
use crate::store::queue::{Queue, Taken};
use crate::store::sqlite::connection::{self, Role};

type Read = Box<dyn FnOnce(&mut Connection) + Send>;

/// The pool.
pub struct Readers {
    queue: Arc<Queue<Read>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    /// Opens `count` connections of a migrated file, each on its thread. At most so many reads wait for them.
    pub fn start(path: &Path, name: &str, count: usize, waiting_max: usize) -> Result<Self, StoreError> {
        let queue = Arc::new(Queue::new(waiting_max));
        let mut threads = Vec::new();
        for number in 0..count.max(1) {
            let mut connection = connection::open(path, Role::Reader)?;
            let reads = Arc::clone(&queue);
            let thread = std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || {
                    _ = crate::telemetry::alarm::guard("a thread of reads", || answer(&reads, &mut connection));
                })
                .map_err(|error| StoreError::Unavailable(format!("no thread for reads: {error}")))?;
            threads.push(thread);
        }
        Ok(Self { queue, threads: Mutex::new(threads) })
    }

    /// Runs `read` on one of the connections, all its statements on one state of the database.
    pub async fn run<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        let read: Read = Box::new(move |connection| {
            // A caller that is gone needs no answer.
            if !answer.is_closed() {
                drop(answer.send(in_one_snapshot(connection, read)));
            }
        });
        if self.queue.push(read).is_err() {
            metrics::counter!("pregon_shed_total", "what" => "read").increment(1);
            return Err(StoreError::Unavailable("too many reads wait, or the store is closing".into()));
        }
        result.await.unwrap_or_else(|_| Err(StoreError::Broken("a read panicked".into())))
    }

    /// Answers what is queued, then ends the threads. Blocks.
    pub fn stop(&self) {
        self.queue.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            drop(thread.join());
        }
    }
}

fn answer(queue: &Queue<Read>, connection: &mut Connection) {
    let mut reads = Vec::new();
    loop {
        match queue.take(&mut reads, 1, Duration::from_secs(60)) {
            Taken::Closed => return,
            Taken::Nothing => {}
            Taken::Some => {
                for read in reads.drain(..) {
                    let run = std::panic::AssertUnwindSafe(|| read(&mut *connection));
                    if std::panic::catch_unwind(run).is_err() {
                        tracing::error!("a read panicked");
                    }
                    if !connection.is_autocommit() {
                        drop(connection.execute_batch("ROLLBACK"));
                    }
                }
            }
        }
    }
}

fn in_one_snapshot<T>(
    connection: &mut Connection,
    read: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let result = read(connection);
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(result?)
}
