//! Committed events as frames of `pregon.v1`: one frame an event, with its cursor, and users by number.

use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::message::{Message, MessageType};
use crate::domain::event::{Committed, Event};
use crate::domain::feed::event::{FeedEvent, NotificationChange, PostChange, PostEvent};
use crate::domain::user::UserProfile;
use crate::ids::{RoomId, Topic, UserId};
use crate::limits::frames::chars;
use crate::limits::{CONTENT_CHARS_MAX, READ_ALL_FRAMES_MAX};
use crate::protocol::v0::event::text_frame;
use crate::protocol::v0::feed_event;
use crate::protocol::v0::json::{self, Object, within};
use crate::protocol::v0::object::Presenter;
use crate::protocol::v1::topic::Name;
use crate::protocol::ws::frame::payload_of_first;

/// A user whom an event names, as far as the event knows them.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// The user.
    pub id: UserId,
    /// The user's name.
    pub username: &'a str,
    /// The whole profile, if it is at hand.
    pub profile: Option<&'a UserProfile>,
}

/// Gives a user's number in the topic, and notes that listeners have to know it.
pub type Number<'a> = &'a mut dyn FnMut(Who<'_>) -> u32;

/// A user's number and names, as listeners are told them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The number.
    pub number: u32,
    /// Whose.
    pub id: UserId,
    /// The name.
    pub username: Box<str>,
    /// The name shown to people, and the path of the picture; `None` while nobody had to know.
    pub looks: Option<(Box<str>, Option<Box<str>>)>,
    /// The address of the picture.
    pub avatar: Option<Box<str>>,
}

/// Tells numbers: from here on, frames of the topic may use them.
pub fn users<'a>(out: &mut Vec<u8>, topic: Topic, users: impl Iterator<Item = &'a Named>) {
    text_frame(out, |out| {
        Object::open(out)
            .text("type", "users")
            .id("topic", Name(topic))
            .array("users", users, |out, named| {
                let mut object = Object::open(out);
                object.number("n", u64::from(named.number)).id("id", named.id).text_within(
                    "username",
                    &named.username,
                    chars::USERNAME,
                );
                if let Some((display_name, _)) = &named.looks {
                    object.text_within("display_name", display_name, chars::DISPLAY_NAME);
                }
                if let Some(avatar) = &named.avatar {
                    object.text("avatar", avatar);
                }
                object.close();
            })
            .close();
    });
}

/// How many users are present in a room that is not told who comes and goes.
pub fn presence_count(out: &mut Vec<u8>, room: RoomId, present: u32) {
    text_frame(out, |out| {
        Object::open(out)
            .text("type", "event")
            .id("topic", Name(Topic::Room(room)))
            .value("event", |out| {
                Object::open(out).text("type", "presence_count").number("present", u64::from(present)).close();
            })
            .close();
    });
}

/// The event's frame; nothing for events that only change who receives.
pub fn committed(out: &mut Vec<u8>, presenter: &Presenter, committed: &Committed, number: Number<'_>) {
    let mut event = Vec::with_capacity(256);
    match &committed.event {
        Event::Chat(chat) => in_room(&mut event, presenter, chat, number),
        Event::Feed(FeedEvent::Post(post)) => of_post(&mut event, presenter, post),
        Event::Feed(FeedEvent::Notification { change, .. }) => of_notifications(&mut event, presenter, change),
        Event::Feed(FeedEvent::Relation(_)) => {}
    }
    if event.is_empty() {
        return;
    }
    text_frame(out, |out| {
        Object::open(out)
            .text("type", "event")
            .id("topic", Name(committed.topic))
            .id("cursor", committed.cursor)
            .value("event", |out| out.extend_from_slice(&event))
            .close();
    });
}

