//! What the lane remembers of twins across a restart: the messages of the last seconds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::{Connection, params};
use uuid::{NoContext, Uuid};

use crate::clock::Timestamp;
use crate::domain::chat::message::MessageType;
use crate::domain::chat::twin::{Candidate, Twins};
use crate::domain::chat::write::Transport;
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::limits;

struct Recent {
    message: MessageId,
    room: RoomId,
    sender: UserId,
    content: String,
    message_type: MessageType,
    at: Timestamp,
}

/// Fills a new [`Twins`] from the tables. That a message had met its twin already is not stored: in the seconds after
/// a restart it may absorb one more, which then is the same request repeated.
pub fn recall(connection: &Connection, now: Timestamp) -> rusqlite::Result<Twins> {
    let mut twins = Twins::default();
    let window = i64::try_from(limits::TWIN_WINDOW.as_secs()).unwrap_or(i64::MAX);
    let since = now.plus_seconds(-window);
    let mut transports: HashMap<RoomId, HashMap<MessageId, Transport>> = HashMap::new();
    for recent in recent_messages(connection, since)? {
        let known = match transports.entry(recent.room) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(room) => room.insert(recent_transports(connection, recent.room, since)?),
        };
        if let Some(transport) = known.get(&recent.message) {
            let candidate = Candidate {
                room: recent.room,
                sender: recent.sender,
                content: &recent.content,
                message_type: recent.message_type,
                transport: *transport,
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

/// The way in of a room's messages since then. A topic's times grow with its sequence: they are its newest events.
fn recent_transports(
    connection: &Connection,
    room: RoomId,
    since: Timestamp,
) -> rusqlite::Result<HashMap<MessageId, Transport>> {
    let mut transports = HashMap::new();
    let mut newest_first = connection.prepare_cached(
        "SELECT created_at, kind, message_id, transport FROM pregon_events WHERE topic = ?1 \
         ORDER BY epoch DESC, seq DESC",
    )?;
    let mut rows = newest_first.query([Topic::Room(room).to_string()])?;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>(0)? < since.0 {
            break;
        }
        if row.get_ref(1)?.as_str()? == "sent" {
            let is_rest = row.get_ref(3)?.as_str()? == "rest";
            transports.insert(row.get(2)?, if is_rest { Transport::Rest } else { Transport::Socket });
        }
    }
    Ok(transports)
}
