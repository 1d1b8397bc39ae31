//! How the rest of the server speaks to a shard, and what a shard asks of the rest.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::domain::login::LoginEnd;
use crate::domain::user::Account;
use crate::domain::write::Write;
use crate::engine::session::Entry;
use crate::engine::session::outbox::Class;
use crate::engine::topics::feeds::FeedKey;
use crate::engine::topics::listeners::Listeners;
pub use crate::engine::topics::listeners::ShardSet;
use crate::ids::{PostId, RoomId, SessionKey, ShardId, Topic, UserId};
use crate::protocol::v0::reason::Goodbye;
use crate::protocol::ws::negotiation::Negotiation;

/// Frames for a topic's sessions, encoded once.
#[derive(Debug)]
pub struct Publication {
    /// Whose listeners.
    pub topic: Topic,
    /// Whole frames.
    pub frames: Bytes,
    /// What may happen to them under pressure.
    pub class: Class,
    /// Who does not get them.
    pub except: Except,
    /// The session that caused it: its shard visits it first.
    pub origin: Option<SessionKey>,
    /// When it was committed; of what is not stored, when the turn began that read its cause. For measuring alone.
    pub born: Instant,
}

/// Who does not get a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Except {
    /// Everybody gets it.
    Nobody,
    /// All sessions of a user (typing, presence).
    User(UserId),
    /// Everybody save one user's sessions (a private post).
    AllBut(UserId),
    /// One session (`signal` without echo).
    Session(SessionKey),
}

/// Whose sessions are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// This user's.
    Only(UserId),
    /// Everybody else's.
    AllBut(UserId),
}

impl Whom {
    /// Is this user meant?
    pub fn is(self, user: UserId) -> bool {
        match self {
            Self::Only(meant) => user == meant,
            Self::AllBut(spared) => user != spared,
        }
    }
}

/// Whom a feed hears, as the database says.
#[derive(Debug)]
pub struct Follows {
    /// In no order.
    pub authors: Vec<UserId>,
    /// Dropped when the shard has worked it off: the next list is read then.
    pub permit: tokio::sync::OwnedSemaphorePermit,
}

/// Whose logins are over, and which.
pub type LoginEnds = HashMap<UserId, Vec<LoginEnd>>;

/// Sessions other than chat's, of some of a shard's slots.
#[derive(Debug)]
pub struct Readers {
    /// Whose, and on what.
    pub users: Vec<(UserId, Topic)>,
    /// The slot to go on from; `None` when these were the last.
    pub next: Option<u32>,
}

/// Topics with listeners on a shard, of some of its slots.
#[derive(Debug)]
pub struct Heard {
    /// Each once.
    pub topics: Vec<Topic>,
    /// The slot to go on from; `None` when these were the last.
    pub next: Option<u32>,
}

/// Which topics a shard is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Chat rooms.
    Rooms,
    /// Users' feeds.
    Feeds,
    /// Users' notifications.
    Notifications,
    /// Posts.
    Posts,
    /// Authors whom feeds hear.
    Authors,
}

impl Kind {
    /// Is the topic one of this kind?
    pub fn has(self, topic: Topic) -> bool {
        let kind = match topic {
            Topic::Room(_) => Self::Rooms,
            Topic::Feed(_) => Self::Feeds,
            Topic::Notifications(_) => Self::Notifications,
            Topic::Post(_) => Self::Posts,
            Topic::Author(_) => Self::Authors,
        };
        self == kind
    }
}

pub use super::inbox::Inbox;
pub use super::survey::{heard, readers};

