//! A lane's side of the database: commits a batch in one transaction, looks up what is unsure, keeps house.
//!
//! A database brings a [`Connector`]: the connection that writes, and how to wait for it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::domain::chat::twin::Twins;
use crate::domain::event::Committed;
use crate::domain::write::Write;
use crate::ids::RoomId;
use crate::limits;
use crate::store::StoreError;
use crate::store::batch::{self, Failure, UnreadRest};
use crate::store::caches::Caches;
use crate::store::sql::rows::BatchRows;
use crate::store::sql::{Known, LaneSql, Sql, View, chat_rows, retention, topics, twins};
use crate::store::writer::{Batch, BatchError, BatchStore, TakePlaces};

/// From the end of one sweep over everything to the start of the next.
const SWEEP_INTERVAL_SECONDS: i64 = 600;
/// From one slice to the next within a sweep.
const SLICE_PAUSE: Duration = Duration::from_millis(20);
/// A lane with nothing to sweep looks again after this long.
const QUIET_PAUSE: Duration = Duration::from_secs(1);
/// After housekeeping failed.
const FAILED_PAUSE: Duration = Duration::from_secs(10);

/// How a connector's connection fails.
pub type Error<C> = <<C as Connector>::Driver as Sql>::Error;

/// A connection that writes, opened when it is needed and anew after each loss.
pub trait Connector: Send + 'static {
    /// The connection.
    type Driver: LaneSql;

    /// As [`BatchStore::PATIENCE`].
    const PATIENCE: Duration;

    /// What all connections remember.
    fn caches(&self) -> &Caches;

    /// What the time is.
    fn now(&self) -> Timestamp;

    /// Which rooms this lane writes in.
    fn ours(&self) -> impl Fn(RoomId) -> bool + 'static;

    /// Waits for `work` on the connection, once.
    fn wait<T>(
        &mut self,
        now: Timestamp,
        work: impl AsyncFnOnce(View<'_, Self::Driver>) -> T,
    ) -> Result<T, Error<Self>>;

    /// Waits for `work` in a transaction of its own; after a failure nothing of it is left.
    fn transaction<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut View<'_, Self::Driver>) -> Result<T, Error<Self>>,
    ) -> Result<T, Error<Self>>;

    /// After a batch's failure: a connection that is still good is rolled back, another is dropped.
    fn give_up(&mut self, error: Option<&Error<Self>>);

    /// May the batch that failed so succeed at once?
    fn may_succeed(error: &Error<Self>) -> bool;

    /// Does the database take this lane's writes? Only a write can tell; nothing of it stays.
    fn probe(&mut self, is_failing: bool) -> Result<(), Error<Self>>;

    /// A new connection, whatever the old one was in the midst of.
    fn reset(&mut self);

    /// The end.
    fn close(&mut self);
}

/// The lane's side of the store.
pub struct SqlLane<C: Connector> {
    /// The connection.
    pub connector: C,
    known: Known,
    twins: Twins,
    /// The twins of the seconds before the start were read.
    is_recalled: bool,
    /// Long reads whose rows follow in idle moments.
    pub rests: VecDeque<UnreadRest>,
    /// Those of a batch of which it is not known whether it was committed.
    pub undecided: Vec<UnreadRest>,
    /// `None`: another lane keeps house.
    retention: Option<Retention>,
    /// The last transaction failed as a whole.
    is_failing: bool,
}

/// How far the sweep under way has come.
#[derive(Debug, Default)]
struct Retention {
    /// Every topic up to here is swept; `None`: no sweep is under way.
    topic: Option<String>,
    /// No sweep before this.
    next_sweep: Timestamp,
}

impl<C: Connector> SqlLane<C> {
    /// A lane that has asked for nothing yet. One of a store's lanes keeps house for all.
    pub fn new(connector: C, keeps_house: bool) -> Self {
        Self {
            connector,
            known: Known::default(),
            twins: Twins::default(),
            is_recalled: false,
            rests: VecDeque::new(),
            undecided: Vec::new(),
            retention: keeps_house.then(Retention::default),
            is_failing: false,
        }
    }

    /// Reads the twins of the seconds before the start, once.
    pub fn recall(&mut self) -> Result<(), Error<C>> {
        if self.is_recalled {
            return Ok(());
        }
        let (now, is_ours) = (self.connector.now(), self.connector.ours());
        let found = self.connector.wait(now, async |mut view| twins::recall(&mut view, is_ours).await).flatten();
        self.twins = found.inspect_err(|error| self.connector.give_up(Some(error)))?;
        self.is_recalled = true;
        Ok(())
    }

