//! What a shard has done elsewhere for sockets with many topics, and what comes of it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::event::Cursor;
use crate::domain::rights::Mark;
use crate::domain::user::Account;
use crate::engine::session::endpoint::Endpoint;
use crate::ids::{FamilyId, RoomId, SessionKey, Topic, UserId};
use crate::protocol::v1::complaint::Complaint;
use crate::protocol::v1::request::{Credential, Question, RequestId};
use crate::protocol::v1::said::Naming;

/// Tells one subscription of a socket from an earlier one to the same topic.
pub type Ticket = u32;

/// What a shard has done elsewhere for a socket with many topics. An [`Answer`] comes back by its inbox.
#[derive(Debug)]
pub enum Errand {
    /// Find out whose the socket is.
    Identify {
        /// The socket.
        session: SessionKey,
        /// The client's name for its request.
        request: Option<RequestId>,
        /// What the client shows.
        credential: Credential,
        /// Who shows it, for the log.
        visitor: Visitor,
    },
    /// Decide whether the socket's user may listen to a topic.
    Judge {
        /// The socket.
        session: SessionKey,
        /// Tells the subscription from others.
        ticket: Ticket,
        /// Its user.
        user: UserId,
        /// The login that it came with.
        family: FamilyId,
        /// What it wants to hear.
        topic: Topic,
    },
    /// Answer a question about a room.
    Ask(Asked),
    /// Read what a subscription missed. The socket has joined the topic before.
    Catch {
        /// The socket.
        session: SessionKey,
        /// Tells the subscription from others.
        ticket: Ticket,
        /// Its user.
        user: UserId,
        /// The topic.
        topic: Topic,
        /// From where on.
        from: From,
        /// The request that is answered with it, with the client's name for it; `None` if it was answered before.
        subscribing: Option<Option<RequestId>>,
    },
}

/// Who shows a token or a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visitor {
    /// Somebody at this address.
    Address(IpAddr),
    /// Whose the socket is already.
    User(UserId),
}

impl fmt::Display for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::User(user) => write!(f, "user {user}"),
        }
    }
}

/// What a socket's user wants to know of a room.
#[derive(Debug)]
pub struct Asked {
    /// The socket.
    pub session: SessionKey,
    /// The client's name for its request.
    pub request: Option<RequestId>,
    /// The socket's user.
    pub user: UserId,
    /// The login that it came with.
    pub family: FamilyId,
    /// The room.
    pub room: RoomId,
    /// What.
    pub question: Question,
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Nothing was missed.
    Now,
    /// This was heard last.
    Cursor(Cursor),
}

impl Errand {
    /// What it takes while it waits.
    pub fn bytes(&self) -> usize {
        let name = |request: &Option<RequestId>| request.as_ref().map_or(0, |name| name.len());
        let text = match self {
            Self::Identify { request, credential: Credential::Token(text) | Credential::Ticket(text), .. } => {
                name(request) + text.len()
            }
            Self::Judge { .. } => 0,
            Self::Ask(asked) => name(&asked.request),
            Self::Catch { subscribing, .. } => subscribing.as_ref().map_or(0, name),
        };
        size_of::<Self>() + text
    }

    /// The socket that it is done for.
    pub fn session(&self) -> SessionKey {
        match self {
            Self::Identify { session, .. } | Self::Judge { session, .. } | Self::Catch { session, .. } => *session,
            Self::Ask(asked) => asked.session,
        }
    }
}

/// What came of an [`Errand`].
#[derive(Debug)]
pub enum Answer {
    /// Whose the socket is.
    Identified {
        /// The socket.
        session: SessionKey,
        /// The client's name for its request.
        request: Option<RequestId>,
        /// Its user, or what is wrong.
        outcome: Result<Identity, Complaint>,
    },
    /// Whether its user may listen.
    Judged {
        /// The socket.
        session: SessionKey,
        /// Tells the subscription from others.
        ticket: Ticket,
        /// How it may listen, or why not.
        outcome: Result<Seating, Complaint>,
    },
    /// The answer to its question.
    Replied {
        /// The socket.
        session: SessionKey,
        /// The whole frame.
        frames: Vec<u8>,
    },
    /// What it missed.
    Caught {
        /// The socket.
        session: SessionKey,
        /// Tells the subscription from others.
        ticket: Ticket,
        /// Frames, or why there are none.
        outcome: Result<Caught, Complaint>,
    },
}

impl Answer {
    /// Bytes of the frames in it.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Identified { .. } | Self::Judged { .. } | Self::Caught { outcome: Err(_), .. } => 0,
            Self::Replied { frames, .. } | Self::Caught { outcome: Ok(Caught { frames, .. }), .. } => frames.len(),
        }
    }
}

/// Whose a socket is.
#[derive(Debug)]
pub struct Identity {
    /// The user.
    pub account: Arc<Account>,
    /// The login of the token.
    pub family: FamilyId,
    /// What the user had lost when this was found out.
    pub mark: Mark,
    /// How long the token is valid, grace included.
    pub token_left: Duration,
    /// The token's end, in seconds since 1970.
    pub token_expires: i64,
}

/// How a user may listen to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seating {
    /// The kind of socket that would be about it.
    pub endpoint: Endpoint,
    /// What the user had lost when this was judged.
    pub mark: Mark,
}

/// What a subscription missed.
#[derive(Debug)]
pub struct Caught {
    /// Whole frames, said in `pregon.v1`.
    pub frames: Vec<u8>,
    /// They tell everything up to here.
    pub cursor: Cursor,
    /// There is more behind it.
    pub has_more: bool,
    /// Unless there is more, they name whom the topic's listeners know at this moment.
    pub naming: Naming,
}
