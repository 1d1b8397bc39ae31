//! The rows as the batch's transaction sees them: [`Rows`] in SQL, with as few trips to the server as can be.
//!
//! One trip begins the transaction, locks the topics and reads what the chat writes will ask; one carries all changes
//! and COMMIT. Only what cannot be told before (a whole message after an edit, most writes about posts) makes trips of
//! its own, after those changes that it must see.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::clock::Timestamp;
use crate::domain::chat::message::{Message, ReactionType, ReplyPreview};
use crate::domain::chat::write::Transport;
use crate::domain::event::{Committed, Cursor};
use crate::domain::user::UserProfile;
use crate::domain::write::Write;
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::limits;
use crate::store::batch::{Savepoints, TopicState, UnreadRest};
use crate::store::mysql::connection::{MysqlError, Remedy};
use crate::store::mysql::deferred::Pending;
use crate::store::mysql::driver::{Driver, View};
use crate::store::mysql::prefetched::{self, Known};
use crate::store::mysql::topics;
use crate::store::rules::{Member, MessageHead, Place, ReadAll, Rows};
use crate::store::sql::{self, chat_rows, messages, new_rooms, people};
use crate::store::sql::{Parameters, Transaction};

/// A batch's transaction under way.
pub struct BatchRows<'a> {
    runtime: &'a Runtime,
    view: View<'a>,
    known: Known,
    pending: Pending,
    rests: &'a mut VecDeque<UnreadRest>,
    topics: HashMap<Topic, TopicState>,
    touched: BTreeSet<Topic>,
}

impl<'a> BatchRows<'a> {
    /// No transaction yet: what is asked now sees what is committed.
    pub fn new(runtime: &'a Runtime, view: View<'a>, rests: &'a mut VecDeque<UnreadRest>) -> Self {
        let (known, pending) = (Known::default(), Pending::default());
        Self { runtime, view, known, pending, rests, topics: HashMap::new(), touched: BTreeSet::new() }
    }

    /// Begins the transaction behind the locks of `topics`; what `writes` will ask is read with them.
    pub fn begin(&mut self, topics: &BTreeSet<Topic>, writes: &[Write]) -> Result<(), MysqlError> {
        let Self { runtime, view, .. } = self;
        let (locked, known) = runtime.block_on(async {
            if let (Some(locked), known) = prefetched::open(view, topics, writes).await? {
                return Ok((locked, known));
            }
            // New topics get their rows outside of any transaction: within, they would be locked out of order.
            view.run("ROLLBACK").await?;
            topics::make(view, topics).await?;
            match prefetched::open(view, topics, writes).await? {
                (Some(locked), known) => Ok((locked, known)),
                (None, _) => Err(MysqlError::Unexpected("a topic's row is gone that was just made".into())),
            }
        })?;
        (self.topics, self.known) = (locked, known);
        let senders = writes.iter().map(|write| write.actor).filter(|user| !self.is_remembered(*user));
        let senders: Vec<UserId> = senders.collect();
        if senders.len() > 1 {
            self.runtime.block_on(people::profiles(&mut self.view, senders))?;
        }
        Ok(())
    }

    fn is_remembered(&self, user: UserId) -> bool {
        self.view.caches.profiles.get(&user, self.view.now).is_some()
    }

    /// Writes all that waits, and commits.
    pub fn commit(&mut self) -> Result<(), MysqlError> {
        let sql = self.pending.finish(self.view.driver.zone, &self.topics, &self.touched);
        self.runtime.block_on(self.view.run(&sql))
    }

    /// Writes what waits, so that the next statement sees it.
    fn flush(&mut self) -> Result<(), MysqlError> {
        let sql = self.pending.take(self.view.driver.zone);
        if sql.is_empty() { Ok(()) } else { self.runtime.block_on(self.view.run(&sql)) }
    }

    fn flush_if_long(&mut self) -> Result<(), MysqlError> {
        if self.pending.is_long() { self.flush() } else { Ok(()) }
    }

    fn topic(&mut self, topic: Topic) -> Result<TopicState, MysqlError> {
        if let Some(state) = self.topics.get(&topic) {
            return Ok(*state);
        }
        // Not foretold: what it was told by (a parent comment) came in this very batch. Out of order, so that a
        // deadlock is possible; the batch then begins anew.
        let state = self.runtime.block_on(topics::lock(&mut self.view, topic))?;
        self.topics.insert(topic, state);
        Ok(state)
    }
}

/// What a savepoint does not bring back by itself.
pub struct Saved {
    topics: HashMap<Topic, TopicState>,
    touched: BTreeSet<Topic>,
    active: BTreeMap<RoomId, Timestamp>,
    rests: usize,
}

