//! Compression of messages, RFC 7692 (permessage-deflate), always without context: each message is compressed and
//! inflated by itself.
//!
//! So no connection has a state, and one compressed copy of a frame serves all who listen, even those who asked for a
//! small window: n bytes that were compressed by themselves never look back further than n.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::close::{CloseCode, Violation};
use super::frame::{COMPRESSED, Opcode, encode_with, payload_of_first};
use super::handshake::trim_blanks;

/// A text of fewer bytes is sent as it is: it would hardly become shorter. The figures are in docs/performance.md.
pub const DEFLATE_BYTES_MIN: usize = 200;
/// A message may inflate to more than this only if it is at least a [`INFLATE_RATIO_MAX`]th of that long itself.
pub const INFLATE_RATIO_FREE_BYTES: usize = 16 * 1024;
/// How many times longer than itself a message may become.
pub const INFLATE_RATIO_MAX: usize = 100;

/// What a sync flush ends with. It is left out of frames (§7.2.1), and put back before inflating (§7.2.2).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// The smallest window that zlib can compress with, as a power of two. (8 is allowed by §7.1.2, and asked for by nobody
/// who was seen.)
const WINDOW_BITS_MIN: u8 = 9;
const WINDOW_BITS_MAX: u8 = 15;

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
    fn bits_for(self, bytes: usize) -> Option<u8> {
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
        let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| {
            (trim_blanks(name), Some(trim_blanks(value)))
        });
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

/// Whole frames of a server, with those texts compressed that become shorter by it. `text_bytes_min`: shorter ones stay.
pub fn packed(mut frames: &[u8], window: Window, text_bytes_min: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(frames.len());
    DEFLATERS.with_borrow_mut(|deflaters| {
        while let Some((text, whole, rest)) = payload_of_first(frames) {
            frames = rest;
            let bits = text.filter(|text| text.len() >= text_bytes_min).and_then(|text| window.bits_for(text.len()));
            match text.zip(bits).and_then(|(text, bits)| deflaters.of(bits).deflated(text)) {
                Some(payload) => encode_with(COMPRESSED, Opcode::Text, payload, &mut out),
                None => out.extend_from_slice(whole),
            }
        }
    });
    out
}

thread_local! {
    /// A compressor has 300 KB, and each message begins anew: one for each thread is enough.
    static DEFLATERS: RefCell<Deflaters> = const { RefCell::new(Deflaters { wide: None, narrow: None }) };
}

struct Deflaters {
    wide: Option<Deflater>,
    narrow: Option<Deflater>,
}

impl Deflaters {
    fn of(&mut self, bits: u8) -> &mut Deflater {
        let deflater = if bits == WINDOW_BITS_MAX { &mut self.wide } else { &mut self.narrow };
        deflater.get_or_insert_with(|| Deflater::new(bits))
    }
}

struct Deflater {
    stream: Compress,
    out: Vec<u8>,
}

impl Deflater {
    fn new(bits: u8) -> Self {
        Self { stream: Compress::new_with_window_bits(Compression::fast(), false, bits), out: Vec::new() }
    }

    /// The compressed message without its tail, if that is shorter.
    fn deflated(&mut self, message: &[u8]) -> Option<&[u8]> {
        self.stream.reset();
        self.out.clear();
        // More than this is not shorter.
        self.out.reserve_exact(message.len() + TAIL.len());
        loop {
            let taken = usize::try_from(self.stream.total_in()).unwrap_or(usize::MAX);
            let rest = message.get(taken..)?;
            self.stream.compress_vec(rest, &mut self.out, FlushCompress::Sync).ok()?;
            let is_taken = self.stream.total_in() == message.len() as u64;
            // With room left the flush is complete.
            if self.out.len() < self.out.capacity() {
                if is_taken {
                    break;
                }
            } else {
                return None;
            }
        }
        let payload = self.out.strip_suffix(&TAIL)?;
        (payload.len() < message.len()).then_some(payload)
    }
}

/// Inflates messages, one after the other.
pub struct Inflater {
    stream: Decompress,
    out: Vec<u8>,
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inflater").field("out", &self.out.len()).finish_non_exhaustive()
    }
}

impl Default for Inflater {
    fn default() -> Self {
        Self { stream: Decompress::new(false), out: Vec::new() }
    }
}

/// How much is inflated at a time.
const STEP_BYTES: usize = 4 * 1024;

const TOO_BIG: Violation = Violation { code: CloseCode::TOO_BIG, reason: "a message that inflates above the size limit" };
const BOMB: Violation = Violation { code: CloseCode::TOO_BIG, reason: "a message that inflates too many times" };
const BROKEN: Violation = Violation::payload("a compressed message that cannot be inflated");

impl Inflater {
    /// The message that was compressed to these bytes.
    ///
    /// # Errors
    /// 1009 if it is longer than `message_bytes_max`, found before more than that is inflated, or many times longer than
    /// what came; 1007 if it cannot be inflated.
    pub fn inflated(&mut self, payload: &[u8], message_bytes_max: usize) -> Result<&mut [u8], Violation> {
        self.out.clear();
        self.out.shrink_to(message_bytes_max.min(64 * 1024) + STEP_BYTES);
        self.stream.reset(false);
        for mut input in [payload, &TAIL] {
            while self.step(&mut input, payload.len(), message_bytes_max)? {}
        }
        Ok(&mut self.out)
    }

    /// Inflates some more. False if these bytes are used up.
    fn step(&mut self, input: &mut &[u8], payload_bytes: usize, message_bytes_max: usize) -> Result<bool, Violation> {
        self.out.reserve(STEP_BYTES);
        let (taken, made) = (self.stream.total_in(), self.out.len());
        let status = self.stream.decompress_vec(input, &mut self.out, FlushDecompress::Sync).map_err(|_| BROKEN)?;
        let taken = usize::try_from(self.stream.total_in() - taken).unwrap_or(usize::MAX);
        *input = input.get(taken..).unwrap_or_default();
        if self.out.len() > message_bytes_max {
            return Err(TOO_BIG);
        }
        if self.out.len() > INFLATE_RATIO_FREE_BYTES.max(payload_bytes.saturating_mul(INFLATE_RATIO_MAX)) {
            return Err(BOMB);
        }
        if status == Status::StreamEnd {
            // Another block may follow a last one (§7.2.3.4).
            self.stream.reset(false);
            return Ok(!input.is_empty());
        }
        let is_stuck = taken == 0 && self.out.len() == made;
        let is_full = self.out.len() == self.out.capacity();
        Ok(!is_stuck && (is_full || !input.is_empty()))
    }
}

#[cfg(test)]
mod tests;
