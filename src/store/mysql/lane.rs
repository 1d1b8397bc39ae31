//! The connector of a lane on MySQL: a connection that writes, and an event loop of the lane's own thread to wait for it by.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::clock::Timestamp;
use crate::ids::{RoomId, Topic};
use crate::limits;
use crate::store::StoreError;
use crate::store::caches::Caches;
use crate::store::lane::{Connector, SqlLane};
use crate::store::mysql::Shared;
use crate::store::mysql::connection::{MysqlError, Remedy, timed};
use crate::store::mysql::driver::{Driver, View};
use crate::store::sql::LaneSql;

/// Which of the lanes this is.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    /// From 0.
    pub lane: usize,
    /// How many there are.
    pub of: usize,
}

impl Number {
    /// The lane of a topic: one topic's writes are done one after the other.
    pub fn of_topic(topic: Topic, lanes: usize) -> usize {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        topic.hash(&mut hasher);
        usize::try_from(hasher.finish() % lanes.max(1) as u64).unwrap_or(0)
    }
}

/// A lane's side of the store.
pub type MysqlLane = SqlLane<Server>;

/// The server as a lane writes to it. The connection is opened on the lane's own thread.
pub struct Server {
    shared: Arc<Shared>,
    number: Number,
    runtime: Runtime,
    driver: Option<Driver>,
}

/// A lane that will connect when it has something to do.
pub fn new(shared: Arc<Shared>, number: Number) -> Result<MysqlLane, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| StoreError::Unavailable(format!("no event loop for a write lane: {error}")))?;
    Ok(SqlLane::new(Server { shared, number, runtime, driver: None }, number.lane == 0))
}

impl Server {
    /// Rolls back, or drops the connection if that cannot be done.
    fn roll_back(&mut self) {
        let Self { runtime, driver, .. } = self;
        let Some(open) = driver else { return };
        open.forget();
        if let Err(error) = runtime.block_on(open.run("ROLLBACK")) {
            tracing::debug!(%error, "cannot roll back: connecting anew");
            *driver = None;
        }
    }

    fn begin(&mut self) -> Result<(), MysqlError> {
        let now = self.now();
        self.wait(now, async |view| view.driver.run("START TRANSACTION").await)?
    }
}

impl Connector for Server {
    type Driver = Driver;

    const PATIENCE: Duration = limits::LANE_PATIENCE;

    fn caches(&self) -> &Caches {
        &self.shared.caches
    }

    fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    fn ours(&self) -> impl Fn(RoomId) -> bool + 'static {
        let Number { lane, of } = self.number;
        move |room| Number::of_topic(Topic::Room(room), of) == lane
    }

    /// The one place where a lane waits for the server.
    fn wait<T>(&mut self, now: Timestamp, work: impl AsyncFnOnce(View<'_>) -> T) -> Result<T, MysqlError> {
        let Self { shared, runtime, driver, .. } = self;
        runtime.block_on(async {
            let driver = match driver {
                Some(driver) => driver,
                None => driver.insert(shared.open().await?),
            };
            Ok(work(shared.view(driver, now)).await)
        })
    }

    fn transaction<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut View<'_>) -> Result<T, MysqlError>,
    ) -> Result<T, MysqlError> {
        let was_open = self.driver.is_some();
        match self.begin() {
            // It was closed while nobody used it: nothing has happened yet.
            Err(error) if was_open && error.remedy() == Remedy::Reconnect => {
                self.driver = None;
                self.begin()?;
            }
            begun => begun?,
        }
        let now = self.now();
        let done = self.wait(now, async |mut view| {
            let value = work(&mut view).await?;
            view.driver.commit().await?;
            Ok(value)
        });
        done.flatten().inspect_err(|error| self.give_up(Some(error)))
    }

    fn give_up(&mut self, error: Option<&MysqlError>) {
        if error.is_some_and(MysqlError::ends_connection) {
            self.driver = None;
        } else {
            self.roll_back();
        }
    }

    fn may_succeed(error: &MysqlError) -> bool {
        matches!(error.remedy(), Remedy::Again | Remedy::Reconnect)
    }

    fn probe(&mut self, _: bool) -> Result<(), MysqlError> {
        let name = format!("probe-{}", uuid::Uuid::now_v7().simple());
        self.transaction(async |view| {
            view.execute("INSERT INTO pregon_revoked (jti, expires) VALUES (?, 0)", &[&name]).await?;
            view.execute("DELETE FROM pregon_revoked WHERE jti = ?", &[&name]).await.map(drop)
        })
    }

    fn reset(&mut self) {
        self.driver = None;
    }

    fn close(&mut self) {
        if let Some(driver) = self.driver.take() {
            drop(self.runtime.block_on(timed(limits::CONNECT_TIMEOUT, driver.connection.disconnect())));
        }
    }
}
