//! The kinds of sockets there are: what each is about, and what tells them apart.

use crate::ids::{PostId, RoomId, Topic, UserId};
use crate::limits::{ECHO_MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX};

/// What a socket is about: the path it was opened with, read into a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `/ws/chat/<room id>/`
    Chat {
        /// Its room.
        room: RoomId,
        /// The room is small enough for `user_status` frames.
        has_presence: bool,
    },
    /// `/ws/feed/`
    Feed,
    /// `/ws/post/<post id>/`
    Post(PostId),
    /// `/ws/notifications/`
    Notifications,
    /// `/ws/`, with `pregon.v1`: many topics, each asked for by a request.
    Many,
    /// `/ws/echo/`, for conformance suites: it is nobody's, and sends back what comes.
    Echo,
}

impl Endpoint {
    /// The kinds' names, as metrics have them.
    pub const KINDS: [&'static str; 5] = ["chat", "feed", "post", "notifications", "many"];

    /// The place of its kind in [`Self::KINDS`].
    pub fn kind(self) -> usize {
        match self {
            Self::Chat { .. } => 0,
            Self::Feed => 1,
            Self::Post(_) => 2,
            Self::Notifications => 3,
            // The last is never counted: it has no seat.
            Self::Many | Self::Echo => 4,
        }
    }

    /// What operators read.
    pub fn name(self) -> &'static str {
        if self == Self::Echo { "echo" } else { Self::KINDS[self.kind()] }
    }

    /// The most bytes of a client's message.
    #[inline]
    pub fn message_bytes_max(self) -> usize {
        if self == Self::Echo { ECHO_MESSAGE_BYTES_MAX } else { MESSAGE_BYTES_MAX }
    }

    /// The topic of a user's socket. One for many topics sits in none from the beginning; it is judged and counted under its user's
    /// own name as an author, which no other socket is. A feed also listens to authors: see [`feeds`](crate::engine::topics::feeds).
    pub fn topic(self, user: UserId) -> Topic {
        match self {
            Self::Chat { room, .. } => Topic::Room(room),
            Self::Feed => Topic::Feed(user),
            Self::Post(post) => Topic::Post(post),
            Self::Notifications => Topic::Notifications(user),
            Self::Many | Self::Echo => Topic::Author(user),
        }
    }

    /// Bad frames are answered with an error frame; the other sockets ignore them.
    pub fn is_chat(self) -> bool {
        matches!(self, Self::Chat { .. })
    }

    /// The room whose home shard must hear of the socket's coming and going, if any.
    pub fn presence_room(self) -> Option<RoomId> {
        match self {
            Self::Chat { room, .. } => Some(room),
            _ => None,
        }
    }

    /// Is the room told who comes and goes?
    pub fn tells_presence(self) -> bool {
        matches!(self, Self::Chat { has_presence: true, .. })
    }
}
