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
