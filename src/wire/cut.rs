//! Cuts a JSON object into its keys and values, each value the bytes it came as: checked, not built.
//!
//! A frame's type says what its other keys must be, and it may come last; so the values are kept as they are and read
//! when it is known what they mean. What is taken and what is not is serde_json's, which the tests hold it against.

use std::borrow::Cow;

/// The text is no JSON object (RFC 8259), or more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnObject;

/// A value as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    json: &'a str,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Nothing in it is escaped: it means what stands between its quotes.
    PlainText,
    EscapedText,
    /// true, false, null, a number.
    Scalar,
    /// An object or an array, with this many levels of them.
    Nested(usize),
}

impl<'a> Value<'a> {
    /// Its JSON.
    pub fn json(self) -> &'a str {
        self.json
    }

    /// Levels of objects and arrays: 0 for a text, a number, true, false, null.
    pub fn depth(self) -> usize {
        if let Shape::Nested(depth) = self.shape { depth } else { 0 }
    }

    /// What it means if it is a text. Escaped halves of a character alone mean nothing.
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self.shape {
            Shape::PlainText => self.json.get(1..self.json.len() - 1).map(Cow::Borrowed),
            Shape::EscapedText => serde_json::from_str(self.json).ok().map(Cow::Owned),
            Shape::Scalar | Shape::Nested(_) => None,
        }
    }
}

/// Calls `on` with each key of the object that `json` is, in order, and its value. Keys may repeat.
///
/// # Errors
/// It is no object. `on` may have been called before that was seen.
pub fn object<'a>(json: &'a str, mut on: impl FnMut(&str, Value<'a>)) -> Result<(), NotAnObject> {
    let mut scanner = Scanner { json, at: 0 };
    scanner.object(&mut on).filter(|()| scanner.token().is_none()).ok_or(NotAnObject)
}

