//! The kinds of notifications, who receives which, and their texts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::domain::chat::message::texts;
use crate::domain::feed::post::PostReactionType;
use crate::domain::user::UserProfile;
use crate::ids::{CommentId, NotificationId, PostId, RequestId, UserId};

texts! {
    /// The kind of a notification.
    NotificationType {
        /// Somebody likes one's post.
        Like = "like",
        /// Somebody celebrates one's post.
        Celebration = "celebration",
        /// Somebody calls one's post a golazo.
        Golazo = "golazo",
        /// Somebody commented on one's post.
        Comment = "comment",
        /// Somebody answered one's comment.
        Reply = "reply",
        /// Somebody shared one's post.
        Share = "share",
        /// Somebody follows one.
        Follow = "follow",
        /// Somebody wants to be friends.
        FriendRequest = "friend_request",
        /// Somebody became one's friend.
        FriendAccept = "friend_accept",
        /// Written by the backend.
        Mention = "mention",
        /// Written by the backend.
        StoryReaction = "story_reaction",
        /// Written by the backend.
        StoryReply = "story_reply",
    }
}

impl NotificationType {
    /// The notification for a reaction.
    pub fn of_reaction(reaction: PostReactionType) -> Self {
        match reaction {
            PostReactionType::Like => Self::Like,
            PostReactionType::Celebration => Self::Celebration,
            PostReactionType::Golazo => Self::Golazo,
        }
    }

    /// The text, about a sender with this display name.
    pub fn text(self, display_name: &str) -> String {
        let what = match self {
            Self::Like => "le dio me gusta a tu publicación",
            Self::Celebration => "celebró tu publicación",
            Self::Golazo => "dijo ¡Golazo! a tu publicación",
            Self::Comment => "comentó tu publicación",
            Self::Reply => "respondió a tu comentario",
            Self::Share => "compartió tu publicación",
            Self::Follow => "comenzó a seguirte",
            Self::FriendRequest => "te envió una solicitud de amistad",
            Self::FriendAccept => "aceptó tu solicitud de amistad",
            Self::Mention => "te mencionó",
            Self::StoryReaction => "reaccionó a tu historia",
            Self::StoryReply => "respondió a tu historia",
        };
        format!("{display_name} {what}")
    }
}

/// The rows a notification refers to. They may have been deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct References {
    /// A post.
    pub post: Option<PostId>,
    /// A comment.
    pub comment: Option<CommentId>,
    /// A friend request.
    pub friend_request: Option<RequestId>,
}

/// A notification to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// The user who is notified.
    pub recipient: UserId,
    /// The kind of notification.
    pub notification_type: NotificationType,
    /// The rows it refers to.
    pub references: References,
}

/// Who is notified of a comment: the author of the post and, for a reply, the author of the answered comment. Each
/// person is notified once, and nobody of their own comment.
pub fn told_of_comment(
    actor: UserId,
    post_author: UserId,
    parent_author: Option<UserId>,
) -> SmallVec<[(UserId, NotificationType); 2]> {
    let mut told = SmallVec::new();
    if let Some(parent_author) = parent_author.filter(|parent_author| *parent_author != actor) {
        told.push((parent_author, NotificationType::Reply));
    }
    if post_author != actor && parent_author != Some(post_author) {
        told.push((post_author, NotificationType::Comment));
    }
    told
}

/// A notification row with its sender.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Notification {
    /// The notification's id.
    pub id: NotificationId,
    /// The user who was notified.
    pub recipient: UserId,
    /// The user who caused it.
    pub sender: Arc<UserProfile>,
    /// Its kind.
    pub notification_type: NotificationType,
    /// The rows it refers to.
    pub references: References,
    /// The text.
    pub message: String,
    /// Whether its recipient has seen it.
    pub is_read: bool,
    /// The order key of lists.
    pub created_at: Timestamp,
    /// When it was seen.
    pub read_at: Option<Timestamp>,
}

/// How long ago `at` was, in Spanish words.
pub fn time_ago(at: Timestamp, now: Timestamp) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let seconds = (now.0.saturating_sub(at.0) / 1_000_000).max(0);
    let days = seconds / DAY;
    let (count, one, many) = match seconds {
        _ if seconds < MINUTE => return "Hace un momento".to_owned(),
        _ if seconds < HOUR => (seconds / MINUTE, "minuto", "minutos"),
        _ if seconds < DAY => (seconds / HOUR, "hora", "horas"),
        _ if days < 7 => (days, "día", "días"),
        _ if days < 30 => (days / 7, "semana", "semanas"),
        _ => (days / 30, "mes", "meses"),
    };
    format!("Hace {count} {}", if count > 1 { many } else { one })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_person_is_told_of_a_comment_once() {
        use NotificationType::{Comment, Reply};
        let [ana, beto, caro] = [1, 2, 3].map(|number| UserId(uuid::Uuid::from_u128(number)));
        let told = |actor, author, parent| told_of_comment(actor, author, parent).into_vec();
        assert_eq!(told(ana, beto, None), [(beto, Comment)]);
        assert_eq!(told(ana, beto, Some(caro)), [(caro, Reply), (beto, Comment)]);
        assert_eq!(told(ana, beto, Some(beto)), [(beto, Reply)], "the post's author, once");
        assert_eq!(told(ana, beto, Some(ana)), [(beto, Comment)], "an answer to oneself");
        assert_eq!(told(beto, beto, Some(ana)), [(ana, Reply)], "the author's answer is told");
        assert_eq!(told(beto, beto, None), []);
        assert_eq!(told(beto, beto, Some(beto)), []);
    }

    #[test]
    fn ages_have_their_words() {
        let ago = |seconds: i64| time_ago(Timestamp(0), Timestamp(seconds * 1_000_000));
        let day = 24 * 3600;
        for (seconds, words) in [
            (-5, "Hace un momento"),
            (59, "Hace un momento"),
            (60, "Hace 1 minuto"),
            (3599, "Hace 59 minutos"),
            (3600, "Hace 1 hora"),
            (day - 1, "Hace 23 horas"),
            (day, "Hace 1 día"),
            (7 * day - 1, "Hace 6 días"),
            (7 * day, "Hace 1 semana"),
            (30 * day - 1, "Hace 4 semanas"),
            (30 * day, "Hace 1 mes"),
            (400 * day, "Hace 13 meses"),
        ] {
            assert_eq!(ago(seconds), words, "{seconds}");
        }
    }
}
