//! Checks that a message's text is UTF-8: at once if it is whole, as it arrives if it is not.

use super::close::Violation;

/// The answer to all bytes that are not text (RFC 6455 §8.1).
const NOT_UTF8: Violation = Violation::payload("text that is not UTF-8");

/// Checks a whole message.
///
/// # Errors
///
/// 1007 if it is not UTF-8.
#[inline]
pub(crate) fn whole_text(bytes: &mut [u8]) -> Result<&mut str, Violation> {
    simdutf8::basic::from_utf8_mut(bytes).map_err(|_| NOT_UTF8)
}

/// Text that arrives in pieces cut anywhere, even inside a character.
///
/// It refuses at the first byte after which no valid text can follow. Its memory grows with the bytes received.
#[derive(Debug, Default)]
pub(crate) struct TextBuffer {
    text: String,
    /// The start of a character whose end has not arrived.
    cut: [u8; 4],
    cut_bytes: u8,
}

impl TextBuffer {
    /// Adds the next bytes of the message.
    ///
    /// # Errors
    ///
    /// 1007 as soon as the bytes so far are not the beginning of any UTF-8 text.
    pub(crate) fn append(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        while self.cut_bytes > 0 {
            let Some((&next, rest)) = bytes.split_first() else {
                return Ok(());
            };
            bytes = rest;
            self.continue_cut(next)?;
        }
        match simdutf8::compat::from_utf8(bytes) {
            Ok(text) => self.text.push_str(text),
            // No error length: the bytes end inside a character that is valid so far.
            Err(error) if error.error_len().is_none() => {
                let (text, cut) = bytes.split_at(error.valid_up_to());
                let text = simdutf8::basic::from_utf8(text).map_err(|_| NOT_UTF8)?;
                self.text.push_str(text);
                self.cut[..cut.len()].copy_from_slice(cut);
                self.cut_bytes = cut.len() as u8; // at most 3: a whole character is never cut
            }
            Err(_) => return Err(NOT_UTF8),
        }
        Ok(())
    }

    /// The text, once the message has ended.
    ///
    /// # Errors
    ///
    /// 1007 if it ends inside a character.
    pub(crate) fn finish(&mut self) -> Result<&mut str, Violation> {
        if self.cut_bytes > 0 {
            return Err(NOT_UTF8);
        }
        Ok(&mut self.text)
    }

    /// Bytes received so far.
    pub(crate) fn len(&self) -> usize {
        self.text.len() + usize::from(self.cut_bytes)
    }

    /// Heap bytes held.
    pub(crate) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    fn continue_cut(&mut self, next: u8) -> Result<(), Violation> {
        let end = usize::from(self.cut_bytes) + 1;
        self.cut[end - 1] = next;
        match std::str::from_utf8(&self.cut[..end]) {
            Ok(character) => {
                self.text.push_str(character);
                self.cut_bytes = 0;
            }
            Err(error) if error.error_len().is_none() => self.cut_bytes += 1,
            Err(_) => return Err(NOT_UTF8),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The index of the refused byte, or `None`. The text is given in pieces of `pieces` bytes.
    fn refused_at(bytes: &[u8], pieces: usize) -> Option<usize> {
        let mut buffer = TextBuffer::default();
        for (n, piece) in bytes.chunks(pieces).enumerate() {
            if buffer.append(piece).is_err() {
                return Some(n * pieces);
            }
        }
        None
    }

    #[test]
    fn each_kind_of_bad_sequence_is_refused_at_its_first_bad_byte() {
        // (bytes, index of the byte that makes them invalid): Markus Kuhn's list, in short.
        let cases: [(&[u8], usize); 14] = [
            (b"\x80", 0),             // continuation without a start
            (b"a\xff", 1),            // never valid
            (b"\xc0\x80", 0),         // overlong NUL
            (b"\xc1\xbf", 0),         // overlong
            (b"\xe0\x9f\xbf", 1),     // overlong, seen at the second byte
            (b"\xf0\x8f\xbf\xbf", 1), // overlong
            (b"\xed\xa0\x80", 1),     // surrogate
            (b"\xed\xbf\xbf", 1),     // surrogate
            (b"\xf4\x90\x80\x80", 1), // above U+10FFFF
            (b"\xf5\x80\x80\x80", 0), // above U+10FFFF
            (b"\xc3a", 1),            // a character that does not go on
            (b"\xe2\x82a", 2),
            (b"\xf0\x9f\x98a", 3),
            (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80", 12), // Autobahn 6.4
        ];
        for (bytes, index) in cases {
            assert_eq!(refused_at(bytes, 1), Some(index), "{bytes:x?}");
            for pieces in 2..=bytes.len() {
                let piece = index / pieces * pieces;
                assert_eq!(refused_at(bytes, pieces), Some(piece), "{bytes:x?} by {pieces}");
            }
            assert!(whole_text(&mut bytes.to_vec()).is_err());
        }
    }

    #[test]
    fn valid_text_comes_out_whole_however_it_is_cut() {
        let text = "a\u{e9}\u{20ac}\u{1f600} \u{10ffff}\u{d7ff}\u{e000} and plain words after it";
        for pieces in 1..=text.len() {
            let mut buffer = TextBuffer::default();
            for piece in text.as_bytes().chunks(pieces) {
                buffer.append(piece).expect("valid text");
            }
            assert_eq!(buffer.len(), text.len());
            assert_eq!(buffer.finish().map(|text| text.to_owned()), Ok(text.to_owned()));
        }
        assert_eq!(whole_text(&mut text.as_bytes().to_vec()).map(|t| t.to_owned()), Ok(text.into()));
    }

    #[test]
    fn text_that_ends_inside_a_character_is_refused_at_the_end() {
        for bytes in [b"ok\xc3".as_slice(), b"\xe2\x82", b"\xf0\x9f\x98"] {
            let mut buffer = TextBuffer::default();
            assert_eq!(buffer.append(bytes), Ok(()));
            assert_eq!(buffer.finish(), Err(NOT_UTF8));
            assert_eq!(whole_text(&mut bytes.to_vec()), Err(NOT_UTF8));
        }
    }
}
