//! The writing connection: commits a batch in one transaction.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use crate::clock::Timestamp;
use crate::domain::chat::twin::Twins;
use crate::domain::event::Committed;
use crate::domain::write::Write;
use crate::ids::{RoomId, Topic, UserId};
use crate::limits;
use crate::store::StoreError;
use crate::store::batch::{self, TopicState, UnreadRest};
use crate::store::caches::Caches;
use crate::store::rules::Member;
use crate::store::sql::{Sql, at_once};
use crate::store::sqlite::checkpoint::Wal;
use crate::store::sqlite::connection::{self, Role, is_own_fault};
use crate::store::sqlite::driver::View;
use crate::store::sqlite::retention::Retention;
use crate::store::sqlite::rows::BatchRows;
use crate::store::sqlite::{Clock, twins};
use crate::store::writer::{Batch, BatchError, BatchStore};

/// What the lane knows without asking: exact as long as nobody else writes the file, which `PRAGMA data_version` tells.
#[derive(Debug, Default)]
pub struct Memory {
    data_version: i64,
    pub topics: HashMap<Topic, TopicState>,
    pub members: HashMap<(RoomId, UserId), Option<Member>>,
}

impl Memory {
    /// After a roll-back or somebody else's write.
    pub fn clear(&mut self) {
        self.topics.clear();
        self.members.clear();
    }

    fn stay_bounded(&mut self) {
        if self.topics.len() > limits::CACHE_ENTRIES || self.members.len() > limits::CACHE_ENTRIES {
            self.clear();
        }
    }
}

/// The lane's side of the store.
pub struct SqliteLane {
    path: PathBuf,
    pub(super) connection: Connection,
    pub(super) caches: Arc<Caches>,
    pub(super) clock: Clock,
    wal: Arc<Wal>,
    memory: Memory,
    twins: Twins,
    pub(super) rests: VecDeque<UnreadRest>,
    /// Those of a batch of which it is not known whether it was committed.
    undecided: Vec<UnreadRest>,
    pub(super) retention: Retention,
    shown_reactions: u32,
    /// The last transaction failed as a whole.
    is_failing: bool,
}

/// How a run over a batch failed.
enum Failure {
    /// By one write's own statement: run again with savepoints.
    OneWrite,
    /// As a whole, nothing was written.
    All(rusqlite::Error),
    /// In COMMIT, with the transaction gone: it may be on disk.
    Unknown(Batch, rusqlite::Error),
}

impl SqliteLane {
    /// Opens the writing connection of a migrated file.
    pub fn open(
        path: PathBuf,
        caches: Arc<Caches>,
        clock: Clock,
        wal: Arc<Wal>,
        shown_reactions: u32,
    ) -> Result<Self, StoreError> {
        let mut connection = connect(&path, &wal)?;
        let twins = twins::recall(&mut connection, clock())?;
        let (memory, rests, retention) = (Memory::default(), VecDeque::new(), Retention::default());
        Ok(Self {
            path,
            connection,
            caches,
            clock,
            wal,
            memory,
            twins,
            rests,
            undecided: Vec::new(),
            retention,
            shown_reactions,
            is_failing: false,
        })
    }

