//! A shard's state beside its sockets: slots of sessions, topics, what waits for whom.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::errand::Ticket;
use super::latency::Latency;
use super::many::Sockets;
use super::overflow::Overflow;
use super::port::{Order, Ports, Publication};
use super::recent::Recent;
use super::round::Round;
use super::stats::Stats;
use super::visit::Counted;
use crate::domain::event::Cursor;
use crate::engine::net::wheel::Wheel;
use crate::engine::presence::Presence;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::outbox::Outbox;
use crate::engine::session::{Seconds, Session};
use crate::engine::topics::chunks::{Arena, OpenChunk};
use crate::engine::topics::feeds::{FeedKey, Feeds};
use crate::engine::topics::members::{Member, Opens, Registry, Seats};
use crate::ids::{SessionKey, ShardId};
use crate::limits::Bounds;
use crate::protocol::v0::fields::Reader;
use crate::protocol::ws::deflate::Inflater;
use crate::protocol::ws::message::Decoder;

/// A session's parts that are read seldom.
pub(super) struct Slot {
    pub session: Session,
    pub decoder: Decoder,
    pub seats: Seats,
}

// Every session has one of each, whether it does anything or not. docs/performance.md adds up all that it has.
const _: () = assert!(size_of::<Option<Slot>>() <= 96 && size_of::<Line>() <= 64);

/// What becomes of a socket when all that waits for it is sent.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
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
pub(super) struct Line {
    pub outbox: Outbox,
    /// Its slot is in the walk, once.
    pub is_queued: bool,
    /// Since when its socket is full.
    pub blocked_at: Option<Seconds>,
    /// What happens to the socket when the outbox is empty.
    pub then: Then,
    /// Its socket was full once and took more later: its peer is slow, but it reads.
    pub has_recovered: bool,
    /// Since its socket is full, it was not given something passing.
    pub has_skipped: bool,
    /// Bytes of answers that were queued for it since its socket is full.
    pub unread_answers: u32,
}

/// A session whose socket is full.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocked {
    pub index: u32,
    /// What its peer had not acknowledged at the last look; `usize::MAX` before the first.
    pub unacknowledged: usize,
    /// What was sealed for it, and is kept since its socket had no room.
    pub sealed_bytes: usize,
}

/// A task that a change of follow lists caused. It is done when the lists are complete and the walk has room for it.
pub(super) enum Due {
    /// A publication of an author that came before the feed knew that it hears the author.
    Kept(FeedKey, Arc<Publication>),
    /// The feed hears all its authors now.
    Complete(FeedKey),
}

/// The end of a shard: its sessions go one after the other, spread over a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drain {
    pub began: Instant,
    pub window: Duration,
}

/// A shard's state beside its sockets.
pub(super) struct Core {
    pub id: ShardId,
    pub ports: Ports,
    pub slots: Vec<Option<Slot>>,
    pub lines: Vec<Line>,
    pub generations: Vec<u32>,
    /// By what they are counted, by slot.
    pub counted: Counted,
    /// What sockets of `pregon.v1` have beside their sessions, by slot.
    pub many: Sockets,
    /// The last ticket that was given out.
    pub tickets: Ticket,
    pub free: Vec<u32>,
    pub live: usize,
    pub registry: Registry,
    pub arena: Arena,
    /// Where frames for single sessions wait.
    pub single: OpenChunk,
    pub presence: Presence,
    /// Which feeds hear which authors.
    pub feeds: Feeds,
    pub recent: Recent,
    /// Where authors' frames wait, in the order in which they came.
    pub posts: Opens,
    /// What feeds are still to be given, now that they know whom they hear.
    pub due: VecDeque<Due>,
    /// Sessions with a seat, by kind.
    pub kinds: [usize; Endpoint::KINDS.len()],
    /// Sessions that a publication reaches, gathered from several feeds.
    pub reached: Vec<Member>,
    /// The walk: sessions with something to send and room for it.
    pub walk: VecDeque<u32>,
    /// How much may wait for each session, and for all together.
    pub bounds: Bounds,
    /// Sessions whose sockets are full; some may have recovered.
    pub blocked: Vec<Blocked>,
    /// What was sealed for sessions and is kept since their sockets had no room, as of the last stretch.
    pub sealed_bytes: usize,
    /// Memory of messages whose end has not come, in all decoders.
    pub unfinished_bytes: usize,
    /// What is kept for subscriptions that are not live yet and for sockets of nobody; as much at least as there is, and exactly so much
    /// after each tick.
    pub kept_bytes: usize,
    /// Subscriptions whose sockets are full: the next page of what they missed is asked for later.
    pub postponed: Vec<(SessionKey, Ticket, Cursor)>,
    /// Sessions that owe too much to be given more. They are let go at once.
    pub overdue: Vec<u32>,
    /// Sessions that get a private copy of what they owe, so that they pin no chunk.
    pub stalled: Vec<u32>,
    /// The mail taken since the walk began its round.
    pub round: Round,
    /// Sessions whose sockets are closed at the end of the look, and whether with a reset. A session's first entry counts.
    pub over: Vec<(u32, bool)>,
    /// Sessions that broke the protocol and were sent everything. The server's side of their sockets is closed.
    pub finished: Vec<u32>,
    /// Sessions to look at again, by slot and generation.
    pub wheel: Wheel<(u32, u32)>,
    /// Messages that other shards' inboxes had no room for. While there are any, no socket is read.
    pub overflow: Overflow,
    /// How many visits may be added by what is read before the next stretch.
    pub intake: isize,
    /// Reads and messages since the last stretch.
    pub heard: usize,
    /// Visits of that stretch at most.
    pub stretch_visits: usize,
    pub drain: Option<Drain>,
    /// When sessions end that have to move, by slot and generation.
    pub turns: BTreeSet<(Instant, u32, u32)>,
    /// Open sessions that were told to move.
    pub moving: usize,
    /// What operators ask, until the next look at the mail is over.
    pub asked: Vec<Order>,
    pub began: Instant,
    /// When this turn began.
    pub moment: Instant,
    /// The same in whole seconds, as of the last tick.
    pub now: Seconds,
    pub scratch: Vec<u8>,
    /// Inflates what sessions compressed; made when the first one does.
    pub inflater: Option<Box<Inflater>>,
    pub reader: Reader,
    pub stats: Stats,
    pub latency: Latency,
}

