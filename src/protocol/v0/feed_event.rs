//! The frames of feed, post and notification sockets: each event becomes whole WebSocket frames, encoded once for all
//! recipients.

use crate::domain::feed::event::{NotificationChange, PostChange, PostEvent};
use crate::domain::feed::post::{Post, PostReactionType, ReactionCounts};
use crate::domain::notification::Notification;
use crate::ids::{PostId, UserId};
use crate::limits::READ_ALL_FRAMES_MAX;
use crate::protocol::v0::event::text_frame;
use crate::protocol::v0::json::Object;
use crate::protocol::v0::object::Presenter;
use crate::protocol::v0::post::five_counts;

/// Sent when a feed socket is admitted.
pub const FEED_GREETING: &str = r#"{"type":"connection_established","message":"Conectado al feed en tiempo real"}"#;
/// Sent when a notification socket is admitted.
pub const NOTIFICATIONS_GREETING: &str =
    r#"{"type":"connection_established","message":"Conectado a notificaciones en tiempo real"}"#;

/// A greeting's frame.
pub fn greeting(out: &mut Vec<u8>, greeting: &str) {
    text_frame(out, |out| out.extend_from_slice(greeting.as_bytes()));
}

/// The frames for the feeds that may see the event's post; none for events that only sockets on the post receive.
pub fn for_feeds(out: &mut Vec<u8>, presenter: &Presenter, event: &PostEvent) {
    match &event.change {
        PostChange::Created(post) => post_frame(out, presenter, "new_post", post),
        PostChange::Edited { post, .. } => post_updated(out, presenter, post),
        PostChange::Deleted => post_deleted(out, event.post),
        PostChange::Reacted { counts, user, reaction } => {
            let reaction = reaction.as_ref().map(|reaction| reaction.reaction_type);
            post_reaction(out, event.post, true, *counts, *user, reaction);
        }
        PostChange::Commented { .. }
        | PostChange::CommentEdited(_)
        | PostChange::CommentsDeleted { .. }
        | PostChange::CommentLiked { .. }
        | PostChange::Shared { .. } => {}
    }
}

/// The frames for the sockets on the post. A new post has no sockets yet.
pub fn for_post(out: &mut Vec<u8>, presenter: &Presenter, event: &PostEvent) {
    match &event.change {
        PostChange::Created(_) | PostChange::Shared { .. } => {}
        PostChange::Edited { post, .. } => post_updated(out, presenter, post),
        PostChange::Deleted => post_deleted(out, event.post),
        PostChange::Reacted { counts, user, reaction } => {
            let reaction = reaction.as_ref().map(|reaction| reaction.reaction_type);
            post_reaction(out, event.post, false, *counts, *user, reaction);
        }
        PostChange::Commented { comment, .. } => comment_frame(out, presenter, "new_comment", comment),
        PostChange::CommentEdited(comment) => comment_frame(out, presenter, "comment_updated", comment),
        PostChange::CommentsDeleted { comments, .. } => {
            for comment in comments {
                text_frame(out, |out| {
                    Object::open(out).text("type", "comment_deleted").id("comment_id", *comment).close();
                });
            }
        }
        PostChange::CommentLiked { comment, likes_count, .. } => text_frame(out, |out| {
            Object::open(out)
                .text("type", "comment_like")
                .id("comment_id", *comment)
                .number("likes_count", *likes_count)
                .close();
        }),
    }
}

/// `new_post`, also for users who gain sight of an older post.
pub fn new_post(out: &mut Vec<u8>, presenter: &Presenter, post: &Post) {
    post_frame(out, presenter, "new_post", post);
}

/// `post_updated`: the post without a viewer, with its current counters.
pub fn post_updated(out: &mut Vec<u8>, presenter: &Presenter, post: &Post) {
    post_frame(out, presenter, "post_updated", post);
}

/// `post_deleted`, also for users who lose sight of the post.
pub fn post_deleted(out: &mut Vec<u8>, post: PostId) {
    text_frame(out, |out| {
        Object::open(out).text("type", "post_deleted").id("post_id", post).close();
    });
}

/// `post_reaction`. Feeds are told which post; sockets on the post know it.
pub fn post_reaction(
    out: &mut Vec<u8>,
    post: PostId,
    is_for_feeds: bool,
    counts: ReactionCounts,
    user: UserId,
    reaction: Option<PostReactionType>,
) {
    text_frame(out, |out| {
        let mut frame = Object::open(out);
        frame.text("type", "post_reaction");
        if is_for_feeds {
            frame.id("post_id", post);
        }
        frame.value("reaction_data", |out| {
            let mut data = Object::open(out);
            data.id("post_id", post);
            five_counts(&mut data, counts);
            data.value("user_reaction", |out| {
                Object::open(out)
                    .id("user_id", user)
                    .text_or_null("reaction_type", reaction.map(|reaction| reaction.as_str()))
                    .close();
            });
            data.close();
        });
        frame.close();
    });
}

/// The frames of a change of one user's notifications.
pub fn for_notifications(out: &mut Vec<u8>, presenter: &Presenter, change: &NotificationChange) {
    match change {
        // It is sent when it is made, so "now" is its own time.
        NotificationChange::Came(notification) => notification_frame(out, presenter, "notification", notification),
        NotificationChange::Changed(notification) => {
            notification_frame(out, presenter, "notification_updated", notification);
        }
        NotificationChange::Read { notifications, .. } => {
            for notification in notifications {
                text_frame(out, |out| {
                    Object::open(out).text("type", "notification_read").id("notification_id", *notification).close();
                });
            }
        }
        NotificationChange::Gone { notifications, unread_count } => {
            for notification in notifications.iter().take(READ_ALL_FRAMES_MAX) {
                text_frame(out, |out| {
                    Object::open(out)
                        .text("type", "notification_deleted")
                        .id("notification_id", *notification)
                        .number("unread_count", *unread_count)
                        .close();
                });
            }
        }
    }
}

fn notification_frame(out: &mut Vec<u8>, presenter: &Presenter, kind: &str, notification: &Notification) {
    text_frame(out, |out| {
        Object::open(out)
            .text("type", kind)
            .value("notification", |out| presenter.notification(out, notification, notification.created_at))
            .close();
    });
}

fn post_frame(out: &mut Vec<u8>, presenter: &Presenter, kind: &str, post: &Post) {
    text_frame(out, |out| {
        Object::open(out).text("type", kind).value("post", |out| presenter.post(out, post, None)).close();
    });
}

fn comment_frame(
    out: &mut Vec<u8>,
    presenter: &Presenter,
    kind: &str,
    comment: &crate::domain::feed::comment::Comment,
) {
    text_frame(out, |out| {
        Object::open(out).text("type", kind).value("comment", |out| presenter.comment(out, comment, None)).close();
    });
}

#[cfg(test)]
mod tests;
