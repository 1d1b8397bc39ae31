//! Messages for which other shards' inboxes had no room, in order for each shard.

use std::collections::VecDeque;
use std::sync::Arc;

use super::port::{Inbox, ShardSet, ToShard};
use crate::ids::ShardId;

/// Messages that wait until they fit. Policy: while anything waits, the shard reads nothing from its sockets. Mail of
/// other shards, new sockets and ends of sessions still bring more. So when the overflow is full, messages that may be
/// dropped are dropped, and new sockets are sent away.
#[derive(Debug)]
pub(super) struct Overflow {
    messages_max: usize,
    bytes_max: usize,
    /// The bytes that the messages carry.
    bytes: usize,
    waiting: VecDeque<(ShardId, ToShard)>,
    /// Shards for which a message waits: further messages for them wait behind it.
    behind: ShardSet,
    /// Shards that were sent a message and have not been woken yet.
    asleep: ShardSet,
}

impl Overflow {
    /// An overflow that is full with so many messages, or with so many bytes of frames.
    pub(super) fn new(messages_max: usize, bytes_max: usize) -> Self {
        let (waiting, behind, asleep) = (VecDeque::new(), ShardSet::default(), ShardSet::default());
        Self { messages_max, bytes_max, bytes: 0, waiting, behind, asleep }
    }

    /// True if no more may wait than waits already.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= self.messages_max || self.bytes >= self.bytes_max
    }

    /// Hands a message over, or keeps it. Never waits. The caller calls [`Self::wake`] afterwards, once for everything
    /// that one look sends: shards that share a core would otherwise interrupt each other for each message.
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
        let is_too_much = self.is_full() || self.bytes + message.carried_bytes() > self.bytes_max;
        let message = if message.is_passing() && is_too_much {
            metrics::counter!("pregon_shed_total", "what" => "frames").increment(1);
            message.without_what_is_passing()
        } else {
            Some(message)
        };
        self.bytes += message.as_ref().map_or(0, ToShard::carried_bytes);
        self.waiting.extend(message.map(|message| (shard, message)));
    }

    /// Wakes the shards that were sent a message.
    pub(super) fn wake(&mut self, inboxes: &[Arc<Inbox>]) {
        for shard in std::mem::take(&mut self.asleep).iter() {
            inboxes[shard.index()].wake();
        }
    }

    /// What the messages carry.
    pub(super) fn carried_bytes(&self) -> usize {
        self.bytes
    }

    /// How many messages wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Tries again to hand over the messages that wait. True if none waits any more.
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
