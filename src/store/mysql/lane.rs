//! A writing connection with a thread of its own: commits a batch in one transaction.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::clock::Timestamp;
use crate::domain::chat::twin::Twins;
use crate::domain::event::Committed;
use crate::domain::write::{Intent, Write};
use crate::ids::Topic;
use crate::limits;
use crate::store::StoreError;
use crate::store::batch::{self, UnreadRest};
use crate::store::mysql::connection::{MysqlError, Remedy, timed};
use crate::store::mysql::driver::{Driver, View};
use crate::store::mysql::retention::Retention;
use crate::store::mysql::rows::BatchRows;
use crate::store::mysql::{Shared, topics, twins, unread_rest};
use crate::store::rules;
use crate::store::writer::{Batch, BatchError, BatchStore};

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

/// The lane's side of the store. Its connection is opened on its own thread, and anew after each loss.
pub struct MysqlLane {
    pub(super) shared: Arc<Shared>,
    pub(super) number: Number,
    runtime: Runtime,
    driver: Option<Driver>,
    twins: Twins,
    /// The twins of the seconds before the start were read.
    is_recalled: bool,
    pub(super) rests: VecDeque<UnreadRest>,
    /// Those of a batch of which it is not known whether it was committed.
    undecided: Vec<UnreadRest>,
    pub(super) retention: Retention,
}

/// How a run over a batch failed.
enum Failure {
    /// By one write's own statement: run again with savepoints.
    OneWrite,
    /// As a whole, nothing was written.
    All(MysqlError),
    /// In COMMIT, with the connection gone: it may be on disk.
    Unknown(Batch, MysqlError),
}

impl MysqlLane {
    /// A lane that will connect when it has something to do.
    pub fn new(shared: Arc<Shared>, number: Number) -> Result<Self, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StoreError::Unavailable(format!("no event loop for a write lane: {error}")))?;
        let (twins, rests, retention) = (Twins::default(), VecDeque::new(), Retention::default());
        let undecided = Vec::new();
        Ok(Self { shared, number, runtime, driver: None, twins, is_recalled: false, rests, undecided, retention })
    }

    fn connect(&mut self) -> Result<(), MysqlError> {
        if self.driver.is_some() {
            return Ok(());
        }
        let mut driver = self.runtime.block_on(self.shared.open())?;
        if !self.is_recalled {
            let now = (self.shared.clock)();
            let mut view = self.shared.view(&mut driver, now);
            self.twins = self.runtime.block_on(twins::recall(&mut view, self.number))?;
            self.is_recalled = true;
        }
        self.driver = Some(driver);
        Ok(())
    }

    /// Runs `work` on the lane's connection, in a transaction of its own.
    pub(super) fn transaction<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut View<'_>) -> Result<T, MysqlError>,
    ) -> Result<T, MysqlError> {
        let was_open = self.driver.is_some();
        match self.run_alone("START TRANSACTION") {
            // It was closed while nobody used it: nothing has happened yet.
            Err(error) if was_open && error.remedy() == Remedy::Reconnect => {
                self.driver = None;
                self.run_alone("START TRANSACTION")?;
            }
            begun => begun?,
        }
        let Self { runtime, driver, shared, .. } = self;
        let Some(driver) = driver else { return Err(MysqlError::Unexpected("no connection".into())) };
        let now = (shared.clock)();
        let mut view = shared.view(driver, now);
        let result = runtime.block_on(async {
            let value = work(&mut view).await?;
            view.run("COMMIT").await?;
            Ok(value)
        });
        result.inspect_err(|error| self.give_up(error))
    }

    fn run_alone(&mut self, sql: &str) -> Result<(), MysqlError> {
        self.connect()?;
        let Self { runtime, driver, shared, .. } = self;
        let Some(driver) = driver else { return Err(MysqlError::Unexpected("no connection".into())) };
        let now = (shared.clock)();
        runtime.block_on(shared.view(driver, now).run(sql))
    }

    /// Does the database take this lane's writes? Only a write can tell; it is taken back.
    pub fn probe(&mut self) -> Result<(), StoreError> {
        let name = format!("probe-{}", uuid::Uuid::now_v7().simple());
        self.transaction(async |view| {
            view.execute("INSERT INTO pregon_revoked (jti, expires) VALUES (?, 0)", &[&name]).await?;
            view.execute("DELETE FROM pregon_revoked WHERE jti = ?", &[&name]).await.map(drop)
        })
        .map_err(StoreError::from)
    }

    fn run(&mut self, writes: &[Write], with_savepoints: bool) -> Result<Batch, Failure> {
        self.connect().map_err(Failure::All)?;
        let rests_before = self.rests.len();
        let now = (self.shared.clock)();
        let result = self.apply(writes, with_savepoints, now);
        match &result {
            Ok(done) => self.settle(&done.events, now),
            Err(failure) => {
                let rests = self.rests.split_off(rests_before);
                match failure {
                    Failure::All(error) => self.give_up(error),
                    Failure::Unknown(_, error) => self.give_up(error),
                    Failure::OneWrite => self.roll_back(),
                }
                if matches!(failure, Failure::Unknown(..)) {
                    self.undecided = rests.into();
                } else {
                    self.twins.back_to(0);
                }
            }
        }
        result
    }

    fn apply(&mut self, writes: &[Write], with_savepoints: bool, now: Timestamp) -> Result<Batch, Failure> {
        let Self { runtime, driver, shared, rests, twins, .. } = self;
        let Some(driver) = driver else {
            return Err(Failure::All(MysqlError::Unexpected("no connection".into())));
        };
        let alone = |error: MysqlError| {
            if error.remedy() == Remedy::Refuse && !with_savepoints { Failure::OneWrite } else { Failure::All(error) }
        };
        let mut rows = BatchRows::new(runtime, shared.view(driver, now), rests);
        let mut topics = BTreeSet::new();
        for write in writes {
            match write.intent {
                Intent::Chat { .. } | Intent::Adopt(_) => drop(topics.insert(write.topic())),
                Intent::Feed(_) => match rules::topics(&mut rows, write) {
                    Ok(foretold) => topics.extend(foretold),
                    // A row that is not what the code expects: the write meets it again, and fails alone.
                    Err(error) if error.remedy() == Remedy::Refuse => drop(topics.insert(write.topic())),
                    Err(error) => return Err(Failure::All(error)),
                },
            }
        }
        let done = if with_savepoints {
            rows.begin(&topics, &[]).map_err(Failure::All)?;
            batch::one_by_one(&mut rows, twins, now, writes)
        } else {
            rows.begin(&topics, writes).map_err(alone)?;
            batch::together(&mut rows, twins, now, writes)
        };
        let done = done.map_err(alone)?;
        match rows.commit() {
            Ok(()) => Ok(done),
            Err(error) if error.remedy() == Remedy::Reconnect => Err(Failure::Unknown(done, error)),
            Err(error) => Err(alone(error)),
        }
    }

    /// After a failure: a connection that is still good is rolled back, another is dropped.
    fn give_up(&mut self, error: &MysqlError) {
        if error.ends_connection() {
            self.driver = None;
        } else {
            self.roll_back();
        }
    }

    fn roll_back(&mut self) {
        let Self { runtime, driver, shared, .. } = self;
        let Some(open) = driver else { return };
        let now = (shared.clock)();
        if let Err(error) = runtime.block_on(shared.view(open, now).run("ROLLBACK")) {
            tracing::debug!(%error, "cannot roll back: connecting anew");
            *driver = None;
        }
    }

    /// The batch is on disk: what it staged counts, what it changed is forgotten.
    fn settle(&mut self, events: &[Arc<Committed>], now: Timestamp) {
        self.twins.keep(now);
        for event in events {
            self.shared.caches.forget_changed(event);
        }
    }

    fn go_on_with_a_rest(&mut self) -> Result<(), MysqlError> {
        let Some(rest) = self.rests.front().copied() else { return Ok(()) };
        let left = self.transaction(async |view| unread_rest::go_on(view, rest).await)?;
        self.rests.pop_front();
        self.rests.extend(left);
        Ok(())
    }
}

