//! The rows as the batch's transaction sees them: [`Rows`] in SQL.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rusqlite::Connection;

use crate::clock::Timestamp;
use crate::domain::chat::message::{Message, ReactionType, ReplyPreview};
use crate::domain::chat::write::Transport;
use crate::domain::event::{Committed, Cursor};
use crate::domain::user::UserProfile;
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::limits;
use crate::store::batch::{Savepoints, TopicState, UnreadRest};
use crate::store::caches::Caches;
use crate::store::rules::{Member, MessageHead, Place, ReadAll, Rows};
use crate::store::sql::{self, Id, Parameters, Transaction, at_once, chat_rows, marks, messages, new_rooms, people};
use crate::store::sqlite::connection::is_own_fault;
use crate::store::sqlite::driver::{Driver, View};
use crate::store::sqlite::lane::{Memory, TouchedTopics};

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
            let Some(TopicState { epoch, seq, last_at }) = self.memory.topics.get(topic) else { continue };
            let sql = "INSERT INTO pregon_topics (topic, epoch, seq, last_at) VALUES (?, ?, ?, ?) \
                ON CONFLICT (topic) DO UPDATE SET seq = excluded.seq, last_at = excluded.last_at";
            at_once(self.view.execute(sql, &[&topic.to_string(), epoch, seq, &last_at.0]))?;
        }
        for (room, at) in &self.active {
            at_once(self.view.execute("UPDATE chat_rooms SET last_activity = ? WHERE id = ?", &[at, room]))?;
        }
        Ok(())
    }

    /// One row.
    fn insert(&mut self, head: &str, values: Parameters<'_>) -> rusqlite::Result<()> {
        at_once(self.view.execute(&format!("{head}({})", marks(values.len())), values)).map(drop)
    }

    fn topic(&mut self, topic: Topic) -> rusqlite::Result<TopicState> {
        if let Some(state) = self.memory.topics.get(&topic) {
            return Ok(*state);
        }
        let sql = "SELECT epoch, seq, last_at FROM pregon_topics WHERE topic = ?";
        let found = at_once(self.view.row(sql, &[&topic.to_string()], |row| {
            let epoch = row.optional_u32(0)?.unwrap_or(1);
            Ok(TopicState { epoch, seq: row.count(1)?, last_at: Timestamp(row.number(2)?) })
        }))?;
        let state = found.unwrap_or(TopicState { epoch: 1, seq: 0, last_at: Timestamp(0) });
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
        at_once(self.view.execute("SAVEPOINT one", &[]))?;
        let topics = self.touched.iter().filter_map(|topic| Some((*topic, *self.memory.topics.get(topic)?)));
        Ok(Saved { topics: topics.collect(), active: self.active.clone(), rests: self.rests.len() })
    }

    fn release(&mut self) -> rusqlite::Result<()> {
        at_once(self.view.execute("RELEASE one", &[])).map(drop)
    }

    fn back_to(&mut self, saved: Saved) -> rusqlite::Result<()> {
        at_once(self.view.execute("ROLLBACK TO one", &[]))?;
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

    fn forget_member(&mut self, room: RoomId, user: UserId) {
        self.memory.members.remove(&(room, user));
    }
}

