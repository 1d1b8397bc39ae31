//! Counts each user's sockets on each topic; above a bound the oldest one must go.

use std::hash::{BuildHasher, RandomState};

use dashmap::{DashMap, Entry};

use crate::ids::{SessionKey, Topic, UserId};
use crate::limits::{SOCKETS_PER_LISTENER_MAX, SOCKETS_PER_PLACE_MAX};

/// Every user's sockets over all shards, oldest first; `None` when they are not counted. Changed when a socket opens or
/// closes.
pub(crate) struct Sockets(Option<Counted>);

struct Counted {
    sockets: DashMap<Place, OldestFirst>,
    /// Random in each process, so that nobody can choose a user and a topic whose hash another pair has.
    keys: RandomState,
}

/// A hash of a user and a topic. Every socket has one, and it is a sixth as long as the two. Of a million places two share
/// one in one process of thirty million; then the two have the bound of one.
type Place = u64;

/// One user's sockets on one topic. Nearly all have one.
#[expect(clippy::box_collection, reason = "nearly all have one, and pay for no more")]
enum OldestFirst {
    One(SessionKey),
    More(Box<Vec<SessionKey>>),
}

// Every socket has both.
const _: () = assert!(size_of::<(Place, OldestFirst)>() <= 24);

impl Sockets {
    pub fn new(is_on: bool) -> Self {
        let counted = || Counted { sockets: DashMap::new(), keys: RandomState::new() };
        Self(is_on.then(counted))
    }

    /// A socket opened. Returns the oldest one if it must go; that one is no longer counted.
    pub fn came(&self, user: UserId, topic: Topic, session: SessionKey) -> Option<SessionKey> {
        let most = match topic {
            Topic::Room(_) | Topic::Post(_) => SOCKETS_PER_PLACE_MAX,
            Topic::Feed(_) | Topic::Notifications(_) | Topic::Author(_) => SOCKETS_PER_LISTENER_MAX,
        };
        let counted = self.0.as_ref()?;
        match counted.sockets.entry(counted.place(user, topic)) {
            Entry::Vacant(vacant) => {
                vacant.insert(OldestFirst::One(session));
                None
            }
            Entry::Occupied(mut known) => {
                let all = known.get_mut().all();
                all.push(session);
                (all.len() > most).then(|| all.remove(0))
            }
        }
    }

    /// A socket closed.
    pub fn went(&self, user: UserId, topic: Topic, session: SessionKey) {
        let Some(counted) = &self.0 else { return };
        if let Entry::Occupied(mut known) = counted.sockets.entry(counted.place(user, topic)) {
            let was_last = match known.get_mut() {
                OldestFirst::One(only) => *only == session,
                OldestFirst::More(all) => {
                    all.retain(|other| *other != session);
                    all.is_empty()
                }
            };
            if was_last {
                known.remove();
            }
        }
    }
}

impl Counted {
    fn place(&self, user: UserId, topic: Topic) -> Place {
        self.keys.hash_one((user, topic))
    }
}

impl OldestFirst {
    /// All of them, in a form that takes more.
    fn all(&mut self) -> &mut Vec<SessionKey> {
        if let Self::One(only) = *self {
            *self = Self::More(Box::new(vec![only]));
        }
        match self {
            Self::More(all) => all,
            Self::One(_) => unreachable!("there is more than one now"),
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
        assert!(sockets.0.as_ref().unwrap().sockets.is_empty());
        let off = Sockets::new(false);
        assert!((0..1000).all(|index| off.came(ana, room, key(index)).is_none()));
    }
}
