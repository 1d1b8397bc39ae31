//! A simulated process: shards, their sockets, the rest of the server, and the shadows of all sessions.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::ports::{Asked, Routes, ports};
use super::shadow::{Kept, Shadow, Truth};
use super::sockets::Sockets;
use crate::clock::Timestamp;
use crate::domain::user::Account;
use crate::engine::net::stretch::Sent;
use crate::engine::session::Entry;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::shard::core::Core;
use crate::engine::shard::port::{Inbox, Publication, ToShard};
use crate::engine::topics::feeds::FeedKey;
use crate::ids::{PostId, RoomId, ShardId, UserId};
use crate::limits::{Bounds, UNFINISHED_BYTES_MAX};
use crate::protocol::ws::negotiation::Negotiation;

/// Steps that are printed when a seed fails.
const TRAIL_STEPS: usize = 40;
/// Seconds since 1970 when a simulation begins.
const UNIX_BEGAN: i64 = 1_700_000_000;
pub(super) const FOLLOWS_PERMITS: usize = 4096;

/// A shard with everything that is known of it.
pub(super) struct Shard {
    pub core: Core,
    pub sockets: Sockets,
    /// The shadow of each slot's session.
    pub shadows: Vec<Option<Shadow>>,
    pub outcomes: Vec<Sent>,
    pub ticked: Instant,
    /// Messages from the lanes for this shard, in order. They go when the inbox has room.
    pub mail: VecDeque<ToShard>,
    /// The feeds that asked for their lists.
    pub feeds: HashMap<UserId, FeedKey>,
    /// For each user whose feed is loading, what authors have published since.
    pub kept: HashMap<UserId, Kept>,
    /// Bytes beyond its share that a call has needed since it last had less.
    pub slack: usize,
    pub is_draining: bool,
    /// The shard is drained: its thread would have ended.
    pub is_over: bool,
}

/// A list of authors that was read, but not handed over yet.
pub(super) struct List {
    pub shard: usize,
    pub feed: FeedKey,
    pub user: UserId,
    pub authors: Option<Vec<UserId>>,
}

/// A handshake that was judged, but whose socket the shard does not have yet.
pub(super) struct Judged {
    pub shard: usize,
    pub entry: Entry,
    pub negotiation: Negotiation,
    pub is_refused: bool,
    /// The user was evicted from the topic since.
    pub is_evicted: bool,
}

pub(super) struct World {
    pub random: StdRng,
    pub began: Instant,
    pub now: Instant,
    /// The time at `began`, by the clock that tokens go by.
    wall_began: Timestamp,
    /// Counts commits and beginnings of sessions: it puts what happens into an order.
    pub count: u64,
    pub bounds: Bounds,
    pub shards: Vec<Shard>,
    pub inboxes: Arc<[Arc<Inbox>]>,
    pub inbox_bytes_max: usize,
    pub routes: Arc<Routes>,
    pub asked: Arc<Asked>,
    pub truth: Truth,
    pub users: Vec<UserId>,
    pub rooms: Vec<(RoomId, bool)>,
    pub posts: Vec<PostId>,
    /// The publications that lanes have sent, each with its place among all commits.
    pub sent: HashMap<*const Publication, (Arc<Publication>, u64)>,
    pub lists: Vec<List>,
    pub under_way: Vec<Judged>,
    pub permits: Arc<Semaphore>,
    pub trail: VecDeque<(&'static str, usize, u32)>,
    /// Counts how often each thing happened, so that the test can see that everything does.
    pub seen: HashMap<&'static str, u64>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let (began, shards) = (Instant::now(), random.random_range(1..=3));
        let wall_began = Timestamp(UNIX_BEGAN * 1_000_000 + random.random_range(0..1_000_000));
        let bounds = bounds(&mut random);
        let (messages_max, inbox_bytes_max) = (random.random_range(2..32), bounds.publication_bytes_max * 4);
        let inboxes: Arc<[Arc<Inbox>]> =
            (0..shards).map(|_| Arc::new(Inbox::new(messages_max, inbox_bytes_max))).collect();
        let (routes, asked) = (Arc::<Routes>::default(), Arc::<Asked>::default());
        let mut id = || Uuid::from_u128(random.random());
        let users = (0..5).map(|_| UserId(id())).collect();
        let rooms = [true, false, true].map(|has_presence| (RoomId(id()), has_presence)).to_vec();
        let posts = (0..2).map(|_| PostId(id())).collect();
        let shards = (0..shards).map(|number| {
            let id = ShardId(u8::try_from(number).expect("few shards"));
            let core = Core::with_bounds(id, ports(inboxes.clone(), routes.clone(), &asked), began, bounds);
            Shard::new(core, began)
        });
        let shards = shards.collect();
        let mut world = Self {
            random,
            began,
            now: began,
            wall_began,
            count: 0,
            bounds,
            shards,
            inboxes,
            inbox_bytes_max,
            routes,
            asked,
            truth: Truth::default(),
            users,
            rooms,
            posts,
            sent: HashMap::new(),
            lists: Vec::new(),
            under_way: Vec::new(),
            permits: Arc::new(Semaphore::new(FOLLOWS_PERMITS)),
            trail: VecDeque::new(),
            seen: HashMap::new(),
        };
        world.begin_truth();
        world
    }