/// Each method takes what it is named after, and is `None` where that is not what comes.
struct Scanner<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn object(&mut self, on: &mut impl FnMut(&str, Value<'a>)) -> Option<()> {
        self.token().filter(|byte| *byte == b'{')?;
        let mut byte = self.token()?;
        if byte == b'}' {
            return Some(());
        }
        loop {
            let key = self.text_value(byte)?;
            self.token().filter(|byte| *byte == b':')?;
            let value = self.value()?;
            on(&key.text()?, value);
            match self.token()? {
                b',' => byte = self.token()?,
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    fn value(&mut self) -> Option<Value<'a>> {
        match self.token()? {
            b'"' => self.text_value(b'"'),
            opened @ (b'{' | b'[') => {
                let from = self.at - 1;
                let depth = self.nested(opened)?;
                self.cut(from, Shape::Nested(depth))
            }
            byte => {
                let from = self.at - 1;
                self.scalar(byte)?;
                self.cut(from, Shape::Scalar)
            }
        }
    }

    /// A text with its quotes; `first` was taken.
    #[inline]
    fn text_value(&mut self, first: u8) -> Option<Value<'a>> {
        if first != b'"' {
            return None;
        }
        let from = self.at - 1;
        let shape = if self.text()? { Shape::PlainText } else { Shape::EscapedText };
        self.cut(from, shape)
    }

    fn cut(&self, from: usize, shape: Shape) -> Option<Value<'a>> {
        Some(Value { json: self.json.get(from..self.at)?, shape })
    }

    /// An object or array, all levels of it, without recursion; `opened` was taken. How deep it is.
    fn nested(&mut self, opened: u8) -> Option<usize> {
        let mut levels = Levels::default();
        let mut deepest = 0;
        let mut byte = opened;
        loop {
            let has_begun = match byte {
                b'"' => {
                    self.text()?;
                    false
                }
                b'{' | b'[' => {
                    levels.open(byte == b'{');
                    deepest = deepest.max(levels.depth);
                    true
                }
                scalar => {
                    self.scalar(scalar)?;
                    false
                }
            };
            byte = self.token()?;
            // What follows a value: the ends of what it was in, then a comma. What follows an opening: an end or a value.
            let mut needs_comma = !has_begun;
            while byte == if levels.is_object { b'}' } else { b']' } {
                if levels.close() == 0 {
                    return Some(deepest);
                }
                byte = self.token()?;
                needs_comma = true;
            }
            if needs_comma {
                if byte != b',' {
                    return None;
                }
                byte = self.token()?;
            }
            if levels.is_object {
                if byte != b'"' {
                    return None;
                }
                self.text()?;
                self.token().filter(|byte| *byte == b':')?;
                byte = self.token()?;
            }
        }
    }

    /// The rest of a number, true, false or null whose first byte was taken.
    #[inline]
    fn scalar(&mut self, first: u8) -> Option<()> {
        match first {
            b'0'..=b'9' => self.number(first),
            b'-' => {
                let digit = self.byte()?;
                self.number(digit)
            }
            b't' => self.literal("rue"),
            b'f' => self.literal("alse"),
            b'n' => self.literal("ull"),
            _ => None,
        }
    }

    fn literal(&mut self, rest: &str) -> Option<()> {
        let is_it = self.rest().starts_with(rest.as_bytes());
        self.at += rest.len();
        is_it.then_some(())
    }

    fn number(&mut self, first: u8) -> Option<()> {
        match first {
            b'0' if self.rest().first().is_some_and(u8::is_ascii_digit) => return None,
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if self.rest().first() == Some(&b'.') {
            self.at += 1;
            self.byte().filter(u8::is_ascii_digit)?;
            self.digits();
        }
        if let Some(b'e' | b'E') = self.rest().first() {
            self.at += 1;
            let mut byte = self.byte()?;
            if let b'+' | b'-' = byte {
                byte = self.byte()?;
            }
            if !byte.is_ascii_digit() {
                return None;
            }
            self.digits();
        }
        Some(())
    }

    fn digits(&mut self) {
        while self.rest().first().is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    /// The rest of a text whose first quote was taken. False when something in it is escaped.
    #[inline]
    fn text(&mut self) -> Option<bool> {
        let mut is_plain = true;
        loop {
            self.at += plain_bytes(self.rest());
            match self.byte()? {
                b'"' => return Some(is_plain),
                b'\\' => {
                    is_plain = false;
                    self.escape()?;
                }
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.byte()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.rest().first_chunk::<4>()?;
                self.at += 4;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    /// The next byte that is no white space.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = self.byte()?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
        }
    }

    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.json.as_bytes().get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.json.as_bytes().get(self.at..).unwrap_or_default()
    }
}

/// The objects (true) and arrays that are open, outermost first: one bit each.
#[derive(Default)]
struct Levels {
    depth: usize,
    is_object: bool,
    /// The kinds of up to 64 levels, innermost lowest.
    kinds: u64,
    /// The kinds of the levels around those, by 64.
    outer: Vec<u64>,
}

impl Levels {
    fn open(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.kinds);
        }
        self.depth += 1;
        self.kinds = (self.kinds << 1) | u64::from(is_object);
        self.is_object = is_object;
    }

    /// How many are still open.
    fn close(&mut self) -> usize {
        self.depth -= 1;
        self.kinds >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.kinds = self.outer.pop().unwrap_or_default();
        }
        self.is_object = self.kinds & 1 == 1;
        self.depth
    }
}

/// Bytes before the first quote, backslash or control character.
#[inline]
fn plain_bytes(bytes: &[u8]) -> usize {
    // Keys and most values of a frame are short: they end here.
    let mut plain = 0;
    if let Some(word) = bytes.first_chunk::<8>() {
        let special = special_bits(u64::from_le_bytes(*word));
        if special != 0 {
            return (special.trailing_zeros() / 8) as usize;
        }
        plain = 8;
    }
    plain + plain_bytes_of_long_text(&bytes[plain..])
}

fn plain_bytes_of_long_text(bytes: &[u8]) -> usize {
    // Without an exit inside, the compiler makes vector instructions of it.
    let is_plain =
        |chunk: &&[u8; 32]| !chunk.iter().fold(false, |is_special, byte| is_special | is_special_byte(*byte));
    let (chunks, _) = bytes.as_chunks::<32>();
    let plain = 32 * chunks.iter().take_while(is_plain).count();
    let (words, tail) = bytes[plain..].as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let special = special_bits(u64::from_le_bytes(*word));
        if special != 0 {
            return plain + 8 * place + (special.trailing_zeros() / 8) as usize;
        }
    }
    let special = tail.iter().position(|byte| is_special_byte(*byte)).unwrap_or(tail.len());
    bytes.len() - tail.len() + special
}

fn is_special_byte(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// The highest bit of the word's lowest special byte is set, and none below it. Bits above it mean nothing.
fn special_bits(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, b' ') | is(b'"') | is(b'\\')) & (ONES << 7)
}

#[cfg(test)]
mod tests;
