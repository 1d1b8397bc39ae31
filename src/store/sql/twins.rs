//! Restores a lane's twins after a restart, from its rooms' messages of the last seconds.

use std::collections::{HashMap, HashSet};

use crate::clock::Timestamp;
use crate::domain::chat::message::MessageType;
use crate::domain::chat::twin::{Candidate, Twins};
use crate::domain::chat::write::Transport;
use crate::ids::{MessageId, RoomId, UserId};
use crate::limits;
use crate::store::sql::{BRANCHES_MAX, Columns, KEYS_MAX, Sql, Unexpected, View, each, marks, padded};

struct Recent {
    message: MessageId,
    room: RoomId,
    sender: UserId,
    content: String,
    message_type: MessageType,
    at: Timestamp,
}

/// Fills a new [`Twins`] from the tables, for the lane of the rooms for which `is_ours` is true. It is not stored
/// whether a message has already met its twin, so in the seconds after a restart it may absorb one more; that one then
/// repeats the same request.
pub async fn recall<C: Sql>(view: &mut View<'_, C>, is_ours: impl Fn(RoomId) -> bool) -> Result<Twins, C::Error> {
    let window = i64::try_from(limits::TWIN_WINDOW.as_secs()).unwrap_or(i64::MAX);
    let since = view.now.plus_seconds(-window);
    let sql = "SELECT topic FROM pregon_topics WHERE topic >= 'room:' AND topic < 'room;' AND last_at >= ?";
    let mut rooms = view.rows(sql, &[&since.0], |row| row.text(0)).await?;
    rooms.retain(|topic| topic.strip_prefix("room:").and_then(|room| room.parse().ok()).is_some_and(&is_ours));
    let transports = transports(view, &rooms, since).await?;
    let mut recent = Vec::new();
    let ids: Vec<MessageId> = transports.keys().copied().collect();
    for keys in ids.chunks(KEYS_MAX).map(padded) {
        let sql = format!(
            "SELECT id, chat_room_id, sender_id, content, message_type, created_at FROM messages \
             WHERE image IS NULL AND video IS NULL AND audio IS NULL AND file_url = '' AND id IN ({})",
            marks(keys.len())
        );
        let values: Vec<_> = each(&keys).collect();
        recent.extend(view.rows(&sql, &values, recent_of_row).await?);
    }
    recent.sort_unstable_by_key(|recent| (recent.at, recent.message));
    let mut twins = Twins::default();
    let named = named(view, since).await?;
    for recent in recent.into_iter().filter(|recent| !named.contains(&recent.message)) {
        let Some(transport) = transports.get(&recent.message) else { continue };
        let candidate = Candidate {
            room: recent.room,
            sender: recent.sender,
            content: &recent.content,
            message_type: recent.message_type,
            transport: *transport,
        };
        twins.enter(&candidate, recent.message, recent.at);
    }
    twins.keep(view.now);
    Ok(twins)
}

fn recent_of_row(row: Columns<'_>) -> Result<Recent, Unexpected> {
    Ok(Recent {
        message: row.id(0)?,
        room: row.id(1)?,
        sender: row.id(2)?,
        content: row.text(3)?,
        message_type: row.kind(4)?,
        at: row.time(5)?,
    })
}

/// Messages that their client named are never twins.
async fn named<C: Sql>(view: &mut View<'_, C>, since: Timestamp) -> Result<HashSet<MessageId>, C::Error> {
    let sql = "SELECT message_id FROM pregon_client_ids WHERE created_at >= ?";
    Ok(view.rows(sql, &[&since.0], |row| row.id(0)).await?.into_iter().collect())
}

/// The transport of each of the rooms' messages since `since`. A topic's times grow with its sequence, so they are
/// among its newest events; 500 are searched, more than a room has in the window.
async fn transports<C: Sql>(
    view: &mut View<'_, C>,
    rooms: &[String],
    since: Timestamp,
) -> Result<HashMap<MessageId, Transport>, C::Error> {
    const BRANCH: &str = "SELECT created_at, kind, message_id, transport FROM pregon_events WHERE topic = ? \
        ORDER BY epoch DESC, seq DESC LIMIT 500";
    let read = |row: Columns<'_>| {
        if row.number(0)? < since.0 || row.str(1)? != "sent" {
            return Ok(None);
        }
        let transport = if row.str(3)? == "rest" { Transport::Rest } else { Transport::Socket };
        Ok(Some((row.id(2)?, transport)))
    };
    let mut transports = HashMap::new();
    for rooms in rooms.chunks(BRANCHES_MAX) {
        let rooms = padded(&rooms.iter().collect::<Vec<_>>());
        let sql = C::DIALECT.union_all(BRANCH, rooms.len());
        let values: Vec<_> = each(&rooms).collect();
        transports.extend(view.rows(&sql, &values, read).await?.into_iter().flatten());
    }
    Ok(transports)
}
