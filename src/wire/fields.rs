//! A client frame's JSON as the values of the keys we know.
//!
//! Two libraries read it. simd-json is the faster one, but changes what it reads (so it works on a copy) and keeps no
//! place in the text; serde_json keeps each value as the bytes it came in. What simd-json refuses is for serde_json to
//! judge, so that both accept the same: half characters, numbers beyond 64 bits and deep nesting are JSON too.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use simd_json::{Buffers, INPUT_PADDING, Node, StaticNode, Tape, fill_tape_padded};

use crate::limits::{JSON_DEPTH_MAX, MESSAGE_BYTES_MAX};

/// The values of the keys we know. Of a repeated key the last counts, as in Python and JavaScript.
#[derive(Default)]
pub struct Fields<'a> {
    pub(super) kind: Option<Value<'a>>,
    pub(super) content: Option<Value<'a>>,
    pub(super) message_type: Option<Value<'a>>,
    pub(super) reply_to: Option<Value<'a>>,
    pub(super) client_id: Option<Value<'a>>,
    pub(super) is_typing: Option<Value<'a>>,
    pub(super) message_id: Option<Value<'a>>,
    pub(super) reaction_type: Option<Value<'a>>,
    pub(super) data: Option<Value<'a>>,
    pub(super) echo: Option<Value<'a>>,
    pub(super) timestamp: Option<Value<'a>>,
    pub(super) notification_id: Option<Value<'a>>,
}

/// A value that was checked to be JSON.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// The bytes it came in.
    Raw(&'a RawValue),
    /// A text.
    Text(&'a str),
    /// True or false.
    Flag(bool),
    /// Null.
    Null,
    /// A number, an array, an object.
    Other,
}

impl<'a> Value<'a> {
    /// The text, if it is one and has no half characters.
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Raw(raw) if raw.get().starts_with('"') => {
                serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
            }
            _ => None,
        }
    }

    /// True or false, if it is one of them.
    pub fn flag(self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(flag),
            Self::Raw(raw) => match raw.get() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// It is null.
    pub fn is_null(self) -> bool {
        match self {
            Self::Null => true,
            Self::Raw(raw) => raw.get() == "null",
            _ => false,
        }
    }

    /// The bytes it came in, if they were kept.
    pub fn raw(self) -> Option<&'a str> {
        match self {
            Self::Raw(raw) => Some(raw.get()),
            _ => None,
        }
    }
}

impl<'a> Fields<'a> {
    /// By serde_json: all values are `Raw`. It recurses nowhere, however deep the values are nested.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn raw(text: &'a str) -> Result<Self, serde_json::Error> {
        let mut fields = Self::default();
        let mut json = serde_json::Deserializer::from_str(text);
        json.deserialize_map(Keys(&mut fields))?;
        json.end()?;
        Ok(fields)
    }

    /// Takes the values from simd-json's tape, unless it holds no object.
    fn take(&mut self, nodes: &[Node<'a>]) -> Option<()> {
        let mut nodes = nodes.iter();
        let Some(&Node::Object { len, .. }) = nodes.next() else { return None };
        for _ in 0..len {
            let Some(&Node::String(key)) = nodes.next() else { return None };
            let value = match *nodes.next()? {
                Node::String(text) => Value::Text(text),
                Node::Static(StaticNode::Bool(flag)) => Value::Flag(flag),
                Node::Static(StaticNode::Null) => Value::Null,
                Node::Static(_) => Value::Other,
                Node::Object { count, .. } | Node::Array { count, .. } => {
                    nodes = nodes.as_slice().get(count..)?.iter();
                    Value::Other
                }
            };
            if let Some(slot) = self.slot(key) {
                *slot = Some(value);
            }
        }
        Some(())
    }

    fn slot(&mut self, key: &str) -> Option<&mut Option<Value<'a>>> {
        Some(match key {
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
            "notification_id" => &mut self.notification_id,
            _ => return None,
        })
    }
}

/// Fills the fields where they are: copying them costs as much as reading a short frame.
struct Keys<'f, 'de>(&'f mut Fields<'de>);

impl<'de> Visitor<'de> for Keys<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key()? {
            match self.0.slot(&key) {
                Some(slot) => *slot = Some(Value::Raw(map.next_value()?)),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What simd-json works in, used again for each frame. It grows to what the largest frame needed: a frame of
/// `MESSAGE_BYTES_MAX` leaves 4 MB at most.
pub struct Reader {
    copy: Vec<u8>,
    buffers: Buffers,
    tape: Tape<'static>,
}

impl Default for Reader {
    fn default() -> Self {
        Self { copy: Vec::new(), buffers: Buffers::with_max_depth(0, JSON_DEPTH_MAX), tape: Tape(Vec::new()) }
    }
}

impl Reader {
    /// By simd-json: what `judge` makes of the fields, of which none is `Raw`. `None` where it is no object or simd-json
    /// cannot tell: ask [`Fields::raw`].
    pub fn read<T>(&mut self, text: &str, judge: impl FnOnce(&Fields<'_>) -> Option<T>) -> Option<T> {
        if text.len() > MESSAGE_BYTES_MAX {
            return None;
        }
        let Self { copy, buffers, tape } = self;
        copy.clear();
        copy.extend_from_slice(text.as_bytes());
        copy.extend_from_slice(&[b' '; INPUT_PADDING]);
        let mut filled = std::mem::replace(tape, Tape(Vec::new())).reset();
        let is_json = fill_tape_padded(copy, text.len(), buffers, &mut filled).is_ok();
        let mut fields = Fields::default();
        let is_object = is_json && fields.take(&filled.0).is_some();
        *tape = filled.reset();
        if is_object { judge(&fields) } else { None }
    }
}

#[cfg(test)]
mod tests;
