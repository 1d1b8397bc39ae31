//! What a client offers of permessage-deflate, and the answer (RFC 7692 §5, §7.1).

use crate::handshake::trim_blanks;

/// The smallest window that zlib can compress with, as a power of two. (8 is allowed by §7.1.2, and asked for by nobody
/// who was seen.)
const WINDOW_BITS_MIN: u8 = 9;
pub(super) const WINDOW_BITS_MAX: u8 = 15;

/// How far back a client can look while it inflates what the server compressed (§7.1.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// 32 KiB, without having said so.
    Usual,
    /// 32 KiB, and it asked for that.
    Full,
    /// At least 512 bytes.
    Small,
    /// 256 bytes.
    Least,
}

impl Window {
    fn of_bits(bits: u8) -> Self {
        match bits {
            WINDOW_BITS_MAX.. => Self::Full,
            WINDOW_BITS_MIN.. => Self::Small,
            _ => Self::Least,
        }
    }

    /// The answer to an offer with this window. It may name a smaller one than was asked for (§7.1.2.1).
    pub fn answer(self) -> &'static str {
        match self {
            Self::Usual => "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            Self::Full => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15"
            }
            Self::Small => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9"
            }
            Self::Least => {
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8"
            }
        }
    }

    /// The window to compress a message of so many bytes with; `None` if it must go as it is.
    pub(super) fn bits_for(self, bytes: usize) -> Option<u8> {
        let is_within = |bits: u8| bytes <= 1 << bits;
        match self {
            Self::Usual | Self::Full => Some(WINDOW_BITS_MAX),
            Self::Small if is_within(WINDOW_BITS_MIN) => Some(WINDOW_BITS_MAX),
            Self::Small => Some(WINDOW_BITS_MIN),
            Self::Least => is_within(8).then_some(WINDOW_BITS_MAX),
        }
    }
}

/// Reads one offer of an extension: its name, and parameters behind semicolons. `None` if it is another extension, or
/// has a parameter that is unknown, doubled or out of bounds: such an offer has to be declined (§7).
pub fn offered(offer: &str) -> Option<Window> {
    let mut parts = offer.split(';').map(trim_blanks);
    if !parts.next()?.eq_ignore_ascii_case("permessage-deflate") {
        return None;
    }
    let (mut seen, mut window) = (Vec::new(), Window::Usual);
    for part in parts {
        let (name, value) =
            part.split_once('=').map_or((part, None), |(name, value)| (trim_blanks(name), Some(trim_blanks(value))));
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        match (name, value) {
            ("server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits", None) => {}
            // It tells how the client might compress. Messages inflate with any window.
            ("client_max_window_bits", Some(value)) => drop(window_bits(value)?),
            ("server_max_window_bits", Some(value)) => window = Window::of_bits(window_bits(value)?),
            _ => return None,
        }
    }
    Some(window)
}

/// A number from 8 to 15 without leading zeros, perhaps in quotes (§5.2, §7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    let value = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'))?;
    let is_plain = !value.starts_with('0') && value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|bits| is_plain && (8..=WINDOW_BITS_MAX).contains(bits))
}
