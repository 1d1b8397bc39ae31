//! Events as rows of `pregon_events`, with what a reader of the log needs to send them again.

use std::fmt::Write as _;

use uuid::Uuid;

use crate::domain::chat::message::ReactionType;
use crate::domain::event_record::{EventRecord, Happening};
use crate::domain::feed::post::PostReactionType;
use crate::domain::people::Relation;
use crate::ids::{CommentId, MessageId, NotificationId, Topic, UserId};
use crate::store::sql::Unexpected;

/// What happened, as columns. The topic's kind belongs to it: a message and a post are both "edited".
#[derive(Debug)]
pub struct LogLine {
    /// One of the words in [`happening`].
    pub kind: &'static str,
    /// The message, comment, notification or other user concerned; the first of several.
    pub subject: Option<Uuid>,
    /// A reaction's type, several ids, or what changed.
    pub detail: Option<String>,
}

impl LogLine {
    /// An event's columns.
    pub fn of(record: &EventRecord) -> Self {
        match &record.happening {
            Happening::Sent(message) => Self::about("sent", message.0),
            Happening::Edited(message) => Self::about("edited", message.0),
            Happening::Deleted(message) => Self::about("deleted", message.0),
            // By far the most.
            Happening::Read(messages, 1) if messages.len() <= 1 => Self::of_first("read", messages, |id| id.0),
            Happening::Read(messages, count) => Self::several("read", messages, *count, |id| id.0),
            Happening::Reacted(message, reaction) => Self::about("reacted", message.0).with(reaction.as_str()),
            Happening::Unreacted(message, reaction) => Self::about("unreacted", message.0).with(reaction.as_str()),
            Happening::Joined => Self::plain("joined"),
            Happening::Left => Self::plain("left"),
            Happening::RoomChanged => Self::plain("changed"),
            Happening::Posted => Self::plain("posted"),
            Happening::PostEdited { was_public } => {
                Self::plain("edited").with(if *was_public { "public" } else { "private" })
            }
            Happening::PostDeleted => Self::plain("deleted"),
            Happening::PostReacted(Some(reaction)) => Self::plain("reacted").with(reaction.as_str()),
            Happening::PostReacted(None) => Self::plain("unreacted"),
            Happening::Commented(comment) => Self::about("commented", comment.0),
            Happening::CommentEdited(comment) => Self::about("reworded", comment.0),
            Happening::CommentsDeleted(comments) => {
                Self::several("uncomment", comments, comments.len() as u64, |id| id.0)
            }
            Happening::CommentLiked(comment) => Self::about("liked", comment.0),
            Happening::CommentUnliked(comment) => Self::about("unliked", comment.0),
            Happening::Shared => Self::plain("shared"),
            Happening::Notified(notification) => Self::about("notified", notification.0),
            Happening::NotificationChanged(notification) => Self::about("changed", notification.0),
            Happening::NotificationsRead(notifications, count) => {
                Self::several("read", notifications, *count, |id| id.0)
            }
            Happening::NotificationsGone(notifications, count) => {
                Self::several("gone", notifications, *count, |id| id.0)
            }
            Happening::Related { other, relation, hears } => {
                Self::about(relation.as_str(), other.0).with(if *hears { "hears" } else { "deaf" })
            }
        }
    }

    fn plain(kind: &'static str) -> Self {
        Self { kind, subject: None, detail: None }
    }

    fn about(kind: &'static str, subject: Uuid) -> Self {
        Self { subject: Some(subject), ..Self::plain(kind) }
    }

    fn of_first<T>(kind: &'static str, ids: &[T], id: impl Fn(&T) -> Uuid) -> Self {
        Self { subject: ids.first().map(id), ..Self::plain(kind) }
    }

    /// `<rows>:<id>,<id>,…`
    fn several<T>(kind: &'static str, ids: &[T], count: u64, id: impl Fn(&T) -> Uuid) -> Self {
        let mut detail = format!("{count}:");
        for (index, id) in ids.iter().map(&id).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(detail, "{comma}{}", id.simple());
        }
        Self::of_first(kind, ids, id).with(&detail)
    }

    fn with(self, detail: &str) -> Self {
        Self { detail: Some(detail.to_owned()), ..self }
    }
}