impl Core {
    /// `began` is the moment from which the shard counts its seconds.
    pub(super) fn new(id: ShardId, ports: Ports, began: Instant) -> Self {
        let owed_bytes_max = ports.allowance.limits.outbox_bytes;
        let bounds = Bounds { owed_bytes_max, ..Bounds::of_shards(ports.inboxes.len()) };
        Self::with_bounds(id, ports, began, bounds)
    }

    pub(super) fn with_bounds(id: ShardId, ports: Ports, began: Instant, bounds: Bounds) -> Self {
        Self {
            id,
            ports,
            slots: Vec::new(),
            lines: Vec::new(),
            generations: Vec::new(),
            counted: Counted::default(),
            many: Sockets::default(),
            tickets: 0,
            free: Vec::new(),
            live: 0,
            registry: Registry::default(),
            arena: Arena::new(bounds),
            single: OpenChunk::default(),
            presence: Presence::default(),
            feeds: Feeds::default(),
            recent: Recent::new(bounds.feed_recent_max),
            posts: Opens::default(),
            due: VecDeque::new(),
            kinds: [0; Endpoint::KINDS.len()],
            reached: Vec::new(),
            walk: VecDeque::new(),
            bounds,
            blocked: Vec::new(),
            sealed_bytes: 0,
            unfinished_bytes: 0,
            kept_bytes: 0,
            postponed: Vec::new(),
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
            turns: BTreeSet::new(),
            moving: 0,
            asked: Vec::new(),
            began,
            moment: began,
            now: Seconds(0),
            scratch: Vec::with_capacity(4096),
            inflater: None,
            reader: Reader::default(),
            stats: Stats::new(id),
            latency: Latency::new(id),
        }
    }

    pub(super) fn key(&self, index: u32) -> SessionKey {
        SessionKey { shard: self.id, index, generation: self.generations[index as usize] }
    }

    /// The slot of the session with this key; `None` if it is over.
    pub(super) fn find(&self, key: SessionKey) -> Option<u32> {
        let is_live = key.shard == self.id
            && self.generations.get(key.index as usize) == Some(&key.generation)
            && self.slots[key.index as usize].is_some();
        is_live.then_some(key.index)
    }

    /// Memory of all that waits for sessions.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.arena.memory_bytes() + self.sealed_bytes
    }

    /// True until the slot's session was told goodbye.
    pub(super) fn is_open(&self, index: u32) -> bool {
        self.slots[index as usize].as_ref().is_some_and(|slot| slot.session.is_open())
    }

    /// A free slot's number.
    pub(super) fn reserve(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.lines.push(Line::default());
            self.generations.push(0);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Fills a reserved slot.
    pub(super) fn occupy(&mut self, index: u32, session: Session) {
        let first_due = session.first_due();
        self.slots[index as usize] = Some(Slot { session, decoder: Decoder::new(), seats: Seats::default() });
        // The slot's last session may have left its turn in the walk: it is this one's now. Two turns in one stretch
        // would send the same bytes twice.
        let is_queued = self.lines[index as usize].is_queued;
        self.lines[index as usize] = Line { is_queued, ..Line::default() };
        self.begins_to_speak(index);
        self.live += 1;
        self.wheel.set(first_due.0, (index, self.generations[index as usize]));
    }

    /// Empties a slot: the session is over and its socket closed.
    pub(super) fn vacate(&mut self, index: u32) {
        self.leave_topics(index);
        if let Some(slot) = self.slots[index as usize].take() {
            self.unfinished_bytes -= slot.decoder.heap_bytes();
            self.lines[index as usize].outbox.clear(&mut self.arena);
            self.generations[index as usize] = self.generations[index as usize].wrapping_add(1);
            self.free.push(index);
            self.live -= 1;
            self.counts_no_more(index);
        }
    }
}
