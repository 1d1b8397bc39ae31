//! Adds up what a shard keeps for a session that does nothing.

use std::sync::Arc;
use std::time::Instant;

use super::core::{Core, Line, Slot};
use super::port::Inbox;
use super::sim::ports::{Asked, Routes, ports};
use crate::clock::Timestamp;
use crate::domain::rights::Mark;
use crate::domain::user::Account;
use crate::engine::session::Entry;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::outbox::Slices;
use crate::ids::{FamilyId, RoomId, ShardId, UserId};
use crate::protocol::ws::negotiation::Negotiation;

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
            let account = Arc::new(Account { id: UserId::fresh(), username: "user-12345".into(), is_active: true });
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
