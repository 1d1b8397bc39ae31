//! Messages that a user has not read: found, counted, and the read rows that follow later.

use crate::clock::Timestamp;
use crate::ids::MessageId;
use crate::limits;
use crate::store::batch::UnreadRest;
use crate::store::mysql::connection::MysqlError;
use crate::store::mysql::deferred::Pending;
use crate::store::mysql::driver::View;

const UNREAD: &str = "FROM messages m WHERE m.chat_room_id = ? AND m.is_deleted = 0 AND m.created_at > ? \
    AND m.created_at < ? AND m.sender_id <> ? \
    AND NOT EXISTS (SELECT 1 FROM message_reads d WHERE d.message_id = m.id AND d.user_id = ?)";

/// The newest unread messages of `rest`, newest first, at most [`limits::READ_ALL_ROWS_MAX`], with their times.
pub async fn newest(view: &mut View<'_>, rest: UnreadRest) -> Result<Vec<(MessageId, Timestamp)>, MysqlError> {
    let sql = format!(
        "SELECT m.id, m.created_at {UNREAD} ORDER BY m.created_at DESC, m.id DESC LIMIT {}",
        limits::READ_ALL_ROWS_MAX
    );
    let UnreadRest { room, user, after, before, .. } = rest;
    view.rows(&sql, &[&room, &after, &before, &user, &user], |row| Ok((row.id(0)?, row.time(1)?))).await
}

/// How many unread messages `rest` has.
pub async fn count(view: &mut View<'_>, rest: UnreadRest) -> Result<u64, MysqlError> {
    let UnreadRest { room, user, after, before, .. } = rest;
    view.count(&format!("SELECT count(*) {UNREAD}"), &[&room, &after, &before, &user, &user]).await
}

/// The next read rows of a long `mark_as_read`: what is left of it then.
pub async fn go_on(view: &mut View<'_>, rest: UnreadRest) -> Result<Option<UnreadRest>, MysqlError> {
    let found = newest(view, rest).await?;
    let mut pending = Pending::default();
    for (message, _) in &found {
        pending.read(view.driver.zone, *message, rest.user, rest.at);
    }
    let sql = pending.take(view.driver.zone);
    if !sql.is_empty() {
        view.run(&sql).await?;
    }
    let oldest = found.last().filter(|_| found.len() == limits::READ_ALL_ROWS_MAX);
    Ok(oldest.map(|(_, before)| UnreadRest { before: *before, ..rest }))
}
