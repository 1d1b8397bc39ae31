//! Seeded simulation of sessions, rooms and outboxes against a shadow model that keeps plain lists of frames.
//!
//! A shadow socket takes a random number of bytes, or none while it is stalled. What it took must always be a prefix of
//! whole frames that the model allows: every durable frame once, in order; ephemeral frames at most once, in order;
//! nothing of a topic that the session is not in. While a range is given to the members of a topic, any of them may
//! take bytes, fall behind, be cut or end: memory that a reader returns during the loop must not be given to anybody
//! else.
//!
//! `engine/shard/sim` simulates whole shards. This simulation stays because it does what no shard does today: it
//! disturbs readers between any two pushes of one publication. Its limits are those of the real server.

use pregon::engine::session::outbox::{Class, Outbox, Slices};
use pregon::engine::topics::chunks::{Arena, OpenChunk};
use pregon::engine::topics::members::{Left, Member, Registry, Seat};
use pregon::ids::{RoomId, Topic};
use pregon::protocol::form::Form;
use pregon::protocol::ws::frame::{encode_close, encode_text, frame_boundary_at_or_after};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const SEEDS: u64 = 2048;
const STEPS: usize = 500;

#[derive(Debug, Clone, PartialEq)]
struct Frame {
    bytes: Vec<u8>,
    class: Class,
}

#[derive(Default)]
struct Shadow {
    seat: Option<(usize, Seat)>,
    /// All frames ever sent to the session.
    meant: Vec<Frame>,
    /// All bytes its socket took.
    taken: Vec<u8>,
    /// Up to here the taken bytes were found to be whole frames of the `meant` list.
    checked_bytes: usize,
    checked_frames: usize,
    is_cut: bool,
    /// Its socket takes nothing.
    is_stalled: bool,
    outbox: Outbox,
}

