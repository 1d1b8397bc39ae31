//! What the lane remembers of twins across a restart: the messages of the last seconds.

use rusqlite::{Connection, params};
use uuid::{NoContext, Uuid};

use crate::chat::twin::{Candidate, Twins};
use crate::chat::write::Transport;
use crate::clock::Timestamp;
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::limits;

struct Recent {
    message: MessageId,
    room: RoomId,
    sender: UserId,
    content: String,
    message_type: crate::chat::message::MessageType,
    at: Timestamp,
}

/// Fills a new [`Twins`] from the tables. That a message had met its twin already is not stored: in the seconds after
/// a restart it may absorb one more, which then is the same request repeated.
pub fn recall(connection: &Connection, now: Timestamp) -> rusqlite::Result<Twins> {
    let mut twins = Twins::default();
    let window = i64::try_from(limits::TWIN_WINDOW.as_secs()).unwrap_or(i64::MAX);
    for recent in recent_messages(connection, now.plus_seconds(-window))? {
        if let Some(transport) = transport_of(connection, &recent)? {
            let candidate = Candidate {
                room: recent.room,
                sender: recent.sender,
                content: &recent.content,
                message_type: recent.message_type,
                transport,
            };
            twins.enter(&candidate, recent.message, recent.at);
        }
    }
    twins.keep(now);
    Ok(twins)
}

/// Ids are ordered by time, so the newest messages are the end of the primary key.
fn recent_messages(connection: &Connection, since: Timestamp) -> rusqlite::Result<Vec<Recent>> {
    connection
        .prepare(
            "SELECT id, chat_room_id, sender_id, content, message_type, created_at FROM messages \
             WHERE id >= ?1 AND created_at >= ?2 AND image IS NULL AND video IS NULL AND audio IS NULL \
             AND file_url = '' AND NOT EXISTS (SELECT 1 FROM pregon_client_ids WHERE message_id = messages.id \
             AND user_id = messages.sender_id AND room_id = messages.chat_room_id) \
             ORDER BY id DESC LIMIT ?3",
        )?
        .query_map(params![first_id(since), since, limits::TWIN_MESSAGES_MAX], |row| {
            Ok(Recent {
                message: row.get(0)?,
                room: row.get(1)?,
                sender: row.get(2)?,
                content: row.get(3)?,
                message_type: row.get(4)?,
                at: row.get(5)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()
        .map(|mut newest_first| {
            newest_first.reverse();
            newest_first
        })
}

/// The least id that a message of that time, or of a second before it, can have: ids are taken from the system's
/// clock, times from the topic's.
fn first_id(since: Timestamp) -> MessageId {
    let seconds = u64::try_from(since.seconds() - 1).unwrap_or(0);
    let mut bytes = Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, 0)).into_bytes();
    bytes[6..].fill(0);
    MessageId(Uuid::from_bytes(bytes))
}

fn transport_of(connection: &Connection, recent: &Recent) -> rusqlite::Result<Option<Transport>> {
    // A topic's times grow with its sequence: the row is near the end.
    let mut rows = connection.prepare_cached(
        "SELECT transport, message_id, kind FROM pregon_events WHERE topic = ?1 AND created_at >= ?2 \
         ORDER BY epoch DESC, seq DESC",
    )?;
    let mut rows = rows.query(params![Topic::Room(recent.room).to_string(), recent.at.0])?;
    while let Some(row) = rows.next()? {
        if row.get_ref(2)?.as_str()? == "sent" && row.get::<_, Option<MessageId>>(1)? == Some(recent.message) {
            let is_rest = row.get_ref(0)?.as_str()? == "rest";
            return Ok(Some(if is_rest { Transport::Rest } else { Transport::Socket }));
        }
    }
    Ok(None)
}
