//! Counts each user's sockets, on each topic and in all; above a bound the oldest one must go. Also knows who has any.

use std::hash::{BuildHasher, RandomState};

use dashmap::{DashMap, Entry};

use crate::ids::{SessionKey, ShardId, Topic, UserId};
use crate::limits::{SOCKETS_PER_LISTENER_MAX, SOCKETS_PER_PLACE_MAX};

/// Every user's sockets over all shards; `None` when they are not counted. Changed when a socket opens or closes.
pub(crate) struct Sockets(Option<Counted>);

struct Counted {
    /// By a hash of the user. Of a million users two share one in one process of thirty million; then the two have the
    /// bounds of one.
    users: DashMap<u64, OldestFirst>,
    /// Random in each process, so that nobody can choose a user or a topic whose hash another one has.
    keys: RandomState,
    /// Sockets of one user; `None`: as many as they like.
    most: Option<usize>,
}

/// One socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Socket {
    shard: ShardId,
    /// A part of a hash of its topic. A user with a hundred topics in one process of three thousand has two that share it.
    topic: [u8; 3],
    index: u32,
    generation: u32,
}

/// One user's sockets, oldest first. Many users have one.
#[expect(clippy::box_collection, reason = "many have one, and pay for no more")]
enum OldestFirst {
    One(Socket),
    More(Box<Vec<Socket>>),
}

// Every user has both.
const _: () = assert!(size_of::<(u64, OldestFirst)>() <= 24);

/// A socket that must go for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Oldest {
    pub session: SessionKey,
    /// Which bound was reached: that of all sockets of the user, or that of the topic.
    pub is_of_all: bool,
}

impl Sockets {
    /// A user may have `most` sockets if `is_bounded`. They are not counted if they are not bounded and nobody `is_asked`.
    pub fn new(is_bounded: bool, is_asked: bool, most: usize) -> Self {
        let most = is_bounded.then_some(most);
        let counted = || Counted { users: DashMap::new(), keys: RandomState::new(), most };
        Self((is_bounded || is_asked).then(counted))
    }

    /// Whether a user has a socket. False if they are not counted.
    pub fn has(&self, user: UserId) -> bool {
        self.0.as_ref().is_some_and(|counted| counted.users.contains_key(&counted.keys.hash_one(user)))
    }

    /// A socket opened. Returns the oldest one if it must go; that one is no longer counted.
    pub fn came(&self, user: UserId, topic: Topic, session: SessionKey) -> Option<Oldest> {
        let most = match topic {
            Topic::Room(_) | Topic::Post(_) => SOCKETS_PER_PLACE_MAX,
            Topic::Feed(_) | Topic::Notifications(_) | Topic::Author(_) => SOCKETS_PER_LISTENER_MAX,
        };
        let counted = self.0.as_ref()?;
        let socket = counted.socket(topic, session);
        match counted.users.entry(counted.keys.hash_one(user)) {
            Entry::Vacant(vacant) => {
                vacant.insert(OldestFirst::One(socket));
                None
            }
            Entry::Occupied(mut known) => {
                let all = known.get_mut().all();
                all.push(socket);
                let of_all = counted.most?;
                let is_beside = |other: &Socket| other.topic == socket.topic;
                let oldest = if all.iter().filter(|other| is_beside(other)).count() > most {
                    all.iter().position(is_beside).map(|place| (place, false))
                } else {
                    (all.len() > of_all).then_some((0, true))
                };
                oldest.map(|(place, is_of_all)| Oldest { session: all.remove(place).session(), is_of_all })
            }
        }
    }

