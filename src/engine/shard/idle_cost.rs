//! Adds up what a shard keeps for a session that does nothing.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::core::{Core, Line, Slot};
use super::port::{Answer, Caught, Errand, Identity, Inbox, Seating};
use super::sim::ports::{Asked, Routes, ports};
use crate::clock::Timestamp;
use crate::domain::event::Cursor;
use crate::domain::rights::Mark;
use crate::domain::user::Account;
use crate::engine::net::stretch::{Sent, Stretch, Transmit};
use crate::engine::session::Entry;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::outbox::Slices;
use crate::ids::{FamilyId, RoomId, ShardId, Topic, UserId};
use crate::protocol::v1::request::Credential;
use crate::protocol::v1::said::Naming;
use crate::protocol::v1::topic::Name;
use crate::protocol::ws::negotiation::{Negotiation, Subprotocol};

const SESSIONS: usize = 15_000;
const MEMBERS: usize = 10;

/// A shard into which everybody was let, and which has sent everything.
fn full() -> Core {
    let inboxes: Arc<[Arc<Inbox>]> = Arc::from([Arc::new(Inbox::default())]);
    let ports = ports(inboxes, Arc::<Routes>::default(), &Arc::<Asked>::default());
    let mut core = Core::new(ShardId(0), ports, Instant::now());
    for _ in 0..SESSIONS / MEMBERS {
        let endpoint = Endpoint::Chat { room: RoomId::fresh(), has_presence: true };
        for _ in 0..MEMBERS {
            let account = Arc::new(Account::active(UserId::fresh(), "user-12345".into()));
            let entry =
                Entry { account, endpoint, family: FamilyId::issued(0), token_ends: i64::MAX, mark: Mark::default() };
            let index = core.reserve();
            core.begin(index, Negotiation::default(), Ok(entry), Timestamp(0));
        }
        while let Some(index) = core.walk.pop_front() {
            let line = &mut core.lines[index as usize];
            line.is_queued = false;
            let mut slices = Slices::new();
            let bytes = line.outbox.slices(&core.arena, &mut slices).expect("nothing is stale");
            drop(slices);
            line.outbox.took(&mut core.arena, bytes);
        }
    }
    core
}

