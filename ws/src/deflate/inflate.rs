//! Inflates what clients compressed, within bounds.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::{TAIL, tally};
use crate::close::{CloseCode, Violation};

/// A message may inflate to more than this only if it is at least a [`INFLATE_RATIO_MAX`]th of that long itself.
pub const INFLATE_RATIO_FREE_BYTES: usize = 16 * 1024;
/// How many times longer than itself a message may become.
pub const INFLATE_RATIO_MAX: usize = 100;
/// How much is inflated at a time.
const STEP_BYTES: usize = 4 * 1024;

/// Inflates messages, one after the other.
pub struct Inflater {
    stream: Decompress,
    pub(super) out: Vec<u8>,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("out", &self.out.len()).finish_non_exhaustive()
    }
}

impl Default for Inflater {
    fn default() -> Self {
        Self { stream: Decompress::new(false), out: Vec::new() }
    }
}

const TOO_BIG: Violation =
    Violation { code: CloseCode::TOO_BIG, reason: "a message that inflates above the size limit" };
pub(super) const BOMB: Violation =
    Violation { code: CloseCode::TOO_BIG, reason: "a message that inflates too many times" };
const BROKEN: Violation = Violation::payload("a compressed message that cannot be inflated");

impl Inflater {
    /// The message that was compressed to these bytes.
    ///
    /// # Errors
    /// 1009 if it is longer than `message_bytes_max`, found before more than that is inflated, or many times longer than
    /// what came; 1007 if it cannot be inflated.
    pub fn inflated(&mut self, payload: &[u8], message_bytes_max: usize) -> Result<&mut [u8], Violation> {
        let began = tally::now();
        self.out.clear();
        self.out.shrink_to(message_bytes_max.min(64 * 1024) + STEP_BYTES);
        self.stream.reset(false);
        for mut input in [payload, &TAIL] {
            while self.step(&mut input, payload.len(), message_bytes_max)? {}
        }
        tally::inflated(payload.len(), self.out.len(), began);
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
            // Other blocks may follow a last one (§7.2.3.4): the next begins with the next byte.
            self.stream.reset(false);
            return Ok(!input.is_empty());
        }
        let is_stuck = taken == 0 && self.out.len() == made;
        let is_full = self.out.len() == self.out.capacity();
        Ok(!is_stuck && (is_full || !input.is_empty()))
    }
}
