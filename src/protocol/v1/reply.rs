//! Frames that one socket of `pregon.v1` gets: replies to its requests, and what becomes of its subscriptions.

use crate::domain::chat::write::Transport;
use crate::domain::event::Cursor;
use crate::domain::event_record::{EventRecord, Happening};
use crate::domain::user::Account;
use crate::domain::write::{Durability, Outcome};
use crate::ids::Topic;
use crate::limits::TOPICS_PER_SOCKET_MAX;
use crate::protocol::v0::event::text_frame;
use crate::protocol::v0::json::Object;
use crate::protocol::v1::complaint::{self, Complaint};
use crate::protocol::v1::topic::Name;

/// The socket is the user's now. `expires` is in seconds since 1970: before then it needs a newer token.
pub fn welcome(out: &mut Vec<u8>, id: Option<&str>, user: &Account, expires: i64) {
    frame(out, "welcome", id, |object| {
        object
            .value("user", |out| Object::open(out).id("id", user.id).text("username", &user.username).close())
            .number("token_expires", u64::try_from(expires).unwrap_or(0))
            .number("topics_max", TOPICS_PER_SOCKET_MAX as u64);
    });
}

/// The socket has a newer token.
pub fn refreshed(out: &mut Vec<u8>, id: Option<&str>, expires: i64) {
    frame(out, "refreshed", id, |object| {
        object.number("token_expires", u64::try_from(expires).unwrap_or(0));
    });
}

/// What follows is everything that happens in the topic behind `cursor`. `is_resumed` says that this is where the client
/// wanted to go on. A feed has no order of its own, and so no cursor.
pub fn subscribed(out: &mut Vec<u8>, id: Option<&str>, topic: Topic, cursor: Option<Cursor>, is_resumed: bool) {
    frame(out, "subscribed", id, |object| {
        object.id("topic", Name(topic));
        match cursor {
            Some(cursor) => object.id("cursor", cursor),
            None => object.null("cursor"),
        };
        object.flag("resumed", is_resumed);
    });
}

/// Something behind the client's cursor is not known any more: it reads the list at `refetch` again. What follows is
/// everything behind `cursor`.
pub fn gap(out: &mut Vec<u8>, topic: Topic, cursor: Option<Cursor>) {
    frame(out, "gap", None, |object| {
        object.id("topic", Name(topic));
        match cursor {
            Some(cursor) => object.id("cursor", cursor),
            None => object.null("cursor"),
        };
        object.text("refetch", &refetch(topic));
    });
}

fn refetch(topic: Topic) -> String {
    match topic {
        Topic::Room(room) => format!("/api/messaging/chats/{room}/messages/"),
        Topic::Post(post) => format!("/api/posts/{post}/"),
        Topic::Feed(_) | Topic::Author(_) => "/api/posts/".to_owned(),
        Topic::Notifications(_) => "/api/notifications/".to_owned(),
    }
}

/// The socket does not listen to the topic any more; `why` if it did not ask for that.
pub fn unsubscribed(out: &mut Vec<u8>, id: Option<&str>, topic: Topic, why: Option<Complaint>) {
    frame(out, "unsubscribed", id, |object| {
        object.id("topic", Name(topic));
        if let Some(why) = why {
            complain(object, why);
        }
    });
}

/// The client reads too slowly: what waited for it is dropped, replies too, and it has no topic any more.
pub fn slow(out: &mut Vec<u8>) {
    frame(out, "unsubscribed", None, |object| {
        object.text("topic", "*");
        complain(object, complaint::SLOW);
    });
}

/// Something passing was not told, because the client read too slowly.
pub fn skipped(out: &mut Vec<u8>) {
    frame(out, "skipped", None, |_| {});
}

/// The server is about to stop, or has more than its part. The socket goes on for `move_within_ms`; from `move_after_ms` on the
/// client opens another.
pub fn drain(out: &mut Vec<u8>, move_after_ms: u64, move_within_ms: u64) {
    frame(out, "drain", None, |object| {
        object.number("move_after_ms", move_after_ms).number("move_within_ms", move_within_ms);
    });
}

/// Something that the server's operator tells the client, or all who listen to a room.
pub fn notice(out: &mut Vec<u8>, topic: Option<Topic>, text: &str) {
    frame(out, "notice", None, |object| {
        if let Some(topic) = topic {
            object.id("topic", Name(topic));
        }
        object.text("text", text);
    });
}

/// The request was not done.
pub fn error(out: &mut Vec<u8>, id: Option<&str>, topic: Option<Topic>, why: Complaint) {
    frame(out, "error", id, |object| {
        if let Some(topic) = topic {
            object.id("topic", Name(topic));
        }
        complain(object, why);
    });
}

/// The answer to a ping.
pub fn pong(out: &mut Vec<u8>, id: Option<&str>) {
    frame(out, "pong", id, |_| {});
}

/// The outcome of a write, and where it is stored.
pub fn outcome(
    out: &mut Vec<u8>,
    id: &str,
    topic: Topic,
    client_id: Option<&str>,
    (outcome, durability): (&Outcome, Durability),
) {
    let (message, cursor, is_repeated) = match outcome {
        Outcome::Committed(committed) => {
            let message = match EventRecord::of(committed, Transport::Socket).happening {
                Happening::Sent(message)
                | Happening::Edited(message)
                | Happening::Deleted(message)
                | Happening::Reacted(message, _)
                | Happening::Unreacted(message, _) => Some(message),
                _ => None,
            };
            (message, Some(committed.cursor), false)
        }
        Outcome::Twin(message) => (Some(message.id), None, true),
        Outcome::Repeated(message, cursor) => (Some(message.id), *cursor, true),
        Outcome::Unchanged => (None, None, true),
        Outcome::Refused(refusal) => return error(out, Some(id), Some(topic), Complaint::of(*refusal)),
    };
    frame(out, "ack", Some(id), |object| {
        if let Some(client_id) = client_id {
            object.text("client_id", client_id);
        }
        if let Some(message) = message {
            object.id("message_id", message);
        }
        if let Some(cursor) = cursor {
            object.id("cursor", cursor);
        }
        object.flag("repeated", is_repeated).text("durability", durability.as_str());
    });
}

fn complain(object: &mut Object<'_>, why: Complaint) {
    object.text("code", why.code).text("text", why.text).text("retry", why.retry.as_str());
    if let Some(milliseconds) = why.retry.after_ms() {
        object.number("retry_after_ms", milliseconds);
    }
}

/// A frame with its type and, if it is a reply, the request's name.
pub(super) fn frame(out: &mut Vec<u8>, kind: &str, id: Option<&str>, write: impl FnOnce(&mut Object<'_>)) {
    text_frame(out, |out| {
        let mut object = Object::open(out);
        object.text("type", kind);
        if let Some(id) = id {
            object.value("id", |out| out.extend_from_slice(id.as_bytes()));
        }
        write(&mut object);
        object.close();
    });
}
