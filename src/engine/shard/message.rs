//! The messages that other threads send to a shard, and the shard's answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::errand::Answer;
use crate::domain::chat::roster::Attendance;
use crate::domain::login::LoginEnd;
use crate::domain::operator::{Row, Verb, Whose};
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
    /// The topic whose listeners get the frames.
    pub topic: Topic,
    /// Whole frames, in each form that somebody wants.
    pub frames: FrameSet<Bytes>,
    /// What may happen to them under pressure.
    pub class: Class,
    /// Who does not get them.
    pub except: Except,
    /// The session that caused it: its shard visits it first.
    pub origin: Option<SessionKey>,
    /// When it was committed. If it is not stored: when the turn began that read its cause. Only used for measuring.
    pub born: Instant,
}

/// Who does not get a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Except {
    /// Everybody gets it.
    Nobody,
    /// All sessions of this user (typing).
    User(UserId),
    /// All sessions of this user and of those whom the user is kept apart from, and those that have not been told yet who is present
    /// (presence).
    UserAndNewcomers(UserId),
    /// Everybody except this user's sessions (a private post).
    AllBut(UserId),
    /// This session (`signal` without echo).
    Session(SessionKey),
}

/// Whose sessions a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    /// Those of this user.
    Only(UserId),
    /// Those of everybody but this user.
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

/// The authors that a feed hears, as the database says.
#[derive(Debug)]
pub struct Follows {
    /// In no order.
    pub authors: Vec<UserId>,
    /// Dropped when the shard has worked the list off, so that the next list can be read.
    pub permit: tokio::sync::OwnedSemaphorePermit,
}

/// Users whose logins have ended, and which logins.
pub type LoginEnds = HashMap<UserId, Vec<LoginEnd>>;

/// Sessions that do not chat, from a part of a shard's slots.
#[derive(Debug)]
pub struct Readers {
    /// The user of each, and its topic.
    pub users: Vec<(UserId, Topic)>,
    /// The slot to go on from; `None` if these were the last.
    pub next: Option<u32>,
}

/// Topics with listeners on a shard, from a part of its slots.
#[derive(Debug)]
pub struct Heard {
    /// Each topic once.
    pub topics: Vec<Topic>,
    /// The slot to go on from; `None` if these were the last.
    pub next: Option<u32>,
}

/// What an operator asks about the sessions of a part of a shard's slots.
#[derive(Debug)]
pub struct Order {
    /// Whose sessions are meant.
    pub whose: Whose,
    /// What is to be done with them.
    pub verb: Arc<Verb>,
    /// The first slot to look at.
    pub from: u32,
    /// The first slot to list.
    pub rows_from: u32,
    /// How many more sessions to list.
    pub rows_max: usize,
    /// Where the answer goes.
    pub answer: tokio::sync::oneshot::Sender<Meant>,
}

/// The sessions of a part of a shard's slots that an operator meant.
#[derive(Debug, Default)]
pub struct Meant {
    /// How many.
    pub count: u64,
    /// Those that are listed.
    pub rows: Vec<Row>,
    /// The slot of the first for which the list had no room.
    pub left_out: Option<u32>,
    /// The slot to go on from; `None` if these were the last.
    pub next: Option<u32>,
}

/// Has clients of a part of a shard's slots move elsewhere.
#[derive(Debug)]
pub struct GiveAway {
    /// The first slot to look at.
    pub from: u32,
    /// How many were told before.
    pub rank: usize,
    /// How many are to be told.
    pub of: usize,
    /// In which time all have moved.
    pub window: Duration,
    /// Sessions that are younger stay.
    pub age_min: Duration,
}

/// What came of [`GiveAway`].
#[derive(Debug)]
pub struct Given {
    /// How many were told.
    pub count: usize,
    /// The slot to go on from; `None` if these were the last.
    pub next: Option<u32>,
}

/// The kinds of topics that a shard can be asked about.
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

