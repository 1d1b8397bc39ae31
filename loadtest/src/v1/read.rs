//! Reads frames of `pregon.v1`: a room's messages byte by byte, everything else as JSON.

use std::borrow::Cow;

use memchr::memchr;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Cursor, number};
use crate::digest::{digest, excerpt};

/// The bytes of `room:` and an id.
const ROOM_BYTES: usize = 37;

/// A message of a room, as its members hear it.
#[derive(Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub topic: &'a [u8],
    pub cursor: Cursor,
    pub id: &'a [u8; 36],
    /// The sender's number.
    pub user: u32,
    pub content: &'a [u8],
}

/// One frame of the server.
#[derive(Debug, PartialEq)]
pub enum Heard<'a> {
    Message(Message<'a>),
    /// Another event with a place; the event as JSON.
    Change {
        topic: Cow<'a, str>,
        cursor: Cursor,
        event: &'a str,
    },
    /// An event without a place: a frame of the older sockets.
    Passing {
        topic: Cow<'a, str>,
        event: &'a str,
    },
    /// Numbers and digests of the ids of the users whose they are.
    Users(Vec<(u32, u64)>),
    Ack(Ack<'a>),
    Error {
        id: Option<Cow<'a, str>>,
        text: String,
    },
    Subscribed {
        topic: Cow<'a, str>,
        cursor: Option<Cursor>,
        resumed: bool,
    },
    Gap {
        topic: Cow<'a, str>,
        cursor: Option<Cursor>,
    },
    Unsubscribed {
        topic: Cow<'a, str>,
        text: String,
    },
    /// Something that concerns the socket and no topic.
    Other,
    Broken(String),
}

/// What the sender of a request is told when it is done.
#[derive(Debug, PartialEq)]
pub struct Ack<'a> {
    pub id: Cow<'a, str>,
    /// A digest of the message's id, if the server names one.
    pub message: Option<u64>,
    pub cursor: Option<Cursor>,
    pub is_repeated: bool,
}

#[derive(Deserialize)]
struct Any<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    topic: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    cursor: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message_id: Option<Cow<'a, str>>,
    #[serde(default)]
    repeated: bool,
    #[serde(default)]
    resumed: bool,
    #[serde(borrow, default)]
    code: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    users: Vec<User<'a>>,
}

#[derive(Deserialize)]
struct User<'a> {
    n: u32,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// The message in a frame that is spelt as the server spells it; `None` for every other frame.
pub fn message(text: &[u8]) -> Option<Message<'_>> {
    let rest = text.strip_prefix(b"{\"type\":\"event\",\"topic\":\"")?;
    let (topic, rest) = rest.split_at_checked(ROOM_BYTES)?;
    let (cursor, rest) = until(rest.strip_prefix(b"\",\"cursor\":\"")?, b'"')?;
    let rest = rest.strip_prefix(b"\",\"event\":{\"type\":\"message\",\"id\":\"")?;
    let (id, rest) = rest.split_first_chunk()?;
    let (user, rest) = until(rest.strip_prefix(b"\",\"user\":")?, b',')?;
    let (content, _) = until(rest.strip_prefix(b",\"content\":\"")?, b'"')?;
    if !text.ends_with(b"}}") {
        return None;
    }
    let user = u32::try_from(number(user)?).ok()?;
    Some(Message { topic, cursor: Cursor::parse(cursor)?, id, user, content })
}

fn until(bytes: &[u8], end: u8) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(memchr(end, bytes)?)
}

/// Any frame.
pub fn heard(text: &[u8]) -> Heard<'_> {
    match message(text) {
        Some(message) => Heard::Message(message),
        None => in_full(text),
    }
}

