//! What a push says: a title, a text and what the page needs to open the right place, as JSON.
//!
//! The JSON is also a declarative message (`"web_push": 8030`), which browsers that know that form show without the page's worker.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::domain::chat::event::ChatEvent;
use crate::domain::chat::message::{Message, MessageType};
use crate::domain::chat::room::ChatType;
use crate::domain::event::Committed;
use crate::domain::feed::event::{FeedEvent, NotificationChange};
use crate::domain::push::RoomHead;
use crate::ids::{MessageId, NotificationId, PostId, RoomId, Topic, UserId};
use crate::limits::{PUSH_BYTES_MAX, PUSH_NAME_CHARS_MAX, PUSH_TEXT_CHARS_MAX};

/// How much of a message a push says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Who wrote it, and what.
    All,
    /// The same of messages in groups. Of private rooms it says that there is a message.
    Groups,
    /// That there is something.
    Nothing,
}

impl FromStr for Content {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "all" => Ok(Self::All),
            "groups" => Ok(Self::Groups),
            "none" => Ok(Self::Nothing),
            _ => Err(()),
        }
    }
}

/// An event that is to be pushed.
#[derive(Debug, Clone)]
pub(super) struct News {
    /// Later events of the same topic take its place.
    pub topic: Topic,
    /// When it was committed.
    pub at: Timestamp,
    /// Who caused it.
    pub name: String,
    /// What it says.
    pub text: String,
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Message { room: RoomId, message: MessageId, sender: UserId },
    Notification { user: UserId, notification: NotificationId, post: Option<PostId> },
}

impl News {
    /// The event, if it is one that is pushed: a new message, or a new notification.
    pub fn of(event: &Committed) -> Option<Self> {
        let (name, text, what) = match (event.chat(), event.feed()) {
            (Some(ChatEvent::Sent(message)), _) => {
                let what = What::Message { room: message.room, message: message.id, sender: message.sender.id };
                (&message.sender.display_name, text_of(message), what)
            }
            (_, Some(FeedEvent::Notification { user, change: NotificationChange::Came(found) })) => {
                let what = What::Notification { user: *user, notification: found.id, post: found.references.post };
                (&found.sender.display_name, found.message.clone(), what)
            }
            _ => return None,
        };
        let (name, text) = (cut(name, PUSH_NAME_CHARS_MAX), cut(&text, PUSH_TEXT_CHARS_MAX));
        Some(Self { topic: event.topic, at: event.at, name, text, what })
    }
}

/// A push as all who get it get it, before it is encrypted for each.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The JSON, at most [`PUSH_BYTES_MAX`].
    pub json: Vec<u8>,
    /// RFC 8030 §5.4: of several that wait for a browser with one topic, it gets the last.
    pub topic: String,
    /// RFC 8030 §5.3.
    pub urgency: &'static str,
    /// When the event was committed.
    pub at: Timestamp,
}

impl Note {
    /// The push of an event. `room` is the message's room, `page` the address of the page that it opens.
    pub fn new(news: &News, room: Option<&RoomHead>, content: Content, page: &str) -> Self {
        let is_private = room.is_some_and(|room| room.chat_type == ChatType::Private);
        let is_told = match content {
            Content::All => true,
            Content::Groups => !is_private,
            Content::Nothing => false,
        };
        let News { name, text, .. } = news;
        let (title, body, place, data, urgency) = match news.what {
            What::Message { room: id, message, sender } => {
                let group = room.filter(|_| !is_private).map(|room| cut(&room.name, PUSH_NAME_CHARS_MAX));
                let (title, body) = match group.filter(|name| !name.is_empty()) {
                    _ if !is_told => ("Mensaje nuevo".to_owned(), String::new()),
                    Some(group) => (group, format!("{name}: {text}")),
                    None => (name.clone(), text.clone()),
                };
                let mut data = json!({"type": "message", "room": id, "message": message});
                if is_told {
                    data["sender"] = json!(sender);
                }
                (title, body, format!("#/chat/{id}"), data, "high")
            }
            What::Notification { notification, post, .. } => {
                let (title, body) = match is_told {
                    true => (name.clone(), text.clone()),
                    false => ("Notificación nueva".to_owned(), String::new()),
                };
                let place = post.map_or_else(|| "#/feed".to_owned(), |post| format!("#/post/{post}"));
                let data = json!({"type": "notification", "notification": notification, "post": post});
                (title, body, place, data, "normal")
            }
        };
        let tag = news.topic.to_string();
        let json = written(&title, &body, &format!("{page}{place}"), &tag, &data);
        debug_assert!(json.len() <= PUSH_BYTES_MAX, "{} bytes", json.len());
        let hash = digest(&SHA256, tag.as_bytes());
        let topic = URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]);
        Self { json, topic, urgency, at: news.at }
    }
}

