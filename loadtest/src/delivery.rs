//! Reads the message in a received text, and compares every byte with what its sender sent.
//!
//! There are two ways with the same result. The fast one knows the frames of this target and compares bytes (some ten
//! ns); the slow one parses the JSON and serves every other frame: another event, a different legal spelling, or
//! damage. A sender's own copy of a durable message always takes the slow way, too.

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::digest::{digest, excerpt};
use crate::tag::{TAG_BYTES, Tag};
use crate::target::{Kind, Message};
use crate::v1::Protocol;
use crate::v1::read::{self, Heard};

const CHAT_MESSAGE: &str = "chat_message";

/// The kind of a text frame.
#[derive(Debug, PartialEq)]
pub enum Reading {
    /// One of our messages, undamaged. `id` is a digest of the server's message id (0 if it has none).
    Delivery { tag: Tag, id: u64 },
    /// Another event: presence, typing and the like.
    Other,
    /// The server refused something, with its text.
    Refusal(String),
    /// A message that differs from what was sent.
    Damaged(String),
}

/// Reads the frames of one run.
pub struct Reader {
    /// The `type` of the events that carry our messages; a plain server's have none.
    event: &'static str,
    protocol: Protocol,
    messages: Vec<Message>,
    content: memmem::Finder<'static>,
    /// Deliveries that had to be parsed in full.
    pub slow: u64,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", default)]
    kind: &'a str,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    user_id: Option<&'a str>,
    #[serde(default)]
    username: Option<&'a str>,
}

#[derive(Deserialize)]
struct SignalData<'a> {
    n: &'a str,
}

#[derive(Deserialize)]
struct ChatMessage<'a> {
    id: &'a str,
    content: &'a str,
    sender: ChatSender<'a>,
}

#[derive(Deserialize)]
struct ChatSender<'a> {
    id: &'a str,
}

impl Reader {
    /// `messages`: one per sender, by the sender's number.
    pub fn new(kind: Kind, protocol: Protocol, messages: Vec<Message>) -> Self {
        let plain = messages.first().is_none_or(|first| first.user_id.is_empty());
        let event = match kind {
            _ if plain => "",
            Kind::Ephemeral => "signal",
            Kind::Durable => CHAT_MESSAGE,
        };
        Self { event, protocol, messages, content: memmem::Finder::new(b"\"content\":\""), slow: 0 }
    }

    pub fn read(&mut self, text: &[u8]) -> Reading {
        let fast = match self.event {
            CHAT_MESSAGE => self.chat_message(text),
            _ => self.whole_payload(text),
        };
        match fast {
            Some((tag, id)) => Reading::Delivery { tag, id },
            None => self.read_slowly(text),
        }
    }

    /// The tag has the same distance from the end in all of them; the rest is compared.
    fn whole_payload(&self, text: &[u8]) -> Option<(Tag, u64)> {
        let behind_tag = match self.protocol {
            Protocol::V0 => b"\"}}".len(),
            Protocol::V1 => b"\"}}}".len(),
        };
        let hole = text.len().checked_sub(behind_tag + TAG_BYTES)?;
        let tag = Tag::decode(text[hole..].first_chunk()?)?;
        let expected = self.messages.get(tag.sender as usize)?;
        let behind = hole + TAG_BYTES;
        let same = expected.received.len() == text.len()
            && expected.received_hole == hole
            && text[..hole] == expected.received[..hole]
            && text[behind..] == expected.received[behind..];
        same.then_some((tag, 0))
    }

    /// The message's id comes first, its text somewhere after it.
    fn chat_message(&self, text: &[u8]) -> Option<(Tag, u64)> {
        let rest = text.strip_prefix(b"{\"type\":\"chat_message\",\"message\":{\"id\":\"")?;
        let (id, rest) = rest.split_first_chunk::<36>()?;
        if !text.ends_with(b"}}") {
            return None;
        }
        let start = self.content.find(rest)? + self.content.needle().len();
        let content = &rest[start..];
        let length = self.messages.first()?.received.len();
        if content.get(length) != Some(&b'"') {
            return None;
        }
        let tag = self.content_tag(&content[..length])?;
        Some((tag, digest(id)))
    }

    /// The sender's message in a stored message's event of `pregon.v1`, if it is what was sent, in its room.
    pub fn message_of_v1(&self, message: &read::Message<'_>) -> Option<Tag> {
        let tag = self.content_tag(message.content)?;
        let sent = self.messages.get(tag.sender as usize)?;
        (sent.topic.as_bytes() == message.topic).then_some(tag)
    }

