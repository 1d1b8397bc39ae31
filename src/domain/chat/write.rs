//! What a participant wants written in a room.

use serde::{Deserialize, Serialize};

use crate::domain::chat::message::{MessageType, ReactionType};
use crate::ids::{MessageId, UserId};

/// The way a write came in. Twins are one message that came both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// A frame on a socket.
    Socket,
    /// A REST request.
    Rest,
}

impl Transport {
    /// The word in the event log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Rest => "rest",
        }
    }

    /// Reads the word in the event log.
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Socket, Self::Rest].into_iter().find(|transport| transport.as_str() == text)
    }
}

/// The thing wanted in a room.
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

impl Action {
    /// A name for the log: contents stay out of it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Send(_) => "send",
            Self::Edit { .. } => "edit",
            Self::Delete { .. } => "delete",
            Self::React { .. } => "react",
            Self::Read { .. } => "read",
            Self::ReadAll => "read all",
            Self::Leave => "leave",
            Self::Remove { .. } => "remove",
            Self::Add { .. } => "add",
        }
    }
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
