//! Writes compact JSON straight into a buffer, key by key.

use std::fmt;

use crate::clock::JsonTime;

/// An object being written. The keys are constants that need no escaping.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    /// Opens an object.
    pub fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Writes a key; its value must follow on the returned buffer.
    pub fn key(&mut self, key: &'static str) -> &mut Vec<u8> {
        debug_assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
        self.out.extend_from_slice(if self.first { b"\"" } else { b",\"" });
        self.first = false;
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A text.
    pub fn text(&mut self, key: &'static str, value: &str) -> &mut Self {
        text(self.key(key), value);
        self
    }

    /// A text, cut to `chars_max` characters.
    pub fn text_within(&mut self, key: &'static str, value: &str, chars_max: usize) -> &mut Self {
        self.text(key, within(value, chars_max))
    }

    /// A text or null.
    pub fn text_or_null(&mut self, key: &'static str, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(key, value),
            None => self.null(key),
        }
    }

    /// A number that is not negative.
    pub fn number(&mut self, key: &'static str, value: u64) -> &mut Self {
        let mut buffer = itoa::Buffer::new();
        self.key(key).extend_from_slice(buffer.format(value).as_bytes());
        self
    }

    /// True or false.
    pub fn flag(&mut self, key: &'static str, value: bool) -> &mut Self {
        self.key(key).extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    /// Null.
    pub fn null(&mut self, key: &'static str) -> &mut Self {
        self.key(key).extend_from_slice(b"null");
        self
    }

    /// An id or another value whose text has nothing to escape.
    pub fn id(&mut self, key: &'static str, value: impl fmt::Display) -> &mut Self {
        id(self.key(key), value);
        self
    }

    /// A moment.
    pub fn time(&mut self, key: &'static str, value: JsonTime) -> &mut Self {
        let out = self.key(key);
        out.push(b'"');
        out.extend_from_slice(value.as_str().as_bytes());
        out.push(b'"');
        self
    }

    /// A value that `write` appends.
    pub fn value(&mut self, key: &'static str, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        write(self.key(key));
        self
    }

    /// An array; `write` appends each element.
    pub fn array<T>(
        &mut self,
        key: &'static str,
        elements: impl IntoIterator<Item = T>,
        write: impl FnMut(&mut Vec<u8>, T),
    ) -> &mut Self {
        array(self.key(key), elements, write);
        self
    }

    /// Closes the object.
    pub fn close(&mut self) {
        self.out.push(b'}');
    }
}

/// A quoted, escaped text.
pub fn text(out: &mut Vec<u8>, value: &str) {
    serde_json::to_writer(out, value).expect("a Vec takes everything");
}

/// The first `chars_max` characters of a text.
pub fn within(value: &str, chars_max: usize) -> &str {
    if value.len() <= chars_max {
        return value;
    }
    value.char_indices().nth(chars_max).map_or(value, |(at, _)| &value[..at])
}

/// A quoted text that needs no escaping, such as an id.
pub fn id(out: &mut Vec<u8>, value: impl fmt::Display) {
    use std::io::Write;
    write!(out, "\"{value}\"").expect("a Vec takes everything");
}

/// An array; `write` appends each element.
pub fn array<T>(out: &mut Vec<u8>, elements: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (place, element) in elements.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(out, element);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{JsonTimes, Timestamp};

    #[test]
    fn texts_are_cut_between_characters() {
        for (text, cut) in [("", ""), ("ñandú", "ñan"), ("🎉🎉🎉", "🎉🎉🎉"), ("🎉🎉🎉🎉", "🎉🎉🎉"), ("abc", "abc")]
        {
            assert_eq!(within(text, 3), cut);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut out = Vec::new();
        Object::open(&mut out)
            .text("text", "\"\\\n\u{7}ñ🎉")
            .text_or_null("none", None)
            .number("number", u64::MAX)
            .flag("flag", true)
            .time("time", JsonTimes::Utc.text(Timestamp(0)))
            .array("array", [1, 2], id)
            .value("object", |out| Object::open(out).close())
            .close();
        let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"text": "\"\\\n\u{7}ñ🎉", "none": null, "number": u64::MAX, "flag": true,
                "time": "1970-01-01T00:00:00.000000Z", "array": ["1", "2"], "object": {}})
        );
    }
}
