//! The rows as a batch's transaction sees them, with its own changes: small queries and changes, by subject.
//!
//! The rules that use them are the same for every database. The driver ([`LaneSql`]) decides how many of them need a
//! round trip of their own.

mod chat;
mod comments;
mod notifications;
mod people;
mod posts;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use self::chat::ReadAll;
pub use self::comments::GoneComments;
pub use self::notifications::ReadNotifications;
pub use crate::store::sql::told::{Telling, Told};

use crate::clock::Timestamp;
use crate::domain::chat::write::Transport;
use crate::domain::event::{Committed, Cursor};
use crate::domain::user::UserProfile;
use crate::domain::write::Write;
use crate::ids::{RoomId, Topic, UserId};
use crate::store::sql::chat_rows::UnreadRest;
use crate::store::sql::topics::TopicState;
use crate::store::sql::{
    KEYS_MAX, Known, LaneSql, Table, ToColumn, View, chat_rows, each, marks, padded, people as accounts, topics,
};

/// A place in a topic's order, taken by one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The epoch and sequence number.
    pub cursor: Cursor,
    /// The topic's own time of that event.
    pub at: Timestamp,
    /// The topic's time before; `None` for its first event.
    pub previous: Option<Timestamp>,
}

/// A batch's transaction.
pub struct BatchRows<'a, D> {
    /// It caches nothing of users whose counters changed. After a savepoint is rolled back, its users stay among them
    /// and are read once more.
    pub view: View<'a, D>,
    /// Rows that need no query.
    known: &'a mut Known,
    rests: &'a mut VecDeque<UnreadRest>,
    /// Topics in which places were taken, in the order in which every database locks them.
    touched: BTreeSet<Topic>,
    /// Rooms with new messages, and the time of the newest one.
    active: BTreeMap<RoomId, Timestamp>,
    /// Participants who have read, and until when. Many reads of one user become one change.
    last_reads: BTreeMap<(RoomId, UserId), Timestamp>,
}

/// The state that a savepoint's rollback does not restore by itself.
pub struct Saved {
    topics: BTreeMap<Topic, TopicState>,
    active: BTreeMap<RoomId, Timestamp>,
    rests: usize,
}

impl<'a, D: LaneSql> BatchRows<'a, D> {
    /// No transaction has begun yet: queries see the committed state.
    pub fn new(view: View<'a, D>, known: &'a mut Known, rests: &'a mut VecDeque<UnreadRest>) -> Self {
        let active = BTreeMap::new();
        let last_reads = BTreeMap::new();
        Self { view, known, rests, touched: BTreeSet::new(), active, last_reads }
    }

    /// Begins the transaction, locks `topics`, and reads what `writes` will need.
    pub async fn begin(&mut self, topics: &BTreeSet<Topic>, writes: &[Write]) -> Result<(), D::Error> {
        self.view.driver.begin(topics, writes, self.known).await?;
        let is_remembered = |user: &UserId| self.view.caches.profiles.get(user, self.view.now).is_some();
        let senders: Vec<UserId> = writes.iter().map(|write| write.actor).filter(|user| !is_remembered(user)).collect();
        if senders.len() > 1 {
            accounts::profiles(&mut self.view, senders).await?;
        }
        Ok(())
    }

    /// Writes the values that change once per batch: the topics' places and the rooms' last activity.
    pub async fn finish(&mut self) -> Result<(), D::Error> {
        self.put_off_reads().await?;
        for topic in &self.touched {
            let Some(TopicState { epoch, seq, last_at }) = self.known.topics.get(topic) else { continue };
            self.view.driver.insert(Table::Topics, &[&topic.to_string(), epoch, seq, &last_at.0]).await?;
        }
        self.put_off_activity().await
    }

    /// Nearly all of a batch's rooms have one time, so they are one statement.
    async fn put_off_activity(&mut self) -> Result<(), D::Error> {
        let mut rooms: BTreeMap<Timestamp, Vec<RoomId>> = BTreeMap::new();
        for (room, at) in std::mem::take(&mut self.active) {
            rooms.entry(at).or_default().push(room);
        }
        for (at, rooms) in &rooms {
            for keys in rooms.chunks(KEYS_MAX) {
                let keys = padded(keys);
                let sql = format!("UPDATE chat_rooms SET last_activity = ? WHERE id IN ({})", marks(keys.len()));
                let values: Vec<&dyn ToColumn> = std::iter::once(at as &dyn ToColumn).chain(each(&keys)).collect();
                self.view.driver.put_off(&sql, &values).await?;
            }
        }
        Ok(())
    }

