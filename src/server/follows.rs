//! Reads whom a feed's user hears, a few lists at a time, and hands each to the shard with the feed.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::ids::{ShardId, UserId};
use crate::limits::{FEED_LOADS_MAX, FEED_LOADS_WAITING_MAX};
use crate::room::feeds::FeedKey;
use crate::shard::port::{Follows, Inbox, LoadFollows, ToShard};
use crate::store::Store;

/// What was asked.
struct Question {
    user: UserId,
    shard: ShardId,
    feed: FeedKey,
}

/// Starts the reader of lists on the control runtime: what shards ask it by.
pub(super) fn port(store: Arc<dyn Store>, inboxes: Arc<[Arc<Inbox>]>, control: &Handle) -> LoadFollows {
    let (ask, mut asked) = mpsc::channel::<Question>(FEED_LOADS_WAITING_MAX);
    let loads = Arc::new(Semaphore::new(FEED_LOADS_MAX));
    control.spawn(async move {
        while let Some(question) = asked.recv().await {
            // A list is in memory from here until its shard has worked it off.
            let Ok(permit) = Arc::clone(&loads).acquire_owned().await else { return };
            tokio::spawn(answer(Arc::clone(&store), Arc::clone(&inboxes), question, permit));
        }
    });
    Arc::new(move |user, shard, feed| ask.try_send(Question { user, shard, feed }).is_ok())
}

async fn answer(store: Arc<dyn Store>, inboxes: Arc<[Arc<Inbox>]>, question: Question, permit: OwnedSemaphorePermit) {
    let follows = match store.feed_authors(question.user).await {
        Ok(authors) => Some(Follows { authors, permit }),
        Err(error) => {
            tracing::warn!(%error, "whom a user follows could not be read: the feed is told to come again");
            None
        }
    };
    let mut message = ToShard::Follows { feed: question.feed, follows };
    while let Err(back) = inboxes[question.shard.index()].try_send(message) {
        message = back;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
