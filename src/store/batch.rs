//! A batch's writes one after the other inside their transaction, the same for every database.
//!
//! The usual batch runs without savepoints. Only when a single write's statement fails is the batch rolled back and
//! run again with a savepoint around each write, so that this write alone is answered as failed: what hardly ever
//! happens costs nothing when it does not.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::domain::chat::twin::Twins;
use crate::domain::event::Committed;
use crate::domain::write::{Intent, Outcome, Refusal, Write};
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::limits;
use crate::store::rules;
use crate::store::sql::LaneSql;
use crate::store::sql::rows::BatchRows;
use crate::store::writer::{Batch, TakePlaces};

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

impl UnreadRest {
    /// What is left when these have their rows, newest first; nothing when they were all.
    pub fn after_these(self, done: &[(MessageId, Timestamp)]) -> Option<Self> {
        let (_, before) = *done.last().filter(|_| done.len() == limits::READ_ALL_ROWS_MAX)?;
        Some(Self { before, ..self })
    }
}

/// How a run over a batch failed.
pub enum Failure<E> {
    /// By one write's own statement: run again with savepoints.
    OneWrite,
    /// As a whole, nothing was written.
    All(E),
    /// In COMMIT: it may be on disk.
    Unknown(Batch, E),
}

/// All of the batch in one transaction.
pub async fn run<D: LaneSql>(
    mut rows: BatchRows<'_, D>,
    twins: &mut Twins,
    writes: &[Write],
    with_savepoints: bool,
    places: &mut TakePlaces<'_>,
) -> Result<Batch, Failure<D::Error>> {
    let rows = &mut rows;
    let alone =
        |error| if D::is_own_fault(&error) && !with_savepoints { Failure::OneWrite } else { Failure::All(error) };
    let topics = if D::DIALECT.has_many_writers() {
        foretold(rows, writes).await.map_err(Failure::All)?
    } else {
        BTreeSet::new()
    };
    // One by one, nothing is read ahead: a row that is not what is expected fails with the write that asks for it.
    rows.begin(&topics, if with_savepoints { &[] } else { writes }).await.map_err(alone)?;
    let done =
        if with_savepoints { one_by_one(rows, twins, writes).await } else { together(rows, twins, writes).await };
    let done = done.map_err(alone)?;
    rows.finish().await.map_err(alone)?;
    if D::DIALECT.has_many_writers() {
        // What is foretold is locked before the batch begins, in one order; nothing else may be.
        let is_foretold = |event: &Arc<Committed>| topics.contains(&event.topic) || rules::is_of_the_gone(event);
        debug_assert!(done.events.iter().all(is_foretold), "{:?}", done.events);
        places(&done.events);
    }
    match rows.view.driver.commit().await {
        Ok(()) => Ok(done),
        Err(error) if rows.view.driver.may_be_committed(&error) => Err(Failure::Unknown(done, error)),
        Err(error) => Err(alone(error)),
    }
}

/// The topics that are locked before the batch begins.
async fn foretold<D: LaneSql>(rows: &mut BatchRows<'_, D>, writes: &[Write]) -> Result<BTreeSet<Topic>, D::Error> {
    let mut topics = BTreeSet::new();
    for write in writes {
        match write.intent {
            Intent::Chat { .. } | Intent::Adopt(_) => drop(topics.insert(write.topic())),
            Intent::Feed(_) => match rules::topics(rows, write).await {
                Ok(foretold) => topics.extend(foretold),
                // A row that is not what the code expects: the write meets it again, and fails alone.
                Err(error) if D::is_own_fault(&error) => drop(topics.insert(write.topic())),
                Err(error) => return Err(error),
            },
        }
    }
    Ok(topics)
}

/// All of the batch, or the first statement that failed.
async fn together<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    twins: &mut Twins,
    batch: &[Write],
) -> Result<Batch, D::Error> {
    let now = rows.view.now;
    let mut done = Batch { outcomes: Vec::with_capacity(batch.len()), events: Vec::with_capacity(batch.len()) };
    for write in batch {
        let outcome = rules::apply(rows, twins, &mut done.events, now, write).await?;
        done.outcomes.push(outcome);
    }
    Ok(done)
}

/// The same with a savepoint around each write: whose statement fails by its own fault is answered so, alone.
async fn one_by_one<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    twins: &mut Twins,
    batch: &[Write],
) -> Result<Batch, D::Error> {
    let now = rows.view.now;
    let mut done = Batch::default();
    for write in batch {
        let mark = twins.mark();
        let (saved, events) = (rows.save().await?, done.events.len());
        let mut result = rules::apply(rows, twins, &mut done.events, now, write).await;
        if result.is_ok()
            && let Err(error) = rows.release().await
        {
            result = Err(error);
        }
        match result {
            Ok(outcome) => done.outcomes.push(outcome),
            Err(error) if D::is_own_fault(&error) => {
                let refusal = if D::is_of_characters(&error) { Refusal::Characters } else { Refusal::Unavailable };
                tracing::error!(%error, action = write.intent.kind(), "a write failed alone");
                rows.back_to(saved).await?;
                twins.back_to(mark);
                done.events.truncate(events);
                done.outcomes.push(Outcome::Refused(refusal));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
