//! Who is let go, as the metrics tell it, and that copies keep to the shard's share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusBuilder;

use crate::clock::Timestamp;
use crate::domain::rights::Mark;
use crate::domain::user::Account;
use crate::engine::net::stretch::{Sent, Stretch, Transmit};
use crate::engine::session::Entry;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::outbox::Class;
use crate::engine::shard::core::{Blocked, Core};
use crate::engine::shard::port::{Except, Inbox};
use crate::engine::shard::sim::ports::{Asked, Routes, ports};
use crate::ids::{FamilyId, RoomId, ShardId, Topic, UserId};
use crate::limits::{Bounds, PING_AFTER, PONG_TIMEOUT};
use crate::protocol::form::FrameSet;
use crate::protocol::v0::event;
use crate::protocol::ws::negotiation::Negotiation;

/// Sockets of which nothing is known and that nothing is sent to.
pub(in crate::engine::shard) struct Silent;

impl Transmit for Silent {
    fn send(&mut self, _: &Stretch<'_>, _: &mut Vec<Sent>) {
        unreachable!("nobody is visited")
    }
    fn unacknowledged_bytes(&self, _: u32) -> Option<usize> {
        None
    }
}

pub(in crate::engine::shard) fn core(bounds: Bounds) -> Core {
    let inboxes: Arc<[Arc<Inbox>]> = Arc::from([Arc::new(Inbox::default())]);
    let ports = ports(inboxes, Arc::<Routes>::default(), &Arc::<Asked>::default());
    Core::with_bounds(ShardId(0), ports, Instant::now(), bounds)
}

/// Somebody comes into a room.
pub(in crate::engine::shard) fn join(core: &mut Core, room: RoomId) -> u32 {
    let account = Arc::new(Account::active(UserId::fresh(), "ana".into()));
    let endpoint = Endpoint::Chat { room, has_presence: false };
    let entry = Entry { account, endpoint, family: FamilyId::issued(0), token_ends: i64::MAX, mark: Mark::default() };
    let index = core.reserve();
    core.begin(index, Negotiation::default(), Ok(entry), Timestamp(0));
    index
}

/// What a work counts, as an operator reads it.
pub(in crate::engine::shard) fn counted(work: impl FnOnce()) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, work);
    recorder.handle().render()
}

pub(in crate::engine::shard) fn assert_counted(text: &str, line: &str) {
    assert!(text.lines().any(|known| known == line), "no {line} in\n{text}");
}

/// A socket that takes nothing from now on.
fn block(core: &mut Core, index: u32) {
    core.lines[index as usize].blocked_at = Some(core.now);
    core.blocked.push(Blocked { index, unacknowledged: usize::MAX, sealed_bytes: 0 });
}

fn frame(bytes: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    // The text stands in it twice.
    event::error(&mut frame, &"x".repeat(bytes / 2), None);
    frame
}

fn tell(core: &mut Core, room: RoomId, bytes: usize) {
    tell_as(core, room, bytes, Class::Durable);
}

fn tell_as(core: &mut Core, room: RoomId, bytes: usize, class: Class) {
    let slot = core.registry.slot(&Topic::Room(room)).expect("somebody listens");
    core.fan_out(slot, &FrameSet::new(frame(bytes)), class, Except::Nobody, None);
}

/// What waits for a session.
fn owed(core: &Core, index: u32) -> usize {
    core.lines[index as usize].outbox.owed_bytes()
}