/// The same with sockets of `pregon.v1`, each with so many topics, of which ten sockets have the same.
fn full_of_many(topics: usize) -> Core {
    let inboxes: Arc<[Arc<Inbox>]> = Arc::from([Arc::new(Inbox::default())]);
    let mut ports = ports(inboxes, Arc::<Routes>::default(), &Arc::<Asked>::default());
    let errands = Arc::<Mutex<Vec<Errand>>>::default();
    let kept = errands.clone();
    ports.errands = Arc::new(move |errand| {
        kept.lock().expect("nobody panicked").push(errand);
        true
    });
    let mut core = Core::new(ShardId(0), ports, Instant::now());
    let negotiation = Negotiation { subprotocol: Subprotocol::V1, ..Negotiation::default() };
    for _ in 0..SESSIONS / MEMBERS {
        let rooms: Vec<RoomId> = (0..topics).map(|_| RoomId::fresh()).collect();
        for _ in 0..MEMBERS {
            let index = core.reserve();
            core.begin_many(index, negotiation, Some(Credential::Token("t".into())), None);
            for room in &rooms {
                let topic = Name(Topic::Room(*room));
                core.many_text(index, &format!(r#"{{"type":"subscribe","topic":"{topic}"}}"#));
            }
            loop {
                let Some(errand) = errands.lock().expect("nobody panicked").pop() else { break };
                core.answered(answer(errand));
            }
        }
        let mut outcomes = Vec::new();
        while core.walk_a_stretch(&mut Takes, &mut outcomes) > 0 {}
    }
    assert!(core.many.values().all(|many| many.seats.len() == topics), "a subscription is missing");
    assert_eq!(core.kept_bytes, 0, "nothing is under way");
    core
}

fn answer(errand: Errand) -> Answer {
    match errand {
        Errand::Identify { session, request, .. } => {
            let account = Arc::new(Account::active(UserId::fresh(), "user-12345".into()));
            let (family, mark, token_left) = (FamilyId::issued(0), Mark::default(), Duration::from_secs(3600));
            let outcome = Ok(Identity { account, family, mark, token_left, token_expires: 0 });
            Answer::Identified { session, request, outcome }
        }
        Errand::Judge { session, ticket, topic, .. } => {
            let Topic::Room(room) = topic else { panic!("{topic}") };
            let endpoint = Endpoint::Chat { room, has_presence: false };
            Answer::Judged { session, ticket, outcome: Ok(Seating { endpoint, mark: Mark::default() }) }
        }
        Errand::Catch { session, ticket, .. } => {
            let (cursor, naming) = (Cursor { epoch: 1, seq: 5 }, Naming::default());
            let caught = Caught { frames: Vec::new(), cursor, has_more: false, naming };
            Answer::Caught { session, ticket, outcome: Ok(caught) }
        }
        Errand::Ask(asked) => panic!("nobody asks: {asked:?}"),
    }
}

/// Takes all that is sent.
struct Takes;

impl Transmit for Takes {
    fn send(&mut self, stretch: &Stretch<'_>, outcomes: &mut Vec<Sent>) {
        outcomes.clear();
        outcomes.extend(stretch.visits().map(|_| Sent::All));
    }

    fn unacknowledged_bytes(&self, _: u32) -> Option<usize> {
        None
    }
}

/// What a session costs, without and with the topics themselves, which others share.
fn bytes_each(core: &Core) -> [f64; 2] {
    let [topics, members] = core.registry.heap_bytes();
    let lists = core.slots.iter().flatten().map(|slot| slot.seats.heap_bytes()).sum::<usize>();
    let own = core.slots.len() * size_of::<Option<Slot>>()
        + core.lines.len() * size_of::<Line>()
        + core.generations.len() * size_of::<u32>()
        + core.walk.capacity() * size_of::<u32>()
        + core.wheel.heap_bytes()
        + members
        + lists
        + core.many.heap_bytes();
    [own, own + topics].map(|bytes| bytes as f64 / SESSIONS as f64)
}

/// `cargo test -p pregon --lib what_an_idle_socket_of_v1_costs -- --nocapture` prints the figures of docs/performance.md.
#[test]
fn what_an_idle_socket_of_v1_costs_the_shard_stays_small() {
    let [v0, _] = bytes_each(&full());
    let (one, many) = (full_of_many(1), full_of_many(20));
    let ([one, one_whole], [many, many_whole]) = (bytes_each(&one), bytes_each(&many));
    let (more, more_whole) = ((many - one) / 19.0, (many_whole - one_whole) / 19.0);
    eprintln!("a socket of a room {v0:.1} B, of pregon.v1 with one topic {one:.1} B");
    eprintln!("each further topic {more:.1} B, with a tenth of the topic {more_whole:.1} B");
    assert!(one <= v0 + 64.0, "{one} B instead of {v0} B");
    assert!(more <= 40.0, "{more} B for a further topic");
}

/// `cargo test -p pregon --lib what_an_idle_session_costs -- --nocapture` prints the table of docs/performance.md.
#[test]
fn what_an_idle_session_costs_the_shard_stays_small() {
    let core = full();
    let [topics, members] = core.registry.heap_bytes();
    // What vectors have in reserve was never touched, so no memory is behind it.
    let parts = [
        ("slot: session, decoder, seats", core.slots.len() * size_of::<Option<Slot>>()),
        ("line: outbox and its state", core.lines.len() * size_of::<Line>()),
        ("generation", core.generations.len() * size_of::<u32>()),
        ("turn in the walk", core.walk.capacity() * size_of::<u32>()),
        ("timer", core.wheel.heap_bytes()),
        ("place among the room's members", members),
        ("a tenth of the room", topics),
        ("presence", core.presence.heap_bytes()),
    ];
    let mut sum = 0;
    for (name, bytes) in parts {
        eprintln!("{name:32} {:6.1} B", bytes as f64 / SESSIONS as f64);
        sum += bytes;
    }
    eprintln!("{:32} {:6.1} B", "together", sum as f64 / SESSIONS as f64);
    assert!(sum <= 270 * SESSIONS, "{} B a session", sum / SESSIONS);
}
