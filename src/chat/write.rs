//! What a participant wants written in a room, with every way it can come out.

use std::fmt;
use std::sync::Arc;

use crate::chat::event::Committed;
use crate::chat::message::{Message, MessageType, ReactionType};
use crate::ids::{EventId, MessageId, RoomId, SessionKey, UserId};

/// The way a write came in. Twins are one message that came both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A frame on a socket.
    Socket,
    /// A REST request.
    Rest,
}

/// One durable intention, checked for form; rights and outcome are decided in its transaction.
#[derive(Debug)]
pub struct Write {
    /// Recognises a retry.
    pub event_id: EventId,
    /// Who wants it.
    pub actor: UserId,
    /// Where.
    pub room: RoomId,
    /// Which way it came.
    pub transport: Transport,
    /// What.
    pub action: Action,
    /// Who hears how it came out.
    pub answer: AnswerTo,
}

/// The thing wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A new message.
    Send(NewMessage),
    /// New text for one's own text message.
    Edit {
        /// Which.
        message: MessageId,
        /// Trimmed, 1 to 2000 characters.
        content: String,
    },
    /// Soft deletion of one's own message.
    Delete {
        /// Which.
        message: MessageId,
    },
    /// The toggle on (message, user, type).
    React {
        /// Which.
        message: MessageId,
        /// How.
        reaction: ReactionType,
    },
    /// One message was seen.
    Read {
        /// Which.
        message: MessageId,
    },
    /// Everything up to now was seen (at most 500 rows a transaction).
    ReadAll,
    /// The actor's own participant row goes.
    Leave,
    /// An owner or admin takes somebody's participant row away.
    Remove {
        /// Whose.
        user: UserId,
    },
    /// An owner or admin adds somebody.
    Add {
        /// Whom.
        user: UserId,
    },
}

/// A message to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Trimmed, ≤ 2000 characters; empty only with an attachment.
    pub content: String,
    /// Kind.
    pub message_type: MessageType,
    /// The answered message, if any.
    pub reply_to: Option<MessageId>,
    /// True: a reply to a message of another room is refused (REST). False: it is stored without reply (sockets).
    pub reply_is_strict: bool,
    /// The client's own name for this message, ≤ 64 bytes: the same name again within 24 h is the same message.
    pub client_id: Option<String>,
    /// Path of a stored upload below the media root, in the column that `message_type` names.
    pub attachment: Option<String>,
    /// For files elsewhere.
    pub file_url: String,
    /// For files elsewhere.
    pub file_name: String,
    /// Bytes.
    pub file_size: Option<u32>,
}

impl Action {
    /// Sockets hear nothing of an edit, a deletion or a read that names no message of theirs: clients try them blindly.
    pub fn is_silent_about(&self, refusal: Refusal) -> bool {
        matches!(self, Self::Edit { .. } | Self::Delete { .. } | Self::Read { .. })
            && matches!(refusal, Refusal::NoSuchMessage | Refusal::NotAuthor | Refusal::NotText)
    }
}

impl NewMessage {
    /// A message of text or emoji alone.
    pub fn text(content: String, message_type: MessageType) -> Self {
        Self {
            content,
            message_type,
            reply_to: None,
            reply_is_strict: false,
            client_id: None,
            attachment: None,
            file_url: String::new(),
            file_name: String::new(),
            file_size: None,
        }
    }
}

/// Who hears how a write came out.
pub enum AnswerTo {
    /// A session: it hears of refusals and repetitions; success is the echo of the event itself.
    Session(SessionKey),
    /// A REST request: it hears everything, after the event went to the fan-out.
    Caller(Box<dyn FnOnce(Outcome) + Send>),
}

impl fmt::Debug for AnswerTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(key) => write!(f, "{key:?}"),
            Self::Caller(_) => f.write_str("Caller"),
        }
    }
}

/// How a write came out, after its batch is safe on disk.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A new event is in the log.
    Committed(Arc<Committed>),
    /// The other transport had brought the same message: here it is, nothing new was written.
    Twin(Arc<Message>),
    /// The same `client_id` had come before: here is its message, nothing new was written.
    Repeated(Arc<Message>),
    /// It already was so: nothing was written and nobody is told.
    Unchanged,
    /// Nothing was written.
    Refused(Refusal),
}

/// Why nothing was written. Variants say who acts next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Stay away: the actor has no participant row, is inactive, or the room is gone or inactive.
    NotParticipant,
    /// Fix the request: no such message in this room (or deleted).
    NoSuchMessage,
    /// Fix the request: somebody else's message.
    NotAuthor,
    /// Fix the request: only text messages can be edited.
    NotText,
    /// Fix the request: the answered message is in another room.
    ReplyElsewhere,
    /// Fix the request: the actor is neither owner nor admin.
    NotAdmin,
    /// Fix the request: no such user.
    NoSuchUser,
    /// Retry later: the lane's queue is full.
    Busy,
    /// Retry later: the database did not take it (full, read-only, away). Nothing is half-written.
    Unavailable,
}