    /// A direct write: `work` in a transaction of its own.
    pub fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // What it changes may be in the lane's memory.
        self.memory.clear();
        self.wal.stand_still();
        let result = in_transaction(&mut self.connection, work);
        if let Err(StoreError::Unavailable(_)) = &result {
            self.is_failing = true;
        }
        result
    }

    /// The same with what queries need beside the connection.
    pub fn change<T>(&mut self, work: impl FnOnce(&mut View<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let (caches, now, shown_reactions) = (Arc::clone(&self.caches), (self.clock)(), self.shown_reactions);
        self.transaction(|driver| {
            work(&mut View { driver, caches: &caches, now, shown_reactions, changed: BTreeSet::new() })
        })
    }

    /// Does the database take writes? After a failure only a real write can tell, one that needs new pages.
    pub fn probe(&mut self) -> Result<(), StoreError> {
        let is_failing = self.is_failing;
        self.transaction(|connection| {
            if is_failing {
                connection.execute_batch(
                    "INSERT INTO pregon_revoked (jti, expires) VALUES (hex(zeroblob(32768)), 0); \
                     DELETE FROM pregon_revoked WHERE expires = 0",
                )?;
            }
            Ok(())
        })?;
        self.is_failing = false;
        Ok(())
    }

    fn run(&mut self, writes: &[Write], with_savepoints: bool) -> Result<Batch, Failure> {
        let now = (self.clock)();
        let rests_before = self.rests.len();
        let result = self.begin().map_err(Failure::All).and_then(|()| {
            let Self { connection, memory, caches, rests, shown_reactions, .. } = self;
            let mut rows = BatchRows::new(connection, memory, caches, rests, now, *shown_reactions);
            let done = if with_savepoints {
                batch::one_by_one(&mut rows, &mut self.twins, now, writes).map_err(Failure::All)
            } else {
                batch::together(&mut rows, &mut self.twins, now, writes)
                    .map_err(|error| if is_own_fault(&error) { Failure::OneWrite } else { Failure::All(error) })
            }?;
            rows.finish().map_err(Failure::All)?;
            Ok(done)
        });
        let result = result.and_then(|done| match statement(&self.connection, "COMMIT") {
            Ok(()) => Ok(done),
            Err(error) if self.connection.is_autocommit() => Err(Failure::Unknown(done, error)),
            Err(error) => Err(Failure::All(error)),
        });
        match result {
            Ok(done) => {
                self.settle(&done.events, now);
                Ok(done)
            }
            Err(failure) => {
                if !self.connection.is_autocommit()
                    && let Err(error) = statement(&self.connection, "ROLLBACK")
                {
                    tracing::error!(%error, "cannot roll back: opening the database anew");
                    self.reset();
                }
                self.memory.clear();
                let rests = self.rests.split_off(rests_before);
                if matches!(failure, Failure::Unknown(..)) {
                    self.undecided = rests.into();
                } else {
                    self.twins.back_to(0);
                }
                Err(failure)
            }
        }
    }

    fn begin(&mut self) -> rusqlite::Result<()> {
        self.wal.stand_still();
        statement(&self.connection, "BEGIN IMMEDIATE")?;
        let version: i64 = self.connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if version != self.memory.data_version {
            self.memory.clear();
            self.memory.data_version = version;
        }
        self.memory.stay_bounded();
        Ok(())
    }

    /// The batch is on disk: what it staged counts, what it changed is forgotten.
    fn settle(&mut self, events: &[Arc<Committed>], now: Timestamp) {
        self.twins.keep(now);
        for event in events {
            self.caches.forget_changed(event);
        }
    }
}

fn in_transaction<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    statement(connection, "BEGIN IMMEDIATE")?;
    let result = work(connection).and_then(|value| {
        statement(connection, "COMMIT")?;
        Ok(value)
    });
    if result.is_err() && !connection.is_autocommit() {
        statement(connection, "ROLLBACK")?;
    }
    result
}

