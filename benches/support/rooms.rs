//! A room whose members have outboxes: a shard's work on an event, without its sockets.

use pregon::engine::session::outbox::{Class, Outbox, Slices};
use pregon::engine::topics::chunks::Arena;
use pregon::engine::topics::members::{Member, Registry, Seat};
use pregon::ids::{RoomId, Topic};
use pregon::limits::STRETCH_VISITS_MIN;
use pregon::protocol::form::Form;
use uuid::Uuid;

/// Topics with ids that look random and are the same in each run.
pub fn topic(number: u64) -> Topic {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Topic::Room(RoomId(Uuid::from_u64_pair(mixed, mixed.rotate_left(29))))
}

/// One room and its members' outboxes.
pub struct Room {
    arena: Arena,
    registry: Registry,
    outboxes: Vec<Outbox>,
    room: u32,
}

impl Room {
    /// A room of `members` sessions with empty outboxes.
    pub fn of(members: u32) -> Self {
        let mut registry = Registry::default();
        let mut room = 0;
        for member in 0..members {
            room = registry.join(topic(0), Member::first_of(member, Form::default())).0.slot;
        }
        let outboxes = (0..members).map(|_| Outbox::default()).collect();
        Self { arena: Arena::default(), registry, outboxes, room }
    }

    /// Appends the frame to the room's chunk and gives each member its range.
    pub fn publish(&mut self, frame: &[u8]) {
        let room = self.registry.live_mut(self.room);
        let mut open = room.open(Form::default());
        let mut appended = self.arena.append(&mut open, frame);
        room.set_open(Form::default(), open);
        for &member in &room.members {
            self.outboxes[member.session as usize].push(&mut appended, Class::Ephemeral);
        }
    }

    /// Visits each member as if its socket took everything. Returns the number of bytes taken.
    pub fn walk(&mut self) -> usize {
        let mut bytes = 0;
        for stretch in self.outboxes.chunks_mut(STRETCH_VISITS_MIN) {
            for outbox in stretch {
                let mut slices = Slices::new();
                let wanted = outbox.slices(&self.arena, &mut slices).unwrap_or(0);
                drop(slices);
                outbox.took(&mut self.arena, wanted);
                bytes += wanted;
            }
        }
        bytes
    }
}

/// A registry of `rooms` rooms with one member each.
pub fn registry_of(rooms: u64) -> (Registry, Vec<Seat>) {
    let mut registry = Registry::default();
    let seats = (0..rooms).map(|number| registry.join(topic(number), Member::first_of(0, Form::default())).0).collect();
    (registry, seats)
}