    fn begin_truth(&mut self) {
        for (room, _) in self.rooms.clone().into_iter().filter(|(_, has_presence)| *has_presence) {
            for user in self.users.clone() {
                self.truth.tells_presence(room, &self.account(user, Endpoint::Chat { room, has_presence: true }));
            }
        }
        for user in self.users.clone() {
            for other in self.users.clone() {
                if user != other && self.random.random_bool(0.4) {
                    self.truth.relate(user, other, true, 0);
                }
            }
        }
    }

    /// A user whose name says where it may be heard.
    pub(super) fn account(&self, user: UserId, endpoint: Endpoint) -> Arc<Account> {
        let number = self.users.iter().position(|known| *known == user).unwrap_or(0);
        let username = match endpoint {
            Endpoint::Chat { room, .. } => format!("{number} of {}", tag(room)),
            _ => number.to_string(),
        };
        Arc::new(Account::active(user, username.into()))
    }

    pub(super) fn any_user(&mut self) -> UserId {
        *self.users.choose(&mut self.random).expect("there are users")
    }

    pub(super) fn any_endpoint(&mut self) -> Endpoint {
        match self.random.random_range(0..100) {
            0..50 => {
                let (room, has_presence) = *self.rooms.choose(&mut self.random).expect("there are rooms");
                Endpoint::Chat { room, has_presence }
            }
            50..75 => Endpoint::Feed,
            75..87 => Endpoint::Post(*self.posts.choose(&mut self.random).expect("there are posts")),
            _ => Endpoint::Notifications,
        }
    }

    /// Any slot of the shard with a session, if there is one.
    pub(super) fn any_session(&mut self, shard: usize) -> Option<u32> {
        let live = self.shards[shard].shadows.iter().enumerate().filter(|(_, shadow)| shadow.is_some());
        let live: Vec<usize> = live.map(|(index, _)| index).collect();
        live.choose(&mut self.random).map(|index| u32::try_from(*index).expect("few sessions"))
    }

    pub(super) fn next_count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Whole seconds by the shards' clock.
    pub(super) fn seconds(&self) -> u32 {
        u32::try_from((self.now - self.began).as_secs()).unwrap_or(u32::MAX)
    }

    /// The clock that tokens go by. Its seconds do not begin with those of the shards' clock.
    pub(super) fn wall(&self) -> Timestamp {
        let since = i64::try_from((self.now - self.began).as_micros()).expect("a run is short");
        Timestamp(self.wall_began.0 + since)
    }

    pub(super) fn note(&mut self, what: &'static str, shard: usize, index: u32) {
        if self.trail.len() == TRAIL_STEPS {
            self.trail.pop_front();
        }
        self.trail.push_back((what, shard, index));
        *self.seen.entry(what).or_default() += 1;
    }

    /// Lets time pass.
    pub(super) fn wait(&mut self, duration: Duration) {
        self.now += duration;
    }

    /// Hands the lanes' messages to the shards, as far as the inboxes take them.
    pub(super) fn pump(&mut self) {
        for (shard, inbox) in self.shards.iter_mut().zip(self.inboxes.iter()) {
            while let Some(message) = shard.mail.pop_front() {
                if let Err(back) = inbox.put(message) {
                    shard.mail.push_front(back);
                    break;
                }
            }
        }
    }
}

impl Shard {
    fn new(core: Core, now: Instant) -> Self {
        Self {
            core,
            sockets: Sockets::default(),
            shadows: Vec::new(),
            outcomes: Vec::new(),
            ticked: now,
            mail: VecDeque::new(),
            feeds: HashMap::new(),
            kept: HashMap::new(),
            slack: 0,
            is_draining: false,
            is_over: false,
        }
    }

    pub(super) fn open(&self) -> impl Iterator<Item = &Shadow> {
        self.shadows.iter().flatten().filter(|shadow| shadow.is_open())
    }

    pub(super) fn open_mut(&mut self) -> impl Iterator<Item = &mut Shadow> {
        self.shadows.iter_mut().flatten().filter(|shadow| shadow.is_open())
    }

    /// True if the user's feed waits for its list here, or the list is being worked off.
    pub(super) fn is_loading(&self, user: UserId) -> bool {
        self.feeds.get(&user).is_some_and(|feed| self.core.feeds.is_loading(*feed) || self.core.recent.is_for(*feed))
    }
}

/// A room's name as a part of its users' names, of which frames show up to 30 characters.
pub(super) fn tag(room: RoomId) -> String {
    room.0.simple().to_string()[..16].to_owned()
}

/// Bounds that are reached in a few hundred steps. They keep the relations that limits.rs asserts.
fn bounds(random: &mut StdRng) -> Bounds {
    Bounds {
        chunk_bytes: random.random_range(256..2048),
        write_bytes_max: random.random_range(512..4096),
        publication_bytes_max: 4096,
        shared_bytes_max: random.random_range(500..2048),
        owed_bytes_max: random.random_range(1500..6000),
        parts_max: random.random_range(2..12),
        debt_step_bytes: random.random_range(64..512),
        waiting_bytes_max: random.random_range(6..20) * 1024,
        unfinished_bytes_max: UNFINISHED_BYTES_MAX,
        overflow_messages_max: random.random_range(2..16),
        overflow_bytes_max: random.random_range(512..4096),
        feed_slice_entries: random.random_range(1..4),
        feed_recent_max: random.random_range(4..64),
    }
}