#[test]
fn what_is_passing_goes_first_when_it_is_old_or_much_waits() {
    let text = counted(|| {
        // Nobody owes less than a chunk here, so nobody gets a copy of its own.
        let (mut core, room) = (core(Bounds { chunk_bytes: 1024, ..Bounds::default() }), RoomId::fresh());
        let index = join(&mut core, room);
        block(&mut core, index);
        let greeting = owed(&core, index);
        for _ in 0..3 {
            tell_as(&mut core, room, 500, Class::Ephemeral);
            tell(&mut core, room, 2000);
        }
        let (typing, message) = (frame(500).len(), frame(2000).len());
        core.tick(core.began + Duration::from_secs(1), &Silent);
        assert_eq!(owed(&core, index), greeting + 3 * (typing + message), "it may read in a moment");
        core.tick(core.began + Duration::from_secs(3), &Silent);
        assert_eq!(owed(&core, index), greeting + 3 * message, "that was a while ago");
        assert!(core.lines[index as usize].has_skipped && core.is_open(index));
        // Behind by much: what waits goes at the next tick, and what comes is not taken.
        core.lines[index as usize].blocked_at = Some(core.now);
        tell_as(&mut core, room, 500, Class::Ephemeral);
        tell(&mut core, room, 100_000);
        tell_as(&mut core, room, 500, Class::Ephemeral);
        let durable = greeting + 3 * message + frame(100_000).len();
        assert_eq!(owed(&core, index), durable + typing);
        core.tick(core.began + Duration::from_secs(3), &Silent);
        assert_eq!(owed(&core, index), durable);
        core.check_invariants();
    });
    assert_counted(&text, r#"pregon_frames_skipped_total{shard="0"} 5"#);
}

#[test]
fn the_largest_debtor_goes_when_all_that_waits_is_too_much() {
    let text = counted(|| {
        let mut core = core(Bounds { waiting_bytes_max: 200 * 1024, ..Bounds::default() });
        let rooms = [30, 90, 20, 80].map(|kib| (RoomId::fresh(), kib));
        let sessions = rooms.map(|(room, _)| join(&mut core, room));
        sessions.iter().for_each(|index| block(&mut core, *index));
        for (room, kib) in rooms {
            tell(&mut core, room, kib * 1024);
        }
        assert_eq!(sessions.map(|index| core.is_open(index)), [true, false, true, true]);
        core.check_invariants();
    });
    assert_counted(&text, r#"pregon_sessions_let_go_total{reason="overload"} 1"#);
    assert_counted(&text, r#"pregon_shed_total{what="debtor"} 1"#);
}

/// What is sealed for a session goes with the session alone: that it waits must not make all others go.
#[test]
fn sealed_records_have_as_many_go_as_hold_what_is_too_much() {
    const SEALED: usize = 16 * 1024;
    let text = counted(|| {
        let mut core = core(Bounds { waiting_bytes_max: 200 * 1024, ..Bounds::default() });
        let room = RoomId::fresh();
        let sessions: Vec<u32> = (0..10).map(|_| join(&mut core, room)).collect();
        sessions.iter().for_each(|index| block(&mut core, *index));
        core.blocked.iter_mut().for_each(|one| one.sealed_bytes = SEALED);
        core.sealed_bytes = 10 * SEALED;
        let open = |core: &Core| sessions.iter().filter(|index| core.is_open(**index)).count();
        core.make_memory(44 * 1024);
        let first = open(&core);
        assert!((7..10).contains(&first), "{first} are left");
        assert!(core.over.is_empty(), "they are told");
        // They have not gone, and as much is needed again: nobody else has to go.
        core.make_memory(44 * 1024);
        assert_eq!((open(&core), core.over.len()), (first, 10 - first));
        assert!(core.waiting_bytes() + 44 * 1024 <= 200 * 1024);
    });
    assert_counted(&text, r#"pregon_shed_total{what="goodbye"} 2"#);
}

#[test]
fn whoever_takes_nothing_and_owes_too_much_is_slow() {
    let text = counted(|| {
        let (mut core, room) = (core(Bounds { owed_bytes_max: 20 * 1024, ..Bounds::default() }), RoomId::fresh());
        let index = join(&mut core, room);
        block(&mut core, index);
        tell(&mut core, room, 30 * 1024);
        core.tick(core.began + Duration::from_secs(2), &Silent);
        assert!(core.is_open(index), "it has some time");
        core.tick(core.began + Duration::from_secs(5), &Silent);
        assert!(!core.is_open(index));
    });
    assert_counted(&text, r#"pregon_sessions_let_go_total{reason="slow"} 1"#);
}

#[test]
fn whoever_does_not_answer_a_ping_is_silent_and_whoever_said_goodbye_is_not() {
    let text = counted(|| {
        let (mut core, room) = (core(Bounds::default()), RoomId::fresh());
        let (silent, leaving) = (join(&mut core, room), join(&mut core, room));
        core.goodbye(leaving, crate::protocol::v0::reason::REMOVED);
        let mut now = core.began + PING_AFTER + Duration::from_secs(1);
        core.tick(now, &Silent);
        assert!(core.is_open(silent), "it was asked");
        now += PONG_TIMEOUT + Duration::from_secs(1);
        core.tick(now, &Silent);
        let mut over = core.over.clone();
        over.sort_unstable();
        over.dedup();
        assert_eq!(over, [(silent, true), (leaving, true)]);
    });
    assert_counted(&text, r#"pregon_sessions_let_go_total{reason="silent"} 1"#);
}

/// No program of ours comes here: in debug builds a range that outlives its chunk is a panic.
#[test]
fn a_session_of_frames_that_are_gone_is_reset_and_counted() {
    let text = counted(|| {
        let mut core = core(Bounds::default());
        let index = join(&mut core, RoomId::fresh());
        core.end_stale(index);
        assert_eq!(core.over, [(index, true)]);
        assert!(core.lines[index as usize].outbox.is_empty(), "nothing more is sent to it");
        core.lines[index as usize].is_queued = false;
        core.walk.clear();
        core.tick(core.began + Duration::from_secs(1), &Silent);
    });
    assert_counted(&text, r#"pregon_sessions_let_go_total{reason="stale"} 1"#);
    assert_counted(&text, r#"pregon_sessions_stale_total{shard="0"} 1"#);
}

/// What is kept for the next chunks is in the share, too.
#[test]
fn buffers_that_nobody_uses_give_way_to_what_waits() {
    const SHARE: usize = 256 * 1024;
    let (mut core, room) = (core(Bounds { waiting_bytes_max: SHARE, ..Bounds::default() }), RoomId::fresh());
    let first = join(&mut core, room);
    block(&mut core, first);
    (0..14).for_each(|_| tell(&mut core, room, 14 * 1024));
    core.end(first, true);
    core.vacate(first);
    assert!(core.arena.spare_bytes() > SHARE / 2, "{} bytes are spare", core.arena.spare_bytes());
    let second = join(&mut core, room);
    block(&mut core, second);
    for _ in 0..2 {
        tell(&mut core, room, 90 * 1024);
        let memory = core.arena.memory_bytes() + core.arena.spare_bytes();
        assert!(memory <= SHARE, "{memory} bytes are held");
    }
    assert!(core.is_open(second), "there was room");
}

/// Who owes little has a copy, so that it pins no chunk. Who owes more keeps ranges, which it shares with the others.
#[test]
fn whoever_stalls_gets_a_copy_unless_it_owes_more_than_a_chunk() {
    for (too_much, copies) in [(0, 1), (1, 0)] {
        let (mut core, room) = (core(Bounds::default()), RoomId::fresh());
        let index = join(&mut core, room);
        block(&mut core, index);
        tell(&mut core, room, 10 * 1024);
        let owed = core.owed(index);
        core.bounds.chunk_bytes = owed - too_much;
        core.tick(core.began + Duration::from_secs(1), &Silent);
        assert_eq!(core.arena.debts().count, 0, "it has a second");
        core.tick(core.began + Duration::from_secs(2), &Silent);
        assert_eq!(core.arena.debts().count, copies, "{owed} bytes are owed, {too_much} more than a chunk has");
        assert_eq!(core.arena.held_bytes() > 0, copies == 0, "who has a copy pins no chunk");
        assert_eq!((core.is_open(index), core.owed(index)), (true, owed));
        core.check_invariants();
    }
}

#[test]
fn a_room_whose_only_reader_goes_for_want_of_memory_is_told_no_more() {
    let (mut core, room) = (core(Bounds { waiting_bytes_max: 200 * 1024, ..Bounds::default() }), RoomId::fresh());
    let index = join(&mut core, room);
    block(&mut core, index);
    tell(&mut core, room, 150 * 1024);
    tell(&mut core, room, 90 * 1024);
    assert!(!core.is_open(index), "both are more than may wait");
    assert_eq!(core.registry.slot(&Topic::Room(room)), None);
    assert!(core.owed(index) < 200, "only its goodbye waits, and {} bytes do", core.owed(index));
    core.check_invariants();
}

/// Who has many ranges copies them at the next frame of its room, and all members do at once. Chunks that somebody else needs,
/// too, stay beside the copies.
#[test]
fn copies_of_many_ranges_keep_to_the_share() {
    const SHARE: usize = 224 * 1024;
    const PARTS: usize = 32;
    const MEMBERS: usize = 12;
    let text = counted(|| {
        let bounds = Bounds { waiting_bytes_max: SHARE, parts_max: PARTS, debt_step_bytes: 4096, ..Bounds::default() };
        let (mut core, room) = (core(bounds), RoomId::fresh());
        let members: Vec<u32> = (0..MEMBERS).map(|_| join(&mut core, room)).collect();
        let elsewhere = join(&mut core, RoomId::fresh());
        members.iter().chain([&elsewhere]).for_each(|index| block(&mut core, *index));
        // Answers to many who take turns lie next to each other, so nobody's are one range.
        for _ in 1..PARTS {
            members.iter().for_each(|index| core.deliver(*index, &frame(300), Class::Durable));
            core.deliver(elsewhere, &frame(10), Class::Durable);
        }
        let before = core.arena.memory_bytes();
        let parts = |core: &Core, index: u32| core.lines[index as usize].outbox.parts();
        let all_parts: Vec<usize> = members.iter().map(|index| parts(&core, *index)).collect();
        assert_eq!(all_parts, [PARTS; MEMBERS]);
        assert!(before < SHARE / 4 * 3, "{before} bytes wait");
        tell(&mut core, room, 100);
        let memory = core.arena.memory_bytes();
        assert!(memory > SHARE / 8 * 7 && memory <= SHARE, "{before} bytes waited, {memory} do now");
        let stay: Vec<u32> = members.iter().copied().filter(|index| core.is_open(*index)).collect();
        assert!((3..MEMBERS).contains(&stay.len()), "there is room for some: {}", stay.len());
        assert!(stay.iter().all(|index| parts(&core, *index) == 1), "what was told, behind the copy");
        assert!(core.is_open(elsewhere) && parts(&core, elsewhere) == PARTS);
        members.iter().for_each(|index| core.end(*index, true));
        members.iter().for_each(|index| core.vacate(*index));
        core.check_invariants();
    });
    assert!(text.contains(r#"pregon_sessions_let_go_total{reason="slow"}"#), "{text}");
}
