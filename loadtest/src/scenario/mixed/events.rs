//! Reads the event of a mixed load in a received text.

use memchr::memmem;
use serde::Deserialize;

use crate::delivery::error_text;
use crate::digest::{digest, excerpt};
use crate::tag::{TAG_BYTES, Tag};

/// Identifies a change of a message: message, user, and the kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub message: u64,
    pub user: u64,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    Read,
    Deleted,
    /// The reaction's index, and whether it was added.
    Reacted(u8, bool),
}

pub const REACTIONS: [&str; 8] = ["like", "love", "laugh", "wow", "sad", "angry", "fire", "golazo"];

/// An event that the oracle checks.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A new message or its new text. `id` is the message's.
    Text {
        tag: Tag,
        edited: bool,
        id: [u8; 36],
        user: u64,
    },
    Changed(Key),
    Typing {
        user: u64,
        is_typing: bool,
    },
    Refusal(String),
    Other,
    Damaged(String),
}

/// Reads the frames of one run.
pub struct Events {
    content: memmem::Finder<'static>,
    /// The text before the tag in every message.
    pad: String,
}

#[derive(Deserialize)]
struct Any<'a> {
    #[serde(rename = "type", default)]
    kind: &'a str,
    #[serde(default)]
    message_id: &'a str,
    #[serde(default)]
    user_id: &'a str,
    #[serde(default)]
    reaction_type: &'a str,
    #[serde(default)]
    added: bool,
    is_typing: Option<bool>,
}

/// A whole message event, for the thorough check of the actor's own copy.
#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    message: WholeMessage<'a>,
}

#[derive(Deserialize)]
struct WholeMessage<'a> {
    id: &'a str,
    sender: WholeSender<'a>,
    content: &'a str,
    reply_to: Option<WholeReply<'a>>,
    is_edited: bool,
    is_deleted: bool,
}

#[derive(Deserialize)]
struct WholeSender<'a> {
    id: &'a str,
}

#[derive(Deserialize)]
struct WholeReply<'a> {
    id: &'a str,
}

impl Events {
    /// `bytes` is the size of each text.
    pub fn new(bytes: usize) -> Self {
        Self { content: memmem::Finder::new(b"\"content\":\""), pad: "x".repeat(bytes.saturating_sub(TAG_BYTES)) }
    }

    /// The text of a message.
    pub fn text(&self, tag: Tag) -> String {
        format!("{}{}", self.pad, String::from_utf8_lossy(&tag.encode()))
    }

    pub fn read(&self, text: &[u8]) -> Event {
        match self.message(text) {
            Some(event) => event,
            None => self.other(text),
        }
    }

    /// Messages have a known layout: ids first, the text somewhere after them.
    fn message(&self, text: &[u8]) -> Option<Event> {
        let rest = text.strip_prefix(b"{\"type\":\"")?;
        let (rest, edited) = match rest.strip_prefix(b"chat_message") {
            Some(rest) => (rest, false),
            None => (rest.strip_prefix(b"message_edited")?, true),
        };
        let rest = rest.strip_prefix(b"\",\"message\":{\"id\":\"")?;
        let (id, rest) = rest.split_first_chunk::<36>()?;
        let (_room, rest) = rest.strip_prefix(b"\",\"chat_room\":\"")?.split_first_chunk::<36>()?;
        let (user, rest) = rest.strip_prefix(b"\",\"sender\":{\"id\":\"")?.split_first_chunk::<36>()?;
        let content = &rest[self.content.find(rest)? + self.content.needle().len()..];
        let tag = self.tag(content)?;
        text.ends_with(b"}}").then(|| Event::Text { tag, edited, id: *id, user: digest(user) })
    }

    /// The tag of a whole text.
    pub fn tag_of(&self, content: &[u8]) -> Option<Tag> {
        Tag::decode(content.strip_prefix(self.pad.as_bytes())?.try_into().ok()?)
    }

    /// The tag of a text that starts here and ends with a quote.
    fn tag(&self, content: &[u8]) -> Option<Tag> {
        let rest = content.strip_prefix(self.pad.as_bytes())?;
        let (tag, rest) = rest.split_first_chunk()?;
        if rest.first() == Some(&b'"') { Tag::decode(tag) } else { None }
    }

