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
    let account = Arc::new(Account { id: UserId::fresh(), username: "ana".into(), is_active: true });
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
    core.blocked.push(Blocked { index, unacknowledged: usize::MAX });
}

fn frame(bytes: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    // The text stands in it twice.
    event::error(&mut frame, &"x".repeat(bytes / 2), None);
    frame
}

fn tell(core: &mut Core, room: RoomId, bytes: usize) {
    let slot = core.registry.slot(&Topic::Room(room)).expect("somebody listens");
    core.fan_out(slot, &FrameSet::new(frame(bytes)), Class::Durable, Except::Nobody, None);
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
