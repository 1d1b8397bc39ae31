//! What can happen in a room and is kept.

use std::sync::Arc;

use crate::domain::chat::message::{Message, ReactionType};
use crate::ids::{MessageId, UserId};

/// What happened in a room.
#[derive(Debug)]
pub enum ChatEvent {
    /// A new message.
    Sent(Arc<Message>),
    /// A message has new text.
    Edited(Arc<Message>),
    /// A message was deleted softly.
    Deleted {
        /// Which.
        message: MessageId,
        /// By whom.
        user: UserId,
    },
    /// Messages were read for the first time by a user: one frame each.
    Read {
        /// Which; at most 50, the newest.
        messages: Vec<MessageId>,
        /// How many rows were new in all.
        count: u64,
        /// By whom.
        user: UserId,
        /// The reader's name.
        username: Box<str>,
    },
    /// A reaction came or went.
    Reacted {
        /// On which message.
        message: MessageId,
        /// By whom.
        user: UserId,
        /// The user's name.
        username: Box<str>,
        /// Which.
        reaction: ReactionType,
        /// Came (true) or went.
        added: bool,
    },
    /// A participant row is there. No frame of its own.
    Joined {
        /// Whose.
        user: UserId,
    },
    /// A participant row is gone: the user's sessions leave the room. No frame of its own.
    Left {
        /// Whose.
        user: UserId,
    },
}