fn in_room(out: &mut Vec<u8>, presenter: &Presenter, event: &ChatEvent, number: Number<'_>) {
    let brief = |id: UserId, username| Who { id, username, profile: None };
    match event {
        ChatEvent::Sent(message) => of_message(out, presenter, "message", message, number),
        ChatEvent::Edited(message) => of_message(out, presenter, "message_edited", message, number),
        ChatEvent::Deleted { message, user } => {
            Object::open(out).text("type", "message_deleted").id("message_id", *message).id("user_id", *user).close();
        }
        ChatEvent::Read { messages, count, user, username } => {
            let user = number(brief(*user, username));
            Object::open(out)
                .text("type", "message_read")
                .number("user", u64::from(user))
                .number("count", *count)
                .array("message_ids", messages, json::id)
                .close();
        }
        ChatEvent::Reacted { message, user, username, reaction, added } => {
            let user = number(brief(*user, username));
            Object::open(out)
                .text("type", "message_reaction")
                .number("user", u64::from(user))
                .id("message_id", *message)
                .text("reaction_type", reaction.as_str())
                .flag("added", *added)
                .close();
        }
        ChatEvent::Changed { user } => Object::open(out).text("type", "room_changed").id("user_id", *user).close(),
        ChatEvent::Joined { .. } | ChatEvent::Left { .. } => {}
    }
}

/// A message without what is usual. Its reactions and readers are events of their own.
fn of_message(out: &mut Vec<u8>, presenter: &Presenter, kind: &str, message: &Message, number: Number<'_>) {
    let sender = &*message.sender;
    let user = number(Who { id: sender.id, username: &sender.username, profile: Some(sender) });
    let mut object = Object::open(out);
    object.text("type", kind).id("id", message.id).number("user", u64::from(user));
    object.text_within("content", &message.content, CONTENT_CHARS_MAX);
    object.number("at", u64::try_from(message.created_at.0).unwrap_or(0));
    if message.message_type != MessageType::Text {
        object.text("message_type", message.message_type.as_str());
    }
    for (key, path) in [("image", &message.image), ("video", &message.video), ("audio", &message.audio)] {
        if let Some(address) = path.as_deref().and_then(|path| presenter.address(path)) {
            object.text(key, &address);
        }
    }
    if !message.file_url.is_empty() {
        object.text_within("file_url", &message.file_url, chars::URL).text_within(
            "file_name",
            &message.file_name,
            chars::FILE_NAME,
        );
        if let Some(bytes) = message.file_size {
            object.number("file_size", u64::from(bytes));
        }
    }
    if let Some(answered) = &message.reply_to {
        object.value("reply_to", |out| {
            Object::open(out)
                .id("id", answered.id)
                .text_within("username", &answered.sender_username, chars::USERNAME)
                .text("content", within(&answered.content, 100))
                .text("message_type", answered.message_type.as_str())
                .close();
        });
    }
    if let Some(story) = message.story_id {
        object.id("story_id", story.hyphenated());
    }
    if message.is_edited {
        object.flag("is_edited", true);
    }
    if let Some(client_id) = message.client_id.as_deref() {
        object.text("client_id", client_id);
    }
    object.close();
}

fn of_post(out: &mut Vec<u8>, presenter: &Presenter, event: &PostEvent) {
    match &event.change {
        PostChange::Created(post) => as_payload(out, |out| feed_event::new_post(out, presenter, post)),
        PostChange::Shared { shares_count, .. } => {
            Object::open(out).text("type", "post_shared").number("shares_count", *shares_count).close();
        }
        PostChange::CommentsDeleted { comments, comments_count, .. } => Object::open(out)
            .text("type", "comments_deleted")
            .array("comment_ids", comments, json::id)
            .number("comments_count", *comments_count)
            .close(),
        PostChange::Edited { .. }
        | PostChange::Deleted
        | PostChange::Reacted { .. }
        | PostChange::Commented { .. }
        | PostChange::CommentEdited(_)
        | PostChange::CommentLiked { .. } => as_payload(out, |out| feed_event::for_post(out, presenter, event)),
    }
}

fn of_notifications(out: &mut Vec<u8>, presenter: &Presenter, change: &NotificationChange) {
    match change {
        NotificationChange::Came(_) | NotificationChange::Changed(_) => {
            as_payload(out, |out| feed_event::for_notifications(out, presenter, change));
        }
        NotificationChange::Read { notifications, count } => Object::open(out)
            .text("type", "notifications_read")
            .array("notification_ids", notifications, json::id)
            .number("count", *count)
            .close(),
        NotificationChange::Gone { notifications, unread_count } => Object::open(out)
            .text("type", "notifications_deleted")
            .array("notification_ids", notifications.iter().take(READ_ALL_FRAMES_MAX), json::id)
            .number("unread_count", *unread_count)
            .close(),
    }
}

