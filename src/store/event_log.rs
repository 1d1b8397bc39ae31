//! Events as rows of `pregon_events`, with what a reader of the log needs to send them again.

use std::fmt::{Display, Write as _};

use crate::domain::chat::event::ChatEvent;
use crate::domain::event::Event;
use crate::domain::feed::event::{FeedEvent, NotificationChange, PostChange, PostEvent, RelationEvent};
use crate::domain::people::Relation;
use crate::ids::UserId;

/// An event as columns.
pub struct LogLine {
    pub kind: &'static str,
    /// The message, comment, notification or other user concerned.
    pub subject: Option<uuid::Uuid>,
    /// The user who caused it.
    pub user: UserId,
    pub detail: Option<String>,
}

impl LogLine {
    pub fn of(event: &Event) -> Self {
        match event {
            Event::Chat(event) => of_chat(event),
            Event::Feed(FeedEvent::Post(event)) => of_post(event),
            Event::Feed(FeedEvent::Notification { user, change }) => of_notification(*user, change),
            Event::Feed(FeedEvent::Relation(event)) => of_relation(event),
        }
    }

    fn new(kind: &'static str, subject: Option<uuid::Uuid>, user: UserId) -> Self {
        Self { kind, subject, user, detail: None }
    }

    fn with(self, detail: impl Display) -> Self {
        Self { detail: Some(detail.to_string()), ..self }
    }
}

fn of_chat(event: &ChatEvent) -> LogLine {
    let line = LogLine::new;
    match event {
        ChatEvent::Sent(message) => line("sent", Some(message.id.0), message.sender.id),
        ChatEvent::Edited(message) => line("edited", Some(message.id.0), message.sender.id),
        ChatEvent::Deleted { message, user } => line("deleted", Some(message.0), *user),
        ChatEvent::Read { messages, count, user, .. } => {
            let first = messages.first().map(|first| first.0);
            match count {
                1 => line("read", first, *user),
                _ => line("read", first, *user).with(several(*count, messages.iter().map(|message| message.0))),
            }
        }
        ChatEvent::Reacted { message, user, reaction, added, .. } => {
            let kind = if *added { "reacted" } else { "unreacted" };
            line(kind, Some(message.0), *user).with(reaction.as_str())
        }
        ChatEvent::Joined { user } => line("joined", None, *user),
        ChatEvent::Left { user } => line("left", None, *user),
    }
}

fn of_post(event: &PostEvent) -> LogLine {
    let line = |kind, subject| LogLine::new(kind, subject, event.author);
    let by = LogLine::new;
    match &event.change {
        PostChange::Created(_) => line("posted", None),
        PostChange::Edited { was_public, .. } => {
            let was = if *was_public { "public" } else { "private" };
            line("edited", None).with(was)
        }
        PostChange::Deleted => line("deleted", None),
        PostChange::Reacted { user, reaction, .. } => match reaction {
            Some(reaction) => by("reacted", None, *user).with(reaction.reaction_type.as_str()),
            None => by("unreacted", None, *user),
        },
        PostChange::Commented { comment, .. } => by("commented", Some(comment.id.0), comment.user.id),
        PostChange::CommentEdited(comment) => by("reworded", Some(comment.id.0), comment.user.id),
        PostChange::CommentsDeleted { comments, user, .. } => {
            let first = comments.first().map(|first| first.0);
            by("uncomment", first, *user).with(several(comments.len() as u64, comments.iter().map(|comment| comment.0)))
        }
        PostChange::CommentLiked { comment, user, is_liked, .. } => {
            by(if *is_liked { "liked" } else { "unliked" }, Some(comment.0), *user)
        }
        PostChange::Shared { user, .. } => by("shared", None, *user),
    }
}

fn of_notification(user: UserId, change: &NotificationChange) -> LogLine {
    match change {
        NotificationChange::Came(notification) => LogLine::new("notified", Some(notification.id.0), user),
        NotificationChange::Changed(notification) => LogLine::new("changed", Some(notification.id.0), user),
        NotificationChange::Read { notifications, count } => {
            let first = notifications.first().map(|first| first.0);
            let ids = notifications.iter().map(|notification| notification.0);
            LogLine::new("read", first, user).with(several(*count, ids))
        }
        NotificationChange::Gone { notifications, .. } => LogLine::new("gone", None, user).with(notifications.len()),
    }
}

fn of_relation(event: &RelationEvent) -> LogLine {
    let kind = match event.relation {
        Relation::Followed => "followed",
        Relation::Unfollowed => "unfollowed",
        Relation::Befriended => "befriended",
        Relation::Unfriended => "unfriended",
        Relation::Requested => "requested",
    };
    LogLine::new(kind, Some(event.other.0), event.user).with(if event.hears { "hears" } else { "deaf" })
}

/// Formats `<rows>:<id>,<id>,…`.
fn several(count: u64, ids: impl Iterator<Item = uuid::Uuid>) -> String {
    let mut detail = format!("{count}:");
    for (index, id) in ids.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(detail, "{comma}{}", id.simple());
    }
    detail
}