    /// The id of the user who sends such messages.
    pub fn sender(&self, sender: u32) -> &str {
        &self.messages[sender as usize].user_id
    }

    fn content_tag(&self, content: &[u8]) -> Option<Tag> {
        let tag = Tag::decode(content.last_chunk()?)?;
        let expected = self.messages.get(tag.sender as usize)?;
        let same = expected.received.len() == content.len()
            && content[..expected.received_hole] == expected.received[..expected.received_hole];
        same.then_some(tag)
    }

    /// The plain twin of the fast ways.
    pub fn read_slowly(&mut self, text: &[u8]) -> Reading {
        if self.protocol == Protocol::V1 {
            return self.read_v1_slowly(text);
        }
        let Ok(event) = serde_json::from_slice::<Event<'_>>(text) else {
            return damaged("no JSON object", text);
        };
        if event.kind != self.event {
            return match event.kind {
                "error" => Reading::Refusal(error_text(text)),
                _ => Reading::Other,
            };
        }
        self.slow += 1;
        let read = match self.event {
            CHAT_MESSAGE => self.chat(&event),
            _ => self.signal(&event).map(|tag| (tag, 0)),
        };
        match read {
            Some((tag, id)) => Reading::Delivery { tag, id },
            None => damaged("not what its sender sent", text),
        }
    }

    /// Signals come inside events; what else comes is told by replies, or is stored.
    fn read_v1_slowly(&mut self, text: &[u8]) -> Reading {
        match read::heard(text) {
            Heard::Passing { topic, event } => {
                let Ok(signal) = serde_json::from_str::<Event<'_>>(event) else {
                    return damaged("no JSON object in an event", text);
                };
                if signal.kind != self.event {
                    return Reading::Other;
                }
                self.slow += 1;
                match self.signal(&signal).filter(|tag| self.messages[tag.sender as usize].topic == topic) {
                    Some(tag) => Reading::Delivery { tag, id: 0 },
                    None => damaged("not what its sender sent", text),
                }
            }
            Heard::Error { text, .. } => Reading::Refusal(text),
            Heard::Broken(what) => Reading::Damaged(what),
            _ => Reading::Other,
        }
    }

    fn signal(&self, event: &Event<'_>) -> Option<Tag> {
        let data: SignalData<'_> = serde_json::from_str(event.data?.get()).ok()?;
        let tag = Tag::decode(data.n.as_bytes().last_chunk()?)?;
        let expected = self.messages.get(tag.sender as usize)?;
        let pad = &data.n[..data.n.len() - TAG_BYTES];
        let before = &expected.received[..expected.received_hole];
        let pad_sent = &before[before.iter().rposition(|byte| *byte == b'"')? + 1..];
        let same = pad.as_bytes() == pad_sent
            && event.user_id.unwrap_or_default() == expected.user_id
            && event.username.unwrap_or_default() == expected.username;
        same.then_some(tag)
    }

    fn chat(&self, event: &Event<'_>) -> Option<(Tag, u64)> {
        let message: ChatMessage<'_> = serde_json::from_str(event.message?.get()).ok()?;
        let tag = self.content_tag(message.content.as_bytes())?;
        let same = message.sender.id == self.messages[tag.sender as usize].user_id;
        same.then(|| (tag, digest(message.id.as_bytes())))
    }
}

fn damaged(what: &str, text: &[u8]) -> Reading {
    Reading::Damaged(format!("{what}: {}", excerpt(text)))
}