/// The JSON of the one frame that `write` appends.
fn as_payload(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut frame = Vec::new();
    write(&mut frame);
    if let Some((Some(payload), _, _)) = payload_of_first(&frame) {
        out.extend_from_slice(payload);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Timestamp;
    use crate::domain::event::Cursor;
    use crate::protocol::v0;

    /// The message of docs/protocol.md's older example, as it comes from a profile with little in it.
    fn message() -> Arc<Message> {
        let sender = UserProfile {
            id: "c29e1460-2438-4c40-a229-7c210c701b1c".parse().unwrap(),
            email: "ana@example.com".into(),
            username: "ana".into(),
            display_name: "Ana Pérez".into(),
            interests: "[]".into(),
            social_links: "[]".into(),
            account_type: "user".into(),
            ..UserProfile::default()
        };
        Arc::new(Message {
            id: "7d17fe03-94d3-4a71-9dbe-0dbb933c1946".parse().unwrap(),
            room: "0a0b9502-c454-481e-8985-e9e7f96c1dcb".parse().unwrap(),
            sender: Arc::new(sender),
            content: "hola".into(),
            message_type: MessageType::Text,
            image: None,
            video: None,
            audio: None,
            file_url: String::new(),
            file_name: String::new(),
            file_size: None,
            reply_to: None,
            is_edited: false,
            is_deleted: false,
            created_at: Timestamp(1_769_941_800_000_000),
            updated_at: Timestamp(1_769_941_800_000_000),
            reactions: Vec::new(),
            reaction_counts: std::collections::BTreeMap::new(),
            user_reaction: None,
            is_read: false,
            read_by_count: 0,
            story_id: None,
            story: None,
            client_id: None,
        })
    }

    fn committed_of(event: ChatEvent) -> Committed {
        Committed {
            topic: Topic::Room("0a0b9502-c454-481e-8985-e9e7f96c1dcb".parse().unwrap()),
            cursor: Cursor { epoch: 1, seq: 57 },
            event_id: crate::ids::EventId(uuid::Uuid::nil()),
            at: Timestamp(0),
            previous: None,
            origin: None,
            event: Event::Chat(event),
        }
    }

    fn payload(event: ChatEvent) -> String {
        let (mut out, presenter) = (Vec::new(), Presenter::new("http://127.0.0.1:8000/", true));
        committed(&mut out, &presenter, &committed_of(event), &mut |_| 12);
        let payload = payload_of_first(&out).and_then(|(payload, _, _)| payload).unwrap_or_default();
        String::from_utf8(payload.to_vec()).unwrap()
    }

    #[test]
    fn a_message_says_what_is_not_as_usual_and_is_a_third_of_the_older_one() {
        let slim = payload(ChatEvent::Sent(message()));
        assert_eq!(
            slim,
            r#"{"type":"event","topic":"room:0a0b9502c454481e8985e9e7f96c1dcb","cursor":"1.57","event":{"type":"message","id":"7d17fe03-94d3-4a71-9dbe-0dbb933c1946","user":12,"content":"hola","at":1769941800000000}}"#
        );
        let (mut older, presenter) = (Vec::new(), Presenter::new("http://127.0.0.1:8000/", true));
        v0::event::chat_message(&mut older, &presenter, &message());
        assert!(slim.len() * 100 <= older.len() * 35, "{} of {} bytes", slim.len(), older.len());
    }

    #[test]
    fn each_event_makes_one_frame_or_none() {
        let (id, user) = (message().id, message().sender.id);
        let read = ChatEvent::Read { messages: vec![id, id], count: 9, user, username: "ana".into() };
        assert!(payload(read).ends_with(&format!(
            r#""event":{{"type":"message_read","user":12,"count":9,"message_ids":["{id}","{id}"]}}}}"#
        )));
        assert!(
            payload(ChatEvent::Changed { user })
                .ends_with(&format!(r#""event":{{"type":"room_changed","user_id":"{user}"}}}}"#))
        );
        assert_eq!(payload(ChatEvent::Joined { user }), "");
        assert_eq!(payload(ChatEvent::Left { user }), "");
    }
}
