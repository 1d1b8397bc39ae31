//! Reads the list of authors that a feed's user hears, a few lists at a time, and hands each list to the feed's shard.
//!
//! Lists are remembered for a few seconds, so that tabs that reconnect all at once do not all ask the database. A
//! feed's list always contains every change that was committed before the feed opened: the change removes the list from
//! this memory before the fan-out hears of it, and the fan-out tells the feeds that are open by then. Where other
//! programs write the follows, no list is remembered: nobody would tell pregon that a list is old, and a feed would
//! keep the old list for as long as it lives.

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
    /// No other program writes the rows that lists are made of.
    is_ours: bool,
    lists: HashMap<UserId, List>,
    /// All lists in the order in which they were read, including those that were forgotten since.
    oldest: VecDeque<(Instant, UserId)>,
    bytes: usize,
    /// Grows whenever a list is forgotten. A list whose reading began at a smaller number may be old.
    changes: u64,
}

struct List {
    read_at: Instant,
    authors: Box<[UserId]>,
}

/// The state of the memory before a list is read from the store.
#[derive(Clone, Copy)]
struct Before {
    changes: u64,
    at: Instant,
}

impl Lists {
    /// If `is_ours` is false, other programs write the rows that lists are made of, and no list is remembered.
    pub(crate) fn new(is_ours: bool) -> Self {
        Self(Mutex::new(Known { is_ours, ..Known::default() }))
    }

    /// The store's callers give it each batch of committed events before the fan-out hears of the batch.
    pub(crate) fn committed(&self, events: &[Arc<Committed>]) {
        let mut known = None;
        for event in events {
            if let Some(FeedEvent::Relation(event)) = event.feed() {
                known.get_or_insert_with(|| self.lock()).change(event.user);
            }
        }
    }

    /// Forgets a user's list because another program changed whom the user hears.
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

    /// Remembers a list, unless a change was committed while it was read: the list may lack that change.
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

    /// If the list was read again since, the newer reading has an entry of its own further back.
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

/// The bytes of a list, with 128 for its entries in the map and the queue.
fn bytes_of(authors: &[UserId]) -> usize {
    size_of_val(authors) + 128
}

/// A shard's question: whom does the user of this feed hear?
struct Question {
    user: UserId,
    shard: ShardId,
    feed: FeedKey,
}

/// What is needed to answer questions.
struct Reader {
    store: Arc<dyn People>,
    inboxes: Arc<[Arc<Inbox>]>,
    lists: Arc<Lists>,
}

/// Starts the reader of lists on the control runtime, and returns the function by which shards ask it.
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
                // Nobody asks any more, so nobody else would remove lists that have grown old.
                reader.lists.lock().expire(Instant::now());
                continue;
            };
            let Some(question) = question else { return };
            // The permit goes with the list: it counts as in memory until its shard has worked it off.
            let Ok(permit) = Arc::clone(&loads).acquire_owned().await else { return };
            // Watched: if this task died, the feed would load for ever, and its shard would hear all authors.
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

    /// A list that is read while a change commits may lack the change: a feed that opens after the change must not get
    /// it.
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
