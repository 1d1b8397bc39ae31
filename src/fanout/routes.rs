//! Which shards have listeners of which topic.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;

use crate::engine::shard::port::{Directory, ShardSet};
use crate::ids::{RoomId, ShardId, Topic, UserId};
use crate::limits::SHARDS_MAX;

/// Is called with every topic that has its first listener or lost its last, on the shard's thread: it must not block.
pub type Watch = Box<dyn Fn(Topic) + Send + Sync>;

/// The directory of topics: touched on a topic's first join and last leave on a shard, and once per event.
pub struct Routes {
    topics: DashMap<Topic, ShardSet>,
    /// How often each shard was to hear all authors.
    hear_all: [AtomicU32; SHARDS_MAX],
    watch: OnceLock<Watch>,
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Routes({} topics)", self.topics.len())
    }
}

impl Default for Routes {
    fn default() -> Self {
        let hear_all = std::array::from_fn(|_| AtomicU32::default());
        Self { topics: DashMap::new(), hear_all, watch: OnceLock::new() }
    }
}

impl Routes {
    /// From now on `watch` hears of topics that come to life or end. Only the first call counts.
    pub fn watch(&self, watch: Watch) {
        let _ = self.watch.set(watch);
    }

    /// Topics with listeners of which `is_meant` is true.
    pub fn live(&self, is_meant: impl Fn(&Topic) -> bool) -> Vec<Topic> {
        self.topics.iter().map(|entry| *entry.key()).filter(is_meant).collect()
    }

    fn tell_watch(&self, topic: Topic) {
        if let Some(watch) = self.watch.get() {
            watch(topic);
        }
    }

    /// Rooms with listeners, each with the shards that have them.
    pub fn live_rooms(&self) -> Vec<(RoomId, ShardSet)> {
        self.topics
            .iter()
            .filter_map(|entry| match *entry.key() {
                Topic::Room(room) => Some((room, *entry.value())),
                _ => None,
            })
            .collect()
    }

    /// Users with feed or notification sockets, each with the topic and the shards that have them.
    pub fn live_users(&self) -> Vec<(UserId, Topic)> {
        self.topics
            .iter()
            .filter_map(|entry| match *entry.key() {
                topic @ (Topic::Feed(user) | Topic::Notifications(user)) => Some((user, topic)),
                _ => None,
            })
            .collect()
    }

    /// Shards that are given an author's publications: those with listeners, and those that hear everybody.
    ///
    /// The latter are looked at first: a shard joins what it needs before it ceases to hear everybody, so that no order
    /// of the two looks finds neither.
    pub fn shards_of_author(&self, author: UserId) -> ShardSet {
        let hears_all = |shard: &u8| self.hear_all[usize::from(*shard)].load(Ordering::SeqCst) > 0;
        let all = (0..64).filter(hears_all).fold(ShardSet::default(), |set, shard| set.with(ShardId(shard)));
        ShardSet(all.0 | self.shards_of(&Topic::Author(author)).0)
    }
}

impl Directory for Routes {
    fn join(&self, topic: Topic, shard: ShardId) {
        let mut set = self.topics.entry(topic).or_default();
        let is_first = set.is_empty();
        *set = set.with(shard);
        drop(set);
        if is_first {
            self.tell_watch(topic);
        }
    }

    fn leave(&self, topic: Topic, shard: ShardId) {
        let ended = self.topics.remove_if_mut(&topic, |_, set| {
            *set = set.without(shard);
            set.is_empty()
        });
        if ended.is_some() {
            self.tell_watch(topic);
        }
    }

    fn shards_of(&self, topic: &Topic) -> ShardSet {
        self.topics.get(topic).map(|set| *set).unwrap_or_default()
    }

    fn hear_all(&self, shard: ShardId) {
        self.hear_all[shard.index()].fetch_add(1, Ordering::SeqCst);
    }

    fn hear_enough(&self, shard: ShardId) {
        self.hear_all[shard.index()].fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hears_everybody_hears_an_author_nobody_has_joined() {
        let (routes, ana) = (Routes::default(), UserId::fresh());
        routes.hear_all(ShardId(3));
        routes.hear_all(ShardId(3));
        routes.join(Topic::Author(ana), ShardId(63));
        assert_eq!(routes.shards_of_author(ana), ShardSet::default().with(ShardId(3)).with(ShardId(63)));
        routes.hear_enough(ShardId(3));
        assert!(routes.shards_of_author(UserId::fresh()).contains(ShardId(3)), "once more to come");
        routes.hear_enough(ShardId(3));
        assert!(routes.shards_of_author(UserId::fresh()).is_empty());
        assert!(routes.live_users().is_empty());
    }

    #[test]
    fn the_watch_hears_of_first_and_last_listeners_alone() {
        let (routes, topic) = (Routes::default(), Topic::Room(RoomId::fresh()));
        let heard = std::sync::Arc::new(AtomicU32::default());
        let count = heard.clone();
        routes.watch(Box::new(move |told| {
            assert_eq!(told, topic);
            count.fetch_add(1, Ordering::SeqCst);
        }));
        for (shard, expected) in [(0, 1), (1, 1)] {
            routes.join(topic, ShardId(shard));
            assert_eq!(heard.load(Ordering::SeqCst), expected);
        }
        assert_eq!(routes.live(|_| true), [topic]);
        for (shard, expected) in [(1, 1), (0, 2), (0, 2)] {
            routes.leave(topic, ShardId(shard));
            assert_eq!(heard.load(Ordering::SeqCst), expected);
        }
    }

    #[test]
    fn a_topic_without_listeners_leaves_nothing_behind() {
        let (routes, topic) = (Routes::default(), Topic::Room(RoomId::fresh()));
        routes.join(topic, ShardId(0));
        routes.join(topic, ShardId(5));
        routes.leave(topic, ShardId(0));
        assert_eq!(routes.shards_of(&topic), ShardSet::default().with(ShardId(5)));
        routes.leave(topic, ShardId(5));
        routes.leave(topic, ShardId(5));
        assert!(routes.shards_of(&topic).is_empty() && routes.live_rooms().is_empty());
    }
}
