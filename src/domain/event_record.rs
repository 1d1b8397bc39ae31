//! A durable event as it is kept and sent on: what happened and where, by references; the rows say the rest.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::message::ReactionType;
use crate::domain::chat::write::Transport;
use crate::domain::event::{Committed, Cursor, Event};
use crate::domain::feed::event::{FeedEvent, NotificationChange, PostChange, PostEvent};
use crate::domain::feed::post::PostReactionType;
use crate::domain::people::Relation;
use crate::ids::{CommentId, EventId, MessageId, NotificationId, Topic, UserId};
use crate::limits::READ_ALL_FRAMES_MAX;

/// What happened in a topic, and its place there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// What it is ordered in.
    pub topic: Topic,
    /// Its place there.
    pub cursor: Cursor,
    /// Recognises a retry.
    pub event_id: EventId,
    /// When, by the topic's own clock; in JSON microseconds since 1970.
    #[serde(with = "micros")]
    pub at: Timestamp,
    /// How the write came in.
    pub transport: Transport,
    /// Whose doing it is. Of a notification: whose it is.
    pub user: UserId,
    /// What.
    pub happening: Happening,
}

/// What can happen: in a room, to a post, to a user's notifications, between two users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happening {
    /// A new message.
    Sent(MessageId),
    /// A message has new text.
    Edited(MessageId),
    /// A message was deleted softly.
    Deleted(MessageId),
    /// Messages were read for the first time: the newest of them, and how many in all.
    Read(Vec<MessageId>, u64),
    /// A reaction came to a message.
    Reacted(MessageId, ReactionType),
    /// A reaction went from a message.
    Unreacted(MessageId, ReactionType),
    /// The user is in the room.
    Joined,
    /// The user is in the room no more.
    Left,
    /// The user changed the room itself, or roles in it.
    RoomChanged,
    /// The post is new.
    Posted,
    /// Its author changed the post.
    PostEdited {
        /// As it was before.
        was_public: bool,
    },
    /// The post is gone with all that belongs to it.
    PostDeleted,
    /// The user's reaction to the post is this one now, or none.
    PostReacted(Option<PostReactionType>),
    /// A new comment or reply.
    Commented(CommentId),
    /// A comment has new text.
    CommentEdited(CommentId),
    /// Comments went, each before those that answer it.
    CommentsDeleted(Vec<CommentId>),
    /// A like of a comment came.
    CommentLiked(CommentId),
    /// A like of a comment went.
    CommentUnliked(CommentId),
    /// Somebody shared the post.
    Shared,
    /// A new notification.
    Notified(NotificationId),
    /// A notification tells of something else now, or is there again.
    NotificationChanged(NotificationId),
    /// Notifications were seen: the newest of them, and how many in all.
    NotificationsRead(Vec<NotificationId>, u64),
    /// Notifications are gone: those that have frames, and how many in all.
    NotificationsGone(Vec<NotificationId>, u64),
    /// Something changed between the user and another.
    Related {
        /// The other.
        other: UserId,
        /// What.
        relation: Relation,
        /// After it, the user hears of the other's public posts.
        hears: bool,
    },
}

impl EventRecord {
    /// What is kept of an event.
    pub fn of(committed: &Committed, transport: Transport) -> Self {
        let Committed { topic, cursor, event_id, at, .. } = *committed;
        let (user, happening) = match &committed.event {
            Event::Chat(event) => of_chat(event),
            Event::Feed(FeedEvent::Post(event)) => of_post(event),
            Event::Feed(FeedEvent::Notification { user, change }) => (*user, of_notification(change)),
            Event::Feed(FeedEvent::Relation(event)) => {
                let happening = Happening::Related { other: event.other, relation: event.relation, hears: event.hears };
                (event.user, happening)
            }
        };
        Self { topic, cursor, event_id, at, transport, user, happening }
    }
}

fn of_chat(event: &ChatEvent) -> (UserId, Happening) {
    match event {
        ChatEvent::Sent(message) => (message.sender.id, Happening::Sent(message.id)),
        ChatEvent::Edited(message) => (message.sender.id, Happening::Edited(message.id)),
        ChatEvent::Deleted { message, user } => (*user, Happening::Deleted(*message)),
        ChatEvent::Read { messages, count, user, .. } => (*user, Happening::Read(messages.clone(), *count)),
        ChatEvent::Reacted { message, user, reaction, added, .. } => {
            let happening = if *added { Happening::Reacted } else { Happening::Unreacted };
            (*user, happening(*message, *reaction))
        }
        ChatEvent::Joined { user } => (*user, Happening::Joined),
        ChatEvent::Left { user } => (*user, Happening::Left),
        ChatEvent::Changed { user } => (*user, Happening::RoomChanged),
    }
}

fn of_post(event: &PostEvent) -> (UserId, Happening) {
    match &event.change {
        PostChange::Created(_) => (event.author, Happening::Posted),
        PostChange::Edited { was_public, .. } => (event.author, Happening::PostEdited { was_public: *was_public }),
        PostChange::Deleted => (event.author, Happening::PostDeleted),
        PostChange::Reacted { user, reaction, .. } => {
            (*user, Happening::PostReacted(reaction.as_ref().map(|reaction| reaction.reaction_type)))
        }
        PostChange::Commented { comment, .. } => (comment.user.id, Happening::Commented(comment.id)),
        PostChange::CommentEdited(comment) => (comment.user.id, Happening::CommentEdited(comment.id)),
        PostChange::CommentsDeleted { comments, user, .. } => (*user, Happening::CommentsDeleted(comments.clone())),
        PostChange::CommentLiked { comment, user, is_liked, .. } => {
            let happening = if *is_liked { Happening::CommentLiked } else { Happening::CommentUnliked };
            (*user, happening(*comment))
        }
        PostChange::Shared { user, .. } => (*user, Happening::Shared),
    }
}

fn of_notification(change: &NotificationChange) -> Happening {
    match change {
        NotificationChange::Came(notification) => Happening::Notified(notification.id),
        NotificationChange::Changed(notification) => Happening::NotificationChanged(notification.id),
        NotificationChange::Read { notifications, count } => {
            Happening::NotificationsRead(notifications.clone(), *count)
        }
        NotificationChange::Gone { notifications, .. } => {
            let shown = notifications.iter().copied().take(READ_ALL_FRAMES_MAX).collect();
            Happening::NotificationsGone(shown, notifications.len() as u64)
        }
    }
}

/// A moment as a number: its text depends on who reads it.
mod micros {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::clock::Timestamp;

    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(at.0)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(deserializer).map(Timestamp)
    }
}
