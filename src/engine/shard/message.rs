//! What other threads tell a shard, and what it answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::domain::login::LoginEnd;
use crate::domain::user::Account;
use crate::engine::session::outbox::Class;
use crate::engine::topics::feeds::FeedKey;
use crate::engine::topics::listeners::Listeners;
use crate::ids::{RoomId, SessionKey, Topic, UserId};
use crate::protocol::form::FrameSet;
use crate::protocol::v0::reason::Goodbye;

/// Frames for a topic's sessions, encoded once.
#[derive(Debug)]
pub struct Publication {
    /// Whose listeners.
    pub topic: Topic,
    /// Whole frames, in each form that somebody wants.
    pub frames: FrameSet<Bytes>,
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
    /// The answer to [`LoadFollows`](super::port::LoadFollows); `None` when the database did not give it.
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
    /// Where `hears` is true, the sender called [`Directory::hear_all`](super::port::Directory::hear_all) for the shard, which takes it back.
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

    /// Memory of what it carries, in bytes, as far as it may be much. It stays the same while others make further forms
    /// of its frames, or inboxes would give back more than they took.
    pub(super) fn carried_bytes(&self) -> usize {
        match self {
            Self::Publish(publication) => publication.frames.usual().len(),
            Self::Deliver { frames, .. } => frames.len(),
            _ => 0,
        }
    }
}
