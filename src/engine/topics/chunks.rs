//! The memory in which encoded frames wait: the frames of a topic lie next to each other in its open chunk, once for
//! all readers.

use crate::limits::{Bounds, CHUNK_BYTES};

/// Spare buffers kept for the next chunks, in bytes of capacity.
const SPARE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Some bytes of a chunk. They are whole frames, unless the first bytes were sent already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The chunk's slot.
    chunk: u32,
    /// The slot's generation when the bytes were appended: a span of another generation has no bytes any more.
    generation: u32,
    /// First byte.
    pub from: u32,
    /// One past the last byte.
    pub to: u32,
}

impl Span {
    /// A span without bytes, of no chunk.
    pub const NONE: Self = Self { chunk: 0, generation: 0, from: 0, to: 0 };

    /// Number of bytes.
    pub fn len(self) -> usize {
        (self.to - self.from) as usize
    }

    /// True if it has no bytes.
    pub fn is_empty(self) -> bool {
        self.from == self.to
    }

    /// The span that begins at `from` and ends where this one ends.
    #[must_use]
    pub fn starting_at(self, from: u32) -> Self {
        Self { from, ..self }
    }

    /// True if both lie in the same chunk.
    pub fn shares_chunk_with(self, other: Self) -> bool {
        (self.chunk, self.generation) == (other.chunk, other.generation)
    }

    /// True if `next` begins in memory where this span ends.
    pub fn is_followed_by(self, next: Self) -> bool {
        self.shares_chunk_with(next) && self.to == next.from
    }
}

/// The span's chunk was freed. Nothing may be read through the span: the bytes there may be another topic's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale;

/// A topic's current chunk. It is valid while the slot has the same generation.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenChunk(Option<(u32, u32)>);

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// How many outbox parts and [`Appended`]s point here; 0 for a free slot.
    readers: u32,
    generation: u32,
}

/// A shard's memory for frames that wait: its chunks, and the sum of what sessions have copied into buffers of their
/// own.
#[derive(Debug, Default)]
pub struct Arena {
    chunks: Vec<Chunk>,
    free: Vec<u32>,
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
    held_bytes: usize,
    debts: Debts,
    bounds: Bounds,
}

/// What sessions have copied into buffers of their own. The sum is kept up to date when a buffer grows or shrinks.
#[derive(Debug, Default, Clone, Copy)]
pub struct Debts {
    /// Sessions that have such a buffer.
    pub count: usize,
    /// Memory of their buffers.
    pub bytes: usize,
}

/// Frames that were just appended. While this lives, their chunk has a reader, so it stays even if all outboxes drop
/// it.
#[derive(Debug)]
pub struct Appended<'a> {
    arena: &'a mut Arena,
    span: Span,
}

impl Appended<'_> {
    /// Where the frames are.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The frames.
    pub fn frames(&self) -> &[u8] {
        // The chunk has a reader, so the span is live.
        self.arena.bytes(self.span).unwrap_or_default()
    }

    /// The arena, so that other outboxes can change meanwhile.
    pub fn arena(&mut self) -> &mut Arena {
        self.arena
    }
}

impl Drop for Appended<'_> {
    fn drop(&mut self) {
        self.arena.release(self.span);
    }
}