fn in_full(text: &[u8]) -> Heard<'_> {
    let broken = |what: &str| Heard::Broken(format!("{what}: {}", excerpt(text)));
    let Ok(any) = serde_json::from_slice::<Any<'_>>(text) else { return broken("no frame of pregon.v1") };
    let cursor = match any.cursor.as_deref().map(|cursor| Cursor::parse(cursor.as_bytes())) {
        Some(None) => return broken("a cursor that is none"),
        cursor => cursor.flatten(),
    };
    let said = match (&any.text, &any.code) {
        (Some(text), _) => text.clone().into_owned(),
        (None, code) => code.clone().unwrap_or_default().into_owned(),
    };
    let topic = any.topic;
    match (&*any.kind, topic) {
        ("event", Some(topic)) => match (any.event.map(RawValue::get), cursor) {
            (Some(event), Some(cursor)) => Heard::Change { topic, cursor, event },
            (Some(event), None) => Heard::Passing { topic, event },
            (None, _) => broken("an event without its content"),
        },
        ("users", Some(_)) => Heard::Users(any.users.iter().map(|user| (user.n, digest(user.id.as_bytes()))).collect()),
        ("ack", _) => Heard::Ack(Ack {
            id: any.id.map(name_of).unwrap_or_default(),
            message: any.message_id.map(|id| digest(id.as_bytes())),
            cursor,
            is_repeated: any.repeated,
        }),
        ("error", _) => Heard::Error { id: any.id.map(name_of), text: said },
        ("subscribed", Some(topic)) => Heard::Subscribed { topic, cursor, resumed: any.resumed },
        ("gap", Some(topic)) => Heard::Gap { topic, cursor },
        ("unsubscribed", Some(topic)) => Heard::Unsubscribed { topic, text: said },
        ("event" | "users" | "subscribed" | "gap" | "unsubscribed", None) => broken("no topic"),
        _ => Heard::Other,
    }
}

/// The text of a request's name, which was a text when it was sent.
fn name_of(id: &RawValue) -> Cow<'_, str> {
    serde_json::from_str::<&str>(id.get()).map_or_else(|_| id.get().into(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "room:0a0b9502c454481e8985e9e7f96c1dcb";
    const ID: &str = "7d17fe03-94d3-4a71-9dbe-0dbb933c1946";

    fn told(kind: &str, more: &str) -> String {
        format!(
            r#"{{"type":"event","topic":"{TOPIC}","cursor":"1.57","event":{{"type":"{kind}","id":"{ID}","user":12,"content":"hola","at":1769941800000000{more}}}}}"#
        )
    }

    #[test]
    fn a_message_is_read_in_place() {
        let text = told("message", r#","client_id":"c-1""#);
        let Heard::Message(message) = heard(text.as_bytes()) else { panic!("{text}") };
        assert_eq!(message.topic, TOPIC.as_bytes());
        assert_eq!((message.cursor.to_string().as_str(), message.user), ("1.57", 12));
        assert_eq!((message.id.as_slice(), message.content), (ID.as_bytes(), b"hola".as_slice()));
        for other in [told("message_edited", ""), text.replace("1.57", "1x57"), text.replace(":12", ":\"12\"")] {
            assert_eq!(super::message(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn every_other_frame_is_told_apart() {
        let cursor = Cursor::parse(b"1.57");
        let heard = |text: &'static str| super::heard(text.as_bytes());
        let edited = told("message_edited", "");
        assert!(matches!(super::heard(edited.as_bytes()), Heard::Change { event, .. } if event.contains("hola")));
        let typing = heard(r#"{"type":"event","topic":"room:1","event":{"type":"typing_status"}}"#);
        assert_eq!(typing, Heard::Passing { topic: "room:1".into(), event: r#"{"type":"typing_status"}"# });
        let users = heard(r#"{"type":"users","topic":"room:1","users":[{"n":12,"id":"u","username":"ana"}]}"#);
        assert_eq!(users, Heard::Users(vec![(12, digest(b"u"))]));
        let ack =
            heard(r#"{"type":"ack","id":"t","message_id":"m","cursor":"1.57","repeated":false,"durability":"stored"}"#);
        let expected = Ack { id: "t".into(), message: Some(digest(b"m")), cursor, is_repeated: false };
        assert_eq!(ack, Heard::Ack(expected));
        let error =
            heard(r#"{"type":"error","id":"t","code":"busy","text":"luego","retry":"later","retry_after_ms":1}"#);
        assert_eq!(error, Heard::Error { id: Some("t".into()), text: "luego".into() });
        let subscribed = heard(r#"{"type":"subscribed","topic":"feed","cursor":null,"resumed":true}"#);
        assert_eq!(subscribed, Heard::Subscribed { topic: "feed".into(), cursor: None, resumed: true });
        assert_eq!(heard(r#"{"type":"gap","topic":"t","cursor":"1.57"}"#), Heard::Gap { topic: "t".into(), cursor });
        let lost = heard(r#"{"type":"unsubscribed","topic":"*","code":"slow","text":"lento"}"#);
        assert_eq!(lost, Heard::Unsubscribed { topic: "*".into(), text: "lento".into() });
        assert_eq!(heard(r#"{"type":"pong","id":7}"#), Heard::Other);
        for wrong in ["", "[]", r#"{"type":"event"}"#, r#"{"type":"ack","cursor":"x"}"#] {
            assert!(matches!(super::heard(wrong.as_bytes()), Heard::Broken(_)), "{wrong}");
        }
    }
}
