//! Which shards have listeners of which topic.

use dashmap::DashMap;

use crate::ids::{RoomId, ShardId, Topic};
use crate::shard::port::{Directory, ShardSet};

/// The directory of topics: touched on a topic's first join and last leave on a shard, and once per event.
#[derive(Debug, Default)]
pub struct Routes {
    topics: DashMap<Topic, ShardSet>,
}

impl Routes {
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
}

impl Directory for Routes {
    fn join(&self, topic: Topic, shard: ShardId) {
        let mut set = self.topics.entry(topic).or_default();
        *set = set.with(shard);
    }

    fn leave(&self, topic: Topic, shard: ShardId) {
        self.topics.remove_if_mut(&topic, |_, set| {
            *set = set.without(shard);
            set.is_empty()
        });
    }

    fn shards_of(&self, topic: &Topic) -> ShardSet {
        self.topics.get(topic).map(|set| *set).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
