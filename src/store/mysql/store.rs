//! The store on MySQL: lanes by topic, and direct connections for the rest.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::write::Write;
use crate::ids::{IdSource, Topic};
use crate::limits;
use crate::store::backend::{Answer, Backend};
use crate::store::caches::Caches;
use crate::store::mysql::connection::{MysqlError, Remedy};
use crate::store::mysql::direct::Direct;
use crate::store::mysql::driver::{Driver, View};
use crate::store::mysql::lane::{self, MysqlLane, Number};
use crate::store::mysql::migrate;
use crate::store::mysql::shared::{MysqlOptions, Shared};
use crate::store::writer::Lane;
use crate::store::{LanePort, StoreError};

/// The store on MySQL or MariaDB.
pub struct MysqlStore {
    pub(super) shared: Arc<Shared>,
    lanes: Arc<[Lane<MysqlLane>]>,
    direct: Direct,
    /// Connections for slow queries, so that nothing else waits for them.
    searches: Direct,
}

/// Whether a direct write that failed with this error may succeed if it is repeated.
fn may_succeed(error: &MysqlError) -> bool {
    const DUPLICATE_KEY: u16 = 1062;
    matches!(error.remedy(), Remedy::Again | Remedy::Reconnect) || error.code() == Some(DUPLICATE_KEY)
}

impl MysqlStore {
    /// Checks the database and starts the lanes.
    ///
    /// The `metrics` recorder must be installed before.
    ///
    /// # Errors
    /// One sentence that says what is wrong with the database and what to do about it.
    pub async fn open(options: MysqlOptions, port: Arc<dyn LanePort>) -> Result<Arc<Self>, StoreError> {
        let MysqlOptions { link, lanes, connections, zone, clock, ids, shown_reactions, durability } = options;
        let caches = Caches::default();
        let shared = Arc::new(Shared { link: link.clone(), caches, zone, clock, ids, shown_reactions, durability });
        let direct = Direct::new(Arc::clone(&shared), connections);
        let searches = Direct::new(Arc::clone(&shared), limits::SEARCH_CONNECTIONS);
        let mut driver = shared.open_at_start().await?;
        let mut view = shared.view(&mut driver, (shared.clock)());
        migrate::require(&mut view, &link).await?;
        let lane = |number| {
            let lane = lane::new(Arc::clone(&shared), Number { lane: number, of: lanes })?;
            Lane::start(number, limits::memory::lane_bytes(lanes), lane, Arc::clone(&port))
                .map_err(|error| StoreError::Unavailable(format!("cannot start the thread of a write lane: {error}")))
        };
        let lanes = (0..lanes).map(lane).collect::<Result<Vec<_>, _>>()?;
        drop(driver.connection.disconnect().await);
        Ok(Arc::new(Self { shared, lanes: lanes.into(), direct, searches }))
    }

    /// Runs a query on a connection of a pool. A connection that the server closed while idle is replaced, once.
    ///
    /// Unlike on SQLite, a page's statements do not see one state of the database: a transaction would cost two more
    /// round trips, and would only avoid a count that is off by one.
    async fn read_by<T, W>(&self, pool: &Direct, query: W) -> Result<T, StoreError>
    where
        W: for<'v> FnOnce(&'v mut View<'_>) -> Answer<'v, T, Driver> + Clone + Send + Sync,
    {
        loop {
            let mut loan = pool.lend().await?;
            let result = query.clone()(&mut self.shared.view(&mut loan.driver, self.now())).await;
            let error = match result {
                Ok(value) => {
                    loan.give_back(None);
                    return Ok(value);
                }
                Err(error) => error,
            };
            // A caller that waited in vain for an answer does not wait a second time.
            let is_late = matches!(error, MysqlError::Late(_));
            let is_stale = loan.is_used && error.remedy() == Remedy::Reconnect && !is_late;
            loan.give_back(Some(&error));
            if !is_stale {
                return Err(error.into());
            }
            pool.forget_idle();
        }
    }

    /// Runs `work` on the thread of a topic's lane, between two batches. Tests use it to hold a lane up.
    ///
    /// # Errors
    /// The lane's queue is full or closed.
    #[doc(hidden)]
    pub async fn on_lane<T: Send + 'static>(
        &self,
        topic: Topic,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        self.lanes[Number::of_topic(topic, self.lanes.len())].run(move |_| Ok(work())).await
    }
}

impl Drop for MysqlStore {
    /// A store that was not closed still commits its queue here, which blocks: call `Backend::shut` first.
    fn drop(&mut self) {
        stop(&self.lanes);
    }
}

fn stop(lanes: &[Lane<MysqlLane>]) {
    lanes.iter().for_each(Lane::close);
    lanes.iter().for_each(Lane::join);
}

impl Backend for MysqlStore {
    type Driver = Driver;

    fn caches(&self) -> &Caches {
        &self.shared.caches
    }

    fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    fn ids(&self) -> &dyn IdSource {
        &*self.shared.ids
    }

    fn queue(&self, write: Box<Write>) -> Result<(), Box<Write>> {
        match self.lanes.get(Number::of_topic(write.topic(), self.lanes.len())) {
            Some(lane) => lane.submit(write),
            None => Err(write),
        }
    }

    async fn read<T, W>(&self, query: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'v> FnOnce(&'v mut View<'_>) -> Answer<'v, T, Driver> + Clone + Send + Sync + 'static,
    {
        self.read_by(&self.direct, query).await
    }

    async fn search<T, W>(&self, query: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'v> FnOnce(&'v mut View<'_>) -> Answer<'v, T, Driver> + Clone + Send + Sync + 'static,
    {
        self.read_by(&self.searches, query).await
    }

    async fn change<T, W>(&self, change: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'v> FnOnce(&'v mut View<'_>) -> Answer<'v, T, Driver> + Clone + Send + Sync + 'static,
    {
        let mut attempt = 1;
        loop {
            let mut loan = self.direct.lend().await?;
            let mut view = self.shared.view(&mut loan.driver, self.now());
            let result = in_transaction(&mut view, change.clone()).await;
            let error = match result {
                Ok(value) => {
                    loan.give_back(None);
                    return Ok(value);
                }
                Err(error) => error,
            };
            let is_over = attempt >= limits::DIRECT_ATTEMPTS_MAX || !may_succeed(&error);
            if error.ends_connection() {
                loan.give_back(Some(&error));
                self.direct.forget_idle();
            } else {
                let undone = view.run("ROLLBACK").await;
                loan.give_back(undone.as_ref().err());
            }
            if is_over {
                return Err(error.into());
            }
            attempt += 1;
        }
    }

    async fn probe(&self) -> Result<(), StoreError> {
        for lane in self.lanes.iter() {
            lane.run(MysqlLane::probe).await?;
        }
        Ok(())
    }

    async fn shut(&self) {
        // Joining the threads waits for the database, so it must not run on an async thread.
        let lanes = Arc::clone(&self.lanes);
        drop(tokio::task::spawn_blocking(move || stop(&lanes)).await);
        self.direct.close().await;
        self.searches.close().await;
    }
}

async fn in_transaction<T>(
    view: &mut View<'_>,
    change: impl for<'v> FnOnce(&'v mut View<'_>) -> Answer<'v, T, Driver> + Send,
) -> Result<T, MysqlError> {
    view.run("START TRANSACTION").await?;
    let value = change(view).await?;
    view.run("COMMIT").await?;
    Ok(value)
}
