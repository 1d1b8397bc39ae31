//! The embedded database: one connection that writes, a few that read, and one for checkpoints.

mod backup;
mod checkpoint;
mod connection;
mod driver;
mod lane;
mod migrate;
mod readers;
mod seed;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

pub use self::backup::backup;
pub use self::migrate::{PlanLine, migrate};
pub use self::seed::seed;
pub use crate::store::seed::{SeedPlan, Seeded};

use self::checkpoint::{Checkpointer, Wal};
use self::driver::View;
use self::lane::SqliteLane;
use self::readers::Readers;
use crate::clock::Timestamp;
use crate::domain::write::Write;
use crate::ids::{IdSource, SystemIds};
use crate::limits;
pub use crate::store::Clock;
use crate::store::backend::{Answer, Backend};
use crate::store::caches::Caches;
use crate::store::sql::at_once;
use crate::store::writer::Lane;
use crate::store::{LanePort, StoreError};

/// The options for opening the database.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The file. It and its folder are created if they do not exist.
    pub path: PathBuf,
    /// Connections that read, each with a thread.
    pub readers: usize,
    /// Returns the current time.
    pub clock: Clock,
    /// The source of new rows' ids.
    pub ids: Arc<dyn IdSource>,
    /// How many of its newest reactions a post shows.
    pub shown_reactions: u32,
}

impl SqliteOptions {
    /// Two readers and the system's clock.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            readers: 2,
            clock: Arc::new(Timestamp::now),
            ids: Arc::new(SystemIds),
            shown_reactions: limits::POST_REACTIONS_SHOWN,
        }
    }
}

/// The store on SQLite.
pub struct SqliteStore {
    threads: Arc<Threads>,
    caches: Arc<Caches>,
    clock: Clock,
    ids: Arc<dyn IdSource>,
    shown_reactions: u32,
}

struct Threads {
    lane: Lane<SqliteLane>,
    readers: Readers,
    /// A separate reader for searches.
    searches: Readers,
    checkpointer: Checkpointer,
}

impl Threads {
    /// Ends the threads in the order in which they need each other. Blocks.
    fn stop(&self) {
        self.lane.close();
        self.lane.join();
        self.readers.stop();
        self.searches.stop();
        self.checkpointer.stop();
    }
}

impl SqliteStore {
    /// Opens the database, brings it to this program's schema and starts its threads. Blocks for as long as that takes.
    ///
    /// The `metrics` recorder must be installed before.
    ///
    /// # Errors
    /// One sentence that says what is wrong with the file and what to do about it.
    pub fn open(options: SqliteOptions, port: Arc<dyn LanePort>) -> Result<Arc<Self>, StoreError> {
        let SqliteOptions { path, readers, clock, ids, shown_reactions } = options;
        migrate(&path, false)?;
        let caches = Arc::new(Caches::default());
        let wal = Arc::new(Wal::default());
        let lane = lane::open(
            path.clone(),
            Arc::clone(&wal),
            lane::Surroundings {
                caches: Arc::clone(&caches),
                clock: Arc::clone(&clock),
                ids: Arc::clone(&ids),
                shown_reactions,
            },
        )?;
        let readers = Readers::start(&path, "reader", readers, limits::READS_WAITING_MAX)?;
        let searches = Readers::start(&path, "search", 1, limits::SEARCHES_WAITING_MAX)?;
        let checkpointer = Checkpointer::start(&path, wal)?;
        let lane = Lane::start(0, limits::memory::lane_bytes(1), lane, port)
            .map_err(|error| StoreError::Unavailable(format!("cannot start the thread of the write lane: {error}")))?;
        let threads = Arc::new(Threads { lane, readers, searches, checkpointer });
        Ok(Arc::new(Self { threads, caches, clock, ids, shown_reactions }))
    }

    /// Runs `work` on the lane's connection, between two batches. Tests use it to provoke real errors.
    ///
    /// # Errors
    /// The lane's queue is full or closed, or `work` failed.
    #[doc(hidden)]
    pub async fn on_writer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.threads.lane.run(move |lane| Ok(work(&lane.connector.connection)?)).await
    }

    async fn read_by<T, W>(&self, readers: &Readers, query: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'v> FnOnce(&'v mut View<'_>) -> Answer<'v, T, rusqlite::Connection> + Send + 'static,
    {
        let caches = Arc::clone(&self.caches);
        let ids = Arc::clone(&self.ids);
        let now = self.now();
        let shown_reactions = self.shown_reactions;
        let run = move |driver: &mut rusqlite::Connection| {
            let changed = BTreeSet::new();
            at_once(query(&mut View { driver, caches: &caches, now, ids: &*ids, shown_reactions, changed, asked: 0 }))
        };
        readers.run(run).await
    }
}

impl Drop for SqliteStore {
    /// A store that was not closed still commits its queue here, which blocks: call `Backend::shut` first.
    fn drop(&mut self) {
        self.threads.stop();
    }
}

impl Backend for SqliteStore {
    type Driver = rusqlite::Connection;

    fn caches(&self) -> &Caches {
        &self.caches
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    fn ids(&self) -> &dyn IdSource {
        &*self.ids
    }

    fn queue(&self, write: Box<Write>) -> Result<(), Box<Write>> {
        self.threads.lane.submit(write)
    }

    async fn read<T, W>(&self, query: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'v> FnOnce(&'v mut View<'_>) -> Answer<'v, T, rusqlite::Connection> + Clone + Send + Sync + 'static,
    {
        self.read_by(&self.threads.readers, query).await
    }

    async fn search<T, W>(&self, query: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'v> FnOnce(&'v mut View<'_>) -> Answer<'v, T, rusqlite::Connection> + Clone + Send + Sync + 'static,
    {
        self.read_by(&self.threads.searches, query).await
    }

    /// Runs between two batches of the lane.
    async fn change<T, W>(&self, change: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'v> FnOnce(&'v mut View<'_>) -> Answer<'v, T, rusqlite::Connection> + Clone + Send + Sync + 'static,
    {
        self.threads.lane.run(move |lane| lane.transaction(async |view| change(view).await)).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.threads.lane.run(SqliteLane::probe).await
    }

    async fn shut(&self) {
        // Joining the threads waits for the disk, so it must not run on an async thread.
        let threads = Arc::clone(&self.threads);
        drop(tokio::task::spawn_blocking(move || threads.stop()).await);
    }
}
