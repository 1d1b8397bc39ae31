//! Asks all shards who listens to what, a few slots at a time, so that no shard is held up.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::port::{Heard, Inbox, Kind, Readers, ShardSet, ToShard};
use crate::ids::{ShardId, Topic, UserId};

/// The topics of these kinds that have listeners, and the shards of each. A topic to which somebody listened all the
/// time on one shard is among them. A topic whose listeners moved between shards meanwhile may be missing.
pub async fn heard(inboxes: &[Arc<Inbox>], kinds: &[Kind]) -> Vec<(Topic, ShardSet)> {
    let mut found = Vec::new();
    for (shard, inbox) in (0..).zip(inboxes) {
        let here = ShardSet::default().with(ShardId(shard));
        for &kind in kinds {
            let ask = |from, answer| ToShard::Heard { kind, from, answer };
            let take = |Heard { topics, next }| {
                found.extend(topics.into_iter().map(|topic| (topic, here)));
                next
            };
            ask_all(inbox, ask, take).await;
        }
    }
    found.sort_unstable_by_key(|(topic, _)| *topic);
    found.dedup_by(|(topic, more), (kept, shards)| {
        let is_same = topic == kept;
        if is_same {
            *shards = ShardSet(shards.0 | more.0);
        }
        is_same
    });
    found
}

/// Users with sockets that do not chat, and the topic of each socket; each pair once.
pub async fn readers(inboxes: &[Arc<Inbox>]) -> Vec<(UserId, Topic)> {
    let mut found = Vec::new();
    for inbox in inboxes {
        let ask = |from, answer| ToShard::Readers { from, answer };
        let take = |Readers { users, next }| {
            found.extend(users);
            next
        };
        ask_all(inbox, ask, take).await;
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Asks a shard about its slots, part by part. A shard that has ended does not answer, and has no sessions.
async fn ask_all<T>(
    inbox: &Inbox,
    ask: impl Fn(u32, oneshot::Sender<T>) -> ToShard,
    mut take: impl FnMut(T) -> Option<u32>,
) {
    let mut from = Some(0);
    while let Some(slot) = from {
        let (answer, answered) = oneshot::channel();
        inbox.send_async(ask(slot, answer)).await;
        let Ok(answer) = answered.await else { return };
        from = take(answer);
    }
}
