//! One core's loop: the one place where sockets, frames, sessions and topics meet.
//!
//! `connection` accepts and upgrades, `event` is the loop, `inbound` takes bytes from sockets, `mailbox` takes messages
//! from other threads, `outbound` fans out and walks, `debtors` lets go who takes too little, `unfinished` who never ends a message, `feed` knows who hears of whose posts, `liveness` lets time pass;
//! `port` is what others see of it all.

mod connection;
mod debtors;
mod event;
mod feed;
#[cfg(test)]
mod idle_cost;
mod inbound;
mod inbox;
#[cfg(test)]
#[path = "inbox/tests.rs"]
mod inbox_tests;
#[cfg(any(test, debug_assertions))]
mod invariants;
mod latency;
mod liveness;
mod mailbox;
#[cfg(test)]
mod models;
mod outbound;
mod overflow;
#[cfg(test)]
#[path = "overflow/tests.rs"]
mod overflow_tests;
mod patience;
pub mod port;
mod recent;
mod round;
#[cfg(test)]
mod sim;
mod stats;
mod survey;
mod sync;
mod unfinished;

use std::collections::VecDeque;
use std::net::TcpListener;
use std::time::Instant;

use crate::engine::net::send::Io;
use crate::engine::net::wheel::Wheel;
use crate::engine::presence::Presence;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::outbox::Outbox;
use crate::engine::session::{Seconds, Session};
use crate::engine::topics::chunks::{Arena, OpenChunk};
use crate::engine::topics::feeds::Feeds;
use crate::engine::topics::members::{Member, Registry, Seats};
use crate::ids::{SessionKey, ShardId};
use crate::limits::Bounds;
use crate::protocol::v0::fields::Reader;
use crate::protocol::ws::message::Decoder;
use crate::telemetry::alarm;
use debtors::Blocked;
use latency::Latency;
use overflow::Overflow;
use port::Ports;
use recent::Recent;
use round::Round;
use stats::Stats;

/// What a shard is started with.
pub struct Plan {
    /// Its number.
    pub id: ShardId,
    /// The core it keeps to, if any.
    pub core: Option<usize>,
    /// Other shards keep to the same core.
    pub shares_core: bool,
    /// Its own listeners, one an address.
    pub listeners: Vec<TcpListener>,
    /// How its frames leave.
    pub io: Io,
    /// The rest of the server.
    pub ports: Ports,
}

/// Starts a shard's thread. It ends after [`port::ToShard::Drain`], when its last session is gone; ends it otherwise, it raises
/// the alarm.
///
/// # Errors
/// When the kernel gives no thread.
pub fn start(plan: Plan) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(format!("shard-{}", plan.id.0)).spawn(move || {
        if let Some(core) = plan.core
            && !crate::engine::net::affinity::pin_to(core)
        {
            tracing::warn!(shard = plan.id.0, core, "the kernel does not pin this shard to its core");
        }
        if plan.shares_core && !crate::engine::net::affinity::let_others_finish() {
            tracing::warn!(shard = plan.id.0, "the kernel lets the shards of a core interrupt each other");
        }
        // Without one shard the others wait for room in its inbox, and so do the lanes: then rather no server at all.
        let id = plan.id.0;
        alarm::guard(&format!("shard {id}"), || {
            if let Err(error) = event::run(plan) {
                alarm::raise(&format!("shard {id} cannot run: {error}. Raise the open-file limit (ulimit -n)"));
            }
        });
    })
}

/// A session's parts that are read seldom.
struct Slot {
    session: Session,
    decoder: Decoder,
    seats: Seats,
}

// Every session has one of each, whether it does anything or not. docs/performance.md adds up all that it has.
const _: () = assert!(size_of::<Option<Slot>>() <= 96 && size_of::<Line>() <= 64);

/// What becomes of a socket when all that waits for it is sent.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It goes on.
    #[default]
    Open,
    /// Nothing more is sent, and nothing more is understood: FIN, and the peer's own end is awaited.
    Finish,
    /// The goodbye is answered: it closes.
    Close,
}

/// A session's parts that every delivery touches.
#[derive(Default)]
struct Line {
    outbox: Outbox,
    /// Its slot is in the walk, once.
    is_queued: bool,
    /// Its socket is full; since then.
    blocked_at: Option<Seconds>,
    /// What follows when the outbox is empty.
    then: Then,
    /// Its socket was full once and took more later: its peer is slow, but it reads.
    has_recovered: bool,
    /// Bytes of answers that came for it since its socket is full.
    unread_answers: u32,
}

