//! The rows as the batch's transaction sees them: [`Rows`] in SQL.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use crate::clock::Timestamp;
use crate::domain::chat::message::{Message, ReactionType, ReplyPreview};
use crate::domain::chat::write::Transport;
use crate::domain::event::{Committed, Cursor};
use crate::domain::user::UserProfile;
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::limits;
use crate::store::batch::{Savepoints, TopicState, UnreadRest};
use crate::store::caches::Caches;
use crate::store::event_log::LogLine;
use crate::store::rules::{Member, MessageHead, Place, ReadAll, Rows};
use crate::store::sql::{self, Transaction, at_once, messages, new_rooms, people};
use crate::store::sqlite::connection::is_own_fault;
use crate::store::sqlite::driver::{Driver, View};
use crate::store::sqlite::lane::{Memory, TouchedTopics};
use crate::store::sqlite::values::{Id, count};

/// A batch's transaction under way.
pub struct BatchRows<'a> {
    /// Of users whose counters moved it remembers nothing. A savepoint that is rolled back leaves its own among them:
    /// they are read once more.
    view: View<'a>,
    memory: &'a mut Memory,
    rests: &'a mut VecDeque<UnreadRest>,
    touched: TouchedTopics,
    /// Rooms with new messages, and the newest one's time.
    active: BTreeMap<RoomId, Timestamp>,
}

impl<'a> BatchRows<'a> {
    pub fn new(
        connection: &'a Connection,
        memory: &'a mut Memory,
        caches: &'a Caches,
        rests: &'a mut VecDeque<UnreadRest>,
        now: Timestamp,
        shown_reactions: u32,
    ) -> Self {
        let view = View { driver: connection, caches, now, shown_reactions, changed: BTreeSet::new() };
        Self { view, memory, rests, touched: TouchedTopics::new(), active: BTreeMap::new() }
    }

    /// What is written once a batch: the topics' places, the rooms' last activity.
    pub fn finish(&mut self) -> rusqlite::Result<()> {
        for topic in &self.touched {
            let Some(state) = self.memory.topics.get(topic) else { continue };
            self.view
                .driver
                .prepare_cached(
                    "INSERT INTO pregon_topics (topic, epoch, seq, last_at) VALUES (?1, ?2, ?3, ?4) \
                     ON CONFLICT (topic) DO UPDATE SET seq = excluded.seq, last_at = excluded.last_at",
                )?
                .execute(params![topic.to_string(), state.epoch, state.seq, state.last_at.0])?;
        }
        for (room, at) in &self.active {
            self.view
                .driver
                .prepare_cached("UPDATE chat_rooms SET last_activity = ?2 WHERE id = ?1")?
                .execute(params![room, at])?;
        }
        Ok(())
    }

    fn topic(&mut self, topic: Topic) -> rusqlite::Result<TopicState> {
        if let Some(state) = self.memory.topics.get(&topic) {
            return Ok(*state);
        }
        let state = self
            .view
            .driver
            .prepare_cached("SELECT epoch, seq, last_at FROM pregon_topics WHERE topic = ?1")?
            .query_row([topic.to_string()], |row| {
                Ok(TopicState { epoch: row.get(0)?, seq: count(row, 1)?, last_at: Timestamp(row.get(2)?) })
            })
            .optional()?
            .unwrap_or(TopicState { epoch: 1, seq: 0, last_at: Timestamp(0) });
        self.memory.topics.insert(topic, state);
        Ok(state)
    }
}

/// What a savepoint does not bring back by itself.
pub struct Saved {
    topics: Vec<(Topic, TopicState)>,
    active: BTreeMap<RoomId, Timestamp>,
    rests: usize,
}