impl BatchStore for MysqlLane {
    const PATIENCE: Duration = limits::LANE_PATIENCE;

    fn commit(&mut self, batch: &[Write]) -> Result<Batch, BatchError> {
        let result = match self.run(batch, false) {
            Err(Failure::OneWrite) => self.run(batch, true),
            other => other,
        };
        result.map_err(|failure| match failure {
            Failure::All(error) => match error.remedy() {
                Remedy::Again | Remedy::Reconnect => BatchError::Retry(error.to_string()),
                Remedy::Wait | Remedy::Refuse => BatchError::Failed(error.to_string()),
            },
            Failure::Unknown(done, error) => BatchError::Unknown(done, error.to_string()),
            Failure::OneWrite => BatchError::Failed("a write failed outside its savepoint".into()),
        })
    }

    fn resolve(&mut self, batch: &Batch) -> Result<bool, StoreError> {
        let Some(event) = batch.events.first().cloned() else {
            self.twins.back_to(0);
            return Ok(false);
        };
        self.connect()?;
        let Self { runtime, driver, shared, .. } = self;
        let Some(open) = driver else { return Err(StoreError::Unavailable("no connection".into())) };
        let now = (shared.clock)();
        let is_there = runtime.block_on(topics::is_committed(&mut shared.view(open, now), &event));
        if let Err(error) = &is_there {
            self.give_up(error);
        }
        let is_there = is_there?;
        let rests = std::mem::take(&mut self.undecided);
        if is_there {
            self.rests.extend(rests);
            self.settle(&batch.events, now);
        } else {
            self.twins.back_to(0);
        }
        Ok(is_there)
    }

    fn reset(&mut self) {
        self.driver = None;
        self.twins.back_to(0);
    }

    fn finish(&mut self) {
        while !self.rests.is_empty() {
            if let Err(error) = self.go_on_with_a_rest() {
                tracing::warn!(%error, "some messages marked as read lack their rows");
                break;
            }
        }
        if let Some(driver) = self.driver.take() {
            drop(self.runtime.block_on(timed(limits::CONNECT_TIMEOUT, driver.connection.disconnect())));
        }
    }

    fn idle(&mut self) -> Duration {
        let kept = if self.rests.is_empty() {
            self.sweep()
        } else {
            self.go_on_with_a_rest().map(|()| super::retention::SLICE_PAUSE)
        };
        kept.unwrap_or_else(|error| {
            tracing::warn!(%error, "housekeeping failed");
            Duration::from_secs(10)
        })
    }
}
