//! A client frame's JSON as the values of the keys we know.
//!
//! Two libraries read it. simd-json is the faster one, but changes what it reads (so it works on a copy) and keeps no
//! place in the text; serde_json keeps each value as the bytes it came in. What simd-json refuses is for serde_json to
//! judge, so that both accept the same: half characters, numbers beyond 64 bits and deep nesting are JSON too.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use simd_json::{Buffers, INPUT_PADDING, Node, StaticNode, Tape, fill_tape_padded};

use crate::limits::{JSON_DEPTH_MAX, MESSAGE_BYTES_MAX};

/// The values of the keys we know. Of a repeated key the last counts, as in Python and JavaScript. Where a key need
/// not be there, null is as if it were not.
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

/// A value as a library hands it over: one word or two, as a larger one costs a short frame more than its reading.
pub trait Value {
    /// The text, if it is one and has no half characters.
    fn text(&self) -> Option<Cow<'_, str>>;
    /// True or false, if it is one of them.
    fn flag(&self) -> Option<bool>;
    /// It is null.
    fn is_null(&self) -> bool;
}

/// The bytes it came in.
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

/// On simd-json's tape, where it begins.
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
    /// By serde_json. It recurses nowhere, however deep the values are nested.
    ///
    /// # Errors
    /// It is no JSON object.
    pub fn raw(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl<'t, 'a> Fields<'t, Node<'a>> {
    /// From simd-json's tape; `None` if it holds no object.
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
    /// By simd-json: what `judge` makes of the fields. `None` where it is no object or simd-json cannot tell: ask
    /// [`Fields::raw`].
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
