//! The values of the known keys in a client frame's JSON.
//!
//! Two libraries read it. simd-json is faster, but it changes its input (so it works on a copy) and does not keep a
//! value's place in the text; serde_json keeps the original bytes of each value. serde_json judges whatever simd-json
//! refuses, so that both accept the same: lone surrogates, numbers beyond 64 bits and deep nesting are valid JSON too.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use simd_json::{Buffers, INPUT_PADDING, Node, StaticNode, Tape, fill_tape_padded};

use crate::limits::{JSON_DEPTH_MAX, MESSAGE_BYTES_MAX};

/// The values of the known keys. If a key is repeated the last one counts, as in Python and JavaScript. In an optional
/// key null means that it is absent.
pub struct Fields<'a, V: ?Sized> {
    pub(super) kind: Option<&'a V>,
    pub(super) content: Option<&'a V>,
    pub(super) message_type: Option<&'a V>,
    pub(super) reply_to: Option<&'a V>,
    pub(super) client_id: Option<&'a V>,
    pub(super) is_typing: Option<&'a V>,
    pub(super) message_id: Option<&'a V>,
    pub(super) reaction_type: Option<&'a V>,
    pub(super) data: Option<&'a V>,
    pub(super) echo: Option<&'a V>,
    pub(super) timestamp: Option<&'a V>,
    pub(super) notification_id: Option<&'a V>,
}

/// A value as a library provides it. It is one word or two; a larger value made reading a short frame slower.
pub trait Value {
    /// The text, if it is one and has no lone surrogates.
    fn text(&self) -> Option<Cow<'_, str>>;
    /// The boolean, if it is one.
    fn flag(&self) -> Option<bool>;
    /// It is null.
    fn is_null(&self) -> bool;
}

/// The value's original bytes.
impl Value for RawValue {
    fn text(&self) -> Option<Cow<'_, str>> {
        if !self.get().starts_with('"') {
            return None;
        }
        serde_json::from_str::<Text<'_>>(self.get()).ok().map(|text| text.0)
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

/// The value's first node on simd-json's tape.
impl Value for Node<'_> {
    fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Node::String(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn flag(&self) -> Option<bool> {
        match self {
            Node::Static(StaticNode::Bool(flag)) => Some(*flag),
            _ => None,
        }
    }

    fn is_null(&self) -> bool {
        matches!(self, Node::Static(StaticNode::Null))
    }
}

impl<V: ?Sized> Default for Fields<'_, V> {
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
            notification_id: None,
        }
    }
}

impl<'a, V: Value + ?Sized> Fields<'a, V> {
    fn put(&mut self, key: &str, value: &'a V) {
        let slot = match key {
            "type" => &mut self.kind,
            "content" => return self.content = Some(value),
            "message_type" => &mut self.message_type,
            "reply_to" => &mut self.reply_to,
            "client_id" => &mut self.client_id,
            "is_typing" => &mut self.is_typing,
            "message_id" => &mut self.message_id,
            "reaction_type" => return self.reaction_type = Some(value),
            "data" => &mut self.data,
            "echo" => &mut self.echo,
            "timestamp" => &mut self.timestamp,
            "notification_id" => &mut self.notification_id,
            _ => return,
        };
        *slot = (!value.is_null()).then_some(value);
    }
}

impl<'a> Fields<'a, RawValue> {
    /// Reads with serde_json. It does not recurse, however deeply the values are nested.
    ///
    /// # Errors
    /// The text is not a JSON object.
    pub fn raw(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl<'t, 'a> Fields<'t, Node<'a>> {
    /// Reads from simd-json's tape; `None` if it holds no object.
    fn of_tape(nodes: &'t [Node<'a>]) -> Option<Self> {
        let Some(&Node::Object { len, .. }) = nodes.first() else { return None };
        let mut fields = Self::default();
        let mut at = 1;
        for _ in 0..len {
            let (Some(Node::String(key)), Some(value)) = (nodes.get(at), nodes.get(at + 1)) else { return None };
            fields.put(key, value);
            at += match *value {
                Node::Object { count, .. } | Node::Array { count, .. } => 2 + count,
                _ => 2,
            };
        }
        Some(fields)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a, RawValue> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Keys<'a> {
            type Value = Fields<'a, RawValue>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Fields::default();
                while let Some(Text(key)) = map.next_key()? {
                    fields.put(&key, map.next_value()?);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Keys(PhantomData))
    }
}

/// A text, borrowed where nothing in it is escaped.
#[derive(Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// simd-json's buffers, reused for each frame. They grow to the size that the largest frame needed: 4 MB at most after
/// a frame of `MESSAGE_BYTES_MAX`.
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
    /// Reads with simd-json and returns `judge`'s result. `None` if the text is not an object or simd-json cannot tell;
    /// the caller then asks [`Fields::raw`].
    pub fn read<T>(&mut self, text: &str, judge: impl FnOnce(&Fields<'_, Node<'_>>) -> Option<T>) -> Option<T> {
        if text.len() > MESSAGE_BYTES_MAX {
            return None;
        }
        let Self { copy, buffers, tape } = self;
        copy.clear();
        copy.extend_from_slice(text.as_bytes());
        copy.extend_from_slice(&[b' '; INPUT_PADDING]);
        let mut filled = std::mem::replace(tape, Tape(Vec::new())).reset();
        let judged = match fill_tape_padded(copy, text.len(), buffers, &mut filled) {
            Ok(()) => Fields::of_tape(&filled.0).and_then(|fields| judge(&fields)),
            Err(_) => None,
        };
        *tape = filled.reset();
        judged
    }
}

#[cfg(test)]
mod tests;