    fn other(&self, text: &[u8]) -> Event {
        if let Ok(whole) = serde_json::from_slice::<Whole<'_>>(text) {
            let quoted = format!("{}\"", whole.message.content);
            return match (self.tag(quoted.as_bytes()), whole.message.id.as_bytes().first_chunk()) {
                (Some(tag), Some(id)) => Event::Text {
                    tag,
                    edited: whole.kind == "message_edited",
                    id: *id,
                    user: digest(whole.message.sender.id.as_bytes()),
                },
                _ => Event::Damaged(format!("not what its sender sent: {}", excerpt(text))),
            };
        }
        let Ok(any) = serde_json::from_slice::<Any<'_>>(text) else {
            return Event::Damaged(format!("no event: {}", excerpt(text)));
        };
        let what = match any.kind {
            "message_read" => What::Read,
            "message_deleted" => What::Deleted,
            "message_reaction" => match REACTIONS.iter().position(|name| *name == any.reaction_type) {
                Some(reaction) => What::Reacted(reaction as u8, any.added),
                None => return Event::Damaged(format!("no such reaction: {}", excerpt(text))),
            },
            "typing_status" => match any.is_typing {
                Some(is_typing) => return Event::Typing { user: digest(any.user_id.as_bytes()), is_typing },
                None => return Event::Damaged(format!("typing or not? {}", excerpt(text))),
            },
            "error" => return Event::Refusal(error_text(text)),
            "chat_message" | "message_edited" => {
                return Event::Damaged(format!("a message without its parts: {}", excerpt(text)));
            }
            _ => return Event::Other,
        };
        Event::Changed(Key { message: digest(any.message_id.as_bytes()), user: digest(any.user_id.as_bytes()), what })
    }

    /// What is wrong with a message that should have this text; checks every field that matters. (An edited message
    /// keeps the message that it answers.)
    pub fn fault(&self, text: &[u8], tag: Tag, edited: bool, reply_to: Option<[u8; 36]>) -> Option<&'static str> {
        let Ok(whole) = serde_json::from_slice::<Whole<'_>>(text) else {
            return Some("is no whole message");
        };
        let message = whole.message;
        let answered = message.reply_to.map(|reply| reply.id.as_bytes().to_vec());
        if message.content != self.text(tag) {
            Some("has another text")
        } else if !edited && answered.as_deref() != reply_to.as_ref().map(|id| id.as_slice()) {
            Some("answers another message than it should")
        } else if message.is_edited != edited || message.is_deleted {
            Some("is marked wrongly as edited or deleted")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANA: &str = "c29e1460-2438-4c40-a229-7c210c701b1c";
    const MESSAGE: &str = "7d17fe03-94d3-4a71-9dbe-0dbb933c1946";
    const TAG: Tag = Tag { sender: 3, seq: 9 };

    fn message(events: &Events, kind: &str) -> String {
        let text = events.text(TAG);
        let edited = kind == "message_edited";
        format!(
            r#"{{"type":"{kind}","message":{{"id":"{MESSAGE}","chat_room":"{ANA}","sender":{{"id":"{ANA}","bio":""}},"content":"{text}","reply_to":{{"id":"{ANA}","content":"other"}},"is_edited":{edited},"is_deleted":false,"reactions":[]}}}}"#
        )
    }

    #[test]
    fn both_ways_read_the_same_message_and_damage_is_seen() {
        let events = Events::new(20);
        for kind in ["chat_message", "message_edited"] {
            let text = message(&events, kind);
            let fast = events.message(text.as_bytes()).expect("the fast way knows it");
            assert_eq!(events.other(text.as_bytes()), fast);
            let edited = kind == "message_edited";
            assert!(matches!(fast, Event::Text { tag: TAG, edited: is, .. } if is == edited));
            let answered = ANA.as_bytes().first_chunk().copied();
            assert_eq!(events.fault(text.as_bytes(), TAG, edited, answered), None);
            assert!(events.fault(text.as_bytes(), TAG, !edited, answered).is_some());
            assert_eq!(events.fault(text.as_bytes(), TAG, edited, None).is_some(), !edited);
            let damaged = text.replacen("xx", "xy", 1);
            assert!(matches!(events.read(damaged.as_bytes()), Event::Damaged(_)));
        }
    }

    #[test]
    fn changes_are_told_apart() {
        let events = Events::new(20);
        let read =
            |rest: &str| events.read(format!(r#"{{"message_id":"{MESSAGE}","user_id":"{ANA}",{rest}}}"#).as_bytes());
        let what = |rest: &str| match read(rest) {
            Event::Changed(key) => Some(key.what),
            _ => None,
        };
        assert_eq!(what(r#""type":"message_read""#), Some(What::Read));
        assert_eq!(what(r#""type":"message_deleted""#), Some(What::Deleted));
        let fire = r#""type":"message_reaction","reaction_type":"fire","added":true"#;
        assert_eq!(what(fire), Some(What::Reacted(6, true)));
        assert!(matches!(read(&fire.replace("fire", "bogus")), Event::Damaged(_)));
        assert!(matches!(read(r#""type":"typing_status","is_typing":false"#), Event::Typing { is_typing: false, .. }));
        assert_eq!(read(r#""type":"user_status","status":"online""#), Event::Other);
        assert_eq!(read(r#""type":"error","message":"no""#), Event::Refusal("no".into()));
    }
}