    /// A socket closed.
    pub fn went(&self, user: UserId, topic: Topic, session: SessionKey) {
        let Some(counted) = &self.0 else { return };
        let socket = counted.socket(topic, session);
        if let Entry::Occupied(mut known) = counted.users.entry(counted.keys.hash_one(user)) {
            let was_last = match known.get_mut() {
                OldestFirst::One(only) => *only == socket,
                OldestFirst::More(all) => {
                    all.retain(|other| *other != socket);
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
    fn socket(&self, topic: Topic, session: SessionKey) -> Socket {
        let [one, two, three, ..] = self.keys.hash_one(topic).to_le_bytes();
        let SessionKey { shard, index, generation } = session;
        Socket { shard, topic: [one, two, three], index, generation }
    }
}

impl Socket {
    fn session(self) -> SessionKey {
        SessionKey { shard: self.shard, index: self.index, generation: self.generation }
    }
}

impl OldestFirst {
    /// All of them, in a form that takes more.
    fn all(&mut self) -> &mut Vec<Socket> {
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
        let sockets = Sockets::new(true, false, 1000);
        let [ana, beto] = [UserId::fresh(), UserId::fresh()];
        let key = |index: usize| SessionKey { shard: ShardId(1), index: u32::try_from(index).unwrap(), generation: 0 };
        let room = Topic::Room(RoomId::fresh());
        for (topic, most) in [(room, SOCKETS_PER_PLACE_MAX), (Topic::Feed(ana), SOCKETS_PER_LISTENER_MAX)] {
            assert!((0..most).all(|index| sockets.came(ana, topic, key(index)).is_none()));
            assert_eq!(sockets.came(ana, topic, key(most)), Some(Oldest { session: key(0), is_of_all: false }));
            sockets.went(ana, topic, key(0));
            sockets.went(ana, topic, key(2));
            assert_eq!(sockets.came(ana, topic, key(most + 1)), None, "one has left");
            assert_eq!(sockets.came(ana, topic, key(most + 2)), Some(Oldest { session: key(1), is_of_all: false }));
            assert_eq!(sockets.came(beto, topic, key(1000)), None);
            (0..=most + 2).for_each(|index| sockets.went(ana, topic, key(index)));
            sockets.went(beto, topic, key(1000));
        }
        assert!(sockets.0.as_ref().unwrap().users.is_empty());
        let off = Sockets::new(false, false, 1);
        assert!((0..1000).all(|index| off.came(ana, room, key(index)).is_none()));
    }

    #[test]
    fn who_has_a_socket_is_known_also_where_nothing_is_bounded() {
        let [ana, beto] = [UserId::fresh(), UserId::fresh()];
        let key = |index: u32| SessionKey { shard: ShardId(1), index, generation: 0 };
        for is_bounded in [false, true] {
            let sockets = Sockets::new(is_bounded, true, 100);
            let room = Topic::Room(RoomId::fresh());
            assert!(!sockets.has(ana));
            sockets.came(ana, room, key(1));
            sockets.came(ana, room, key(2));
            sockets.went(ana, room, key(1));
            assert!(sockets.has(ana) && !sockets.has(beto));
            sockets.went(ana, room, key(2));
            assert!(!sockets.has(ana));
        }
        let many = Sockets::new(false, true, 1);
        assert!((0..1000).all(|index| many.came(ana, Topic::Feed(ana), key(index)).is_none()), "nothing is bounded");
    }

    #[test]
    fn of_all_that_a_user_has_the_oldest_goes_wherever_it_listens() {
        let sockets = Sockets::new(true, false, 20);
        let [ana, beto] = [UserId::fresh(), UserId::fresh()];
        let key = |index: u32| SessionKey { shard: ShardId(2), index, generation: 7 };
        let rooms: Vec<Topic> = (0..30).map(|_| Topic::Room(RoomId::fresh())).collect();
        for (index, room) in (0..20).zip(&rooms) {
            assert_eq!(sockets.came(ana, *room, key(index)), None);
            assert_eq!(sockets.came(beto, *room, key(100 + index)), None, "others have their own");
        }
        for (index, room) in (20..30).zip(&rooms[20..]) {
            assert_eq!(
                sockets.came(ana, *room, key(index)),
                Some(Oldest { session: key(index - 20), is_of_all: true })
            );
        }
        // Those that went for others are told to go later.
        (0..30).zip(&rooms).for_each(|(index, room)| sockets.went(ana, *room, key(index)));
        (0..20).zip(&rooms).for_each(|(index, room)| sockets.went(beto, *room, key(100 + index)));
        assert!(sockets.0.as_ref().unwrap().users.is_empty());
    }
}
