//! Runs a batch's writes one after the other inside their transaction, the same for every database.
//!
//! A batch usually runs without savepoints. If a statement fails because of a single write, the batch is rolled back
//! and run again with a savepoint around each write, so that only that write is answered as failed. The savepoints cost
//! nothing in the usual case.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::chat::twin::Twins;
use crate::domain::event::Committed;
use crate::domain::write::{Intent, Outcome, Refusal, Write};
use crate::ids::Topic;
use crate::store::rules;
use crate::store::sql::LaneSql;
use crate::store::sql::rows::BatchRows;
use crate::store::writer::{Batch, TakePlaces};

pub use crate::store::sql::chat_rows::UnreadRest;

/// Why a run over a batch failed.
pub enum Failure<E> {
    /// One write's own statement failed: run again with savepoints.
    OneWrite,
    /// Everything failed, and nothing was written.
    All(E),
    /// COMMIT failed: the batch may be on disk.
    Unknown(Batch, E),
}

/// Runs the whole batch in one transaction.
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
    // The second run reads nothing ahead, so that a corrupt row only fails the write that reads it.
    rows.begin(&topics, if with_savepoints { &[] } else { writes }).await.map_err(alone)?;
    let done =
        if with_savepoints { one_by_one(rows, twins, writes).await } else { together(rows, twins, writes).await };
    let mut done = done.map_err(alone)?;
    rows.finish().await.map_err(alone)?;
    if D::DIALECT.has_many_writers() {
        // What is foretold is locked before the batch begins, in one order; nothing else may be.
        let is_foretold = |event: &Arc<Committed>| topics.contains(&event.topic) || rules::is_of_the_gone(event);
        debug_assert!(done.events.iter().all(is_foretold), "{:?}", done.events);
        places(&done.events);
    }
    match rows.view.driver.commit().await {
        Ok(()) => {
            done.durability = rows.view.driver.durability();
            Ok(done)
        }
        Err(error) if rows.view.driver.may_be_committed(&error) => Err(Failure::Unknown(done, error)),
        Err(error) => Err(alone(error)),
    }
}

/// The topics to lock before the batch begins.
async fn foretold<D: LaneSql>(rows: &mut BatchRows<'_, D>, writes: &[Write]) -> Result<BTreeSet<Topic>, D::Error> {
    let mut topics = BTreeSet::new();
    for write in writes {
        match write.intent {
            Intent::Chat { .. } | Intent::Adopt(_) => drop(topics.insert(write.topic())),
            Intent::Feed(_) => match rules::topics(rows, write).await {
                Ok(foretold) => topics.extend(foretold),
                // A corrupt row: the write will read it again and fail alone.
                Err(error) if D::is_own_fault(&error) => drop(topics.insert(write.topic())),
                Err(error) => return Err(error),
            },
        }
    }
    Ok(topics)
}

/// Runs the whole batch up to the first statement that fails.
async fn together<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    twins: &mut Twins,
    batch: &[Write],
) -> Result<Batch, D::Error> {
    let now = rows.view.now;
    let (outcomes, events) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
    let mut done = Batch { outcomes, events, ..Batch::default() };
    for write in batch {
        let outcome = rules::apply(rows, twins, &mut done.events, now, write).await?;
        done.outcomes.push(outcome);
    }
    Ok(done)
}

/// Runs the batch with a savepoint around each write. A write whose own statement fails is answered so; the others go
/// on.
async fn one_by_one<D: LaneSql>(
    rows: &mut BatchRows<'_, D>,
    twins: &mut Twins,
    batch: &[Write],
) -> Result<Batch, D::Error> {
    let now = rows.view.now;
    let mut done = Batch::default();
    for write in batch {
        let mark = twins.mark();
        let saved = rows.save().await?;
        let events = done.events.len();
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
                tracing::error!(%error, action = write.intent.kind(), "a single write failed");
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