impl Savepoints for BatchRows<'_> {
    type Saved = Saved;

    fn save(&mut self) -> Result<Saved, MysqlError> {
        self.runtime.block_on(self.view.run("SAVEPOINT one"))?;
        let (topics, touched) = (self.topics.clone(), self.touched.clone());
        Ok(Saved { topics, touched, active: self.pending.active(), rests: self.rests.len() })
    }

    fn release(&mut self) -> Result<(), MysqlError> {
        self.flush()?;
        self.runtime.block_on(self.view.run("RELEASE SAVEPOINT one"))
    }

    fn back_to(&mut self, saved: Saved) -> Result<(), MysqlError> {
        self.runtime.block_on(self.view.run("ROLLBACK TO SAVEPOINT one"))?;
        self.known = Known::default();
        self.pending.back_to(saved.active);
        (self.topics, self.touched) = (saved.topics, saved.touched);
        self.rests.truncate(saved.rests);
        Ok(())
    }

    fn is_own_fault(error: &MysqlError) -> bool {
        error.remedy() == Remedy::Refuse
    }
}

impl<'a> Transaction for BatchRows<'a> {
    type Driver = Driver<'a>;

    fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut sql::View<'_, Driver<'a>>) -> Result<T, MysqlError>,
    ) -> Result<T, MysqlError> {
        self.runtime.block_on(work(&mut self.view))
    }

    fn changed(&mut self) -> &mut BTreeSet<UserId> {
        &mut self.view.changed
    }

    fn forget_member(&mut self, room: RoomId, user: UserId) {
        self.known.members.remove(&(room, user));
    }

    fn change(&mut self, sql: &str, values: Parameters<'_>) -> Result<(), MysqlError> {
        self.pending.change(self.view.driver.zone, sql, values);
        Ok(())
    }
}

