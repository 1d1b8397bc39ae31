//! The same commands read by other JSON libraries, for the comparison in `json.rs`.

use std::borrow::Cow;
use std::fmt;

use pregon::domain::chat::message::{MessageType, ReactionType};
use pregon::domain::chat::write::{Action, NewMessage};
use pregon::ids::MessageId;
use pregon::limits::{CLIENT_ID_BYTES_MAX, CONTENT_CHARS_MAX, SIGNAL_BYTES_MAX};
use pregon::protocol::v0::command::Command;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use simd_json::{Buffers, Node, StaticNode, Tape};
use sonic_rs::LazyValue;

/// A value as a library provides it.
trait Value<'a> {
    /// The text, if it is one.
    fn text(&self) -> Option<Cow<'a, str>>;
    /// The boolean, if it is one.
    fn flag(&self) -> Option<bool>;
    /// It is null.
    fn is_null(&self) -> bool;
}

/// A frame's command, without the JSON that is passed on.
#[expect(dead_code, reason = "it is made, and thrown away")]
pub enum Heard<'a> {
    /// All kinds that pass nothing on.
    Command(Command<'static>),
    /// `signal` and `ping` with what they carry.
    Passed(Cow<'a, str>, bool),
}

struct Fields<V> {
    kind: Option<V>,
    content: Option<V>,
    message_type: Option<V>,
    reply_to: Option<V>,
    client_id: Option<V>,
    is_typing: Option<V>,
    message_id: Option<V>,
    reaction_type: Option<V>,
    data: Option<V>,
    echo: Option<V>,
    timestamp: Option<V>,
}

impl<V> Default for Fields<V> {
    fn default() -> Self {
        Self {
            kind: None,
            content: None,
            message_type: None,
            reply_to: None,
            client_id: None,
            is_typing: None,
            message_id: None,
            reaction_type: None,
            data: None,
            echo: None,
            timestamp: None,
        }
    }
}

impl<V> Fields<V> {
    fn put(&mut self, key: &str, value: V) {
        let slot = match key {
            "type" => &mut self.kind,
            "content" => &mut self.content,
            "message_type" => &mut self.message_type,
            "reply_to" => &mut self.reply_to,
            "client_id" => &mut self.client_id,
            "is_typing" => &mut self.is_typing,
            "message_id" => &mut self.message_id,
            "reaction_type" => &mut self.reaction_type,
            "data" => &mut self.data,
            "echo" => &mut self.echo,
            "timestamp" => &mut self.timestamp,
            _ => return,
        };
        *slot = Some(value);
    }
}

/// The decisions of `protocol/v0/command.rs` for valid frames; `None` stands for every kind of refusal.
fn heard<'a, V: Value<'a>>(fields: &Fields<V>, json: impl Fn(&V) -> Cow<'a, str>) -> Option<Heard<'a>> {
    let text = |value: &Option<V>| value.as_ref().and_then(Value::text);
    let message = || text(&fields.message_id).and_then(|id| id.parse::<MessageId>().ok());
    let content = || text(&fields.content).and_then(|content| trimmed(&content));
    let passed = |value: &Option<V>| match value {
        None => Cow::Borrowed("null"),
        Some(value) => json(value),
    };
    let action = match text(&fields.kind)?.as_ref() {
        "typing" => {
            let is_typing = fields.is_typing.as_ref().map_or(Some(false), Value::flag)?;
            return Some(Heard::Command(Command::Typing { is_typing }));
        }
        "signal" => {
            let data = passed(&fields.data);
            let echo = fields.echo.as_ref().map_or(Some(false), Value::flag)?;
            return (data.len() <= SIGNAL_BYTES_MAX).then_some(Heard::Passed(data, echo));
        }
        "ping" => return Some(Heard::Passed(passed(&fields.timestamp), true)),
        "chat_message" => {
            let kind = text(&fields.message_type).map_or(Some(MessageType::Text), |kind| MessageType::from_text(&kind));
            let mut message = NewMessage::text(content()?, kind?);
            message.reply_to = text(&fields.reply_to).and_then(|id| id.parse().ok());
            message.client_id =
                text(&fields.client_id).filter(|id| id.len() <= CLIENT_ID_BYTES_MAX).map(Cow::into_owned);
            Action::Send(message)
        }
        "read_message" => Action::Read { message: message()? },
        "react_message" => {
            Action::React { message: message()?, reaction: ReactionType::from_text(&text(&fields.reaction_type)?)? }
        }
        "edit_message" => Action::Edit { message: message()?, content: content()? },
        "delete_message" => Action::Delete { message: message()? },
        _ => return None,
    };
    let is_refused = fields.message_id.as_ref().is_some_and(Value::is_null);
    (!is_refused).then_some(Heard::Command(Command::Write(action)))
}

fn trimmed(content: &str) -> Option<String> {
    let content = content.trim();
    let is_long = content.len() > CONTENT_CHARS_MAX && content.chars().count() > CONTENT_CHARS_MAX;
    (!content.is_empty() && !is_long).then(|| content.to_owned())
}

#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Value<'a> for &'a RawValue {
    fn text(&self) -> Option<Cow<'a, str>> {
        serde_json::from_str::<Text<'a>>(self.get()).ok().map(|text| text.0)
    }

    fn flag(&self) -> Option<bool> {
        match self.get() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        self.get() == "null"
    }
}