/// What the columns of a topic's event say.
///
/// # Errors
/// They are none that pregon writes.
pub fn happening(
    topic: Topic,
    kind: &str,
    subject: Option<Uuid>,
    detail: Option<&str>,
) -> Result<Happening, Unexpected> {
    let found = match topic {
        Topic::Room(_) => in_room(kind, subject, detail),
        Topic::Post(_) => of_post(kind, subject, detail),
        Topic::Notifications(_) => of_notifications(kind, subject, detail),
        Topic::Feed(_) => between_people(kind, subject, detail),
        Topic::Author(_) => None,
    };
    found.ok_or_else(|| Unexpected(format!("an event of {topic} that is {kind:?} {detail:?}")))
}

fn in_room(kind: &str, subject: Option<Uuid>, detail: Option<&str>) -> Option<Happening> {
    let message = subject.map(MessageId);
    let reaction = || ReactionType::from_text(detail?);
    Some(match kind {
        "sent" => Happening::Sent(message?),
        "edited" => Happening::Edited(message?),
        "deleted" => Happening::Deleted(message?),
        "read" => match detail {
            None => Happening::Read(message.into_iter().collect(), 1),
            Some(detail) => several(detail).map(|(ids, count)| Happening::Read(named(ids, MessageId), count))?,
        },
        "reacted" => Happening::Reacted(message?, reaction()?),
        "unreacted" => Happening::Unreacted(message?, reaction()?),
        "joined" => Happening::Joined,
        "left" => Happening::Left,
        "changed" => Happening::RoomChanged,
        _ => return None,
    })
}

fn of_post(kind: &str, subject: Option<Uuid>, detail: Option<&str>) -> Option<Happening> {
    let comment = subject.map(CommentId);
    Some(match kind {
        "posted" => Happening::Posted,
        "edited" => Happening::PostEdited { was_public: one_of(detail, "public", "private")? },
        "deleted" => Happening::PostDeleted,
        "reacted" => Happening::PostReacted(Some(PostReactionType::from_text(detail?)?)),
        "unreacted" => Happening::PostReacted(None),
        "commented" => Happening::Commented(comment?),
        "reworded" => Happening::CommentEdited(comment?),
        "uncomment" => Happening::CommentsDeleted(named(several(detail?)?.0, CommentId)),
        "liked" => Happening::CommentLiked(comment?),
        "unliked" => Happening::CommentUnliked(comment?),
        "shared" => Happening::Shared,
        _ => return None,
    })
}

fn of_notifications(kind: &str, subject: Option<Uuid>, detail: Option<&str>) -> Option<Happening> {
    let notification = subject.map(NotificationId);
    Some(match kind {
        "notified" => Happening::Notified(notification?),
        "changed" => Happening::NotificationChanged(notification?),
        "read" => {
            let (ids, count) = several(detail?)?;
            Happening::NotificationsRead(named(ids, NotificationId), count)
        }
        "gone" => {
            // Rows of earlier versions have the number alone.
            let (ids, count) = several(detail?).or_else(|| Some((Vec::new(), detail?.parse().ok()?)))?;
            Happening::NotificationsGone(named(ids, NotificationId), count)
        }
        _ => return None,
    })
}

fn between_people(kind: &str, subject: Option<Uuid>, detail: Option<&str>) -> Option<Happening> {
    let (other, relation) = (UserId(subject?), Relation::from_text(kind)?);
    Some(Happening::Related { other, relation, hears: one_of(detail, "hears", "deaf")? })
}

fn one_of(detail: Option<&str>, yes: &str, no: &str) -> Option<bool> {
    let detail = detail?;
    (detail == yes || detail == no).then_some(detail == yes)
}

fn several(detail: &str) -> Option<(Vec<Uuid>, u64)> {
    let (count, ids) = detail.split_once(':')?;
    let ids = ids.split(',').filter(|id| !id.is_empty()).map(|id| Uuid::try_parse(id).ok());
    Some((ids.collect::<Option<_>>()?, count.parse().ok()?))
}

fn named<T>(ids: Vec<Uuid>, name: impl Fn(Uuid) -> T) -> Vec<T> {
    ids.into_iter().map(name).collect()
}

#[cfg(test)]
mod tests;