/// What a shard may be told.
#[derive(Debug)]
pub enum ToShard {
    /// Fan out to this shard's listeners.
    Publish(Arc<Publication>),
    /// For one session.
    Deliver {
        /// Which.
        session: SessionKey,
        /// Whole frames.
        frames: Bytes,
        /// What may happen to them under pressure.
        class: Class,
    },
    /// For a room's home shard: a socket of a user's came.
    Arrived {
        /// In which room.
        room: RoomId,
        /// Whose.
        account: Arc<Account>,
        /// Which socket: it hears who is there.
        session: SessionKey,
        /// Who listens in the room.
        listeners: Arc<Listeners>,
    },
    /// For a room's home shard: a socket of a user's went.
    Departed {
        /// From which room.
        room: RoomId,
        /// Whose.
        user: UserId,
    },
    /// Sessions in a topic end.
    Evict {
        /// In which topic.
        topic: Topic,
        /// Whose.
        whom: Whom,
        /// What they hear.
        goodbye: Goodbye,
    },
    /// These are a room's participants, asked for at `asked_at`: whoever came before then and is none of them goes.
    Participants {
        /// Of which room.
        room: RoomId,
        /// Sorted.
        users: Arc<[UserId]>,
        /// When the question was put.
        asked_at: std::time::Instant,
    },
    /// Sessions of logins that are over end.
    EndLogins {
        /// Which logins.
        ends: Arc<LoginEnds>,
        /// The first slot to look at.
        from: u32,
        /// Where it is said from which slot to go on; `None` when these were the last.
        answer: tokio::sync::oneshot::Sender<Option<u32>>,
    },
    /// Who has sockets other than chat's?
    Readers {
        /// The first slot to look at.
        from: u32,
        /// Where the answer goes.
        answer: tokio::sync::oneshot::Sender<Readers>,
    },
    /// Which topics have listeners?
    Heard {
        /// Those of this kind.
        kind: Kind,
        /// The first slot to look at.
        from: u32,
        /// Where the answer goes.
        answer: tokio::sync::oneshot::Sender<Heard>,
    },
    /// The answer to [`LoadFollows`]; `None` when the database did not give it.
    Follows {
        /// For which feed.
        feed: FeedKey,
        /// Whom it hears.
        follows: Option<Follows>,
    },
    /// Whom a user hears, read anew since others changed it: for the shards with the user's feed.
    Refollow {
        /// Whose feed.
        user: UserId,
        /// Whom it hears.
        follows: Follows,
    },
    /// A user hears another's posts from here on, or no more: for the shards with the user's feed.
    ///
    /// Where `hears` is true, the sender called [`Directory::hear_all`] for the shard, which takes it back.
    Relation {
        /// Whose feed.
        user: UserId,
        /// Whom.
        other: UserId,
        /// As a follower or as a friend.
        hears: bool,
    },
    /// One session ends.
    LetGo(SessionKey, Goodbye),
    /// All sessions end, spread over this time; no more are admitted.
    Drain(Duration),
}

impl ToShard {
    /// It tells of what passes, and may be dropped under pressure.
    pub(super) fn may_be_dropped(&self) -> bool {
        match self {
            Self::Publish(publication) => publication.class == Class::Ephemeral,
            Self::Deliver { class, .. } => *class == Class::Ephemeral,
            _ => false,
        }
    }

    /// Memory of what it carries, in bytes, as far as it may be much.
    pub(super) fn carried_bytes(&self) -> usize {
        match self {
            Self::Publish(publication) => publication.frames.len(),
            Self::Deliver { frames, .. } => frames.len(),
            _ => 0,
        }
    }
}

/// Which shards have listeners of which topic. A shard says what it has and cannot ask: what it needs on the way of a frame it is given
/// when it joins.
pub trait Directory: Send + Sync + 'static {
    /// The shard has its first listener of the topic. Called before the greeting is queued. For a room, whose shards tell each
    /// other things: who listens there from now on, until the shard leaves.
    fn join(&self, topic: Topic, shard: ShardId) -> Option<Arc<Listeners>>;
    /// The shard lost its last listener of the topic.
    fn leave(&self, topic: Topic, shard: ShardId);
    /// The shard is to be given every author's publications until [`Self::hear_enough`] was called as often: it cannot
    /// say yet whose it needs.
    fn hear_all(&self, shard: ShardId);
    /// Takes one [`Self::hear_all`] back. What the shard needs it has joined before.
    fn hear_enough(&self, shard: ShardId);
}

/// A future that a shard may await without blocking its loop.
pub type Promise<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a handshake asks for.
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

/// A client asks to come in.
#[derive(Debug, Clone, Copy)]
pub struct Handshake<'a> {
    /// What for.
    pub wanted: Wanted,
    /// The access token that it shows.
    pub token: Option<&'a str>,
    /// The other end of the connection. Where that is a proxy, the headers name the client.
    pub peer: SocketAddr,
    /// All that the request says of itself.
    pub headers: &'a http::HeaderMap,
    /// What its socket will speak.
    pub negotiation: Negotiation,
}

/// How a handshake is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// After it, inside the socket, where a browser can read why: chat.
    Inside(Refused, Why),
    /// With this status and an empty body: all others.
    Status(u16, Why),
}

/// Why a handshake is refused, in few words, for the log and the metrics.
pub type Why = &'static str;

/// Why a handshake is refused inside its socket: the text of the error frame, and the goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The error frame's text.
    pub text: &'static str,
    /// The close code.
    pub goodbye: Goodbye,
}

