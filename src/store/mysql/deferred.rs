//! Changes of a batch that wait to be written together: nobody needs to see them before the batch's end.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::clock::Timestamp;
use crate::clock::Zone;
use crate::domain::chat::message::Message;
use crate::domain::chat::write::Transport;
use crate::domain::event::Committed;
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::limits;
use crate::store::batch::TopicState;
use crate::store::mysql::literal::{Insert, filled};
use crate::store::sql::chat_rows::{self, EVENTS, MESSAGES, READS};
use crate::store::sql::{Id, Parameters};

const NAMES: &str = "INSERT INTO pregon_client_ids (user_id, room_id, client_id, message_id, created_at) VALUES ";
const NAMED_AGAIN: &str = " ON DUPLICATE KEY UPDATE message_id = VALUES(message_id), created_at = VALUES(created_at)";
const TOPICS: &str = "INSERT INTO pregon_topics (topic, epoch, seq, last_at) VALUES ";
const PLACED: &str = " ON DUPLICATE KEY UPDATE epoch = VALUES(epoch), seq = VALUES(seq), last_at = VALUES(last_at)";

/// What waits, in the order in which it is written: first what others refer to.
#[derive(Debug)]
pub struct Pending {
    messages: Insert,
    events: Insert,
    names: Insert,
    reads: Insert,
    /// Statements that must keep their order.
    changes: String,
    /// Rooms with new messages, and the newest one's time.
    active: BTreeMap<RoomId, Timestamp>,
    /// Participants who have read, and until when.
    last_reads: BTreeMap<(RoomId, UserId), Timestamp>,
}

impl Default for Pending {
    fn default() -> Self {
        Self {
            messages: Insert::new(MESSAGES, ""),
            events: Insert::new(EVENTS, ""),
            names: Insert::new(NAMES, NAMED_AGAIN),
            reads: Insert::new(READS, ""),
            changes: String::new(),
            active: BTreeMap::new(),
            last_reads: BTreeMap::new(),
        }
    }
}

impl Pending {
    /// A new message; its room's last activity moves with it.
    pub fn message(&mut self, zone: Zone, message: &Message) {
        self.active.insert(message.room, message.created_at);
        chat_rows::with_message(message, |values| self.messages.row(zone, values));
    }

    /// An event's row.
    pub fn event(&mut self, zone: Zone, event: &Committed, transport: Transport) {
        chat_rows::with_event(event, transport, |values| self.events.row(zone, values));
    }

    /// A client's name for a message.
    pub fn name(&mut self, zone: Zone, values: Parameters<'_>) {
        self.names.row(zone, values);
    }

    /// A read row.
    pub fn read(&mut self, zone: Zone, message: MessageId, user: UserId, at: Timestamp) {
        self.reads.row(zone, &[&Id::fresh(), &at, &message, &user]);
    }

    /// A statement whose outcome nobody waits for.
    pub fn change(&mut self, zone: Zone, sql: &str, values: Parameters<'_>) {
        filled(&mut self.changes, zone, sql, values);
        self.changes.push(';');
    }

    /// The participant's `last_read_at`, never backwards.
    pub fn last_read(&mut self, room: RoomId, user: UserId, at: Timestamp) {
        let last = self.last_reads.entry((room, user)).or_insert(at);
        *last = at.max(*last);
    }

    /// Does more wait than one trip should carry?
    pub fn is_long(&self) -> bool {
        self.messages.len() + self.events.len() + self.names.len() + self.reads.len() + self.changes.len()
            > limits::TRIP_BYTES_MAX
    }

    /// The statements for all that waits, but what is written once a batch.
    pub fn take(&mut self, zone: Zone) -> String {
        let mut sql = String::new();
        for insert in [&mut self.messages, &mut self.events, &mut self.names, &mut self.reads] {
            insert.move_to(&mut sql);
        }
        sql.push_str(&std::mem::take(&mut self.changes));
        for ((room, user), at) in std::mem::take(&mut self.last_reads) {
            let text = "UPDATE chat_participants SET last_read_at = ? WHERE chat_room_id = ? AND user_id = ? \
                AND last_read_at < ?;";
            filled(&mut sql, zone, text, &[&at, &room, &user, &at]);
        }
        sql
    }

    /// The same with the batch's end: the topics' places, the rooms' last activity, and COMMIT.
    pub fn finish(&mut self, zone: Zone, topics: &HashMap<Topic, TopicState>, touched: &BTreeSet<Topic>) -> String {
        let mut sql = self.take(zone);
        let mut places = Insert::new(TOPICS, PLACED);
        for topic in touched {
            if let Some(TopicState { epoch, seq, last_at }) = topics.get(topic) {
                places.row(zone, &[&topic.to_string(), epoch, seq, &last_at.0]);
            }
        }
        places.move_to(&mut sql);
        for (room, at) in std::mem::take(&mut self.active) {
            filled(&mut sql, zone, "UPDATE chat_rooms SET last_activity = ? WHERE id = ?;", &[&at, &room]);
        }
        sql.push_str("COMMIT");
        sql
    }

    /// The rooms' activity, for a savepoint: everything else was written before it.
    pub fn active(&self) -> BTreeMap<RoomId, Timestamp> {
        self.active.clone()
    }

    /// Forgets all that waits since the savepoint.
    pub fn back_to(&mut self, active: BTreeMap<RoomId, Timestamp>) {
        *self = Self { active, ..Self::default() };
    }
}
