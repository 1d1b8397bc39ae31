//! What a lane remembers of twins across a restart: its topics' messages of the last seconds.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use crate::clock::Timestamp;
use crate::domain::chat::message::MessageType;
use crate::domain::chat::twin::{Candidate, Twins};
use crate::domain::chat::write::Transport;
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::limits;
use crate::store::mysql::connection::MysqlError;
use crate::store::mysql::driver::View;
use crate::store::mysql::lane::Number;
use crate::store::mysql::literal::literal;
use crate::store::sql::{Columns, ToColumn, Unexpected, each, marks, padded};

/// The newest events of a room that are looked through: more than a room has in the window.
const EVENTS_MAX: usize = 500;

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
pub async fn recall(view: &mut View<'_>, number: Number) -> Result<Twins, MysqlError> {
    let window = i64::try_from(limits::TWIN_WINDOW.as_secs()).unwrap_or(i64::MAX);
    let since = view.now.plus_seconds(-window);
    let sql = "SELECT topic FROM pregon_topics WHERE topic >= 'room:' AND topic < 'room;' AND last_at >= ?";
    let topics = view.rows(sql, &[&since.0], |row| row.text(0)).await?;
    let rooms = topics.into_iter().filter(|topic| {
        let room = topic.strip_prefix("room:").and_then(|room| room.parse().ok());
        room.is_some_and(|room| Number::of_topic(Topic::Room(room), number.of) == number.lane)
    });
    let transports = transports(view, &rooms.collect::<Vec<_>>(), since).await?;
    let mut recent = Vec::new();
    let ids: Vec<MessageId> = transports.keys().copied().collect();
    for keys in ids.chunks(limits::LIST_KEYS_MAX).map(padded) {
        let sql = format!(
            "SELECT id, chat_room_id, sender_id, content, message_type, created_at FROM messages \
             WHERE image IS NULL AND video IS NULL AND audio IS NULL AND file_url = '' AND id IN ({})",
            marks(keys.len())
        );
        let values: Vec<_> = each(&keys).collect();
        recent.extend(view.rows(&sql, &values, recent_of_row).await?);
    }
    recent.sort_unstable_by_key(|recent| (recent.at, recent.message));
    let (mut twins, named) = (Twins::default(), named(view, since).await?);
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

/// What its client named is no twin of anything.
async fn named(view: &mut View<'_>, since: Timestamp) -> Result<HashSet<MessageId>, MysqlError> {
    let sql = "SELECT message_id FROM pregon_client_ids WHERE created_at >= ?";
    Ok(view.rows(sql, &[&since.0], |row| row.id(0)).await?.into_iter().collect())
}

/// The way in of the rooms' messages since then. A topic's times grow with its sequence: they are its newest events.
async fn transports(
    view: &mut View<'_>,
    rooms: &[String],
    since: Timestamp,
) -> Result<HashMap<MessageId, Transport>, MysqlError> {
    let mut transports = HashMap::new();
    for rooms in rooms.chunks(limits::LIST_KEYS_MAX) {
        let mut sql = String::new();
        for room in rooms {
            sql.push_str("SELECT created_at, kind, message_id, transport FROM pregon_events WHERE topic = ");
            literal(&mut sql, view.driver.zone, room.to_column());
            // Writing to a text cannot fail.
            let _ = write!(sql, " ORDER BY epoch DESC, seq DESC LIMIT {EVENTS_MAX};");
        }
        let zone = view.driver.zone;
        for row in view.sets(&sql).await?.iter().flatten() {
            let row = Columns::new(row, zone);
            if row.number(0)? >= since.0 && row.str(1)? == "sent" {
                let transport = if row.str(3)? == "rest" { Transport::Rest } else { Transport::Socket };
                transports.insert(row.id(2)?, transport);
            }
        }
    }
    Ok(transports)
}
