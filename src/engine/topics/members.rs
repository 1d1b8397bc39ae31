//! Who on this shard listens to which topic: dense arrays that the walk reads front to back.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::topics::chunks::OpenChunk;
use crate::engine::topics::listeners::Listeners;
use crate::ids::Topic;

/// A session's seat in a topic, kept by the session so that leaving costs no search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The topic's slot in this registry.
    pub room: u32,
    /// The session's place among the topic's members.
    pub place: u32,
}

/// A topic with listeners on this shard.
#[derive(Debug)]
pub struct LiveRoom {
    /// Which.
    pub topic: Topic,
    /// Slots of the sessions, in no order.
    pub members: Vec<u32>,
    /// Where the next frame goes.
    pub open: OpenChunk,
    /// The shards with members, this one among them; kept for chat rooms, whose shards tell each other things.
    pub listeners: Option<Arc<Listeners>>,
}

/// What leaving a topic did.
#[derive(Debug, PartialEq, Eq)]
pub enum Left {
    /// Another session took the seat: tell it so.
    Moved {
        /// That session's slot.
        session: u32,
    },
    /// Nobody had to move.
    Quietly,
    /// That was the last member: the topic is gone from this shard.
    Last,
}

/// All topics with listeners on this shard.
#[derive(Debug, Default)]
pub struct Registry {
    index: HashMap<Topic, u32>,
    rooms: slab::Slab<LiveRoom>,
}

impl Registry {
    /// Seats a session; true when it is the topic's first here.
    pub fn join(&mut self, topic: Topic, session: u32) -> (Seat, bool) {
        let rooms = &mut self.rooms;
        let mut is_first = false;
        let slot = *self.index.entry(topic).or_insert_with(|| {
            is_first = true;
            let room = LiveRoom { topic, members: Vec::new(), open: OpenChunk::default(), listeners: None };
            narrow(rooms.insert(room))
        });
        let room = &mut rooms[slot as usize];
        room.members.push(session);
        (Seat { room: slot, place: narrow(room.members.len() - 1) }, is_first)
    }

    /// Takes a session out of its seat. The last seat's session moves into the gap.
    pub fn leave(&mut self, seat: Seat) -> Left {
        let room = &mut self.rooms[seat.room as usize];
        room.members.swap_remove(seat.place as usize);
        if let Some(&moved) = room.members.get(seat.place as usize) {
            return Left::Moved { session: moved };
        }
        if room.members.is_empty() {
            let room = self.rooms.remove(seat.room as usize);
            self.index.remove(&room.topic);
            return Left::Last;
        }
        Left::Quietly
    }

    /// The slot of a topic that has members here.
    pub fn slot(&self, topic: &Topic) -> Option<u32> {
        self.index.get(topic).copied()
    }

    /// A live room by slot; the slot comes from a seat or from [`Self::slot`].
    pub fn room(&self, slot: u32) -> &LiveRoom {
        &self.rooms[slot as usize]
    }

    /// As [`Self::room`], to append to it.
    pub fn room_mut(&mut self, slot: u32) -> &mut LiveRoom {
        &mut self.rooms[slot as usize]
    }

    /// Has the slot's topic members here?
    pub fn contains(&self, slot: u32) -> bool {
        self.rooms.contains(slot as usize)
    }

    /// Topics with members here, of some slots, and the slot to go on from; `None` when these are the last.
    pub fn some(&self, from: u32, slots: u32) -> (impl Iterator<Item = Topic>, Option<u32>) {
        let end = from.saturating_add(slots);
        let topics = (from..end).filter_map(|slot| self.rooms.get(slot as usize)).map(|room| room.topic);
        (topics, Some(end).filter(|end| (*end as usize) < self.rooms.capacity()))
    }

    /// Topics with members here.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Members of all topics.
    #[cfg(any(test, debug_assertions))]
    pub fn seats(&self) -> usize {
        self.rooms.iter().map(|(_, room)| room.members.len()).sum()
    }

    /// No topic has members here.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }
}

/// Sessions and topics of a shard number far fewer than 2^32: open files are.
#[expect(clippy::cast_possible_truncation, reason = "bounded by open files, checked in debug builds")]
fn narrow(index: usize) -> u32 {
    debug_assert!(u32::try_from(index).is_ok());
    index as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RoomId;

    #[test]
    fn a_seat_that_falls_free_goes_to_the_last_member() {
        let topic = Topic::Room(RoomId::fresh());
        let mut registry = Registry::default();
        let (first, is_first) = registry.join(topic, 7);
        assert!(is_first);
        let (second, is_first) = registry.join(topic, 8);
        assert!(!is_first);
        assert_eq!(second, Seat { room: first.room, place: 1 });
        assert_eq!(registry.leave(first), Left::Moved { session: 8 });
        assert_eq!(registry.leave(first), Left::Last, "8 sits in the first seat now");
        assert_eq!(registry.slot(&topic), None);
        assert!(registry.is_empty());
    }
}
