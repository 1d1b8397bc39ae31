//! One durable intention, with every way it can come out.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::chat::message::Message;
use crate::domain::chat::write::{Action, Transport};
use crate::domain::event::Committed;
use crate::domain::feed;
use crate::ids::{EventId, MessageId, NotificationId, RoomId, SessionKey, Topic, UserId};

/// One durable intention, checked for form; rights and outcome are decided in its transaction.
#[derive(Debug)]
pub struct Write {
    /// Recognises a retry.
    pub event_id: EventId,
    /// Who wants it.
    pub actor: UserId,
    /// Which way it came.
    pub transport: Transport,
    /// What.
    pub intent: Intent,
    /// Who hears how it came out.
    pub answer: AnswerTo,
}

/// What is wanted, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Something in a chat room.
    Chat {
        /// Where.
        room: RoomId,
        /// What.
        action: Action,
    },
    /// Something with posts, people or notifications.
    Feed(feed::write::Action),
    /// A row that another program added gets its place in its topic's order. Nobody wants it: the actor is not looked at.
    Adopt(Addition),
}

/// A row that another program added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Addition {
    /// A chat message.
    Message {
        /// In which room.
        room: RoomId,
        /// Which.
        message: MessageId,
    },
    /// A notification.
    Notification {
        /// Whose.
        recipient: UserId,
        /// Which.
        notification: NotificationId,
    },
}

impl Addition {
    /// The row's id.
    pub fn id(self) -> Uuid {
        match self {
            Self::Message { message, .. } => message.0,
            Self::Notification { notification, .. } => notification.0,
        }
    }

    /// What it is ordered in.
    pub fn topic(self) -> Topic {
        match self {
            Self::Message { room, .. } => Topic::Room(room),
            Self::Notification { recipient, .. } => Topic::Notifications(recipient),
        }
    }
}

impl Write {
    /// What this write is ordered in: writes of one topic are done one after the other. It may take places in other
    /// topics too (a notification's recipient).
    pub fn topic(&self) -> Topic {
        match &self.intent {
            Intent::Chat { room, .. } => Topic::Room(*room),
            Intent::Feed(action) => action.topic(self.actor),
            Intent::Adopt(addition) => addition.topic(),
        }
    }

    /// What it takes in memory while it waits, as far as its sender decides on it.
    pub fn memory_bytes(&self) -> usize {
        let texts = match &self.intent {
            Intent::Chat { action, .. } => action.text_bytes(),
            Intent::Feed(action) => action.text_bytes(),
            Intent::Adopt(_) => 0,
        };
        // And itself with the closure that answers.
        size_of::<Self>() + 256 + texts
    }
}

impl Intent {
    /// A name for the log: contents stay out of it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Chat { action, .. } => action.kind(),
            Self::Feed(action) => action.kind(),
            Self::Adopt(_) => "adopt",
        }
    }

    /// The actor's own name for what is asked, if there is one.
    pub fn client_id(&self) -> Option<&str> {
        match self {
            Self::Chat { action: Action::Send(message), .. } => message.client_id.as_deref(),
            Self::Chat { .. } | Self::Feed(_) | Self::Adopt(_) => None,
        }
    }

    /// Sockets hear nothing of an edit, a deletion or a read that names nothing of theirs: clients try them blindly.
    pub fn is_silent_about(&self, refusal: Refusal) -> bool {
        match self {
            Self::Chat { action: Action::Edit { .. } | Action::Delete { .. } | Action::Read { .. }, .. } => {
                matches!(refusal, Refusal::NoSuchMessage | Refusal::NotAuthor | Refusal::NotText)
            }
            Self::Chat { .. } | Self::Adopt(_) => false,
            Self::Feed(_) => refusal == Refusal::NoSuchNotification,
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
    /// Stay away: the message of this `client_id` was sent and deleted.
    Deleted,
    /// Fix the request: somebody else's message.
    NotAuthor,
    /// Fix the request: only text messages can be edited.
    NotText,
    /// Fix the request: the answered message is in another room.
    ReplyElsewhere,
    /// Fix the request: the actor is neither owner nor admin.
    NotAdmin,
    /// Fix the request: nobody leaves the private room of two.
    PrivateRoom,
    /// Retry another day: the user left the room, and was added again within a day.
    HasLeft,
    /// Fix the request: no such user.
    NoSuchUser,
    /// Stay away: the actor is gone or inactive.
    NotActive,
    /// Fix the request: no such post.
    NoSuchPost,
    /// Stay away: somebody else's private post.
    NotVisible,
    /// Fix the request: the post takes no comments.
    CommentsClosed,
    /// Fix the request: no such comment on this post.
    NoSuchComment,
    /// Fix the request: the answered comment is gone, or on another post.
    ParentElsewhere,
    /// Fix the request: there is no reaction to take back.
    NoReaction,
    /// Fix the request: there is no like to take back.
    NoLike,
    /// Fix the request: one does not follow or befriend oneself.
    Oneself,
    /// Fix the request: there is no follow to take back.
    NotFollowing,
    /// Fix the request: the two are friends already.
    AlreadyFriends,
    /// Fix the request: the two are no friends.
    NotFriends,
    /// Fix the request: a friend request between the two is open already.
    AlreadyRequested,
    /// Fix the request: no such open friend request of the actor's.
    NoSuchRequest,
    /// Fix the request: no such notification of the actor's.
    NoSuchNotification,
    /// Fix the request: the database's columns do not hold its characters.
    Characters,
    /// Retry later: the lane's queue is full.
    Busy,
    /// Retry later: the database did not take it (full, read-only, away). Nothing is half-written.
    Unavailable,
}
