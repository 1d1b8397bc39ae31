//! A batch's writes one after the other inside their transaction, the same for every database.
//!
//! The usual batch runs without savepoints. Only when a single write's statement fails is the batch rolled back and
//! run again with a savepoint around each write, so that this write alone is answered as failed: what hardly ever
//! happens costs nothing when it does not.

use crate::clock::Timestamp;
use crate::domain::chat::twin::Twins;
use crate::domain::write::{Outcome, Refusal, Write};
use crate::ids::{RoomId, UserId};
use crate::store::rules::{self, FeedRows, RoomRows};
use crate::store::writer::Batch;

/// The last place taken in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicState {
    /// Which log.
    pub epoch: u32,
    /// The number of its last event; 0 when it has none.
    pub seq: u64,
    /// That event's time.
    pub last_at: Timestamp,
}

/// The rest of a `mark_as_read` of more than `limits::READ_ALL_ROWS_MAX` messages: its rows follow in idle moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnreadRest {
    /// Where.
    pub room: RoomId,
    /// Who read.
    pub user: UserId,
    /// The participant's `last_read_at` before.
    pub after: Timestamp,
    /// The oldest message that has its row.
    pub before: Timestamp,
    /// When it was read.
    pub at: Timestamp,
}

/// Rows that can take back one write of a batch.
pub trait Savepoints: FeedRows + RoomRows {
    /// What a savepoint does not bring back by itself.
    type Saved;

    /// Opens a savepoint; [`Self::release`] or [`Self::back_to`] ends it.
    fn save(&mut self) -> Result<Self::Saved, Self::Error>;
    /// What was done since stays. Statements that were put off are run before.
    fn release(&mut self) -> Result<(), Self::Error>;
    /// Takes everything back since the savepoint, places too.
    fn back_to(&mut self, saved: Self::Saved) -> Result<(), Self::Error>;
    /// Did the statement fail by what it was asked to do (and not by the state of database, disk or locks)?
    fn is_own_fault(error: &Self::Error) -> bool;
}

/// All of the batch, or the first statement that failed.
pub fn together<R: FeedRows + RoomRows>(
    rows: &mut R,
    twins: &mut Twins,
    now: Timestamp,
    batch: &[Write],
) -> Result<Batch, R::Error> {
    let mut done = Batch { outcomes: Vec::with_capacity(batch.len()), events: Vec::with_capacity(batch.len()) };
    for write in batch {
        let outcome = rules::apply(rows, twins, &mut done.events, now, write)?;
        done.outcomes.push(outcome);
    }
    Ok(done)
}

/// The same with a savepoint around each write: whose statement fails by its own fault is answered so, alone.
pub fn one_by_one<R: Savepoints<Error: std::fmt::Display>>(
    rows: &mut R,
    twins: &mut Twins,
    now: Timestamp,
    batch: &[Write],
) -> Result<Batch, R::Error> {
    let mut done = Batch::default();
    for write in batch {
        let mark = twins.mark();
        let (saved, events) = (rows.save()?, done.events.len());
        let result = rules::apply(rows, twins, &mut done.events, now, write);
        match result.and_then(|outcome| rows.release().map(|()| outcome)) {
            Ok(outcome) => done.outcomes.push(outcome),
            Err(error) if R::is_own_fault(&error) => {
                tracing::error!(%error, action = write.intent.kind(), "a write failed alone");
                rows.back_to(saved)?;
                twins.back_to(mark);
                done.events.truncate(events);
                done.outcomes.push(Outcome::Refused(Refusal::Unavailable));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