impl Savepoints for BatchRows<'_> {
    type Saved = Saved;

    fn save(&mut self) -> rusqlite::Result<Saved> {
        self.view.driver.prepare_cached("SAVEPOINT one")?.execute([])?;
        let topics = self.touched.iter().filter_map(|topic| Some((*topic, *self.memory.topics.get(topic)?)));
        Ok(Saved { topics: topics.collect(), active: self.active.clone(), rests: self.rests.len() })
    }

    fn release(&mut self) -> rusqlite::Result<()> {
        self.view.driver.prepare_cached("RELEASE one")?.execute([]).map(drop)
    }

    fn back_to(&mut self, saved: Saved) -> rusqlite::Result<()> {
        self.view.driver.prepare_cached("ROLLBACK TO one")?.execute([])?;
        self.release()?;
        self.memory.clear();
        self.touched = saved.topics.iter().map(|(topic, _)| *topic).collect();
        self.memory.topics.extend(saved.topics);
        self.active = saved.active;
        self.rests.truncate(saved.rests);
        Ok(())
    }

    fn is_own_fault(error: &rusqlite::Error) -> bool {
        is_own_fault(error)
    }
}

impl<'a> Transaction for BatchRows<'a> {
    type Driver = Driver<'a>;

    fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut sql::View<'_, Driver<'a>>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        at_once(work(&mut self.view))
    }

    fn changed(&mut self) -> &mut BTreeSet<UserId> {
        &mut self.view.changed
    }
}

