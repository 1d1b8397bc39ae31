//! Which groups need joining: shards note topics that changed, and the listener of the channel layer asks whether these
//! have listeners now.

use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;
use tokio::sync::Notify;

use crate::django::channels::Group;
use crate::ids::Topic;
use crate::limits::CHANNEL_CHANGES_MAX;

/// A topic's group, if Django publishes to one.
pub fn group_of(topic: Topic) -> Option<Group> {
    match topic {
        Topic::Author(user) => Some(Group::Feed(user)),
        Topic::Post(post) => Some(Group::Post(post)),
        Topic::Room(_) | Topic::Feed(_) | Topic::Notifications(_) => None,
    }
}

/// A group's topic.
pub fn topic_of(group: Group) -> Topic {
    match group {
        Group::Feed(user) => Topic::Author(user),
        Group::Post(post) => Topic::Post(post),
    }
}

/// The topics that changed since the listener last asked.
#[derive(Debug)]
pub struct Changes {
    topics: ArrayQueue<Topic>,
    /// More topics changed than the queue holds.
    has_overflown: AtomicBool,
    /// The listener was woken, and has not taken the changes yet.
    is_told: AtomicBool,
    told: Notify,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            topics: ArrayQueue::new(CHANNEL_CHANGES_MAX),
            has_overflown: AtomicBool::new(true),
            is_told: AtomicBool::new(false),
            told: Notify::new(),
        }
    }
}

impl Changes {
    /// Notes that a topic got its first listener or lost its last. Never blocks.
    pub fn note(&self, topic: Topic) {
        if group_of(topic).is_none() {
            return;
        }
        if self.topics.push(topic).is_err() {
            self.has_overflown.store(true, Ordering::SeqCst);
        }
        if !self.is_told.swap(true, Ordering::SeqCst) {
            self.told.notify_one();
        }
    }

    /// Ready when something has changed.
    pub async fn wait(&self) {
        self.told.notified().await;
    }

    /// Takes the topics that changed. `None` means that all topics are to be looked through. The caller asks for the
    /// state of each topic after this call, not before.
    pub fn take(&self) -> Option<Vec<Topic>> {
        self.is_told.store(false, Ordering::SeqCst);
        let changed: Vec<Topic> = std::iter::from_fn(|| self.topics.pop()).take(CHANNEL_CHANGES_MAX).collect();
        (!self.has_overflown.swap(false, Ordering::SeqCst)).then_some(changed)
    }

    /// Makes the next [`Self::take`] ask for all topics, after a time in which the listener did not ask.
    pub fn forget(&self) {
        self.has_overflown.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PostId, RoomId, UserId};

    #[tokio::test]
    async fn changes_are_told_once_and_too_many_become_all() {
        let changes = Changes::default();
        assert_eq!(changes.take(), None, "nobody has asked before");
        changes.note(Topic::Room(RoomId::fresh()));
        let (author, post) = (Topic::Author(UserId::fresh()), Topic::Post(PostId::fresh()));
        changes.note(author);
        changes.note(post);
        changes.wait().await;
        assert_eq!(changes.take(), Some(vec![author, post]));
        for _ in 0..=CHANNEL_CHANGES_MAX {
            changes.note(author);
        }
        changes.wait().await;
        assert_eq!(changes.take(), None);
        assert_eq!(changes.take(), Some(Vec::new()));
        for topic in [author, post] {
            assert_eq!(group_of(topic).map(topic_of), Some(topic));
        }
    }
}