impl Rows for BatchRows<'_> {
    type Error = rusqlite::Error;

    fn member(&mut self, room: RoomId, user: UserId) -> rusqlite::Result<Option<Member>> {
        if let Some(member) = self.memory.members.get(&(room, user)) {
            return Ok(member.clone());
        }
        let member = at_once(chat_rows::member(&mut self.view, room, user))?;
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
        let found = at_once(chat_rows::named(&mut self.view, user, room, client_id))?;
        Ok(found.filter(|(_, at)| *at > since).map(|(message, _)| message))
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
        chat_rows::with_event(event, transport, |values| self.insert(chat_rows::EVENTS, values))
    }

    fn insert_message(&mut self, message: &Message) -> rusqlite::Result<()> {
        self.active.insert(message.room, message.created_at);
        chat_rows::with_message(message, |values| self.insert(chat_rows::MESSAGES, values))
    }

    fn name_message(
        &mut self,
        user: UserId,
        room: RoomId,
        client_id: &str,
        message: MessageId,
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        let sql =
            "INSERT OR REPLACE INTO pregon_client_ids (user_id, room_id, client_id, message_id, created_at) VALUES ";
        self.insert(sql, &[&user, &room, &client_id, &message, &at.0])
    }

    fn edit_message(&mut self, message: MessageId, content: &str, at: Timestamp) -> rusqlite::Result<()> {
        chat_rows::edit_message(self, message, content, at)
    }

    fn delete_message(&mut self, message: MessageId, at: Timestamp) -> rusqlite::Result<()> {
        chat_rows::delete_message(self, message, at)
    }

    fn toggle_reaction(
        &mut self,
        message: MessageId,
        user: UserId,
        reaction: ReactionType,
        at: Timestamp,
    ) -> rusqlite::Result<bool> {
        let is_there = at_once(chat_rows::has_reacted(&mut self.view, message, user, reaction))?;
        chat_rows::toggle_reaction(self, (message, user, reaction), is_there, at)?;
        Ok(!is_there)
    }

    fn insert_read(&mut self, message: MessageId, user: UserId, at: Timestamp) -> rusqlite::Result<bool> {
        if at_once(chat_rows::has_read(&mut self.view, message, user))? {
            return Ok(false);
        }
        self.insert(chat_rows::READS, &[&Id::fresh(), &at, &message, &user]).map(|()| true)
    }

    fn move_last_read(&mut self, room: RoomId, user: UserId, at: Timestamp) -> rusqlite::Result<()> {
        let sql = "UPDATE chat_participants SET last_read_at = ? WHERE chat_room_id = ? AND user_id = ? \
            AND last_read_at < ?";
        self.change(sql, &[&at, &room, &user, &at])
    }

    fn read_all(&mut self, room: RoomId, user: UserId, at: Timestamp) -> rusqlite::Result<ReadAll> {
        let after = at_once(chat_rows::last_read(&mut self.view, room, user))?;
        let rest = UnreadRest { room, user, after, before: Timestamp(i64::MAX), at };
        let (newest, oldest) = at_once(insert_unread(&mut self.view, rest))?;
        let mut count = newest.len() as u64;
        if let Some(before) = oldest
            && newest.len() == limits::READ_ALL_ROWS_MAX
        {
            let rest = UnreadRest { before, ..rest };
            count += at_once(chat_rows::count_unread(&mut self.view, rest))?;
            if self.rests.len() < limits::READ_ALL_RESTS_MAX {
                self.rests.push_back(rest);
            }
        }
        let newest = newest.into_iter().take(limits::READ_ALL_FRAMES_MAX).collect();
        Ok(ReadAll { count, newest })
    }

    fn insert_member(&mut self, room: RoomId, user: UserId, at: Timestamp) -> rusqlite::Result<bool> {
        self.memory.members.remove(&(room, user));
        if at_once(chat_rows::is_participant(&mut self.view, room, user))? {
            return Ok(false);
        }
        at_once(new_rooms::insert_participants(&mut self.view, room, &[(user, "member")], at))?;
        Ok(true)
    }

    fn delete_member(&mut self, room: RoomId, user: UserId) -> rusqlite::Result<bool> {
        self.memory.members.remove(&(room, user));
        at_once(chat_rows::delete_member(&mut self.view, room, user))
    }
}

/// Read rows for the newest unread messages of `rest`: which, and the oldest one's time.
pub async fn insert_unread(
    view: &mut View<'_>,
    rest: UnreadRest,
) -> rusqlite::Result<(Vec<MessageId>, Option<Timestamp>)> {
    let unread = chat_rows::newest_unread(view, rest).await?;
    let sql = format!("{}(?, ?, ?, ?)", chat_rows::READS);
    for (message, _) in &unread {
        view.execute(&sql, &[&Id::fresh(), &rest.at, message, &rest.user]).await?;
    }
    let oldest = unread.last().map(|(_, at)| *at);
    Ok((unread.into_iter().map(|(message, _)| message).collect(), oldest))
}
