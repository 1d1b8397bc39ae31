//! The rows that fix each topic's order: locks them, and looks up events.

use crate::clock::Timestamp;
use crate::domain::event::Committed;
use crate::ids::{EventId, Topic};
use crate::store::sql::{Columns, Sql, ToColumn, Unexpected, View};

/// The last place taken in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicState {
    /// The log.
    pub epoch: u32,
    /// The number of its last event; 0 when it has none.
    pub seq: u64,
    /// That event's time.
    pub last_at: Timestamp,
}

/// Reads `topic, epoch, seq, last_at`.
pub fn state_of_row(row: Columns<'_>) -> Result<TopicState, Unexpected> {
    let epoch = row.optional_u32(1)?.unwrap_or(1);
    Ok(TopicState { epoch, seq: row.count(2)?, last_at: Timestamp(row.number(3)?) })
}

/// Locks one topic within a transaction. If several connections write, the topic needs a row for that.
pub async fn lock<C: Sql>(view: &mut View<'_, C>, topic: Topic) -> Result<TopicState, C::Error> {
    let name = topic.to_string();
    let locked = C::DIALECT.locked();
    let sql = format!("SELECT topic, epoch, seq, last_at FROM pregon_topics WHERE topic = ? {locked}");
    if let Some(state) = view.row(&sql, &[&name], state_of_row).await? {
        return Ok(state);
    }
    if !C::DIALECT.has_many_writers() {
        return Ok(TopicState { epoch: 1, seq: 0, last_at: Timestamp(0) });
    }
    let new = "INSERT IGNORE INTO pregon_topics (topic, epoch, seq, last_at) VALUES (?, 1, 0, 0)";
    view.execute(new, &[&name]).await?;
    let state = view.row(&sql, &[&name], state_of_row).await?;
    state.ok_or_else(|| Unexpected("a topic's row disappeared just after it was made".into()).into())
}

/// Whether this event is in the log. It is found by its place, which no other event can have taken meanwhile. The lock
/// waits for the end of a transaction whose connection was lost but is still open on the server; before that the answer
/// is not certain.
pub async fn is_logged<C: Sql>(view: &mut View<'_, C>, event: &Committed) -> Result<bool, C::Error> {
    lock(view, event.topic).await?;
    let sql = "SELECT event_id FROM pregon_events WHERE topic = ? AND epoch = ? AND seq = ?";
    let place: [&dyn ToColumn; 3] = [&event.topic.to_string(), &event.cursor.epoch, &event.cursor.seq];
    let found: Option<EventId> = view.row(sql, &place, |row| row.id(0)).await?;
    Ok(found == Some(event.event_id))
}
