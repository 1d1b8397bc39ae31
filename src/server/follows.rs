//! Reads whom a feed's user hears, a few lists at a time, and hands each to the shard with the feed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{MissedTickBehavior, interval};

use crate::fanout::routes::Routes;
use crate::ids::{ShardId, Topic, UserId};
use crate::limits::{FEED_LOADS_MAX, FEED_LOADS_WAITING_MAX, FOLLOWS_SWEEP, FOLLOWS_SWEEP_USERS_MAX};
use crate::room::feeds::FeedKey;
use crate::shard::port::{Directory, Follows, Inbox, LoadFollows, ToShard};
use crate::store::beside::{Beside, HearingMark};
use crate::store::{Store, StoreError};

/// What was asked.
struct Question {
    user: UserId,
    shard: ShardId,
    feed: FeedKey,
}

/// All that reading lists needs.
pub(super) struct Lists {
    store: Arc<dyn Store>,
    inboxes: Arc<[Arc<Inbox>]>,
    loads: Arc<Semaphore>,
    /// Beside a program that follows and befriends past us: what its rows said before a list was read.
    beside: Option<Arc<dyn Beside>>,
    marks: Mutex<HashMap<UserId, HearingMark>>,
}

impl Lists {
    pub(super) fn new(store: Arc<dyn Store>, inboxes: Arc<[Arc<Inbox>]>, beside: Option<Arc<dyn Beside>>) -> Arc<Self> {
        let loads = Arc::new(Semaphore::new(FEED_LOADS_MAX));
        Arc::new(Self { store, inboxes, loads, beside, marks: Mutex::default() })
    }

    async fn answer(&self, question: Question, permit: OwnedSemaphorePermit) {
        if let Err(error) = self.mark(question.user).await {
            tracing::warn!(%error, "whom a user follows could not be marked: what others change of it may come late");
        }
        let follows = match self.store.feed_authors(question.user).await {
            Ok(authors) => Some(Follows { authors, permit }),
            Err(error) => {
                tracing::warn!(%error, "whom a user follows could not be read: the feed is told to come again");
                None
            }
        };
        self.tell(question.shard, ToShard::Follows { feed: question.feed, follows }).await;
    }

    /// Before the list is read: whatever changes after this, the sweep finds.
    async fn mark(&self, user: UserId) -> Result<(), StoreError> {
        let Some(beside) = &self.beside else { return Ok(()) };
        let mark = beside.hearing_marks(&[user]).await?.first().map_or_else(HearingMark::default, |(_, mark)| *mark);
        self.lock().insert(user, mark);
        Ok(())
    }

    async fn tell(&self, shard: ShardId, mut message: ToShard) {
        while let Err(back) = self.inboxes[shard.index()].try_send(message) {
            message = back;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Looks whether others have changed whom users with open feeds hear, and reads those lists anew.
    pub(super) async fn sweep(self: Arc<Self>, beside: Arc<dyn Beside>, routes: Arc<Routes>) {
        let mut ticks = interval(FOLLOWS_SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let live = routes.live(|topic| matches!(topic, Topic::Feed(_)));
            let users: Vec<UserId> = live
                .iter()
                .filter_map(|topic| if let Topic::Feed(user) = topic { Some(*user) } else { None })
                .collect();
            let all: HashSet<UserId> = users.iter().copied().collect();
            self.lock().retain(|user, _| all.contains(user));
            for users in users.chunks(FOLLOWS_SWEEP_USERS_MAX) {
                if let Err(error) = self.look(&*beside, &routes, users).await {
                    tracing::warn!(%error, "whom users follow could not be looked at");
                }
            }
        }
    }

    async fn look(&self, beside: &dyn Beside, routes: &Routes, users: &[UserId]) -> Result<(), StoreError> {
        let found: HashMap<UserId, HearingMark> = beside.hearing_marks(users).await?.into_iter().collect();
        for &user in users {
            let mark = found.get(&user).copied().unwrap_or_default();
            // Who is not marked yet will be, before the first list is read.
            if self.lock().get(&user).is_none_or(|known| *known == mark) {
                continue;
            }
            for shard in routes.shards_of(&Topic::Feed(user)).iter() {
                let Ok(permit) = Arc::clone(&self.loads).acquire_owned().await else { return Ok(()) };
                let authors = self.store.feed_authors(user).await?;
                self.tell(shard, ToShard::Refollow { user, follows: Follows { authors, permit } }).await;
            }
            self.lock().insert(user, mark);
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<UserId, HearingMark>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the reader of lists on the control runtime: what shards ask it by.
pub(super) fn port(lists: Arc<Lists>, control: &Handle) -> LoadFollows {
    let (ask, mut asked) = mpsc::channel::<Question>(FEED_LOADS_WAITING_MAX);
    control.spawn(async move {
        while let Some(question) = asked.recv().await {
            // A list is in memory from here until its shard has worked it off.
            let Ok(permit) = Arc::clone(&lists.loads).acquire_owned().await else { return };
            let lists = Arc::clone(&lists);
            tokio::spawn(async move { lists.answer(question, permit).await });
        }
    });
    Arc::new(move |user, shard, feed| ask.try_send(Question { user, shard, feed }).is_ok())
}
