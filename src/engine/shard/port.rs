//! What the rest of the server sees of a shard, and what a shard needs from the rest.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::domain::user::Account;
use crate::domain::write::Write;
use crate::engine::session::Entry;
use crate::engine::session::pace::Paces;
use crate::engine::topics::feeds::FeedKey;
use crate::engine::topics::listeners::Listeners;
pub use crate::engine::topics::listeners::ShardSet;
use crate::ids::{PostId, RoomId, SessionKey, ShardId, Topic, UserId};
use crate::limits::Adjustable;
use crate::protocol::form::Form;
use crate::protocol::v0::reason::Goodbye;
use crate::protocol::v1::request::Credential;
use crate::protocol::ws::negotiation::Negotiation;

pub use super::errand::{Answer, Asked, Caught, Errand, From, Identity, Seating, Ticket, Visitor};
pub use super::inbox::Inbox;
pub use super::message::{
    Except, Follows, GiveAway, Given, Heard, Kind, LoginEnds, Meant, Order, Publication, Readers, ToShard, Whom,
};
pub use super::survey::{given_away, heard, meant, readers};

/// The directory of which shards have listeners of which topics. A shard tells it about itself and never asks it: what
/// the shard needs to know about a room or a post, it is given when it joins.
pub trait Directory: Send + Sync + 'static {
    /// The shard got its first listener of the topic. Called before the greeting is queued. For a room or a post, returns the
    /// shards that listen there from now until this shard leaves: they tell each other things. `None` for other topics.
    fn join(&self, topic: Topic, shard: ShardId) -> Option<Arc<Listeners>>;
    /// A shard's first listener that wants another form than the default: publishers may make it ahead. Called after [`Self::join`].
    fn form_came(&self, _: Topic, _: Form) {}
    /// A shard's last listener with such a form went. Called before [`Self::leave`].
    fn form_went(&self, _: Topic, _: Form) {}
    /// The shard lost its last listener of the topic.
    fn leave(&self, topic: Topic, shard: ShardId);
    /// The shard is to be given the publications of all authors, because it cannot say yet which authors it needs. This
    /// lasts until [`Self::hear_enough`] was called as often.
    fn hear_all(&self, shard: ShardId);
    /// Takes one [`Self::hear_all`] back. The shard has joined the topics that it needs before.
    fn hear_enough(&self, shard: ShardId);
}

/// A future that a shard may await without blocking its loop.
pub type Promise<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a handshake wants to listen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A chat room.
    Chat(RoomId),
    /// The user's own feed.
    Feed,
    /// A post with its comments and reactions.
    Post(PostId),
    /// The user's own notifications.
    Notifications,
}

/// A client's request for a socket.
#[derive(Debug, Clone, Copy)]
pub struct Handshake<'a> {
    /// What the socket is for.
    pub wanted: Wanted,
    /// The access token that the client shows.
    pub token: Option<&'a str>,
    /// The other end of the connection. If that is a proxy, the headers name the client.
    pub peer: SocketAddr,
    /// The headers of the request.
    pub headers: &'a http::HeaderMap,
    /// What was negotiated for the socket.
    pub negotiation: Negotiation,
}

/// How a handshake is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// After the upgrade, inside the socket, where a browser can read the reason: for chat.
    Inside(Refused, Why),
    /// Before the upgrade, with this status and an empty body: for all others.
    Status(u16, Why),
}

/// Why a handshake is refused, in a few words, for the log and the metrics.
pub type Why = &'static str;

/// A token, or a ticket, was refused several times a short time ago.
pub const BARRED: Why = "barred";

/// Why a handshake is refused inside its socket: the text of the error frame, and the goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The error frame's text.
    pub text: &'static str,
    /// The close code.
    pub goodbye: Goodbye,
}

/// The gate's verdict on a handshake.
pub enum Verdict {
    /// Everything that was needed was in a cache.
    Now(Result<Entry, Denied>),
    /// The database is being asked.
    Later(Promise<Result<Entry, Denied>>),
}

/// Under what a connection is counted: nothing, where it comes from a proxy that is believed, or from this machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Address(pub Option<NonZeroU32>);