fn written(title: &str, body: &str, navigate: &str, tag: &str, data: &Value) -> Vec<u8> {
    let notification = json!({"title": title, "body": body, "navigate": navigate, "tag": tag, "lang": "es", "dir": "auto", "data": data});
    json!({"web_push": 8030, "mutable": true, "notification": notification}).to_string().into_bytes()
}

/// What a message says, also if it has no words.
fn text_of(message: &Message) -> String {
    let what = match message.message_type {
        MessageType::Image => "📷 Foto",
        MessageType::Video => "🎬 Vídeo",
        MessageType::Audio => "🎤 Audio",
        MessageType::File if !message.file_name.is_empty() => &format!("📎 {}", message.file_name),
        MessageType::File => "📎 Archivo",
        MessageType::Text | MessageType::Emoji | MessageType::System | MessageType::StoryReply => "Mensaje nuevo",
    };
    if message.content.is_empty() { what.to_owned() } else { message.content.clone() }
}

/// The first characters, with a sign that there are more.
fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(text: &str) -> News {
        let (room, message, sender) = (RoomId::fresh(), MessageId::fresh(), UserId::fresh());
        let what = What::Message { room, message, sender };
        let [name, text] = [cut("Ana", PUSH_NAME_CHARS_MAX), cut(text, PUSH_TEXT_CHARS_MAX)];
        News { topic: Topic::Room(room), at: Timestamp(7), name, text, what }
    }

    fn said(news: &News, chat_type: ChatType, name: &str, content: Content) -> Value {
        let room = RoomHead { chat_type, name: name.into() };
        let note = Note::new(news, Some(&room), content, "https://chat.example/");
        serde_json::from_slice(&note.json).unwrap()
    }

    #[test]
    fn a_push_says_as_much_as_the_operator_wants() {
        let news = news("hola");
        let of = |chat_type, content| {
            let said = said(&news, chat_type, "Equipo", content);
            let texts = ["title", "body"].map(|key| said["notification"][key].as_str().unwrap().to_owned());
            (texts, said["notification"]["data"]["sender"].is_string())
        };
        let texts = |title: &str, body: &str| [title.to_owned(), body.to_owned()];
        assert_eq!(of(ChatType::Private, Content::All), (texts("Ana", "hola"), true));
        assert_eq!(of(ChatType::Group, Content::All), (texts("Equipo", "Ana: hola"), true));
        assert_eq!(of(ChatType::Private, Content::Groups), (texts("Mensaje nuevo", ""), false));
        assert_eq!(of(ChatType::Group, Content::Groups), (texts("Equipo", "Ana: hola"), true));
        assert_eq!(of(ChatType::Private, Content::Nothing), (texts("Mensaje nuevo", ""), false));
        assert_eq!(of(ChatType::Group, Content::Nothing), (texts("Mensaje nuevo", ""), false));
    }

    #[test]
    fn a_push_opens_its_room_and_replaces_the_one_before_it() {
        let news = news("hola");
        let What::Message { room, .. } = news.what else { unreachable!() };
        let said = said(&news, ChatType::Group, "", Content::All);
        assert_eq!(said["web_push"], 8030);
        assert_eq!(said["notification"]["navigate"], format!("https://chat.example/#/chat/{room}"));
        assert_eq!(said["notification"]["title"], "Ana", "a group without a name is its sender's");
        let note = |news: &News| Note::new(news, None, Content::All, "");
        assert_eq!(note(&news).topic, note(&News { at: Timestamp(8), ..news.clone() }).topic);
        assert_ne!(note(&news).topic, note(&super::tests::news("hola")).topic);
        // RFC 8030 §5.4: at most 32 characters of base64url.
        assert!(note(&news).topic.len() <= 32);
    }

    #[test]
    fn the_longest_push_has_room() {
        for letter in ["\u{1}", "\"", "😀", "ñ"] {
            let mut long = news(&letter.repeat(3000));
            long.name = cut(&letter.repeat(1000), PUSH_NAME_CHARS_MAX);
            let room = RoomHead { chat_type: ChatType::Group, name: letter.repeat(1000) };
            let note = Note::new(&long, Some(&room), Content::All, &"https://chat.example/".repeat(8));
            assert!(note.json.len() <= PUSH_BYTES_MAX, "{letter:?}: {}", note.json.len());
        }
    }
}