impl Arena {
    /// An empty arena, which keeps to these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// The bounds of the frames that wait.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Appends frames to the open chunk, or to a new one if they do not fit or the chunk was freed.
    pub fn append(&mut self, open: &mut OpenChunk, frames: &[u8]) -> Appended<'_> {
        debug_assert!(!frames.is_empty(), "nobody takes an empty range");
        let slot = match self.room_in(*open, frames.len()) {
            Some(slot) => slot,
            None => {
                let slot = self.take_slot(frames.len());
                *open = OpenChunk(Some((slot, self.chunks[slot as usize].generation)));
                slot
            }
        };
        let chunk = &mut self.chunks[slot as usize];
        let before = chunk.bytes.capacity();
        let from = offset(chunk.bytes.len());
        chunk.bytes.extend_from_slice(frames);
        chunk.readers += 1;
        self.held_bytes += chunk.bytes.capacity() - before;
        let span = Span { chunk: slot, generation: chunk.generation, from, to: offset(chunk.bytes.len()) };
        Appended { arena: self, span }
    }

    /// The bytes of a span.
    ///
    /// # Errors
    /// When the span's chunk is gone. That is a fault of this program: whoever holds the span must not be sent anything more.
    pub fn bytes(&self, span: Span) -> Result<&[u8], Stale> {
        let chunk = self.chunks.get(span.chunk as usize).filter(|chunk| chunk.generation == span.generation);
        chunk.and_then(|chunk| chunk.bytes.get(span.from as usize..span.to as usize)).ok_or(Stale)
    }

    /// Counts one more outbox part that points into the span's chunk.
    pub fn retain(&mut self, span: Span) {
        let chunk = &mut self.chunks[span.chunk as usize];
        debug_assert!(chunk.generation == span.generation && chunk.readers > 0, "retained without a reader");
        if chunk.generation == span.generation {
            chunk.readers += 1;
        }
    }

    /// Counts one outbox part less that points into the span's chunk. The last one frees the chunk. A stale span
    /// changes nothing.
    pub fn release(&mut self, span: Span) {
        let chunk = &mut self.chunks[span.chunk as usize];
        debug_assert!(chunk.generation == span.generation && chunk.readers > 0, "released more often than retained");
        if chunk.generation != span.generation || chunk.readers == 0 {
            return;
        }
        chunk.readers -= 1;
        if chunk.readers == 0 {
            self.free_slot(span.chunk);
        }
    }

    /// Memory of the chunks that have readers, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// What sessions have copied into buffers of their own.
    pub fn debts(&self) -> Debts {
        self.debts
    }

    /// Memory of everything that waits, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.held_bytes + self.debts.bytes
    }

    /// Memory of buffers that are kept for the next chunks.
    pub fn spare_bytes(&self) -> usize {
        self.spare_bytes
    }

    /// The memory is wanted elsewhere: keeps no buffers.
    pub fn forget_spare(&mut self) {
        self.spare = Vec::new();
        self.spare_bytes = 0;
    }

    /// A session's own buffer changed its size; `None` is no buffer.
    pub fn debt_changed(&mut self, before: Option<usize>, after: Option<usize>) {
        self.debts.count = self.debts.count + usize::from(after.is_some()) - usize::from(before.is_some());
        self.debts.bytes = self.debts.bytes + after.unwrap_or(0) - before.unwrap_or(0);
    }

    /// Panics unless every chunk has as many readers as spans point to it, no span is stale, and the sums are right.
    /// `spans` are the spans of all outboxes, `debt_bytes` the memory of each session's own buffer.
    #[cfg(any(test, debug_assertions))]
    pub fn check_invariants(&self, spans: impl Iterator<Item = Span>, debt_bytes: impl Iterator<Item = usize>) {
        let mut readers = vec![0; self.chunks.len()];
        for span in spans {
            assert!(self.bytes(span).is_ok(), "a span has outlived its chunk");
            readers[span.chunk as usize] += 1;
        }
        assert!(self.chunks.iter().map(|chunk| chunk.readers).eq(readers), "a chunk's readers are counted wrongly");
        assert_eq!(self.free.len(), self.chunks.iter().filter(|chunk| chunk.readers == 0).count());
        let held = self.chunks.iter().filter(|chunk| chunk.readers > 0).map(|chunk| chunk.bytes.capacity());
        assert_eq!(self.held_bytes, held.sum::<usize>());
        let (count, bytes) = debt_bytes.fold((0, 0), |(count, sum), bytes| (count + 1, sum + bytes));
        assert_eq!((self.debts.count, self.debts.bytes), (count, bytes), "debts are added up wrongly");
    }

    fn room_in(&self, open: OpenChunk, frame_bytes: usize) -> Option<u32> {
        let (slot, generation) = open.0?;
        let chunk = &self.chunks[slot as usize];
        let fits = chunk.generation == generation && chunk.bytes.len() + frame_bytes <= self.bounds.chunk_bytes;
        fits.then_some(slot)
    }

    fn take_slot(&mut self, frame_bytes: usize) -> u32 {
        let bytes = match self.spare.pop() {
            Some(spare) => {
                self.spare_bytes -= spare.capacity();
                spare
            }
            None => Vec::with_capacity(frame_bytes.max(512)),
        };
        self.held_bytes += bytes.capacity();
        match self.free.pop() {
            Some(slot) => {
                self.chunks[slot as usize].bytes = bytes;
                slot
            }
            None => {
                self.chunks.push(Chunk { bytes, ..Chunk::default() });
                offset(self.chunks.len() - 1)
            }
        }
    }

    fn free_slot(&mut self, slot: u32) {
        let chunk = &mut self.chunks[slot as usize];
        chunk.generation = chunk.generation.wrapping_add(1);
        let mut bytes = std::mem::take(&mut chunk.bytes);
        self.held_bytes -= bytes.capacity();
        if bytes.capacity() <= 2 * CHUNK_BYTES && self.spare_bytes + bytes.capacity() <= SPARE_BYTES_MAX {
            bytes.clear();
            self.spare_bytes += bytes.capacity();
            self.spare.push(bytes);
        }
        self.free.push(slot);
    }
}

