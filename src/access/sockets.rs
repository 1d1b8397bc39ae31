//! Counts each user's sockets on each topic; above a bound the oldest one must go.

use dashmap::{DashMap, Entry};
use smallvec::SmallVec;

use crate::ids::{SessionKey, Topic, UserId};
use crate::limits::{SOCKETS_PER_LISTENER_MAX, SOCKETS_PER_PLACE_MAX};

/// Every user's sockets over all shards, oldest first; `None` when they are not counted. Changed when a socket opens or
/// closes.
#[derive(Default)]
pub(crate) struct Sockets(Option<DashMap<(UserId, Topic), OldestFirst>>);

type OldestFirst = SmallVec<[SessionKey; 2]>;

impl Sockets {
    pub fn new(is_on: bool) -> Self {
        Self(is_on.then(DashMap::new))
    }

    /// A socket opened. Returns the oldest one if it must go; that one is no longer counted.
    pub fn came(&self, user: UserId, topic: Topic, session: SessionKey) -> Option<SessionKey> {
        let most = match topic {
            Topic::Room(_) | Topic::Post(_) => SOCKETS_PER_PLACE_MAX,
            Topic::Feed(_) | Topic::Notifications(_) | Topic::Author(_) => SOCKETS_PER_LISTENER_MAX,
        };
        let mut sockets = self.0.as_ref()?.entry((user, topic)).or_default();
        sockets.push(session);
        (sockets.len() > most).then(|| sockets.remove(0))
    }

    /// A socket closed.
    pub fn went(&self, user: UserId, topic: Topic, session: SessionKey) {
        let Some(sockets) = &self.0 else { return };
        if let Entry::Occupied(mut sockets) = sockets.entry((user, topic)) {
            sockets.get_mut().retain(|other| *other != session);
            if sockets.get().is_empty() {
                sockets.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{RoomId, ShardId};

    #[test]
    fn the_oldest_goes_and_nothing_is_left_behind() {
        let sockets = Sockets::new(true);
        let [ana, beto] = [UserId::fresh(), UserId::fresh()];
        let key = |index: usize| SessionKey { shard: ShardId(1), index: u32::try_from(index).unwrap(), generation: 0 };
        let room = Topic::Room(RoomId::fresh());
        for (topic, most) in [(room, SOCKETS_PER_PLACE_MAX), (Topic::Feed(ana), SOCKETS_PER_LISTENER_MAX)] {
            assert!((0..most).all(|index| sockets.came(ana, topic, key(index)).is_none()));
            assert_eq!(sockets.came(ana, topic, key(most)), Some(key(0)));
            sockets.went(ana, topic, key(0));
            sockets.went(ana, topic, key(2));
            assert_eq!(sockets.came(ana, topic, key(most + 1)), None, "one has left");
            assert_eq!(sockets.came(ana, topic, key(most + 2)), Some(key(1)));
            assert_eq!(sockets.came(beto, topic, key(1000)), None);
            (0..=most + 2).for_each(|index| sockets.went(ana, topic, key(index)));
            sockets.went(beto, topic, key(1000));
        }
        assert!(sockets.0.as_ref().unwrap().is_empty());
        let off = Sockets::new(false);
        assert!((0..1000).all(|index| off.came(ana, room, key(index)).is_none()));
    }
}