impl Rows for BatchRows<'_> {
    type Error = rusqlite::Error;

    fn member(&mut self, room: RoomId, user: UserId) -> rusqlite::Result<Option<Member>> {
        if let Some(member) = self.memory.members.get(&(room, user)) {
            return Ok(member.clone());
        }
        let member = self
            .view
            .driver
            .prepare_cached(
                "SELECT r.is_active AND u.is_active, p.role IN ('owner', 'admin'), r.chat_type = 'private', u.username \
                 FROM chat_participants p JOIN chat_rooms r ON r.id = p.chat_room_id JOIN users u ON u.id = p.user_id \
                 WHERE p.chat_room_id = ?1 AND p.user_id = ?2",
            )?
            .query_row(params![room, user], |row| {
                Ok(Member {
                    is_active: row.get(0)?,
                    is_admin: row.get(1)?,
                    is_private: row.get(2)?,
                    username: row.get(3)?,
                })
            })
            .optional()?;
        self.memory.members.insert((room, user), member.clone());
        Ok(member)
    }

    fn is_active_user(&mut self, user: UserId) -> rusqlite::Result<bool> {
        Ok(at_once(people::account(&mut self.view, user))?.is_some_and(|account| account.is_active))
    }

    fn profile(&mut self, user: UserId) -> rusqlite::Result<Arc<UserProfile>> {
        at_once(people::known_profile(&mut self.view, user))
    }

    fn message_head(&mut self, room: RoomId, message: MessageId) -> rusqlite::Result<Option<MessageHead>> {
        at_once(messages::head(&mut self.view, room, message))
    }

    fn message(&mut self, message: MessageId) -> rusqlite::Result<Option<Arc<Message>>> {
        Ok(at_once(messages::whole(&mut self.view, None, message))?.map(Arc::new))
    }

    fn reply(&mut self, room: RoomId, message: MessageId) -> rusqlite::Result<Option<ReplyPreview>> {
        at_once(messages::reply(&mut self.view, room, message))
    }

    fn named_message(
        &mut self,
        user: UserId,
        room: RoomId,
        client_id: &str,
        since: Timestamp,
    ) -> rusqlite::Result<Option<MessageId>> {
        self.view
            .driver
            .prepare_cached(
                "SELECT message_id FROM pregon_client_ids \
                 WHERE user_id = ?1 AND room_id = ?2 AND client_id = ?3 AND created_at > ?4",
            )?
            .query_row(params![user, room, client_id, since.0], |row| row.get(0))
            .optional()
    }

    fn next_time(&mut self, topic: Topic) -> rusqlite::Result<Timestamp> {
        let state = self.topic(topic)?;
        Ok(self.view.now.max(Timestamp(state.last_at.0 + 1)))
    }

    fn take_place(&mut self, topic: Topic) -> rusqlite::Result<Place> {
        let at = self.next_time(topic)?;
        let TopicState { epoch, seq, .. } = self.topic(topic)?;
        let seq = seq + 1;
        self.memory.topics.insert(topic, TopicState { epoch, seq, last_at: at });
        self.touched.insert(topic);
        Ok(Place { cursor: Cursor { epoch, seq }, at })
    }

    fn log(&mut self, event: &Committed, transport: Transport) -> rusqlite::Result<()> {
        let line = LogLine::of(&event.event);
        self.view
            .driver
            .prepare_cached(
                "INSERT INTO pregon_events \
                 (topic, epoch, seq, event_id, kind, transport, message_id, user_id, detail, created_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                event.topic.to_string(),
                event.cursor.epoch,
                event.cursor.seq,
                event.event_id,
                line.kind,
                transport.as_str(),
                line.subject.map(Id),
                line.user,
                line.detail,
                event.at.0,
            ])
            .map(drop)
    }

    fn insert_message(&mut self, message: &Message) -> rusqlite::Result<()> {
        self.active.insert(message.room, message.created_at);
        let created_at = message.created_at.database_text();
        self.view
            .driver
            .prepare_cached(
                "INSERT INTO messages (id, content, message_type, image, video, audio, file_url, file_name, file_size, \
                 is_edited, is_deleted, deleted_at, created_at, updated_at, chat_room_id, reply_to_id, sender_id, \
                 story_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, 0, NULL, ?10, ?10, ?11, ?12, ?13, NULL)",
            )?
            .execute(params![
                message.id,
                message.content,
                message.message_type,
                message.image,
                message.video,
                message.audio,
                message.file_url,
                message.file_name,
                message.file_size,
                created_at,
                message.room,
                message.reply_to.as_ref().map(|reply| reply.id),
                message.sender.id,
            ])
            .map(drop)
    }

    fn name_message(
        &mut self,
        user: UserId,
        room: RoomId,
        client_id: &str,
        message: MessageId,
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        self.view
            .driver
            .prepare_cached(
                "INSERT OR REPLACE INTO pregon_client_ids (user_id, room_id, client_id, message_id, created_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![user, room, client_id, message, at.0])
            .map(drop)
    }

    fn edit_message(&mut self, message: MessageId, content: &str, at: Timestamp) -> rusqlite::Result<()> {
        self.view
            .driver
            .prepare_cached("UPDATE messages SET content = ?2, is_edited = 1, updated_at = ?3 WHERE id = ?1")?
            .execute(params![message, content, at])
            .map(drop)
    }

    fn delete_message(&mut self, message: MessageId, at: Timestamp) -> rusqlite::Result<()> {
        self.view
            .driver
            .prepare_cached("UPDATE messages SET is_deleted = 1, deleted_at = ?2, updated_at = ?2 WHERE id = ?1")?
            .execute(params![message, at])
            .map(drop)
    }

    fn toggle_reaction(
        &mut self,
        message: MessageId,
        user: UserId,
        reaction: ReactionType,
        at: Timestamp,
    ) -> rusqlite::Result<bool> {
        let removed = self
            .view
            .driver
            .prepare_cached(
                "DELETE FROM message_reactions WHERE message_id = ?1 AND user_id = ?2 AND reaction_type = ?3",
            )?
            .execute(params![message, user, reaction])?;
        if removed > 0 {
            return Ok(false);
        }
        self.view
            .driver
            .prepare_cached(
                "INSERT INTO message_reactions (id, reaction_type, created_at, message_id, user_id) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![Id::fresh(), reaction, at, message, user])?;
        Ok(true)
    }

    fn insert_read(&mut self, message: MessageId, user: UserId, at: Timestamp) -> rusqlite::Result<bool> {
        insert_read(self.view.driver, message, user, at)
    }

    fn move_last_read(&mut self, room: RoomId, user: UserId, at: Timestamp) -> rusqlite::Result<()> {
        self.view
            .driver
            .prepare_cached(
                "UPDATE chat_participants SET last_read_at = ?3 \
                 WHERE chat_room_id = ?1 AND user_id = ?2 AND last_read_at < ?3",
            )?
            .execute(params![room, user, at])
            .map(drop)
    }

    fn read_all(&mut self, room: RoomId, user: UserId, at: Timestamp) -> rusqlite::Result<ReadAll> {
        let after: Timestamp = self
            .view
            .driver
            .prepare_cached("SELECT last_read_at FROM chat_participants WHERE chat_room_id = ?1 AND user_id = ?2")?
            .query_row(params![room, user], |row| row.get(0))?;
        let rest = UnreadRest { room, user, after, before: Timestamp(i64::MAX), at };
        let (newest, oldest) = insert_unread(self.view.driver, rest)?;
        let mut count = newest.len() as u64;
        if let Some(before) = oldest
            && newest.len() == limits::READ_ALL_ROWS_MAX
        {
            let rest = UnreadRest { before, ..rest };
            count += count_unread(self.view.driver, rest)?;
            if self.rests.len() < limits::READ_ALL_RESTS_MAX {
                self.rests.push_back(rest);
            }
        }
        let newest = newest.into_iter().take(limits::READ_ALL_FRAMES_MAX).collect();
        Ok(ReadAll { count, newest })
    }

    fn insert_member(&mut self, room: RoomId, user: UserId, at: Timestamp) -> rusqlite::Result<bool> {
        self.memory.members.remove(&(room, user));
        let sql = "SELECT 1 FROM chat_participants WHERE chat_room_id = ? AND user_id = ?";
        if at_once(self.view.is_there(sql, &[&room, &user]))? {
            return Ok(false);
        }
        at_once(new_rooms::insert_participants(&mut self.view, room, &[(user, "member")], at))?;
        Ok(true)
    }

    fn delete_member(&mut self, room: RoomId, user: UserId) -> rusqlite::Result<bool> {
        self.memory.members.remove(&(room, user));
        let removed = self
            .view
            .driver
            .prepare_cached("DELETE FROM chat_participants WHERE chat_room_id = ?1 AND user_id = ?2")?
            .execute(params![room, user])?;
        Ok(removed > 0)
    }
}

fn insert_read(connection: &Connection, message: MessageId, user: UserId, at: Timestamp) -> rusqlite::Result<bool> {
    let added = connection
        .prepare_cached(
            "INSERT INTO message_reads (id, read_at, message_id, user_id) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (message_id, user_id) DO NOTHING",
        )?
        .execute(params![Id::fresh(), at, message, user])?;
    Ok(added > 0)
}

const UNREAD: &str = "FROM messages WHERE chat_room_id = ?1 AND is_deleted = 0 AND created_at > ?2 AND created_at < ?3 \
    AND sender_id <> ?4 AND NOT EXISTS (SELECT 1 FROM message_reads WHERE message_id = messages.id AND user_id = ?4)";

/// Read rows for the newest unread messages of `rest`: which, and the oldest one's time.
pub fn insert_unread(
    connection: &Connection,
    rest: UnreadRest,
) -> rusqlite::Result<(Vec<MessageId>, Option<Timestamp>)> {
    let unread = connection
        .prepare_cached(&format!("SELECT id, created_at {UNREAD} ORDER BY created_at DESC, id DESC LIMIT ?5"))?
        .query_map(
            params![rest.room, rest.after, upper_bound(rest.before), rest.user, limits::READ_ALL_ROWS_MAX],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .collect::<rusqlite::Result<Vec<(MessageId, Timestamp)>>>()?;
    for (message, _) in &unread {
        insert_read(connection, *message, rest.user, rest.at)?;
    }
    let oldest = unread.last().map(|(_, at)| *at);
    Ok((unread.into_iter().map(|(message, _)| message).collect(), oldest))
}

fn count_unread(connection: &Connection, rest: UnreadRest) -> rusqlite::Result<u64> {
    connection
        .prepare_cached(&format!("SELECT count(*) {UNREAD}"))?
        .query_row(params![rest.room, rest.after, upper_bound(rest.before), rest.user], |row| count(row, 0))
}

/// No time is written beyond the year 9999; the greatest [`Timestamp`] has no text of 26 characters.
fn upper_bound(before: Timestamp) -> String {
    if before.0 == i64::MAX { "9999".to_owned() } else { before.database_text() }
}