struct SerdeFields<'a>(Fields<&'a RawValue>);

impl<'de> Deserialize<'de> for SerdeFields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = SerdeFields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SerdeFields<'de>, A::Error> {
                let mut fields = Fields::default();
                while let Some(Text(key)) = map.next_key()? {
                    fields.put(&key, map.next_value()?);
                }
                Ok(SerdeFields(fields))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// By serde_json, which keeps the bytes of values.
pub fn serde(text: &str) -> Option<Heard<'_>> {
    let SerdeFields(fields) = serde_json::from_str(text).ok()?;
    heard(&fields, |value| Cow::Borrowed(value.get()))
}

impl<'a> Value<'a> for LazyValue<'a> {
    fn text(&self) -> Option<Cow<'a, str>> {
        let raw = match self.as_raw_cow() {
            Cow::Borrowed(raw) => raw,
            Cow::Owned(raw) => return sonic_rs::from_str::<String>(&raw).ok().map(Cow::Owned),
        };
        match raw.strip_prefix('"')?.strip_suffix('"')? {
            plain if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
            _ => sonic_rs::from_str::<String>(raw).ok().map(Cow::Owned),
        }
    }

    fn flag(&self) -> Option<bool> {
        match self.as_raw_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        self.as_raw_str() == "null"
    }
}

/// By sonic-rs, which keeps the bytes of values. (It does not check what follows the object, which favours it.)
pub fn sonic(text: &str) -> Option<Heard<'_>> {
    let mut fields = Fields::default();
    for entry in sonic_rs::to_object_iter(text) {
        let (key, value) = entry.ok()?;
        fields.put(&key, value);
    }
    heard(&fields, LazyValue::as_raw_cow)
}

/// The position of a value on simd-json's tape.
#[derive(Clone, Copy)]
struct OnTape<'t, 'a> {
    tape: &'t [Node<'a>],
    at: usize,
}

impl<'a> Value<'a> for OnTape<'_, 'a> {
    fn text(&self) -> Option<Cow<'a, str>> {
        match self.tape[self.at] {
            Node::String(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn flag(&self) -> Option<bool> {
        match self.tape[self.at] {
            Node::Static(StaticNode::Bool(flag)) => Some(flag),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self.tape[self.at], Node::Static(StaticNode::Null))
    }
}

/// simd-json's buffers, reused for each frame.
pub struct Scratch {
    bytes: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { bytes: Vec::new(), buffers: Buffers::new(8 * 1024), tape: Tape::null() }
    }
}

/// By simd-json, on a copy, because it changes its input. It does not keep a value's bytes, so JSON that is passed on
/// would have to be serialised again; that cost is left out here, which favours it.
pub fn simd(text: &str, scratch: &mut Scratch) -> Option<bool> {
    let Scratch { bytes, buffers, tape } = scratch;
    bytes.clear();
    bytes.extend_from_slice(text.as_bytes());
    bytes.extend_from_slice(&[b' '; simd_json::INPUT_PADDING]);
    let mut filled = std::mem::replace(tape, Tape(Vec::new())).reset();
    let is_read = simd_json::fill_tape_padded(bytes, text.len(), buffers, &mut filled).is_ok();
    let is_heard = is_read && on_tape(&filled.0).is_some();
    *tape = filled.reset();
    is_heard.then_some(true)
}

fn on_tape<'a>(nodes: &[Node<'a>]) -> Option<Heard<'a>> {
    let Some(&Node::Object { len, .. }) = nodes.first() else { return None };
    let mut fields = Fields::default();
    let mut at = 1;
    for _ in 0..len {
        let Node::String(key) = nodes[at] else { return None };
        fields.put(key, OnTape { tape: nodes, at: at + 1 });
        at += 2 + match nodes[at + 1] {
            Node::Object { count, .. } | Node::Array { count, .. } => count,
            _ => 0,
        };
    }
    heard(&fields, |_| Cow::Borrowed("{}"))
}