/// A shard's state beside its sockets.
struct Core {
    id: ShardId,
    ports: Ports,
    slots: Vec<Option<Slot>>,
    lines: Vec<Line>,
    generations: Vec<u32>,
    free: Vec<u32>,
    live: usize,
    registry: Registry,
    arena: Arena,
    /// Where frames for single sessions wait.
    single: OpenChunk,
    presence: Presence,
    /// Who hears of whose posts.
    feeds: Feeds,
    recent: Recent,
    /// Where authors' frames wait, one author's behind the other's.
    posts: OpenChunk,
    /// What feeds are still to be given that have found out whom they hear.
    due: VecDeque<feed::Due>,
    /// Sessions with a seat, by kind.
    kinds: [usize; Endpoint::KINDS.len()],
    /// Sessions that a publication reaches, gathered from several feeds.
    reached: Vec<Member>,
    /// The walk: sessions with something to send and room for it.
    walk: VecDeque<u32>,
    /// What may wait, for each session and for all together.
    bounds: Bounds,
    /// Sessions whose sockets are full; some may have recovered.
    blocked: Vec<Blocked>,
    /// Memory of messages whose end has not come, in all decoders.
    unfinished_bytes: usize,
    /// Sessions that owe too much to take what they are told, to be let go at once.
    overdue: Vec<u32>,
    /// Sessions that are to pin no shared memory any more.
    stalled: Vec<u32>,
    /// What came by mail since the walk began its round.
    round: Round,
    /// Sessions that are over, to be closed when the look is over; with a reset or without. The first entry of a session counts.
    over: Vec<(u32, bool)>,
    /// Sessions that have said all, to a peer whose bytes are no frames: their sockets are closed on this side.
    finished: Vec<u32>,
    /// Sessions to look at again, by slot and generation.
    wheel: Wheel<(u32, u32)>,
    /// Messages that other shards' inboxes had no room for: nothing is read while there are any.
    overflow: Overflow,
    /// Visits that what is read before the next stretch may add.
    intake: isize,
    /// Reads and messages since the last stretch.
    heard: usize,
    /// Visits of that stretch at most.
    stretch_visits: usize,
    drain: Option<liveness::Drain>,
    began: Instant,
    /// When this turn began.
    moment: Instant,
    /// The same in whole seconds, as of the last tick.
    now: Seconds,
    scratch: Vec<u8>,
    reader: Reader,
    stats: Stats,
    latency: Latency,
}

impl Core {
    /// `began` is the moment from which the shard counts its seconds.
    fn new(id: ShardId, ports: Ports, began: Instant) -> Self {
        let bounds = Bounds::of_shards(ports.inboxes.len());
        Self::with_bounds(id, ports, began, bounds)
    }

    fn with_bounds(id: ShardId, ports: Ports, began: Instant, bounds: Bounds) -> Self {
        Self {
            id,
            ports,
            slots: Vec::new(),
            lines: Vec::new(),
            generations: Vec::new(),
            free: Vec::new(),
            live: 0,
            registry: Registry::default(),
            arena: Arena::new(bounds),
            single: OpenChunk::default(),
            presence: Presence::default(),
            feeds: Feeds::default(),
            recent: Recent::new(bounds.feed_recent_max),
            posts: OpenChunk::default(),
            due: VecDeque::new(),
            kinds: [0; Endpoint::KINDS.len()],
            reached: Vec::new(),
            walk: VecDeque::new(),
            bounds,
            blocked: Vec::new(),
            unfinished_bytes: 0,
            overdue: Vec::new(),
            stalled: Vec::new(),
            round: Round::new(bounds.publication_bytes_max),
            over: Vec::new(),
            finished: Vec::new(),
            wheel: Wheel::default(),
            overflow: Overflow::new(bounds.overflow_messages_max, bounds.overflow_bytes_max),
            intake: 1,
            heard: 0,
            stretch_visits: 0,
            drain: None,
            began,
            moment: began,
            now: Seconds(0),
            scratch: Vec::with_capacity(4096),
            reader: Reader::default(),
            stats: Stats::new(id),
            latency: Latency::new(id),
        }
    }

    fn key(&self, index: u32) -> SessionKey {
        SessionKey { shard: self.id, index, generation: self.generations[index as usize] }
    }

    /// The slot of a session that still lives, by its key.
    fn find(&self, key: SessionKey) -> Option<u32> {
        let is_live = key.shard == self.id
            && self.generations.get(key.index as usize) == Some(&key.generation)
            && self.slots[key.index as usize].is_some();
        is_live.then_some(key.index)
    }

    /// The slot's session speaks and listens.
    fn is_open(&self, index: u32) -> bool {
        self.slots[index as usize].as_ref().is_some_and(|slot| slot.session.is_open())
    }

    /// A free slot's number.
    fn reserve(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.lines.push(Line::default());
            self.generations.push(0);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Fills a reserved slot.
    fn occupy(&mut self, index: u32, session: Session) {
        let first_due = session.first_due();
        self.slots[index as usize] = Some(Slot { session, decoder: Decoder::new(), seats: Seats::default() });
        // The slot's last session may have left its turn in the walk: it is this one's now. Two turns in one stretch
        // would send the same bytes twice.
        let is_queued = self.lines[index as usize].is_queued;
        self.lines[index as usize] = Line { is_queued, ..Line::default() };
        self.live += 1;
        self.wheel.set(first_due.0, (index, self.generations[index as usize]));
    }

    /// Empties a slot: the session is over and its socket closed.
    fn vacate(&mut self, index: u32) {
        self.leave_room(index);
        if let Some(slot) = self.slots[index as usize].take() {
            self.unfinished_bytes -= slot.decoder.heap_bytes();
            self.lines[index as usize].outbox.clear(&mut self.arena);
            self.generations[index as usize] = self.generations[index as usize].wrapping_add(1);
            self.free.push(index);
            self.live -= 1;
        }
    }
}
