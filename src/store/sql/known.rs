//! What a lane knows without asking.

use std::collections::HashMap;

use crate::clock::Timestamp;
use crate::domain::chat::message::{ReactionType, ReplyPreview};
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::limits;
use crate::store::batch::TopicState;
use crate::store::sql::chat_rows::Member;
use crate::store::sql::messages::MessageHead;

/// A client's name for a message.
pub type Name = (UserId, RoomId, String);

/// Answers, those that are "no such row" too. What is not here was not asked for.
///
/// The batch's own changes are entered as they are made. Where others write too, the topics are locked, so nobody else of
/// pregon's changes these rows, and what another program changes meanwhile comes after.
#[derive(Debug, Default)]
pub struct Known {
    /// The state of the database that this is true of, where a database tells it.
    pub version: i64,
    /// The last places taken.
    pub topics: HashMap<Topic, TopicState>,
    /// Participants.
    pub members: HashMap<(RoomId, UserId), Option<Member>>,
    /// Messages, with their rooms.
    pub heads: HashMap<MessageId, Option<(RoomId, MessageHead)>>,
    /// Messages as replies show them, with their rooms.
    pub replies: HashMap<MessageId, Option<(RoomId, ReplyPreview)>>,
    /// What clients have named so, and when.
    pub names: HashMap<Name, Option<(MessageId, Timestamp)>>,
    /// Who has read what.
    pub reads: HashMap<(MessageId, UserId), bool>,
    /// Who has reacted to what, and how.
    pub reactions: HashMap<(MessageId, UserId, ReactionType), bool>,
}

impl Known {
    /// Forgets what was asked of rows; the places stay.
    pub fn forget_rows(&mut self) {
        self.members.clear();
        self.forget_messages();
    }

    /// What one who alone writes a database knows beyond the batch: topics and participants, not every message.
    pub fn forget_messages(&mut self) {
        self.heads.clear();
        self.replies.clear();
        self.names.clear();
        self.reads.clear();
        self.reactions.clear();
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.topics.clear();
        self.forget_rows();
    }

    /// Begins anew when too much is known.
    pub fn stay_bounded(&mut self) {
        if self.topics.len() > limits::CACHE_ENTRIES || self.members.len() > limits::CACHE_ENTRIES {
            self.clear();
        }
    }
}
