//! Messages that other shards' inboxes had no room for, each shard's in their order.

use std::collections::VecDeque;
use std::sync::Arc;

use super::port::{Inbox, ShardSet, ToShard};
use crate::ids::ShardId;

/// What waits until it fits. Policy: the shard reads nothing from its sockets while anything waits. Other shards' mail, new sockets
/// and the ends of sessions bring more all the same: when it is full, what may be dropped is, and new sockets are sent away.
#[derive(Debug)]
pub(super) struct Overflow {
    messages_max: usize,
    bytes_max: usize,
    /// What the messages carry.
    bytes: usize,
    waiting: VecDeque<(ShardId, ToShard)>,
    /// Shards for which something waits: what comes for them waits behind it.
    behind: ShardSet,
    /// Shards that were sent something and are still to be woken.
    asleep: ShardSet,
}

impl Overflow {
    /// Full with so many messages, or so many bytes of frames.
    pub(super) fn new(messages_max: usize, bytes_max: usize) -> Self {
        let (waiting, behind, asleep) = (VecDeque::new(), ShardSet::default(), ShardSet::default());
        Self { messages_max, bytes_max, bytes: 0, waiting, behind, asleep }
    }

    /// As much waits as may.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= self.messages_max || self.bytes >= self.bytes_max
    }

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
        let bytes = self.bytes + message.carried_bytes();
        if message.may_be_dropped() && (self.is_full() || bytes > self.bytes_max) {
            metrics::counter!("pregon_shed_total", "what" => "frames").increment(1);
            return;
        }
        self.bytes = bytes;
        self.waiting.push_back((shard, message));
    }

    /// Wakes those that were sent something.
    pub(super) fn wake(&mut self, inboxes: &[Arc<Inbox>]) {
        for shard in std::mem::take(&mut self.asleep).iter() {
            inboxes[shard.index()].wake();
        }
    }

    /// What the messages carry.
    #[cfg(test)]
    pub(super) fn carried_bytes(&self) -> usize {
        self.bytes
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
        (self.behind, self.bytes) = (ShardSet::default(), 0);
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
    use crate::engine::session::outbox::Class;
    use crate::ids::SessionKey;

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
    fn a_full_overflow_keeps_what_must_not_be_lost_and_drops_the_rest() {
        let inboxes: [Arc<Inbox>; 2] = Default::default();
        while inboxes[1].try_send(numbered(0)).is_ok() {}
        let session = SessionKey { shard: ShardId(1), index: 0, generation: 0 };
        let deliver = |class, length| ToShard::Deliver { session, frames: vec![0; length].into(), class };
        let mut overflow = Overflow::new(3, 100);
        overflow.send(&inboxes, ShardId(1), deliver(Class::Ephemeral, 90));
        overflow.send(&inboxes, ShardId(1), deliver(Class::Ephemeral, 20));
        assert_eq!((overflow.len(), overflow.bytes), (1, 90), "too many bytes");
        overflow.send(&inboxes, ShardId(1), deliver(Class::Durable, 20));
        overflow.send(&inboxes, ShardId(1), deliver(Class::Ephemeral, 0));
        assert_eq!((overflow.len(), overflow.is_full()), (2, true));
        (1..=3).for_each(|number| overflow.send(&inboxes, ShardId(1), numbered(number)));
        assert_eq!(overflow.len(), 5, "what must not be lost is kept");
        while inboxes[1].pop().is_some() {}
        assert!(overflow.retry(&inboxes) && !overflow.is_full());
        assert_eq!((inboxes[1].len(), overflow.bytes), (5, 0));
    }

    #[test]
    fn several_messages_that_did_not_fit_go_when_there_is_room_and_in_their_order() {
        let inboxes: [Arc<Inbox>; 3] = Default::default();
        let (full, free) = (ShardId(1), ShardId(2));
        while inboxes[1].try_send(numbered(0)).is_ok() {}
        let mut overflow = Overflow::new(8, 1024);
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