/// Decides who may open a socket.
pub trait Gate: Send + Sync + 'static {
    /// How long a connection whose address was judged ([`Self::connected`]) must wait until it is served; `None` if it may be
    /// now, and is counted.
    fn accept_after(&self) -> Option<Duration> {
        None
    }
    /// Counts a connection, and counts it among those of nobody. `None`: it must be closed.
    fn connected(&self, _: SocketAddr) -> Option<Address> {
        Some(Address::default())
    }
    /// A request for a socket came by a connection. If that is a proxy's, its client is counted under the returned address.
    /// `None`: it must be refused.
    fn forwarded(&self, _: SocketAddr, _: &http::HeaderMap, own: Address) -> Option<Address> {
        Some(own)
    }
    /// Counts a connection no more among those of nobody: a request came, or it is known whose it is.
    fn known(&self, _: Address) {}

    /// The first request has come by a connection.
    fn spoke(&self, _: Address) {}
    /// Counts a socket among those of nobody, until it is known whose it is. False: it must go.
    fn nobody_came(&self, _: Address) -> bool {
        true
    }
    /// Counts a connection no more. It is none of nobody any more.
    fn disconnected(&self, _: Address) {}
    /// The client's address.
    fn client(&self, peer: SocketAddr, _: &http::HeaderMap) -> IpAddr {
        peer.ip()
    }
    /// Was this token or ticket refused so often to this client that it need not be judged?
    fn is_barred(&self, _: IpAddr, _: &str) -> bool {
        false
    }
    /// Is the page that opens this socket one of ours?
    fn allows_origin(&self, origin: Option<&str>, host: &str) -> bool;
    /// Is a request that names this host meant for this server?
    fn allows_host(&self, _: Option<&str>) -> bool {
        true
    }
    /// Is there a socket that sends back what comes?
    fn echoes(&self) -> bool {
        false
    }
    /// Notes that a handshake was refused, and why.
    fn refused(&self, _: SocketAddr, _: &http::HeaderMap, _: Why) {}
    /// Decides whether the client may have what it wants. Never blocks.
    fn admit(&self, handshake: &Handshake<'_>) -> Verdict;
    /// True unless something was taken away from the user since they were admitted. Asked when evictions reach the
    /// session from now on. Never blocks.
    fn still_admits(&self, _: &Entry) -> bool {
        true
    }
    /// Notes that a user's socket on a topic came. Returns the socket that has to go for it, which is not counted any
    /// more.
    fn came(&self, _: UserId, _: Topic, _: SessionKey) -> Option<SessionKey> {
        None
    }
    /// Notes that a user's socket on a topic went. A socket that never came does no harm.
    fn went(&self, _: UserId, _: Topic, _: SessionKey) {}
    /// May what travels on such a socket be compressed? `None` is a socket for many topics.
    fn may_compress(&self, _: Option<Wanted>) -> bool {
        false
    }
    /// True if the server is about to stop: handshakes get 503 with Retry-After.
    fn is_draining(&self) -> bool;
}

/// Answers a request to the REST API, on the control runtime.
pub type Rest = Arc<
    dyn Fn(http::Request<hyper::body::Incoming>, SocketAddr) -> Promise<http::Response<RestBody>>
        + Send
        + Sync
        + 'static,
>;

/// A response body whose bytes are made on the control runtime.
pub type RestBody = http_body_util::combinators::BoxBody<Bytes, std::io::Error>;

/// Hands a durable write to its lane, or gives it back if the lane is full. Never blocks.
pub type Submit = Arc<dyn Fn(Box<Write>) -> Result<(), Box<Write>> + Send + Sync>;

/// Asks for [`ToShard::Follows`] for a user's feed on a shard. False if too many wait: no answer will come. Never
/// blocks.
pub type LoadFollows = Arc<dyn Fn(UserId, ShardId, FeedKey) -> bool + Send + Sync>;

/// Has an [`Errand`] done. False if too many wait: no answer will come. Never blocks.
pub type Errands = Arc<dyn Fn(Errand) -> bool + Send + Sync>;

/// How a socket begins.
#[derive(Debug)]
pub enum Opening {
    /// Its handshake was judged.
    Judged(Result<Entry, Refused>),
    /// A socket for many topics says inside whose it is.
    Many {
        /// One that came with its handshake.
        credential: Option<Credential>,
        /// The client's address.
        client: IpAddr,
    },
    /// A socket that sends back what comes.
    Echo,
}

/// What a shard holds of the one sum, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What waits for its sessions, in chunks, debts and sealed records.
    pub sessions: usize,
    /// Messages whose end has not come.
    pub unfinished: usize,
    /// What other shards' inboxes had no room for.
    pub overflow: usize,
    /// What is kept for subscriptions that are not live yet, and for sockets of nobody.
    pub subscriptions: usize,
    /// TLS records whose end has not come.
    pub records: usize,
    /// What connections with TLS hold for HTTP, before they become sockets.
    pub http_records: usize,
}

