//! Notifications and friend requests as JSON objects.

use std::fmt;

use crate::clock::Timestamp;
use crate::domain::notification::{Notification, time_ago};
use crate::domain::people::FriendRequest;
use crate::limits::frames::chars;
use crate::protocol::v0::json::{self, Object};
use crate::protocol::v0::object::Presenter;

impl Presenter {
    /// The 11-key notification, with its age at `now`.
    pub fn notification(&self, out: &mut Vec<u8>, notification: &Notification, now: Timestamp) {
        let references = notification.references;
        Object::open(out)
            .id("id", notification.id)
            .value("sender", |out| self.basic(out, &notification.sender))
            .text("notification_type", notification.notification_type.as_str())
            .value("post_id", |out| id_or_null(out, references.post))
            .value("comment_id", |out| id_or_null(out, references.comment))
            .value("friend_request_id", |out| id_or_null(out, references.friend_request))
            .text_within("message", &notification.message, chars::NOTIFICATION)
            .flag("is_read", notification.is_read)
            .time("created_at", self.time(notification.created_at))
            .value("read_at", |out| match notification.read_at {
                Some(at) => json::id(out, self.time(at)),
                None => out.extend_from_slice(b"null"),
            })
            .text("time_ago", &time_ago(notification.created_at, now))
            .close();
    }

    /// A friend request with both users. Only open requests are shown, so it has not changed since it was made. The
    /// sender's message is not stored.
    pub fn friend_request(&self, out: &mut Vec<u8>, request: &FriendRequest) {
        Object::open(out)
            .id("id", request.id)
            .value("sender", |out| self.basic(out, &request.sender))
            .value("receiver", |out| self.basic(out, &request.receiver))
            .text("message", "")
            .text("status", request.status.as_str())
            .time("created_at", self.time(request.created_at))
            .time("updated_at", self.time(request.created_at))
            .close();
    }
}

fn id_or_null(out: &mut Vec<u8>, id: Option<impl fmt::Display>) {
    match id {
        Some(id) => json::id(out, id),
        None => out.extend_from_slice(b"null"),
    }
}
