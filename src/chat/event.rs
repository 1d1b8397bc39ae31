//! A durable event after its commit: what happened, and its place in its topic's order.

use std::sync::Arc;

use crate::chat::message::{Message, ReactionType};
use crate::clock::Timestamp;
use crate::ids::{EventId, MessageId, SessionKey, Topic, UserId};

/// A place in a topic's order. Epochs grow when a log starts anew; sequences have no holes within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// Which log.
    pub epoch: u32,
    /// The event's number in it, from 1.
    pub seq: u64,
}

/// An event that is safe on disk and may be shown.
#[derive(Debug)]
pub struct Committed {
    /// What it is ordered in.
    pub topic: Topic,
    /// Its place there.
    pub cursor: Cursor,
    /// Recognises a retry.
    pub event_id: EventId,
    /// When, by the topic's own never-repeating clock.
    pub at: Timestamp,
    /// The session that asked for it.
    pub origin: Option<SessionKey>,
    /// What happened.
    pub event: ChatEvent,
}

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