/// The gate's word on a handshake.
pub enum Verdict {
    /// Everything was in a cache.
    Now(Result<Entry, Denied>),
    /// The database is asked.
    Later(Promise<Result<Entry, Denied>>),
}

/// Who may come in.
pub trait Gate: Send + Sync + 'static {
    /// Is the page that opens this socket one of ours?
    fn allows_origin(&self, origin: Option<&str>, host: &str) -> bool;
    /// Is a request that names this host meant for this server?
    fn allows_host(&self, _: Option<&str>) -> bool {
        true
    }
    /// A handshake was refused, for this reason.
    fn refused(&self, _: SocketAddr, _: &http::HeaderMap, _: Why) {}
    /// May whoever asks have what is wanted? Never blocks.
    fn admit(&self, handshake: &Handshake<'_>) -> Verdict;
    /// Has nothing been taken from whom it admitted since? Asked when evictions reach the session. Never blocks.
    fn still_admits(&self, _: &Entry) -> bool {
        true
    }
    /// A user's socket on a topic came: the one that has to go for it, which is counted no more.
    fn came(&self, _: UserId, _: Topic, _: SessionKey) -> Option<SessionKey> {
        None
    }
    /// A user's socket on a topic went. One that never came does no harm.
    fn went(&self, _: UserId, _: Topic, _: SessionKey) {}
    /// The server is about to stop: 503 with Retry-After.
    fn is_draining(&self) -> bool;
}

/// A request for the REST API, and how it is answered; runs on the control runtime.
pub type Rest = Arc<
    dyn Fn(http::Request<hyper::body::Incoming>, SocketAddr) -> Promise<http::Response<RestBody>>
        + Send
        + Sync
        + 'static,
>;

/// A response body whose bytes are made on the control runtime.
pub type RestBody = http_body_util::combinators::BoxBody<Bytes, std::io::Error>;

/// Hands a durable write to its lane; gives it back when the lane is full. Never blocks.
pub type Submit = Arc<dyn Fn(Box<Write>) -> Result<(), Box<Write>> + Send + Sync>;

/// Asks for [`ToShard::Follows`] for a user's feed on a shard. Never blocks; false: too many wait, nothing will come.
pub type LoadFollows = Arc<dyn Fn(UserId, ShardId, FeedKey) -> bool + Send + Sync>;

/// What a shard holds of the one sum, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// What waits for its sessions, in chunks and debts.
    pub sessions: usize,
    /// Messages whose end has not come.
    pub unfinished: usize,
    /// What other shards' inboxes had no room for.
    pub overflow: usize,
}

/// What each shard holds. Told at each tick.
#[derive(Debug)]
pub struct Waiting(Box<[[AtomicUsize; 3]]>);

impl Waiting {
    /// Nothing, on so many shards.
    pub fn of_shards(shards: usize) -> Self {
        Self((0..shards).map(|_| Default::default()).collect())
    }

    pub(super) fn tell(&self, shard: ShardId, held: Held) {
        let numbers = [held.sessions, held.unfinished, held.overflow];
        for (told, bytes) in self.0[shard.index()].iter().zip(numbers) {
            told.store(bytes, Ordering::Relaxed);
        }
    }

    /// On all shards together.
    pub fn held(&self) -> Held {
        let sum = |place: usize| self.0.iter().map(|told| told[place].load(Ordering::Relaxed)).sum();
        Held { sessions: sum(0), unfinished: sum(1), overflow: sum(2) }
    }
}

/// All that a shard asks of the rest of the server.
#[derive(Clone)]
pub struct Ports {
    /// Every shard's inbox, by number; a shard finds its own there, too.
    pub inboxes: Arc<[Arc<Inbox>]>,
    /// Where each says what waits on it.
    pub waiting: Arc<Waiting>,
    /// Who listens where.
    pub directory: Arc<dyn Directory>,
    /// Who may come in.
    pub gate: Arc<dyn Gate>,
    /// The REST API.
    pub rest: Rest,
    /// The write lanes.
    pub submit: Submit,
    /// Who follows whom.
    pub load_follows: LoadFollows,
}

impl Ports {
    /// The shard that keeps what must be counted once for a room.
    pub fn home(&self, room: RoomId) -> ShardId {
        let (high, low) = room.0.as_u64_pair();
        let mixed = (high ^ low).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let shards = self.inboxes.len() as u64;
        ShardId(u8::try_from(mixed % shards).unwrap_or(0))
    }
}
