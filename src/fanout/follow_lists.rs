//! Reads whom a feed's user hears, a few lists at a time, and hands each to the shard with the feed.
//!
//! Lists are remembered for a few seconds, so that tabs that come back all at once do not all ask the database. What was
//! committed before a feed opened is in the list that it gets: a committed change forgets the list before it goes to the
//! fan-out, which tells the feeds that are open by then. Where other programs write, nothing is remembered: nobody says
//! when such a list is old, and a feed would keep it for all its life.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use crate::domain::event::Committed;
use crate::domain::feed::event::FeedEvent;
use crate::engine::shard::port::{Follows, Inbox, LoadFollows, ToShard};
use crate::engine::topics::feeds::FeedKey;
use crate::ids::{ShardId, UserId};
use crate::limits::{
    ADMISSION_CACHE_SECONDS, CACHE_ENTRIES, FEED_LISTS_BYTES_MAX, FEED_LOADS_MAX, FEED_LOADS_WAITING_MAX,
};
use crate::store::{People, StoreError};
use crate::telemetry::alarm;

/// Lists that were read within the last [`ADMISSION_CACHE_SECONDS`].
pub(crate) struct Lists(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// This process alone writes them.
    is_ours: bool,
    lists: HashMap<UserId, List>,
    /// In the order in which they were read, those that were forgotten meanwhile among them.
    oldest: VecDeque<(Instant, UserId)>,
    bytes: usize,
    /// Grows with each list that is forgotten: what was read before may be old.
    changes: u64,
}

struct List {
    read_at: Instant,
    authors: Box<[UserId]>,
}

/// Taken before a list is read.
#[derive(Clone, Copy)]
struct Before {
    changes: u64,
    at: Instant,
}

impl Lists {
    /// Where `is_ours`, no other program writes what lists are made of; otherwise none is remembered.
    pub(crate) fn new(is_ours: bool) -> Self {
        Self(Mutex::new(Known { is_ours, ..Known::default() }))
    }

    /// To be called with what was committed, before the fan-out hears of it.
    pub(crate) fn committed(&self, events: &[Arc<Committed>]) {
        let mut known = None;
        for event in events {
            if let Some(FeedEvent::Relation(event)) = event.feed() {
                known.get_or_insert_with(|| self.lock()).change(event.user);
            }
        }
    }

    /// Others have changed whom the user hears.
    pub(crate) fn forget(&self, user: UserId) {
        self.lock().change(user);
    }

    fn get(&self, user: UserId, now: Instant) -> Result<Vec<UserId>, Before> {
        let known = self.lock();
        match known.lists.get(&user) {
            Some(list) if now < list.read_at + life() => Ok(list.authors.to_vec()),
            _ => Err(Before { changes: known.changes, at: now }),
        }
    }

