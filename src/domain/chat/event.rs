//! The durable events of a chat room.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::chat::message::{Message, ReactionType};
use crate::ids::{MessageId, UserId};

/// An event in a chat room.
#[derive(Debug, Serialize, Deserialize)]
pub enum ChatEvent {
    /// A new message.
    Sent(Arc<Message>),
    /// A message has new text.
    Edited(Arc<Message>),
    /// A message was deleted softly.
    Deleted {
        /// The deleted message.
        message: MessageId,
        /// The author, who deleted it.
        user: UserId,
    },
    /// A user read messages for the first time. Each message makes one frame.
    Read {
        /// The messages read: the newest, at most 50.
        messages: Vec<MessageId>,
        /// How many messages were read in all.
        count: u64,
        /// The reader.
        user: UserId,
        /// The reader's name.
        username: Box<str>,
    },
    /// A reaction was added or taken back.
    Reacted {
        /// The message reacted to.
        message: MessageId,
        /// The user who reacted.
        user: UserId,
        /// The user's name.
        username: Box<str>,
        /// The kind of reaction.
        reaction: ReactionType,
        /// True when it was added, false when it was taken back.
        added: bool,
    },
    /// A user became a participant. Makes no frame.
    Joined {
        /// The new participant.
        user: UserId,
    },
    /// The room has another name, description or picture, or participants have other roles. Clients read it again.
    Changed {
        /// Who changed it.
        user: UserId,
    },
    /// A user is no longer a participant, so their sessions leave the room. Makes no frame.
    Left {
        /// The former participant.
        user: UserId,
    },
}
