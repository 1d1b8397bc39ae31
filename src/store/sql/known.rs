//! The answers that a lane already has, so that it need not query.

use std::collections::HashMap;

use crate::clock::Timestamp;
use crate::domain::chat::message::{ReactionType, ReplyPreview};
use crate::domain::event::Cursor;
use crate::ids::{MessageId, RoomId, Topic, UserId};
use crate::limits;
use crate::store::sql::member::Member;
use crate::store::sql::messages::MessageHead;
use crate::store::sql::topics::TopicState;
use crate::store::sql::{Columns, Unexpected};

/// A client's name for a message.
pub type Name = (UserId, RoomId, String);

/// A message to which its client gave a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// Which.
    pub message: MessageId,
    /// When.
    pub at: Timestamp,
    /// Its place in the room; `None` if an older version named it.
    pub cursor: Option<Cursor>,
}

impl Named {
    /// Reads the columns of `chat_rows::NAMED`, from the column `first` on.
    pub fn of_row(row: Columns<'_>, first: usize) -> Result<Self, Unexpected> {
        let (epoch, seq) = (row.count(first + 2)?, row.count(first + 3)?);
        let cursor = Cursor { epoch: u32::try_from(epoch).unwrap_or(0), seq };
        let (message, at) = (row.id(first)?, Timestamp(row.number(first + 1)?));
        Ok(Self { message, at, cursor: Some(cursor).filter(|cursor| cursor.seq > 0) })
    }
}

/// Known rows, including those known not to exist. Keys that are missing here were not queried.
///
/// The batch's own changes are entered as they are made. If other programs write too, the topics are locked, so that no
/// other lane changes these rows; changes by another program count as later.
#[derive(Debug, Default)]
pub struct Known {
    /// The database version for which this holds, if the database has one.
    pub version: i64,
    /// The last place taken in each topic.
    pub topics: HashMap<Topic, TopicState>,
    /// Participants.
    pub members: HashMap<(RoomId, UserId), Option<Member>>,
    /// Messages, with their rooms.
    pub heads: HashMap<MessageId, Option<(RoomId, MessageHead)>>,
    /// Messages as replies show them, with their rooms.
    pub replies: HashMap<MessageId, Option<(RoomId, ReplyPreview)>>,
    /// Messages by their clients' names.
    pub names: HashMap<Name, Option<Named>>,
    /// Whether a user has read a message.
    pub reads: HashMap<(MessageId, UserId), bool>,
    /// Whether a user has a reaction to a message.
    pub reactions: HashMap<(MessageId, UserId, ReactionType), bool>,
}

impl Known {
    /// Forgets the rows; keeps the topics' places.
    pub fn forget_rows(&mut self) {
        self.members.clear();
        self.forget_messages();
    }

    /// Keeps topics and participants, which a database's only writer knows beyond the batch, but forgets messages.
    pub fn forget_messages(&mut self) {
        self.heads.clear();
        self.replies.clear();
        self.names.clear();
        self.reads.clear();
        self.reactions.clear();
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.topics.clear();
        self.forget_rows();
    }

    /// Starts over when too much is known.
    pub fn stay_bounded(&mut self) {
        if self.topics.len() > limits::CACHE_ENTRIES || self.members.len() > limits::CACHE_ENTRIES {
            self.clear();
        }
    }
}