    /// Remembers what was read, unless something was committed meanwhile that it may lack.
    fn put(&self, before: Before, user: UserId, authors: &[UserId]) {
        let mut known = self.lock();
        known.expire(before.at);
        if known.is_ours && known.changes == before.changes && bytes_of(authors) <= FEED_LISTS_BYTES_MAX {
            known.remember(before.at, user, authors);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn change(&mut self, user: UserId) {
        self.changes += 1;
        self.forget(user);
    }

    fn forget(&mut self, user: UserId) {
        if let Some(list) = self.lists.remove(&user) {
            self.bytes -= bytes_of(&list.authors);
        }
    }

    fn remember(&mut self, read_at: Instant, user: UserId, authors: &[UserId]) {
        self.forget(user);
        self.bytes += bytes_of(authors);
        self.lists.insert(user, List { read_at, authors: authors.into() });
        self.oldest.push_back((read_at, user));
        while self.bytes > FEED_LISTS_BYTES_MAX || self.oldest.len() > CACHE_ENTRIES {
            self.drop_oldest();
        }
    }

    fn expire(&mut self, now: Instant) {
        while self.oldest.front().is_some_and(|(read_at, _)| *read_at + life() <= now) {
            self.drop_oldest();
        }
    }

    /// A list that was read again since has another entry behind this one.
    fn drop_oldest(&mut self) {
        if let Some((read_at, user)) = self.oldest.pop_front()
            && self.lists.get(&user).is_some_and(|list| list.read_at == read_at)
        {
            self.forget(user);
        }
    }
}

fn life() -> Duration {
    Duration::from_secs(ADMISSION_CACHE_SECONDS.unsigned_abs())
}

/// With what a map and a queue need for each.
fn bytes_of(authors: &[UserId]) -> usize {
    size_of_val(authors) + 128
}

/// What was asked.
struct Question {
    user: UserId,
    shard: ShardId,
    feed: FeedKey,
}

/// What answering needs.
struct Reader {
    store: Arc<dyn People>,
    inboxes: Arc<[Arc<Inbox>]>,
    lists: Arc<Lists>,
}

/// Starts the reader of lists on the control runtime: what shards ask it by.
pub(crate) fn port(
    store: Arc<dyn People>,
    inboxes: Arc<[Arc<Inbox>]>,
    lists: Arc<Lists>,
    control: &Handle,
) -> LoadFollows {
    let (ask, mut asked) = mpsc::channel::<Question>(FEED_LOADS_WAITING_MAX);
    let loads = Arc::new(Semaphore::new(FEED_LOADS_MAX));
    let reader = Arc::new(Reader { store, inboxes, lists });
    control.spawn(alarm::watched("the reader of lists of authors", async move {
        loop {
            let Ok(question) = timeout(life(), asked.recv()).await else {
                // Nobody comes back any more: what is remembered is of no more use.
                reader.lists.lock().expire(Instant::now());
                continue;
            };
            let Some(question) = question else { return };
            // A list is in memory from here until its shard has worked it off.
            let Ok(permit) = Arc::clone(&loads).acquire_owned().await else { return };
            // A list that never comes would leave its feed loading, and the shard hearing everybody.
            tokio::spawn(alarm::watched(
                "the reading of a list of authors",
                answer(Arc::clone(&reader), question, permit),
            ));
        }
    }));
    Arc::new(move |user, shard, feed| ask.try_send(Question { user, shard, feed }).is_ok())
}

async fn answer(reader: Arc<Reader>, question: Question, permit: OwnedSemaphorePermit) {
    let follows = match read(&reader, question.user).await {
        Ok(authors) => Some(Follows { authors, permit }),
        Err(error) => {
            tracing::warn!(%error, "whom a user follows could not be read: the feed is told to come again");
            None
        }
    };
    let message = ToShard::Follows { feed: question.feed, follows };
    reader.inboxes[question.shard.index()].send_async(message).await;
}

async fn read(reader: &Reader, user: UserId) -> Result<Vec<UserId>, StoreError> {
    let count = |from| metrics::counter!("pregon_feed_lists_total", "from" => from).increment(1);
    match reader.lists.get(user, Instant::now()) {
        Ok(authors) => {
            count("cache");
            Ok(authors)
        }
        Err(before) => {
            count("store");
            let authors = reader.store.feed_authors(user).await?;
            reader.lists.put(before, user, &authors);
            Ok(authors)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authors(count: usize) -> Vec<UserId> {
        (0..count).map(|_| UserId::fresh()).collect()
    }

    fn before(lists: &Lists, user: UserId, now: Instant) -> Before {
        lists.get(user, now).expect_err("not remembered")
    }

    #[test]
    fn a_list_is_remembered_for_a_few_seconds() {
        let (lists, ana, now, list) = (Lists::new(true), UserId::fresh(), Instant::now(), authors(3));
        lists.put(before(&lists, ana, now), ana, &list);
        assert_eq!(lists.get(ana, now + life() / 2).ok(), Some(list));
        before(&lists, ana, now + life());
        lists.put(before(&lists, ana, now + life()), ana, &authors(1));
        let known = lists.lock();
        assert_eq!((known.oldest.len(), known.bytes), (1, bytes_of(&authors(1))));
    }

    #[test]
    fn what_others_write_is_not_remembered() {
        let (lists, ana, now) = (Lists::new(false), UserId::fresh(), Instant::now());
        lists.put(before(&lists, ana, now), ana, &authors(3));
        before(&lists, ana, now);
    }

    /// What is read while a change commits may lack it: a feed that opens behind the change must not be given it.
    #[test]
    fn a_list_that_was_read_across_a_change_is_not_remembered() {
        let (lists, ana, beto, now) = (Lists::new(true), UserId::fresh(), UserId::fresh(), Instant::now());
        let reading = before(&lists, ana, now);
        lists.lock().change(ana);
        lists.put(reading, ana, &authors(3));
        let reading = before(&lists, ana, now);
        lists.put(reading, ana, &authors(3));
        lists.put(before(&lists, beto, now), beto, &authors(2));
        assert!(lists.get(ana, now).is_ok());
        lists.lock().change(ana);
        before(&lists, ana, now);
        assert!(lists.get(beto, now).is_ok(), "somebody else's stays");
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_go() {
        let (lists, now, list) = (Lists::new(true), Instant::now(), authors(5000));
        let most = FEED_LISTS_BYTES_MAX / bytes_of(&list);
        let users = authors(most + 2);
        for (age, user) in users.iter().enumerate() {
            lists.put(before(&lists, *user, now + Duration::from_micros(age as u64)), *user, &list);
        }
        {
            let known = lists.lock();
            assert!(known.bytes <= FEED_LISTS_BYTES_MAX);
            assert_eq!((known.lists.len(), known.oldest.len()), (most, most));
        }
        before(&lists, users[1], now);
        assert!(lists.get(users[2], now).is_ok());
        lists.lock().expire(now + life() + Duration::from_secs(1));
        let known = lists.lock();
        assert_eq!((known.lists.len(), known.oldest.len(), known.bytes), (0, 0, 0));
    }
}