/// The text of an error frame.
pub fn error_text(text: &[u8]) -> String {
    #[derive(Deserialize)]
    struct ErrorEvent {
        /// `pregon.v1` calls it `text`.
        #[serde(alias = "text")]
        message: String,
    }
    serde_json::from_slice::<ErrorEvent>(text).map_or_else(|_| excerpt(text), |event| event.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Seat, Target, test_fixture};

    fn reader(kind: Kind) -> Reader {
        reader_of(kind, Protocol::V0)
    }

    fn reader_of(kind: Kind, protocol: Protocol) -> Reader {
        let target = Target::Pregon(test_fixture(), protocol);
        let seats = [Seat { room: 0, member: 0 }, Seat { room: 0, member: 1 }];
        let message = |seat| target.message(kind, seat, 240).expect("a message");
        Reader::new(kind, protocol, seats.map(message).into())
    }

    fn frame(reader: &Reader, tag: Tag) -> Vec<u8> {
        let message = &reader.messages[tag.sender as usize];
        let mut frame = message.received.clone();
        frame[message.received_hole..][..TAG_BYTES].copy_from_slice(&tag.encode());
        frame
    }

    fn chat_frame(reader: &Reader, tag: Tag) -> String {
        let content = String::from_utf8(frame(reader, tag)).expect("text");
        let sender = &reader.messages[tag.sender as usize].user_id;
        format!(
            r#"{{"type":"chat_message","message":{{"id":"7d17fe03-94d3-4a71-9dbe-0dbb933c1946","chat_room":"r","sender":{{"id":"{sender}","bio":""}},"content":"{content}","reactions":[]}}}}"#
        )
    }

    const TAG: Tag = Tag { sender: 1, seq: 99 };

    #[test]
    fn both_ways_read_the_same_signal() {
        let mut reader = reader(Kind::Ephemeral);
        let text = frame(&reader, TAG);
        let expected = Reading::Delivery { tag: TAG, id: 0 };
        assert_eq!(reader.read(&text), expected);
        assert_eq!(reader.slow, 0);
        assert_eq!(reader.read_slowly(&text), expected);
        let spelt_otherwise = String::from_utf8(text).expect("text").replace("\",\"", "\", \"");
        assert_eq!(reader.read(spelt_otherwise.as_bytes()), expected);
        assert_eq!(reader.slow, 2);
    }

    #[test]
    fn both_ways_read_the_same_signal_of_v1() {
        let mut reader = reader_of(Kind::Ephemeral, Protocol::V1);
        let text = String::from_utf8(frame(&reader, TAG)).expect("text");
        let expected = Reading::Delivery { tag: TAG, id: 0 };
        assert_eq!(reader.read(text.as_bytes()), expected);
        assert_eq!(reader.slow, 0);
        assert_eq!(reader.read(text.replace("\",\"", "\", \"").as_bytes()), expected);
        assert_eq!(reader.slow, 1);
        for (from, to) in [("room:0a", "room:0b"), ("xx", "xy"), ("user_id", "userid")] {
            let wrong = text.replacen(from, to, 1);
            assert!(matches!(reader.read(wrong.as_bytes()), Reading::Damaged(_)), "{wrong}");
        }
        let error = r#"{"type":"error","code":"busy","text":"luego","retry":"later","retry_after_ms":1}"#;
        assert_eq!(reader.read(error.as_bytes()), Reading::Refusal("luego".into()));
        assert_eq!(reader.read(br#"{"type":"skipped"}"#), Reading::Other);
    }

    #[test]
    fn any_changed_byte_of_a_signal_is_seen() {
        let mut reader = reader(Kind::Ephemeral);
        let text = frame(&reader, TAG);
        let tag_at = text.len() - 11;
        for at in 0..text.len() {
            let mut changed = text.clone();
            changed[at] ^= 1;
            let reading = reader.read(&changed);
            let in_tag = (tag_at..tag_at + TAG_BYTES).contains(&at);
            let as_sent = Reading::Delivery { tag: TAG, id: 0 };
            assert_ne!(reading, as_sent, "byte {at}");
            if !in_tag {
                assert!(!matches!(reading, Reading::Delivery { .. }), "byte {at}");
            }
        }
        assert!(matches!(reader.read(&text[..80]), Reading::Damaged(_)));
    }

    #[test]
    fn both_ways_read_the_same_chat_message() {
        let mut reader = reader(Kind::Durable);
        let text = chat_frame(&reader, TAG);
        let fast = reader.read(text.as_bytes());
        assert!(matches!(fast, Reading::Delivery { tag: TAG, id } if id != 0));
        assert_eq!(reader.slow, 0);
        assert_eq!(reader.read_slowly(text.as_bytes()), fast);
        let other_id = text.replace("7d17", "7d18");
        assert_ne!(reader.read(other_id.as_bytes()), fast);
        let other_sender = text.replace("c29e1460", "c29e1461");
        let reading = reader.read_slowly(other_sender.as_bytes());
        assert!(matches!(reading, Reading::Damaged(_)));
        let other_text = text.replacen("xx", "xy", 1);
        assert!(matches!(reader.read(other_text.as_bytes()), Reading::Damaged(_)));
    }

    #[test]
    fn other_events_and_refusals_are_told_apart() {
        let mut reader = reader(Kind::Ephemeral);
        let status = br#"{"type":"user_status","user_id":"u","username":"n","status":"online"}"#;
        assert_eq!(reader.read(status), Reading::Other);
        let error = r#"{"type":"error","message":"Formato JSON inválido"}"#;
        assert_eq!(reader.read(error.as_bytes()), Reading::Refusal("Formato JSON inválido".into()));
        assert!(matches!(reader.read(b"\x00garbage"), Reading::Damaged(_)));
    }
}
