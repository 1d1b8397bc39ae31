//! The rules for texts that people write, the same for sockets and REST: trimmed, no NUL, short enough, and with at
//! least one visible character.

use memchr::memchr;

use crate::limits::CLIENT_ID_BYTES_MAX;

/// Why a text is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It contains NUL, which many programs take for the end of a text.
    Nul,
    /// It has too many characters.
    TooLong,
}

/// The trimmed text; empty if nothing in it is visible.
///
/// # Errors
/// The text contains NUL or is too long.
pub fn taken(text: &str, chars_max: usize) -> Result<&str, Fault> {
    let trimmed = text.trim();
    if memchr(0, trimmed.as_bytes()).is_some() {
        return Err(Fault::Nul);
    }
    if !has_visible(trimmed) {
        return Ok("");
    }
    // Each character has at least one byte, so most texts need no counting.
    if trimmed.len() > chars_max && trimmed.chars().count() > chars_max {
        return Err(Fault::TooLong);
    }
    Ok(trimmed)
}

/// Whether a client may use this text as its own name for a message.
pub fn is_client_id(text: &str) -> bool {
    (1..=CLIENT_ID_BYTES_MAX).contains(&text.len()) && memchr(0, text.as_bytes()).is_none()
}

/// Whether the text has a visible character. Spaces, control characters and characters without a shape are not visible.
pub fn has_visible(text: &str) -> bool {
    text.chars().any(|letter| letter.is_ascii_graphic() || (!letter.is_ascii() && !is_invisible(letter)))
}

/// A blank, a control character, or a character without a shape of its own: Unicode's `White_Space`, `Cc`,
/// `Default_Ignorable_Code_Point`, the characters of `Cf` beyond these that are not drawn, and the empty Braille
/// pattern.
fn is_invisible(letter: char) -> bool {
    letter.is_whitespace()
        || letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Removes the byte order mark that some programs put before UTF-8 text.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Whether valid JSON escapes a lone surrogate (`\ud83d` without its second half). No program can show it, and strict
/// parsers refuse the whole JSON.
pub fn has_half(json: &str) -> bool {
    let mut rest = json;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        let escape = &rest[at..];
        let Some(unit) = unit(escape) else {
            // At least two bytes follow: a backslash and an ASCII letter, because the JSON is valid.
            rest = escape.get(2..).unwrap_or_default();
            continue;
        };
        let after = &escape[6..];
        rest = match unit {
            0xd800..=0xdbff if matches!(self::unit(after), Some(0xdc00..=0xdfff)) => &after[6..],
            0xd800..=0xdfff => return true,
            _ => after,
        };
    }
    false
}

/// The code unit of the `\uXXXX` escape at the start of the text.
fn unit(escape: &str) -> Option<u16> {
    u16::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_trimmed_and_counted_in_characters() {
        assert_eq!(taken(" \t hola\n\u{3000}", 4), Ok("hola"));
        assert_eq!(taken("🎉🎉", 2), Ok("🎉🎉"));
        assert_eq!(taken("🎉🎉🎉", 2), Err(Fault::TooLong));
        assert_eq!(taken("a\0b", 9), Err(Fault::Nul));
        assert_eq!(taken(" \0 ", 9), Err(Fault::Nul));
    }

    #[test]
    fn what_nobody_sees_is_nothing() {
        for text in [
            "",
            " ",
            "\u{200b}",
            "\u{feff}\u{feff}",
            "\u{2800}",
            "\u{3164}",
            "\u{200d}\u{fe0f}",
            "\u{1}\u{7f}",
            "\u{e0041}",
        ] {
            assert_eq!(taken(text, 9), Ok(""), "{text:?}");
        }
        for text in ["a", "ñ", "👨\u{200d}👩", "❤\u{fe0f}", "\u{200f}م", ".", "\u{301}", "\u{e000}"] {
            assert_eq!(taken(text, 9), Ok(text), "{text:?}");
        }
    }

    #[test]
    fn half_characters_are_found_wherever_they_stand() {
        for half in [
            r#""\ud83d""#,
            r#"["a\uDE00"]"#,
            r#"{"\udbff\ud83d\ude00":1}"#,
            r#""\ud83d\n""#,
            r#""\ud83dx""#,
            r#""\\\ud83d""#,
        ] {
            assert!(has_half(half), "{half}");
        }
        for whole in [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""\u00f1\"\\""#, r#""😀""#, "5", r#""\u0000""#] {
            assert!(!has_half(whole), "{whole}");
        }
    }
}