impl Rows for BatchRows<'_> {
    type Error = MysqlError;

    fn member(&mut self, room: RoomId, user: UserId) -> Result<Option<Member>, MysqlError> {
        if let Some(member) = self.known.members.get(&(room, user)) {
            return Ok(member.clone());
        }
        let member = self.runtime.block_on(chat_rows::member(&mut self.view, room, user))?;
        self.known.members.insert((room, user), member.clone());
        Ok(member)
    }

    fn is_active_user(&mut self, user: UserId) -> Result<bool, MysqlError> {
        let account = self.runtime.block_on(people::account(&mut self.view, user))?;
        Ok(account.is_some_and(|account| account.is_active))
    }

    fn profile(&mut self, user: UserId) -> Result<Arc<UserProfile>, MysqlError> {
        self.runtime.block_on(people::known_profile(&mut self.view, user))
    }

    fn message_head(&mut self, room: RoomId, message: MessageId) -> Result<Option<MessageHead>, MysqlError> {
        let found = match self.known.heads.get(&message) {
            Some(found) => *found,
            None => {
                let head = self.runtime.block_on(messages::head(&mut self.view, room, message))?;
                let found = head.map(|head| (room, head));
                // Nothing in this room is perhaps something in another.
                if found.is_some() {
                    self.known.heads.insert(message, found);
                }
                found
            }
        };
        Ok(found.filter(|(of, _)| *of == room).map(|(_, head)| head))
    }

    fn message(&mut self, message: MessageId) -> Result<Option<Arc<Message>>, MysqlError> {
        self.flush()?;
        Ok(self.runtime.block_on(messages::whole(&mut self.view, None, message))?.map(Arc::new))
    }

    fn reply(&mut self, room: RoomId, message: MessageId) -> Result<Option<ReplyPreview>, MysqlError> {
        match self.known.replies.get(&message) {
            Some(found) => Ok(found.as_ref().filter(|(of, _)| *of == room).map(|(_, reply)| reply.clone())),
            None => {
                self.flush()?;
                self.runtime.block_on(messages::reply(&mut self.view, room, message))
            }
        }
    }

    fn named_message(
        &mut self,
        user: UserId,
        room: RoomId,
        client_id: &str,
        since: Timestamp,
    ) -> Result<Option<MessageId>, MysqlError> {
        let name = (user, room, client_id.to_owned());
        let found = match self.known.names.get(&name) {
            Some(found) => *found,
            None => {
                let found = self.runtime.block_on(chat_rows::named(&mut self.view, user, room, client_id))?;
                self.known.names.insert(name, found);
                found
            }
        };
        Ok(found.filter(|(_, at)| *at > since).map(|(message, _)| message))
    }

    fn next_time(&mut self, topic: Topic) -> Result<Timestamp, MysqlError> {
        let state = self.topic(topic)?;
        Ok(self.view.now.max(Timestamp(state.last_at.0 + 1)))
    }

    fn take_place(&mut self, topic: Topic) -> Result<Place, MysqlError> {
        let at = self.next_time(topic)?;
        let TopicState { epoch, seq, .. } = self.topic(topic)?;
        let seq = seq + 1;
        self.topics.insert(topic, TopicState { epoch, seq, last_at: at });
        self.touched.insert(topic);
        Ok(Place { cursor: Cursor { epoch, seq }, at })
    }

    fn log(&mut self, event: &Committed, transport: Transport) -> Result<(), MysqlError> {
        self.pending.event(self.view.driver.zone, event, transport);
        self.flush_if_long()
    }

    fn insert_message(&mut self, message: &Message) -> Result<(), MysqlError> {
        self.pending.message(self.view.driver.zone, message);
        Ok(())
    }

    fn name_message(
        &mut self,
        user: UserId,
        room: RoomId,
        client_id: &str,
        message: MessageId,
        at: Timestamp,
    ) -> Result<(), MysqlError> {
        self.pending.name(self.view.driver.zone, &[&user, &room, &client_id, &message, &at.0]);
        self.known.names.insert((user, room, client_id.to_owned()), Some((message, at)));
        Ok(())
    }

    fn edit_message(&mut self, message: MessageId, content: &str, at: Timestamp) -> Result<(), MysqlError> {
        chat_rows::edit_message(self, message, content, at)?;
        self.known.replies.remove(&message);
        Ok(())
    }

    fn delete_message(&mut self, message: MessageId, at: Timestamp) -> Result<(), MysqlError> {
        chat_rows::delete_message(self, message, at)?;
        self.known.replies.insert(message, None);
        if let Some(Some((_, head))) = self.known.heads.get_mut(&message) {
            head.is_deleted = true;
        }
        Ok(())
    }

    fn toggle_reaction(
        &mut self,
        message: MessageId,
        user: UserId,
        reaction: ReactionType,
        at: Timestamp,
    ) -> Result<bool, MysqlError> {
        let key = (message, user, reaction);
        let is_there = match self.known.reactions.get(&key) {
            Some(is_there) => *is_there,
            // Who has not asked for it before, has not changed it before: nothing that waits matters.
            None => self.runtime.block_on(chat_rows::has_reacted(&mut self.view, message, user, reaction))?,
        };
        chat_rows::toggle_reaction(self, key, is_there, at)?;
        self.known.reactions.insert(key, !is_there);
        Ok(!is_there)
    }

    fn insert_read(&mut self, message: MessageId, user: UserId, at: Timestamp) -> Result<bool, MysqlError> {
        let is_there = match self.known.reads.get(&(message, user)) {
            Some(is_there) => *is_there,
            None => {
                self.flush()?;
                self.runtime.block_on(chat_rows::has_read(&mut self.view, message, user))?
            }
        };
        if !is_there {
            self.pending.read(self.view.driver.zone, message, user, at);
            self.known.reads.insert((message, user), true);
        }
        Ok(!is_there)
    }

    fn move_last_read(&mut self, room: RoomId, user: UserId, at: Timestamp) -> Result<(), MysqlError> {
        self.pending.last_read(room, user, at);
        Ok(())
    }

    fn read_all(&mut self, room: RoomId, user: UserId, at: Timestamp) -> Result<ReadAll, MysqlError> {
        self.flush()?;
        let Self { runtime, view, pending, known, rests, .. } = self;
        let after = runtime.block_on(chat_rows::last_read(view, room, user))?;
        let rest = UnreadRest { room, user, after, before: Timestamp(i64::MAX), at };
        let found = runtime.block_on(chat_rows::newest_unread(view, rest))?;
        for (message, _) in &found {
            pending.read(view.driver.zone, *message, user, at);
            known.reads.insert((*message, user), true);
        }
        let mut count = found.len() as u64;
        if let Some((_, before)) = found.last()
            && found.len() == limits::READ_ALL_ROWS_MAX
        {
            let rest = UnreadRest { before: *before, ..rest };
            count += runtime.block_on(chat_rows::count_unread(view, rest))?;
            if rests.len() < limits::READ_ALL_RESTS_MAX {
                rests.push_back(rest);
            }
        }
        let newest = found.into_iter().map(|(message, _)| message).take(limits::READ_ALL_FRAMES_MAX).collect();
        Ok(ReadAll { count, newest })
    }

    fn insert_member(&mut self, room: RoomId, user: UserId, at: Timestamp) -> Result<bool, MysqlError> {
        self.known.members.remove(&(room, user));
        if self.runtime.block_on(chat_rows::is_participant(&mut self.view, room, user))? {
            return Ok(false);
        }
        let members = [(user, "member")];
        self.runtime.block_on(new_rooms::insert_participants(&mut self.view, room, &members, at))?;
        Ok(true)
    }

    fn delete_member(&mut self, room: RoomId, user: UserId) -> Result<bool, MysqlError> {
        self.known.members.remove(&(room, user));
        self.runtime.block_on(chat_rows::delete_member(&mut self.view, room, user))
    }
}
