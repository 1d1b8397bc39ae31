//! A durable write, and every way it can end.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::chat::message::Message;
use crate::domain::chat::write::{Action, Transport};
use crate::domain::event::{Committed, Cursor};
use crate::domain::feed;
use crate::ids::{EventId, MessageId, NotificationId, RoomId, SessionKey, Topic, UserId};

/// A durable write whose form has been checked. Its transaction checks rights and decides the outcome.
#[derive(Debug)]
pub struct Write {
    /// Recognises a retry.
    pub event_id: EventId,
    /// The user who wants it.
    pub actor: UserId,
    /// The transport it came over.
    pub transport: Transport,
    /// What is to be written.
    pub intent: Intent,
    /// Who receives the outcome.
    pub answer: AnswerTo,
}

/// What is to be written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// A write in a chat room.
    Chat {
        /// The room.
        room: RoomId,
        /// The write.
        action: Action,
    },
    /// A write about posts, people or notifications.
    Feed(feed::write::Action),
    /// Gives a row that another program added its place in its topic's order. No user asks for it, so the actor is
    /// ignored.
    Adopt(Addition),
}

/// A row that another program added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Addition {
    /// A chat message.
    Message {
        /// The room.
        room: RoomId,
        /// The message.
        message: MessageId,
    },
    /// A notification.
    Notification {
        /// The user notified.
        recipient: UserId,
        /// The notification.
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

    /// The topic that orders it.
    pub fn topic(self) -> Topic {
        match self {
            Self::Message { room, .. } => Topic::Room(room),
            Self::Notification { recipient, .. } => Topic::Notifications(recipient),
        }
    }
}

impl Write {
    /// The topic that orders this write: writes of one topic run one after the other. A write may also take places in
    /// other topics (such as a recipient's notifications).
    pub fn topic(&self) -> Topic {
        self.intent.topic(self.actor)
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
    /// The topic that orders what this user wants to be written.
    pub fn topic(&self, actor: UserId) -> Topic {
        match self {
            Self::Chat { room, .. } => Topic::Room(*room),
            Self::Feed(action) => action.topic(actor),
            Self::Adopt(addition) => addition.topic(),
        }
    }

    /// A name for the log, without any content.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Chat { action, .. } => action.kind(),
            Self::Feed(action) => action.kind(),
            Self::Adopt(_) => "adopt",
        }
    }

    /// The name that the actor's client gave this write, if there is one.
    pub fn client_id(&self) -> Option<&str> {
        match self {
            Self::Chat { action: Action::Send(message), .. } => message.client_id.as_deref(),
            Self::Chat { .. } | Self::Feed(_) | Self::Adopt(_) => None,
        }
    }

    /// Whether a socket hears nothing of this refusal. Clients try edits, deletions and reads blindly, so those that
    /// name another user's message or none are ignored.
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

/// Who receives the outcome of a write.
pub enum AnswerTo {
    /// A session. It hears of refusals and repetitions; the event's own echo means success.
    Session(SessionKey),
    /// A request of a session, by the name that the client gave it (JSON). It hears every outcome.
    Request(SessionKey, Box<str>),
    /// A REST request. It hears every outcome, after the event went to the fan-out.
    Caller(Box<dyn FnOnce(Outcome) + Send>),
}

impl fmt::Debug for AnswerTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(key) => write!(f, "{key:?}"),
            Self::Request(key, id) => write!(f, "{key:?} {id}"),
            Self::Caller(_) => f.write_str("Caller"),
        }
    }
}

/// The outcome of a write, once its batch is stored on disk.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// A new event is in the log.
    Committed(Arc<Committed>),
    /// The other transport had already brought this message. Nothing new was written.
    Twin(Arc<Message>),
    /// The same `client_id` had come before, with this message, at this place if that is known. Nothing new was written.
    Repeated(Arc<Message>, Option<Cursor>),
    /// The state was already as wanted. Nothing was written and nobody is told.
    Unchanged,
    /// Nothing was written.
    Refused(Refusal),
}

/// Where a write is that was acknowledged.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On the database's disk.
    #[default]
    Stored,
    /// There, and with a replica of the database.
    Replicated,
}

impl Durability {
    /// The word in frames and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Replicated => "replicated",
        }
    }
}

/// Why nothing was written. Each variant says who acts next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Stay away: the actor has no participant row, is inactive, or the room is gone or inactive.
    NotParticipant,
    /// Fix the request: no such message in this room (or deleted).
    NoSuchMessage,
    /// Stay away: the message with this `client_id` was sent and has since been deleted.
    Deleted,
    /// Fix the request: somebody else's message.
    NotAuthor,
    /// Fix the request: only text messages can be edited.
    NotText,
    /// Fix the request: the answered message is in another room.
    ReplyElsewhere,
    /// Fix the request: the actor is neither owner nor admin.
    NotAdmin,
    /// Fix the request: the actor is not the group's owner.
    NotOwner,
    /// Fix the request: an owner gives the role to another to be rid of it.
    OwnRole,
    /// Fix the request: nobody can leave a private room of two.
    PrivateRoom,
    /// Retry another day: the user left the room, and was already added again once within the last day.
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
    /// Fix the request: users cannot follow or befriend themselves.
    Oneself,
    /// Fix the request: there is no follow to take back.
    NotFollowing,
    /// Fix the request: the two are friends already.
    AlreadyFriends,
    /// Fix the request: the two are no friends.
    NotFriends,
    /// Fix the request: a friend request between the two is open already.
    AlreadyRequested,
    /// Stay away: one of the two has blocked the other.
    Blocked,
    /// Fix the request: the actor has not blocked this user.
    NotBlocked,
    /// Fix the request: the actor has no such open friend request.
    NoSuchRequest,
    /// Fix the request: the actor has no such notification.
    NoSuchNotification,
    /// Fix the request: the database's columns cannot store its characters.
    Characters,
    /// Retry later: the lane's queue is full.
    Busy,
    /// Retry later: the database did not accept it (full, read-only, unreachable). Nothing was half-written.
    Unavailable,
}