/// How many sessions a shard has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// All.
    pub all: usize,
    /// Those of `pregon.v1` that were not told to move yet.
    pub movable: usize,
    /// Those that were.
    pub moving: usize,
}

/// What each shard holds. Told at each tick.
#[derive(Debug)]
pub struct Waiting(Box<[[AtomicUsize; 9]]>);

impl Waiting {
    /// The numbers of so many shards, on which nothing waits.
    pub fn of_shards(shards: usize) -> Self {
        Self((0..shards).map(|_| Default::default()).collect())
    }

    pub(super) fn tell(&self, shard: ShardId, held: Held, open: Open) {
        let Held { sessions, unfinished, overflow, subscriptions, records, http_records: _ } = held;
        let numbers = [sessions, unfinished, overflow, open.all, open.movable, open.moving, subscriptions, records];
        for (told, bytes) in self.0[shard.index()].iter().zip(numbers) {
            told.store(bytes, Ordering::Relaxed);
        }
    }

    /// On all shards together.
    pub fn held(&self) -> Held {
        let sum = |place: usize| self.0.iter().map(|told| told[place].load(Ordering::Relaxed)).sum();
        let (sessions, unfinished, overflow, subscriptions) = (sum(0), sum(1), sum(2), sum(6));
        Held { sessions, unfinished, overflow, subscriptions, records: sum(7), http_records: sum(8) }
    }

    /// What a shard's connections with TLS hold for HTTP; told at each change, not with the rest.
    pub(super) fn tell_http_records(&self, shard: ShardId, bytes: usize) {
        self.0[shard.index()][8].store(bytes, Ordering::Relaxed);
    }

    /// The sessions of each shard.
    pub fn open(&self) -> Vec<Open> {
        let of = |told: &[AtomicUsize; 9]| Open {
            all: told[3].load(Ordering::Relaxed),
            movable: told[4].load(Ordering::Relaxed),
            moving: told[5].load(Ordering::Relaxed),
        };
        self.0.iter().map(of).collect()
    }
}

/// Takes what is not stored for other nodes. Never blocks.
pub trait Elsewhere: Send + Sync + 'static {
    /// Frames for the listeners of a topic.
    fn ephemeral(&self, publication: &Arc<Publication>);
    /// A user has the first socket of this node in a room. Others need the name if the room `is_told` who comes.
    fn came(&self, room: RoomId, account: &Arc<Account>, is_told: bool);
    /// A user has no socket of this node in a room any more.
    fn went(&self, room: RoomId, user: UserId);
}

/// What the clients of this server may do.
#[derive(Debug, Clone, Default)]
pub struct Allowance {
    /// How often they may speak; `None`: as often as they like.
    pub paces: Option<Arc<Paces>>,
    /// What operators may change.
    pub limits: Adjustable,
}

/// Everything that a shard needs from the rest of the server.
#[derive(Clone)]
pub struct Ports {
    /// The inboxes of all shards, by number. A shard finds its own here, too.
    pub inboxes: Arc<[Arc<Inbox>]>,
    /// Where each shard says what waits on it.
    pub waiting: Arc<Waiting>,
    /// The directory of who listens where.
    pub directory: Arc<dyn Directory>,
    /// Decides who may open a socket.
    pub gate: Arc<dyn Gate>,
    /// The REST API.
    pub rest: Rest,
    /// The write lanes.
    pub submit: Submit,
    /// Asks whom a user hears.
    pub load_follows: LoadFollows,
    /// Where frames that are not stored go for other nodes, if there are any.
    pub elsewhere: Option<Arc<dyn Elsewhere>>,
    /// Does what sockets with many topics need.
    pub errands: Errands,
    /// What clients may do.
    pub allowance: Allowance,
}

impl Ports {
    /// The shard that keeps what must be counted once for a room.
    pub fn home(&self, room: RoomId) -> ShardId {
        home(room, self.inboxes.len())
    }
}

/// The shard, of so many, that keeps what must be counted once for a room.
pub fn home(room: RoomId, shards: usize) -> ShardId {
    let (high, low) = room.0.as_u64_pair();
    let mixed = (high ^ low).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    ShardId(u8::try_from(mixed % shards as u64).unwrap_or(0))
}
