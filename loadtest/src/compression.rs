//! permessage-deflate without context, on all connections of a run or on none.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// The header with which connections ask for it, as Chromium does.
pub const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
/// What a server's answer must say.
pub const TAKEN: &[u8] = b"server_no_context_takeover";

const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
const MESSAGE_BYTES_MAX: usize = 1 << 20;

static IS_ON: AtomicBool = AtomicBool::new(false);

/// From now on connections offer it, and what they send is compressed, as browsers do with every message.
pub fn switch_on() {
    IS_ON.store(true, Ordering::Relaxed);
}

pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// A message's payload, compressed.
pub fn deflated(message: &[u8]) -> Vec<u8> {
    thread_local!(static STREAM: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false)));
    let mut out = Vec::with_capacity(message.len() + message.len() / 8 + 64);
    STREAM.with_borrow_mut(|stream| {
        stream.reset();
        stream.compress_vec(message, &mut out, FlushCompress::Sync).expect("it has room");
        assert_eq!(stream.total_in(), message.len() as u64, "it has room");
    });
    out.truncate(out.len().saturating_sub(TAIL.len()));
    out
}

struct Inflated {
    stream: Decompress,
    /// What was last inflated. In a room all members get the same bytes, so most messages are inflated once.
    from: Vec<u8>,
    to: Vec<u8>,
}

/// Hands on what was compressed to this payload; `None` if it cannot be inflated.
pub fn inflated<T>(payload: &[u8], hand: impl FnOnce(&[u8]) -> T) -> Option<T> {
    thread_local!(static LAST: RefCell<Inflated> = RefCell::new(Inflated {
        stream: Decompress::new(false),
        from: Vec::new(),
        to: Vec::with_capacity(MESSAGE_BYTES_MAX),
    }));
    LAST.with_borrow_mut(|Inflated { stream, from, to }| {
        if to.is_empty() || from != payload {
            from.clear();
            from.extend_from_slice(payload);
            to.clear();
            stream.reset(false);
            from.extend_from_slice(&TAIL);
            let outcome = stream.decompress_vec(from, to, FlushDecompress::Sync);
            let is_whole = stream.total_in() == from.len() as u64;
            from.truncate(payload.len());
            if outcome.is_err() || !is_whole {
                to.clear();
                return None;
            }
        }
        Some(hand(to))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back_and_nothing_else_does() {
        for text in ["hola ".repeat(100), "x".into(), "hola ".repeat(100), "gol".repeat(9)] {
            let payload = deflated(text.as_bytes());
            for _ in 0..2 {
                assert_eq!(inflated(&payload, <[u8]>::to_vec), Some(text.clone().into_bytes()));
            }
        }
        assert_eq!(inflated(b"\xff\xff", <[u8]>::to_vec), None);
        assert_eq!(inflated(b"\xff\xff", <[u8]>::to_vec), None, "nor the second time");
    }
}
