//! The writes that a participant may ask for in a room.

use serde::{Deserialize, Serialize};

use crate::domain::chat::message::{MessageType, ReactionType};
use crate::domain::chat::room::{Role, RoomPatch};
use crate::ids::{MessageId, UserId};

/// The transport that a write came over. Twins are one message that came over both.
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

/// A write in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A new message.
    Send(NewMessage),
    /// New text for one's own text message.
    Edit {
        /// The message to edit.
        message: MessageId,
        /// Trimmed, 1 to 2000 characters.
        content: String,
    },
    /// Soft deletion of one's own message.
    Delete {
        /// The message to delete.
        message: MessageId,
    },
    /// Toggles the reaction (message, user, type).
    React {
        /// The message to react to.
        message: MessageId,
        /// The kind of reaction.
        reaction: ReactionType,
    },
    /// One message was seen.
    Read {
        /// The message that was seen.
        message: MessageId,
    },
    /// The user has seen everything up to now (at most 500 rows per transaction).
    ReadAll,
    /// The actor leaves: their participant row is deleted.
    Leave,
    /// An owner or admin removes a participant.
    Remove {
        /// The user to remove.
        user: UserId,
    },
    /// An owner or admin adds a participant.
    Add {
        /// The user to add.
        user: UserId,
    },
    /// The owner gives a participant another role. Whoever makes another the owner becomes an admin.
    SetRole {
        /// Whose role.
        user: UserId,
        /// Which.
        role: Role,
    },
    /// An owner or admin changes the group's name, description or picture.
    Change(Box<RoomPatch>),
}

impl Action {
    /// The texts in it, in bytes.
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Send(new) => {
                let NewMessage { content, client_id, attachment, file_url, file_name, .. } = new;
                let named = [client_id, attachment].into_iter().flatten().map(String::len).sum::<usize>();
                size_of::<NewMessage>() + content.len() + named + file_url.len() + file_name.len()
            }
            Self::Edit { content, .. } => content.len(),
            Self::Change(patch) => {
                let texts = [patch.name.as_deref(), patch.description.as_deref(), patch.avatar.path()];
                size_of::<RoomPatch>() + texts.into_iter().flatten().map(str::len).sum::<usize>()
            }
            _ => 0,
        }
    }

    /// A name for the log, without any content.
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
            Self::SetRole { .. } => "set role",
            Self::Change(_) => "change room",
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
    /// True: a reply to a message of another room is refused (REST). False: it is stored as no reply (sockets).
    pub reply_is_strict: bool,
    /// The client's own name for this message, ≤ 64 bytes. The same name again within 24 hours means the same message.
    pub client_id: Option<String>,
    /// Path of a stored upload below the media root, in the column that `message_type` names.
    pub attachment: Option<String>,
    /// The address of a document, uploaded or stored elsewhere.
    pub file_url: String,
    /// Set for documents.
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
