//! Invariants of the database after any fault: every event in its place, nothing half-written.

use rusqlite::Connection;

use super::{PATIENCE, Server};

/// Each query counts rows that must not exist.
const FAULTS: [(&str, &str); 11] = [
    (
        "a place in a topic is missing",
        "SELECT count(*) FROM (SELECT 1 FROM pregon_events GROUP BY topic, epoch \
         HAVING min(seq) <> 1 OR max(seq) <> count(*))",
    ),
    ("an event is there twice", "SELECT count(*) - count(DISTINCT event_id) FROM pregon_events"),
    (
        "a topic does not stand at its last event",
        "SELECT count(*) FROM pregon_topics t WHERE seq <> \
         (SELECT max(seq) FROM pregon_events e WHERE e.topic = t.topic AND e.epoch = t.epoch)",
    ),
    (
        "an event has no topic",
        "SELECT count(*) FROM pregon_events WHERE topic NOT IN (SELECT topic FROM pregon_topics)",
    ),
    (
        "an event has no message",
        "SELECT count(*) FROM pregon_events WHERE message_id IS NOT NULL AND message_id NOT IN (SELECT id FROM messages)",
    ),
    (
        "a message has not exactly one event that sent it",
        "SELECT count(*) FROM messages m WHERE 1 <> \
         (SELECT count(*) FROM pregon_events e WHERE e.message_id = m.id AND e.kind = 'sent')",
    ),
    (
        "an edit is half there",
        "SELECT count(*) FROM messages m WHERE is_edited <> \
         EXISTS (SELECT 1 FROM pregon_events e WHERE e.message_id = m.id AND e.kind = 'edited')",
    ),
    (
        "a reaction has no event",
        "SELECT count(*) FROM message_reactions r WHERE NOT EXISTS (SELECT 1 FROM pregon_events e \
         WHERE e.message_id = r.message_id AND e.user_id = r.user_id AND e.detail = r.reaction_type AND kind = 'reacted')",
    ),
    (
        "an event of a reaction has no reaction",
        "SELECT abs((SELECT count(*) FROM message_reactions) - (SELECT count(*) FROM pregon_events WHERE kind = 'reacted') \
         + (SELECT count(*) FROM pregon_events WHERE kind = 'unreacted'))",
    ),
    (
        "a message's time is not after the time of the one before",
        "SELECT count(*) FROM (SELECT m.created_at AS at, lag(m.created_at) OVER (PARTITION BY e.topic ORDER BY e.seq) \
         AS before FROM pregon_events e JOIN messages m ON m.id = e.message_id WHERE e.kind = 'sent') WHERE before >= at",
    ),
    ("a reference leads nowhere", "SELECT count(*) FROM pragma_foreign_key_check"),
];

/// A connection to a server's database from another process.
pub struct Ledger(pub Connection);

impl Ledger {
    pub fn open(server: &Server) -> Self {
        let connection = Connection::open(server.database()).unwrap();
        connection.busy_timeout(PATIENCE).unwrap();
        Self(connection)
    }

    pub fn number(&self, query: &str) -> i64 {
        self.0.query_row(query, [], |row| row.get(0)).unwrap()
    }

    /// The contents of a room's messages in the order of their events.
    pub fn contents(&self, room: &str) -> Vec<String> {
        let mut query = self
            .0
            .prepare(
                "SELECT m.content FROM pregon_events e JOIN messages m ON m.id = e.message_id \
                 WHERE e.kind = 'sent' AND m.chat_room_id = ? ORDER BY e.seq",
            )
            .unwrap();
        query.query_map([room.replace('-', "")], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    pub fn assert_whole(&self) {
        for (fault, query) in FAULTS {
            assert_eq!(self.number(query), 0, "{fault}");
        }
        let check: String = self.0.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
    }
}
