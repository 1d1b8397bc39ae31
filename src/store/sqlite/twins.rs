//! What the lane remembers of twins across a restart: the messages of the last seconds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use rusqlite::Connection;
use uuid::{NoContext, Uuid};

use crate::clock::{Timestamp, Zone};
use crate::domain::chat::message::MessageType;
use crate::domain::chat::twin::{Candidate, Twins};
use crate::domain::chat::write::Transport;
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::limits;
use crate::store::sql::{Columns, Sql, at_once};

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
pub fn recall(connection: &mut Connection, now: Timestamp) -> rusqlite::Result<Twins> {
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
fn recent_messages(connection: &mut Connection, since: Timestamp) -> rusqlite::Result<Vec<Recent>> {
    let sql = "SELECT id, chat_room_id, sender_id, content, message_type, created_at FROM messages \
        WHERE id >= ? AND created_at >= ? AND image IS NULL AND video IS NULL AND audio IS NULL \
        AND file_url = '' AND NOT EXISTS (SELECT 1 FROM pregon_client_ids WHERE message_id = messages.id \
        AND user_id = messages.sender_id AND room_id = messages.chat_room_id) \
        ORDER BY id DESC LIMIT ?";
    let read = |row: Columns<'_>| {
        Ok(Recent {
            message: row.id(0)?,
            room: row.id(1)?,
            sender: row.id(2)?,
            content: row.text(3)?,
            message_type: row.kind(4)?,
            at: row.time(5)?,
        })
    };
    let mut messages = at_once(connection.rows(sql, &[&first_id(since), &since, &limits::TWIN_MESSAGES_MAX], read))?;
    messages.reverse();
    Ok(messages)
}

/// The least id that a message of that time, or of a second before it, can have: ids are taken from the system's
/// clock, times from the topic's.
fn first_id(since: Timestamp) -> MessageId {
    let seconds = u64::try_from(since.seconds() - 1).unwrap_or(0);
    let mut bytes = Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, 0)).into_bytes();
    bytes[6..].fill(0);
    MessageId(Uuid::from_bytes(bytes))
}

/// The way in of a room's messages since then. A topic's times grow with its sequence: they are its newest events, and
/// the first that is older is the last to be looked at.
fn recent_transports(
    connection: &Connection,
    room: RoomId,
    since: Timestamp,
) -> rusqlite::Result<HashMap<MessageId, Transport>> {
    let mut transports = HashMap::new();
    let mut newest_first = connection.prepare_cached(
        "SELECT created_at, kind, message_id, transport FROM pregon_events WHERE topic = ? \
         ORDER BY epoch DESC, seq DESC",
    )?;
    let mut rows = newest_first.query([Topic::Room(room).to_string()])?;
    while let Some(row) = rows.next()? {
        let row = Columns::new(row, Zone::Utc);
        if row.number(0)? < since.0 {
            break;
        }
        if row.str(1)? == "sent" {
            let transport = if row.str(3)? == "rest" { Transport::Rest } else { Transport::Socket };
            transports.insert(row.id(2)?, transport);
        }
    }
    Ok(transports)
}