struct World {
    random: StdRng,
    arena: Arena,
    single: OpenChunk,
    registry: Registry,
    topics: Vec<Topic>,
    sessions: Vec<Shadow>,
    number: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let topics = (0..random.random_range(1..4)).map(|_| Topic::Room(RoomId::fresh())).collect();
        let sessions = (0..random.random_range(1..12)).map(|_| Shadow::default()).collect();
        let arena = Arena::default();
        let registry = Registry::default();
        Self { random, arena, single: OpenChunk::default(), registry, topics, sessions, number: 0 }
    }

    fn step(&mut self) {
        let session = self.random.random_range(0..self.sessions.len());
        match self.random.random_range(0..100) {
            0..10 => self.join(session),
            10..14 => self.leave(session),
            14..50 => self.publish(session),
            50..60 => self.respond(session),
            60..64 => self.sessions[session].outbox.fall_behind(&mut self.arena).unwrap(),
            64 => self.cut(session),
            65 => self.end(session),
            66..70 => self.sessions[session].is_stalled ^= true,
            _ => self.drain(session),
        }
        self.check(session);
    }

    fn frame(&mut self) -> Frame {
        self.number += 1;
        let padding = match self.random.random_range(0..20) {
            0 => self.random.random_range(0..40_000),
            1..5 => self.random.random_range(0..1000),
            _ => self.random.random_range(0..100),
        };
        let mut bytes = Vec::new();
        encode_text(format!("{} {}", self.number, "x".repeat(padding)).as_bytes(), &mut bytes);
        let class = if self.random.random_bool(0.5) { Class::Durable } else { Class::Ephemeral };
        Frame { bytes, class }
    }

    fn join(&mut self, session: usize) {
        let shadow = &mut self.sessions[session];
        if shadow.seat.is_none() && !shadow.is_cut {
            let topic = self.random.random_range(0..self.topics.len());
            let (seat, is_first) = {
                let member = Member::first_of(u32::try_from(session).unwrap(), Form::default());
                self.registry.join(self.topics[topic], member)
            };
            let others = self.sessions.iter().filter(|other| other.seat.is_some_and(|(of, _)| of == topic)).count();
            assert_eq!(is_first, others == 0);
            self.sessions[session].seat = Some((topic, seat));
        }
    }

    fn leave(&mut self, session: usize) {
        let Some((topic, seat)) = self.sessions[session].seat.take() else { return };
        let left = self.registry.leave(seat);
        if let Left::Moved(moved) = left {
            self.sessions[moved.session as usize].seat = Some((topic, seat));
        }
        let others = self.sessions.iter().filter(|other| other.seat.is_some_and(|(of, _)| of == topic)).count();
        assert_eq!(left == Left::Last(self.topics[topic]), others == 0);
    }

    fn publish(&mut self, session: usize) {
        let Some((topic, seat)) = self.sessions[session].seat else { return };
        let frame = self.frame();
        let except_sender = self.random.random_bool(0.3);
        let room = self.registry.live_mut(seat.slot);
        assert_eq!(room.topic, self.topics[topic]);
        let mut reached: Vec<usize> = room.members.iter().map(|member| member.session as usize).collect();
        reached.retain(|member| !(except_sender && *member == session));
        let expected: Vec<usize> = (0..self.sessions.len())
            .filter(|other| self.sessions[*other].seat.is_some_and(|(of, _)| of == topic))
            .filter(|other| !(except_sender && *other == session))
            .collect();
        let mut sorted = reached.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected, "the registry knows who listens");
        let mut open = room.open(Form::default());
        let mut appended = self.arena.append(&mut open, &frame.bytes);
        room.set_open(Form::default(), open);
        let mut gone = Vec::new();
        for &member in &reached {
            let shadow = &mut self.sessions[member];
            shadow.outbox.push(&mut appended, frame.class);
            shadow.meant.push(frame.clone());
            if self.random.random_bool(0.2) {
                gone.extend(disturb(&mut self.random, shadow, member, appended.arena()));
            }
        }
        drop(appended);
        for (member, with_goodbye) in gone {
            if with_goodbye { self.cut(member) } else { self.end(member) }
        }
    }

    fn respond(&mut self, session: usize) {
        if self.sessions[session].is_cut {
            return;
        }
        let frame = self.frame();
        let shadow = &mut self.sessions[session];
        shadow.outbox.push(&mut self.arena.append(&mut self.single, &frame.bytes), frame.class);
        shadow.meant.push(frame);
    }

    fn cut(&mut self, session: usize) {
        if self.sessions[session].is_cut {
            return;
        }
        self.leave(session);
        let mut close = Vec::new();
        encode_close(pregon::protocol::ws::CloseCode(4008), "too slow", &mut close);
        let shadow = &mut self.sessions[session];
        shadow.outbox.cut(&mut self.arena, &close).unwrap();
        shadow.meant.push(Frame { bytes: close, class: Class::Durable });
        shadow.is_cut = true;
    }

    fn end(&mut self, session: usize) {
        self.leave(session);
        self.sessions[session].outbox.clear(&mut self.arena);
        assert!(self.sessions[session].outbox.is_empty());
        self.sessions[session] = Shadow::default();
    }

    fn drain(&mut self, session: usize) {
        let shadow = &mut self.sessions[session];
        if !shadow.is_stalled {
            shadow.take(&mut self.random, &mut self.arena);
        }
    }

    /// Checks that the taken bytes are whole frames of the model's list, in order, and the start of one more.
    fn check(&mut self, session: usize) {
        let shadow = &mut self.sessions[session];
        loop {
            let rest = &shadow.taken[shadow.checked_bytes..];
            let mut meant = shadow.meant[shadow.checked_frames..].iter();
            let Some(end) = frame_boundary_at_or_after(rest, 1).filter(|end| *end <= rest.len()) else {
                assert!(rest.is_empty() || meant.any(|frame| frame.bytes.starts_with(rest)), "a torn frame");
                return;
            };
            let passed = meant.position(|frame| {
                let is_it = frame.bytes == rest[..end];
                assert!(is_it || frame.class == Class::Ephemeral || shadow.is_cut, "a durable frame is missing");
                is_it
            });
            shadow.checked_frames += passed.expect("a frame came that was not meant, or not in this order") + 1;
            shadow.checked_bytes += end;
        }
    }

    /// Lets everything waiting go out: no durable frame is left, and no chunk is held.
    fn finish(&mut self) {
        for session in 0..self.sessions.len() {
            self.sessions[session].is_stalled = false;
            while !self.sessions[session].outbox.is_empty() {
                self.drain(session);
            }
            self.check(session);
            let shadow = &self.sessions[session];
            assert_eq!(shadow.checked_bytes, shadow.taken.len(), "a torn frame at the end");
            let missing = shadow.meant[shadow.checked_frames..].iter().any(|frame| frame.class == Class::Durable);
            assert!(!missing, "a durable frame did not arrive");
        }
        assert_eq!(self.arena.memory_bytes(), 0, "a chunk or a debt is held by nobody");
        assert_eq!(self.arena.debts().count, 0);
    }
}

impl Shadow {
    /// The socket takes all offered bytes, or a part of them.
    fn take(&mut self, random: &mut StdRng, arena: &mut Arena) {
        let mut slices = Slices::new();
        let wanted = self.outbox.slices(arena, &mut slices).expect("no range outlives its chunk");
        let waiting: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        drop(slices);
        assert_eq!(waiting.len(), wanted);
        assert_eq!(waiting.is_empty(), self.outbox.is_empty());
        let count = if random.random_bool(0.5) { wanted } else { random.random_range(0..=wanted) };
        self.taken.extend_from_slice(&waiting[..count]);
        self.outbox.took(arena, count);
    }
}

/// Something happens to a member while a range is given to the others. Returns who is to leave after the loop, and
/// whether with a goodbye.
fn disturb(random: &mut StdRng, shadow: &mut Shadow, member: usize, arena: &mut Arena) -> Option<(usize, bool)> {
    match random.random_range(0..6) {
        0 | 1 => shadow.outbox.fall_behind(arena).unwrap(),
        2 | 3 if !shadow.is_stalled => shadow.take(random, arena),
        4 => return Some((member, true)),
        5 => {
            shadow.outbox.clear(arena);
            return Some((member, false));
        }
        _ => {}
    }
    None
}

#[test]
fn whatever_happens_sockets_get_whole_frames_in_order() {
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..STEPS).for_each(|_| world.step());
            world.finish();
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
