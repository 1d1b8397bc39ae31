//! The rows that fix each topic's order: made, locked, looked up.

use std::collections::BTreeSet;

use crate::domain::event::Committed;
use crate::ids::{EventId, Topic};
use crate::store::batch::TopicState;
use crate::store::mysql::connection::MysqlError;
use crate::store::mysql::driver::View;
use crate::store::mysql::literal::Insert;
use crate::store::mysql::prefetched::state_of_row;
use crate::store::sql::ToColumn;

const NEW: &str = "INSERT IGNORE INTO pregon_topics (topic, epoch, seq, last_at) VALUES ";

/// Rows for those of `topics` that have none, in the keys' order.
pub async fn make(view: &mut View<'_>, topics: &BTreeSet<Topic>) -> Result<(), MysqlError> {
    let mut names: Vec<String> = topics.iter().map(Topic::to_string).collect();
    names.sort_unstable();
    let mut insert = Insert::new(NEW, "");
    for name in &names {
        insert.row(view.driver.zone, &[name, &1_u32, &0_u32, &0_u32]);
    }
    let mut sql = String::new();
    insert.move_to(&mut sql);
    view.run(&sql).await
}

/// Locks one topic more, within a transaction.
pub async fn lock(view: &mut View<'_>, topic: Topic) -> Result<TopicState, MysqlError> {
    let name = topic.to_string();
    let sql = "SELECT topic, epoch, seq, last_at FROM pregon_topics WHERE topic = ? FOR UPDATE";
    if let Some(state) = view.row(sql, &[&name], state_of_row).await? {
        return Ok(state);
    }
    make(view, &BTreeSet::from([topic])).await?;
    let state = view.row(sql, &[&name], state_of_row).await?;
    state.ok_or_else(|| MysqlError::Unexpected("a topic's row is gone that was just made".into()))
}

/// Is this event in the log? It is found by its place, which no other event can have taken meanwhile. The lock waits for
/// the end of a transaction whose connection was lost, which the server may not have noticed: until then, nothing is sure.
pub async fn is_committed(view: &mut View<'_>, event: &Committed) -> Result<bool, MysqlError> {
    view.run("START TRANSACTION").await?;
    lock(view, event.topic).await?;
    let sql = "SELECT event_id FROM pregon_events WHERE topic = ? AND epoch = ? AND seq = ?";
    let place: [&dyn ToColumn; 3] = [&event.topic.to_string(), &event.cursor.epoch, &event.cursor.seq];
    let found: Option<EventId> = view.row(sql, &place, |row| row.id(0)).await?;
    view.run("COMMIT").await?;
    Ok(found == Some(event.event_id))
}
