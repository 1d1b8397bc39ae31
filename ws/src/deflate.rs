//! Compression of messages, RFC 7692 (permessage-deflate), always without context: each message is compressed and
//! inflated by itself.
//!
//! So no connection has a state, and one compressed copy of a frame serves all who listen, even those who asked for a
//! small window: n bytes that were compressed by themselves never look back further than n.

mod inflate;
mod offer;
pub mod puff;
pub mod tally;

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress};

pub use inflate::{INFLATE_RATIO_FREE_BYTES, INFLATE_RATIO_MAX, Inflater};
use offer::WINDOW_BITS_MAX;
pub use offer::{Window, offered};

use super::frame::{COMPRESSED, encode_with, first_message};

/// A text of fewer bytes is sent to many as it is: it would hardly become shorter. The figures are in docs/performance.md.
pub const DEFLATE_BYTES_MIN: usize = 200;
/// A text of fewer bytes is sent to one session as it is: to compress it for one costs more than to send it.
pub const DEFLATE_FOR_ONE_BYTES_MIN: usize = 1024;

/// The level of compression. Level 1 has no Huffman codes of its own: short frames hardly become shorter by it. Higher ones take
/// longer for the same.
const LEVEL: u32 = 2;
/// What a sync flush ends with. It is left out of frames (§7.2.1), and put back before inflating (§7.2.2).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// What a compressor keeps for its output between two messages, at most.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// Whole frames of a server, with those messages compressed that become shorter by it. `bytes_min`: shorter ones stay.
/// Frames that are compressed already stay, too.
pub fn packed(mut frames: &[u8], window: Window, bytes_min: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(frames.len());
    let mut packing = tally::Packing::begun();
    DEFLATERS.with_borrow_mut(|deflaters| {
        while let Some((message, whole, rest)) = first_message(frames) {
            frames = rest;
            let Some((opcode, message)) = message else {
                out.extend_from_slice(whole);
                continue;
            };
            let bits = Some(message.len()).filter(|bytes| *bytes >= bytes_min).and_then(|bytes| window.bits_for(bytes));
            let Some(bits) = bits else {
                packing.passed_over(message.len());
                out.extend_from_slice(whole);
                continue;
            };
            match deflaters.of(bits).deflated(message) {
                Some(payload) => {
                    packing.deflated(message.len(), payload.len());
                    encode_with(COMPRESSED, opcode, payload, &mut out);
                }
                None => {
                    packing.would_grow(message.len());
                    out.extend_from_slice(whole);
                }
            }
        }
    });
    packing.end();
    out
}

thread_local! {
    /// A compressor has some 300 KB, and each message begins anew: one for each thread is enough.
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
        Self { stream: Compress::new_with_window_bits(Compression::new(LEVEL), false, bits), out: Vec::new() }
    }

    /// The compressed message without its tail, if that is shorter.
    fn deflated(&mut self, message: &[u8]) -> Option<&[u8]> {
        self.stream.reset();
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES_MAX);
        // More than this is not shorter.
        self.out.reserve_exact(message.len() + TAIL.len());
        loop {
            let taken = usize::try_from(self.stream.total_in()).unwrap_or(usize::MAX);
            let rest = message.get(taken..)?;
            self.stream.compress_vec(rest, &mut self.out, FlushCompress::Sync).ok()?;
            if self.out.len() == self.out.capacity() {
                return None;
            }
            // With room left the flush is complete.
            if self.stream.total_in() == message.len() as u64 {
                break;
            }
        }
        let payload = self.out.strip_suffix(&TAIL)?;
        (payload.len() < message.len()).then_some(payload)
    }
}

#[cfg(test)]
mod tests;
