//! Messages that other shards' inboxes had no room for, each shard's in their order.

use std::collections::VecDeque;
use std::sync::Arc;

use super::port::{Inbox, ShardSet, ToShard};
use crate::ids::ShardId;

/// What waits until it fits. Policy: the shard reads nothing from its sockets while anything waits.
#[derive(Debug, Default)]
pub(super) struct Overflow {
    waiting: VecDeque<(ShardId, ToShard)>,
    /// Shards for which something waits: what comes for them waits behind it.
    behind: ShardSet,
    /// Shards that were sent something and are still to be woken.
    asleep: ShardSet,
}

impl Overflow {
    /// Hands a message over, or keeps it. Never waits. [`Self::wake`] must follow, once for all that is sent in one look:
    /// where shards share a core, a wake-up for each would have them interrupt each other for each.
    pub(super) fn send(&mut self, inboxes: &[Arc<Inbox>], shard: ShardId, message: ToShard) {
        let message = if self.behind.contains(shard) {
            message
        } else {
            let sent = inboxes[shard.index()].put(message);
            self.asleep = self.asleep.with(shard);
            let Err(back) = sent else { return };
            self.behind = self.behind.with(shard);
            back
        };
        self.waiting.push_back((shard, message));
    }

    /// Wakes those that were sent something.
    pub(super) fn wake(&mut self, inboxes: &[Arc<Inbox>]) {
        for shard in std::mem::take(&mut self.asleep).iter() {
            inboxes[shard.index()].wake();
        }
    }

    /// Messages that wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Tries again what did not fit. True when nothing waits any more.
    pub(super) fn retry(&mut self, inboxes: &[Arc<Inbox>]) -> bool {
        if self.waiting.is_empty() {
            return true;
        }
        self.behind = ShardSet::default();
        for (shard, message) in std::mem::take(&mut self.waiting) {
            self.send(inboxes, shard, message);
        }
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn numbered(number: u64) -> ToShard {
        ToShard::Drain(Duration::from_secs(number))
    }

    fn number_of(message: &ToShard) -> u64 {
        match message {
            ToShard::Drain(duration) => duration.as_secs(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn several_messages_that_did_not_fit_go_when_there_is_room_and_in_their_order() {
        let inboxes: [Arc<Inbox>; 3] = Default::default();
        let (full, free) = (ShardId(1), ShardId(2));
        while inboxes[1].try_send(numbered(0)).is_ok() {}
        let mut overflow = Overflow::default();
        for number in 1..=3 {
            overflow.send(&inboxes, full, numbered(number));
            overflow.send(&inboxes, free, numbered(number));
        }
        assert_eq!(inboxes[2].len(), 3, "a full inbox holds nobody else up");
        assert!(!overflow.retry(&inboxes), "it is still full");
        drop(inboxes[1].pop());
        assert!(!overflow.retry(&inboxes), "there is room for one");
        let mut heard = Vec::new();
        while let Some(message) = inboxes[1].pop() {
            heard.push(number_of(&message));
        }
        assert_eq!(heard.last(), Some(&1), "and the first one got it");
        assert!(overflow.retry(&inboxes), "now there is room for all");
        overflow.send(&inboxes, full, numbered(4));
        let heard: Vec<u64> = std::iter::from_fn(|| inboxes[1].pop()).map(|message| number_of(&message)).collect();
        assert_eq!(heard, [2, 3, 4]);
    }
}
