//! Asks all shards who listens to what, a few slots at a time, so that no shard is held up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::port::{GiveAway, Given, Heard, Inbox, Kind, Meant, Order, Readers, ShardSet, ToShard};
use crate::domain::operator::{Place, Row, Verb, Whose};
use crate::ids::{ShardId, Topic, UserId};
use crate::limits::LISTED_SESSIONS_MAX;

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

/// The sessions that an operator means: how many in all, a bounded list of them, and where the list goes on if it has no room for
/// all.
pub async fn meant(inboxes: &[Arc<Inbox>], whose: Whose, verb: Verb) -> (u64, Vec<Row>, Option<Place>) {
    let listed_from = if let Verb::List(from) = verb { from } else { Place::default() };
    let verb = Arc::new(verb);
    let (mut count, mut rows, mut left_out) = (0, Vec::new(), None);
    for (shard, inbox) in (0_u8..).zip(inboxes) {
        // Those before the list are counted all the same.
        let rows_from = match shard.cmp(&listed_from.shard) {
            std::cmp::Ordering::Less => u32::MAX,
            std::cmp::Ordering::Equal => listed_from.slot,
            std::cmp::Ordering::Greater => 0,
        };
        let mut from = Some(0);
        while let Some(slot) = from {
            let rows_max = if left_out.is_none() { LISTED_SESSIONS_MAX.saturating_sub(rows.len()) } else { 0 };
            let (answer, answered) = oneshot::channel();
            let asked = Order { whose, verb: verb.clone(), from: slot, rows_from, rows_max, answer };
            inbox.send_async(ToShard::Order(Box::new(asked))).await;
            // A shard that has ended has no sessions.
            let Ok(Meant { count: some, rows: more, left_out: first, next }) = answered.await else { break };
            count += some;
            rows.extend(more);
            left_out = left_out.or(first.map(|slot| Place { shard, slot }));
            from = next;
        }
    }
    (count, rows, left_out)
}

/// Has so many clients of a shard move elsewhere, in this time. Returns how many were told.
pub async fn given_away(inbox: &Inbox, of: usize, window: Duration, age_min: Duration) -> usize {
    let (mut rank, mut from) = (0, Some(0));
    while let Some(slot) = from.filter(|_| rank < of) {
        let (answer, answered) = oneshot::channel();
        inbox.send_async(ToShard::GiveAway(GiveAway { from: slot, rank, of, window, age_min }, answer)).await;
        let Ok(Given { count, next }) = answered.await else { break };
        rank += count;
        from = next;
    }
    rank
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