/// A message to a shard.
#[derive(Debug)]
pub enum ToShard {
    /// Fan out to this shard's listeners.
    Publish(Arc<Publication>),
    /// Deliver frames to one session.
    Deliver {
        /// Which.
        session: SessionKey,
        /// Whole frames.
        frames: Bytes,
        /// What may happen to them under pressure.
        class: Class,
    },
    /// Tell a session who is present in a room. From then on it hears who comes and goes; what the home told before is in it.
    Greet {
        /// Which.
        session: SessionKey,
        /// Where.
        room: RoomId,
        /// Whole frames of the default form.
        frames: Bytes,
        /// How many are present, where a client of `pregon.v1` is told that instead.
        count: Option<u32>,
    },
    /// Who of some users is present in a room, for its home shard to say.
    Attendance {
        /// Where.
        room: RoomId,
        /// Whom.
        users: Box<[UserId]>,
        /// Where the answer goes.
        answer: tokio::sync::oneshot::Sender<Attendance>,
    },
    /// What came of an errand.
    Answer(Box<Answer>),
    /// For a room's home shard: a user's socket came.
    Arrived {
        /// In which room.
        room: RoomId,
        /// Whose.
        account: Arc<Account>,
        /// The room is told who comes and goes.
        is_told: bool,
        /// Which socket: it is told who is present.
        session: SessionKey,
        /// The shards that listen in the room.
        listeners: Arc<Listeners>,
    },
    /// For a room's home shard: the user has come on another node.
    ArrivedElsewhere {
        /// In which room.
        room: RoomId,
        /// Who. Without a name where the room is not told who comes.
        account: Arc<Account>,
        /// The room is told who comes and goes.
        is_told: bool,
    },
    /// For a room's home shard: the user has gone on another node, or the node has.
    DepartedElsewhere {
        /// From which room.
        room: RoomId,
        /// Who.
        user: UserId,
    },
    /// For a room's home shard: a user's socket went.
    Departed {
        /// From which room.
        room: RoomId,
        /// Whose.
        user: UserId,
    },
    /// End sessions in a topic.
    Evict {
        /// In which topic.
        topic: Topic,
        /// Whose.
        whom: Whom,
        /// What they are told.
        goodbye: Goodbye,
    },
    /// The participants of a room, asked for at `asked_at`. End the sessions that came before then and whose user is
    /// not among them.
    Participants {
        /// Of which room.
        room: RoomId,
        /// Sorted.
        users: Arc<[UserId]>,
        /// When the database was asked.
        asked_at: std::time::Instant,
    },
    /// End the sessions of logins that have ended.
    EndLogins {
        /// Which logins.
        ends: Arc<LoginEnds>,
        /// The first slot to look at.
        from: u32,
        /// Gets the slot to go on from; `None` if these were the last.
        answer: tokio::sync::oneshot::Sender<Option<u32>>,
    },
    /// List the sessions that do not chat.
    Readers {
        /// The first slot to look at.
        from: u32,
        /// Where the answer goes.
        answer: tokio::sync::oneshot::Sender<Readers>,
    },
    /// List the topics that have listeners.
    Heard {
        /// Topics of this kind.
        kind: Kind,
        /// The first slot to look at.
        from: u32,
        /// Where the answer goes.
        answer: tokio::sync::oneshot::Sender<Heard>,
    },
    /// The answer to [`LoadFollows`](super::port::LoadFollows); `None` if the database did not give it.
    Follows {
        /// For which feed.
        feed: FeedKey,
        /// Whom it hears.
        follows: Option<Follows>,
    },
    /// A list of the authors whom a user hears, read anew because other programs changed it. For the shards with the
    /// user's feed.
    Refollow {
        /// Whose feed.
        user: UserId,
        /// Whom it hears.
        follows: Follows,
    },
    /// One of these two has blocked the other: from here on neither sees the other come and go. For all shards.
    Apart {
        /// One.
        user: UserId,
        /// The other.
        other: UserId,
    },
    /// The user hears another user's posts from here on, or no longer. For the shards with the user's feed.
    ///
    /// If `hears` is true, the sender has called [`Directory::hear_all`](super::port::Directory::hear_all) for the
    /// shard, and the shard takes that back.
    Relation {
        /// Whose feed.
        user: UserId,
        /// Whom.
        other: UserId,
        /// True if the user follows the other or is a friend.
        hears: bool,
    },
    /// List sessions for an operator, or do something with them.
    Order(Box<Order>),
    /// Have clients move elsewhere.
    GiveAway(GiveAway, tokio::sync::oneshot::Sender<Given>),
    /// End one session.
    LetGo(SessionKey, Goodbye),
    /// End all sessions, spread over this time, and admit no more.
    Drain(Duration),
}

impl ToShard {
    /// True if the message tells of something passing.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Publish(publication) => publication.class == Class::Ephemeral,
            Self::Deliver { class, .. } => *class == Class::Ephemeral,
            Self::Greet { frames, .. } => !frames.is_empty(),
            _ => false,
        }
    }

    /// What is left of the message under pressure: nothing that is passing.
    pub(super) fn without_what_is_passing(self) -> Option<Self> {
        match self {
            Self::Greet { session, room, .. } => Some(Self::Greet { session, room, frames: Bytes::new(), count: None }),
            message => (!message.is_passing()).then_some(message),
        }
    }

    /// Memory of what it carries, in bytes, as far as it may be much. It stays the same while others make further forms
    /// of its frames, or inboxes would give back more than they took.
    pub(super) fn carried_bytes(&self) -> usize {
        match self {
            Self::Publish(publication) => publication.frames.given_bytes(),
            Self::Deliver { frames, .. } | Self::Greet { frames, .. } => frames.len(),
            Self::Answer(answer) => match &**answer {
                Answer::Caught { outcome: Ok(caught), .. } => caught.frames.len(),
                Answer::Replied { frames, .. } => frames.len(),
                _ => 0,
            },
            Self::Participants { users, .. } => size_of_val(&users[..]),
            Self::Attendance { users, .. } => size_of_val(&users[..]),
            Self::Refollow { follows, .. } | Self::Follows { follows: Some(follows), .. } => {
                size_of_val(&follows.authors[..])
            }
            _ => 0,
        }
    }
}