    /// Opens a savepoint; [`Self::release`] or [`Self::back_to`] ends it.
    pub async fn save(&mut self) -> Result<Saved, D::Error> {
        self.view.driver.run("SAVEPOINT one").await?;
        let topics = self.touched.iter().filter_map(|topic| Some((*topic, *self.known.topics.get(topic)?))).collect();
        Ok(Saved { topics, active: self.active.clone(), rests: self.rests.len() })
    }

    /// Keeps everything since the savepoint.
    pub async fn release(&mut self) -> Result<(), D::Error> {
        self.flush().await?;
        self.view.driver.run("RELEASE SAVEPOINT one").await
    }

    /// Undoes everything since the savepoint, including places.
    pub async fn back_to(&mut self, saved: Saved) -> Result<(), D::Error> {
        self.view.driver.forget();
        self.view.driver.run("ROLLBACK TO SAVEPOINT one").await?;
        self.view.driver.run("RELEASE SAVEPOINT one").await?;
        self.known.forget_rows();
        for topic in std::mem::take(&mut self.touched) {
            match saved.topics.get(&topic) {
                Some(state) => drop(self.known.topics.insert(topic, *state)),
                // Its row is unchanged, so it is read again when needed.
                None => drop(self.known.topics.remove(&topic)),
            }
        }
        self.touched = saved.topics.into_keys().collect();
        self.active = saved.active;
        self.last_reads.clear();
        self.rests.truncate(saved.rests);
        Ok(())
    }

    /// Writes everything deferred, so that the next statement sees it.
    async fn flush(&mut self) -> Result<(), D::Error> {
        self.put_off_reads().await?;
        self.view.driver.flush().await
    }

    async fn put_off_reads(&mut self) -> Result<(), D::Error> {
        while let Some(((room, user), at)) = self.last_reads.pop_first() {
            let sql = "UPDATE chat_participants SET last_read_at = ? WHERE chat_room_id = ? AND user_id = ? \
                AND last_read_at < ?";
            self.view.driver.put_off(sql, &[&at, &room, &user, &at]).await?;
        }
        Ok(())
    }

    async fn topic(&mut self, topic: Topic) -> Result<TopicState, D::Error> {
        if let Some(state) = self.known.topics.get(&topic) {
            return Ok(*state);
        }
        // The topic was not foretold, because the row that names it (a parent comment) was written in this batch. It is
        // locked out of order, so a deadlock is possible; the batch is then repeated.
        let state = topics::lock(&mut self.view, topic).await?;
        self.known.topics.insert(topic, state);
        Ok(state)
    }

    /// The time of the topic's next event: later than all before it.
    pub async fn next_time(&mut self, topic: Topic) -> Result<Timestamp, D::Error> {
        let state = self.topic(topic).await?;
        Ok(self.view.driver.time_after(state.last_at, self.view.now))
    }

    /// Takes the topic's next place, with the time of [`Self::next_time`].
    pub async fn take_place(&mut self, topic: Topic) -> Result<Place, D::Error> {
        let TopicState { epoch, seq, last_at } = self.topic(topic).await?;
        let seq = seq + 1;
        let at = self.view.driver.time_after(last_at, self.view.now);
        self.known.topics.insert(topic, TopicState { epoch, seq, last_at: at });
        self.touched.insert(topic);
        Ok(Place { cursor: Cursor { epoch, seq }, at, previous: (seq > 1).then_some(last_at) })
    }

    /// Writes the event's row.
    pub async fn log(&mut self, event: &Committed, transport: Transport) -> Result<(), D::Error> {
        chat_rows::insert_event(self.view.driver, event, transport).await
    }

    /// Whether the user exists and is active.
    pub async fn is_active_user(&mut self, user: UserId) -> Result<bool, D::Error> {
        Ok(accounts::account(&mut self.view, user).await?.is_some_and(|account| account.is_active))
    }

    /// The profile of a user who exists.
    pub async fn profile(&mut self, user: UserId) -> Result<Arc<UserProfile>, D::Error> {
        accounts::known_profile(&mut self.view, user).await
    }
}

/// One less of a row's count, but never below zero.
fn one_less(table: &str, column: &str) -> String {
    format!("UPDATE {table} SET {column} = CASE WHEN {column} > 0 THEN {column} - 1 ELSE 0 END WHERE id = ?")
}