fn statement(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

fn connect(path: &std::path::Path, wal: &Arc<Wal>) -> Result<Connection, StoreError> {
    let mut connection = connection::open(path, Role::Writer)?;
    wal.watch(&mut connection)?;
    Ok(connection)
}

/// Another program holds the file's lock.
fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

impl BatchStore for SqliteLane {
    fn commit(&mut self, batch: &[Write]) -> Result<Batch, BatchError> {
        let result = match self.run(batch, false) {
            Err(Failure::OneWrite) => self.run(batch, true),
            other => other,
        };
        self.is_failing = result.is_err();
        result.map_err(|failure| match failure {
            Failure::All(error) if is_busy(&error) => BatchError::Retry(error.to_string()),
            Failure::All(error) => BatchError::Failed(error.to_string()),
            Failure::Unknown(done, error) => BatchError::Unknown(done, error.to_string()),
            Failure::OneWrite => BatchError::Failed("a write failed outside its savepoint".into()),
        })
    }

    /// An event is found by its place: no other can have taken it in between, for the lane waits for this answer.
    fn resolve(&mut self, batch: &Batch) -> Result<bool, StoreError> {
        let is_there = match batch.events.first() {
            None => false,
            Some(event) => {
                let sql = "SELECT 1 FROM pregon_events WHERE topic = ? AND epoch = ? AND seq = ? AND event_id = ?";
                let (topic, cursor) = (event.topic.to_string(), event.cursor);
                at_once(self.connection.row(sql, &[&topic, &cursor.epoch, &cursor.seq, &event.event_id], |_| Ok(())))?
                    .is_some()
            }
        };
        let rests = std::mem::take(&mut self.undecided);
        if is_there {
            self.rests.extend(rests);
            self.settle(&batch.events, (self.clock)());
        } else {
            self.twins.back_to(0);
        }
        Ok(is_there)
    }

    fn reset(&mut self) {
        self.memory.clear();
        self.twins.back_to(0);
        match connect(&self.path, &self.wal) {
            Ok(connection) => self.connection = connection,
            Err(error) => tracing::error!(%error, "cannot open the database anew"),
        }
    }

    fn finish(&mut self) {
        while !self.rests.is_empty() {
            if let Err(error) = self.finish_a_rest() {
                tracing::warn!(%error, "some messages marked as read lack their rows");
                return;
            }
        }
    }

    fn idle(&mut self) -> Duration {
        match self.keep_house() {
            Ok(wait) => wait,
            Err(error) => {
                tracing::warn!(%error, "housekeeping failed");
                Duration::from_secs(10)
            }
        }
    }
}

/// Topics in the order every database locks them.
pub type TouchedTopics = BTreeSet<Topic>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::event::ChatEvent;
    use crate::domain::chat::write::{Action, NewMessage, Transport};
    use crate::domain::event::Event;
    use crate::domain::write::{AnswerTo, Intent, Outcome};
    use crate::ids::EventId;
    use crate::store::rules::{FeedRows, Rows};
    use crate::store::sqlite::{SeedPlan, seed};

    fn send(room: RoomId, actor: UserId) -> Write {
        let new = NewMessage::text("hola".into(), crate::domain::chat::message::MessageType::Text);
        Write {
            event_id: EventId::fresh(),
            actor,
            transport: Transport::Rest,
            intent: Intent::Chat { room, action: Action::Send(new) },
            answer: AnswerTo::Caller(Box::new(|_| {})),
        }
    }

    /// What a transaction alone sees of a user's counters is never in the cache, even if it is rolled back.
    #[test]
    fn counts_that_are_not_committed_are_nobodys_to_see() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pregon.db");
        let seeded = seed(&path, &SeedPlan { users: 3, ..SeedPlan::default() }).unwrap();
        let [ana, beto, caro] = [0, 1, 2].map(|index| seeded.users[index].0);
        let (caches, wal) = (Arc::new(Caches::default()), Arc::new(Wal::default()));
        let mut lane = SqliteLane::open(path, caches, Arc::new(Timestamp::now), wal, 0).unwrap();
        lane.begin().unwrap();
        let SqliteLane { connection, memory, caches, rests, .. } = &mut lane;
        let now = Timestamp::now();
        let mut rows = BatchRows::new(connection, memory, caches, rests, now, 0);
        assert!(rows.insert_follow(beto, ana, now).unwrap());
        let counts = [ana, beto, caro]
            .map(|user| rows.profile(user).unwrap())
            .map(|one| (one.followers_count, one.following_count));
        assert_eq!(counts, [(1, 0), (0, 1), (0, 0)], "the transaction itself sees them");
        statement(&lane.connection, "ROLLBACK").unwrap();
        let remembered = [ana, beto, caro].map(|user| lane.caches.profiles.get(&user, now).is_some());
        assert_eq!(remembered, [false, false, true]);
    }

    #[test]
    fn a_batch_is_found_by_its_places_when_commit_gave_no_answer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pregon.db");
        let plan = SeedPlan { users: 2, rooms: 1, members: 2, ..SeedPlan::default() };
        let seeded = seed(&path, &plan).unwrap();
        let (room, actor) = (seeded.rooms[0].0, seeded.users[0].0);
        let (caches, wal) = (Arc::new(Caches::default()), Arc::new(Wal::default()));
        let mut lane = SqliteLane::open(path, caches, Arc::new(Timestamp::now), wal, 0).unwrap();
        let written = lane.commit(&[send(room, actor), send(room, actor)]).unwrap();
        assert_eq!(written.events.len(), 2);
        // What is left of a long mark_as_read is part of the batch.
        let at = Timestamp::now();
        let rest = UnreadRest { room, user: actor, after: Timestamp(0), before: at, at };
        lane.undecided = vec![rest];
        assert!(lane.resolve(&written).unwrap());
        assert_eq!(lane.rests, [rest]);
        lane.rests.clear();

        // The same places, taken by a batch that was rolled back, belong to other events.
        let mut lost = Batch::default();
        for event in &written.events {
            let Outcome::Committed(other) = lane.commit(&[send(room, actor)]).unwrap().outcomes.remove(0) else {
                panic!("not committed")
            };
            let Committed { topic, at, .. } = *other;
            let event = Committed {
                topic,
                cursor: event.cursor,
                event_id: EventId::fresh(),
                at,
                origin: None,
                event: Event::Chat(ChatEvent::Left { user: actor }),
            };
            lost.events.push(Arc::new(event));
        }
        lane.undecided = vec![rest];
        assert!(!lane.resolve(&lost).unwrap());
        assert!(lane.rests.is_empty() && lane.undecided.is_empty());
        assert!(!lane.resolve(&Batch::default()).unwrap());
    }
}