    /// Waits for `work` in a transaction of its own, in its place among the batches.
    pub fn transaction<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut View<'_, C::Driver>) -> Result<T, Error<C>>,
    ) -> Result<T, StoreError> {
        // What it changes may be what is known.
        self.known.clear();
        let result = self.connector.transaction(work).map_err(Into::into);
        if let Err(StoreError::Unavailable(_)) = &result {
            self.is_failing = true;
        }
        result
    }

    /// Does the database take writes?
    pub fn probe(&mut self) -> Result<(), StoreError> {
        self.known.clear();
        self.connector.probe(self.is_failing).map_err(Into::into)?;
        self.is_failing = false;
        Ok(())
    }

    fn run(
        &mut self,
        writes: &[Write],
        with_savepoints: bool,
        places: &mut TakePlaces<'_>,
    ) -> Result<Batch, Failure<Error<C>>> {
        self.recall().map_err(Failure::All)?;
        let (rests_before, now) = (self.rests.len(), self.connector.now());
        let Self { connector, known, twins, rests, .. } = self;
        let work = async |view: View<'_, C::Driver>| {
            batch::run(BatchRows::new(view, known, rests), twins, writes, with_savepoints, places).await
        };
        let result = connector.wait(now, work).map_err(Failure::All).flatten();
        match &result {
            Ok(done) => self.settle(&done.events, now),
            Err(failure) => {
                self.known.clear();
                let rests = self.rests.split_off(rests_before);
                self.connector.give_up(match failure {
                    Failure::All(error) | Failure::Unknown(_, error) => Some(error),
                    Failure::OneWrite => None,
                });
                if matches!(failure, Failure::Unknown(..)) {
                    self.undecided = rests.into();
                } else {
                    self.twins.back_to(0);
                }
            }
        }
        result
    }

    /// The batch is on disk: what it staged counts, what it changed is forgotten.
    fn settle(&mut self, events: &[Arc<Committed>], now: Timestamp) {
        self.twins.keep(now);
        for event in events {
            self.connector.caches().forget_changed(event);
        }
    }

    /// One slice: first what users wait for, then what may go.
    fn keep_house(&mut self) -> Result<Duration, StoreError> {
        if !self.rests.is_empty() {
            self.go_on_with_a_rest()?;
            return Ok(SLICE_PAUSE);
        }
        let now = self.connector.now();
        match &self.retention {
            Some(retention) if now >= retention.next_sweep => self.sweep(now),
            _ => Ok(QUIET_PAUSE),
        }
    }

    /// The next rows of a long `mark_as_read`.
    fn go_on_with_a_rest(&mut self) -> Result<(), StoreError> {
        let Some(rest) = self.rests.front().copied() else { return Ok(()) };
        let done = self.transaction(async |view| chat_rows::insert_unread(view, rest).await)?;
        self.rests.pop_front();
        self.rests.extend(rest.after_these(&done));
        Ok(())
    }

    fn sweep(&mut self, now: Timestamp) -> Result<Duration, StoreError> {
        let swept_to = self.retention.as_ref().and_then(|retention| retention.topic.clone());
        let next = match swept_to {
            None => {
                let deleted = self.transaction(async |view| retention::sweep_names(view).await)?;
                if deleted >= limits::RETENTION_ROWS_MAX as u64 {
                    return Ok(SLICE_PAUSE);
                }
                Retention { topic: Some(String::new()), ..Retention::default() }
            }
            Some(after) => match self.transaction(async |view| retention::sweep_topics(view, &after).await)? {
                None => Retention { topic: None, next_sweep: now.plus_seconds(SWEEP_INTERVAL_SECONDS) },
                topic => Retention { topic, ..Retention::default() },
            },
        };
        self.retention = Some(next);
        Ok(SLICE_PAUSE)
    }
}

impl<C: Connector> BatchStore for SqlLane<C> {
    const PATIENCE: Duration = C::PATIENCE;

    fn commit(&mut self, batch: &[Write], places: &mut TakePlaces<'_>) -> Result<Batch, BatchError> {
        let result = match self.run(batch, false, places) {
            Err(Failure::OneWrite) => self.run(batch, true, places),
            other => other,
        };
        self.is_failing = result.is_err();
        result.map_err(|failure| match failure {
            Failure::All(error) if C::may_succeed(&error) => BatchError::Retry(error.to_string()),
            Failure::All(error) => BatchError::Failed(error.to_string()),
            Failure::Unknown(done, error) => BatchError::Unknown(done, error.to_string()),
            Failure::OneWrite => BatchError::Failed("a write failed outside its savepoint".into()),
        })
    }

    fn resolve(&mut self, batch: &Batch) -> Result<bool, StoreError> {
        let is_there = match batch.events.first() {
            None => false,
            Some(event) => self.transaction(async |view| topics::is_logged(view, event).await)?,
        };
        let rests = std::mem::take(&mut self.undecided);
        if is_there {
            self.rests.extend(rests);
            self.settle(&batch.events, self.connector.now());
        } else {
            self.twins.back_to(0);
        }
        Ok(is_there)
    }

    fn reset(&mut self) {
        self.known.clear();
        self.twins.back_to(0);
        self.connector.reset();
    }

    fn idle(&mut self) -> Duration {
        self.keep_house().unwrap_or_else(|error| {
            tracing::warn!(%error, "housekeeping failed");
            FAILED_PAUSE
        })
    }

    fn finish(&mut self) {
        while !self.rests.is_empty() {
            if let Err(error) = self.go_on_with_a_rest() {
                tracing::warn!(%error, "some messages marked as read lack their rows");
                break;
            }
        }
        self.connector.close();
    }
}