/// Chunks are far smaller than 4 GiB: a publication is split at 256 KiB, and a single frame is below 1 MiB.
#[expect(clippy::cast_possible_truncation, reason = "bounded by limits.rs, checked in debug builds")]
fn offset(bytes: usize) -> u32 {
    debug_assert!(u32::try_from(bytes).is_ok());
    bytes as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_topic_lie_next_to_each_other_until_the_chunk_is_full() {
        let mut arena = Arena::default();
        let mut open = OpenChunk::default();
        let mut keep = |frames: &[u8]| {
            let mut appended = arena.append(&mut open, frames);
            let span = appended.span();
            appended.arena().retain(span);
            span
        };
        let first = keep(&[1; 100]);
        let second = keep(&[2; 100]);
        assert!(first.is_followed_by(second));
        let large = keep(&vec![3; CHUNK_BYTES]);
        assert!(!large.shares_chunk_with(first));
        assert_eq!(arena.bytes(large).unwrap().len(), CHUNK_BYTES);
        assert_eq!(arena.bytes(first), Ok(&[1; 100][..]));
    }

    #[test]
    fn a_chunk_without_readers_is_free_and_its_topic_opens_another() {
        let mut arena = Arena::default();
        let mut open = OpenChunk::default();
        drop(arena.append(&mut open, b"frame"));
        assert_eq!(arena.held_bytes(), 0);
        let mut appended = arena.append(&mut open, b"again");
        let second = appended.span();
        assert_eq!((second.from, second.to), (0, 5), "an old open chunk is not written to");
        appended.arena().retain(second);
        drop(appended);
        assert_eq!(arena.bytes(second), Ok(&b"again"[..]));
        arena.release(second);
        assert_eq!(arena.held_bytes(), 0);
    }

    #[test]
    fn what_was_appended_stays_while_its_only_other_reader_goes() {
        let mut arena = Arena::default();
        let mut appended = arena.append(&mut OpenChunk::default(), b"private");
        let span = appended.span();
        appended.arena().retain(span);
        appended.arena().release(span);
        assert_eq!(appended.frames(), b"private");
        drop(appended);
        assert_eq!(arena.held_bytes(), 0);
    }

    #[test]
    fn a_span_of_an_earlier_use_of_its_slot_reads_nothing() {
        let mut arena = Arena::default();
        let stale = arena.append(&mut OpenChunk::default(), b"one room's").span();
        let mut other = arena.append(&mut OpenChunk::default(), b"another's!");
        assert_eq!(other.span().chunk, stale.chunk, "the slot is used again");
        assert_eq!(other.arena().bytes(stale), Err(Stale));
    }
}
