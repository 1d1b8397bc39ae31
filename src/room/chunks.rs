//! Where encoded frames wait: each topic's frames next to each other in its open chunk, once for all readers.

use crate::limits::CHUNK_BYTES;

/// Spare buffers kept for the next chunks, in bytes of capacity.
const SPARE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Some bytes of a chunk: whole frames, unless its front was sent already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The chunk's slot.
    pub chunk: u32,
    /// First byte.
    pub from: u32,
    /// One past the last byte.
    pub to: u32,
}

/// A topic's current chunk: valid while the slot's generation is the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenChunk(Option<(u32, u32)>);

#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Outbox parts that point here; 0 for a free slot.
    readers: u32,
    generation: u32,
}

/// A shard's chunks.
#[derive(Debug, Default)]
pub struct Arena {
    chunks: Vec<Chunk>,
    free: Vec<u32>,
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
    held_bytes: usize,
}

impl Arena {
    /// Appends a frame to the open chunk, or to a new one when it is full or gone.
    ///
    /// The span has no reader yet: the caller gives it to outboxes ([`Self::retain`]) and then calls [`Self::settle`].
    pub fn append(&mut self, open: &mut OpenChunk, frame: &[u8]) -> Span {
        let slot = match self.room_in(*open, frame.len()) {
            Some(slot) => slot,
            None => {
                let slot = self.take_slot(frame.len());
                *open = OpenChunk(Some((slot, self.chunks[slot as usize].generation)));
                slot
            }
        };
        let bytes = &mut self.chunks[slot as usize].bytes;
        let before = bytes.capacity();
        let from = bytes.len();
        bytes.extend_from_slice(frame);
        self.held_bytes += bytes.capacity() - before;
        Span { chunk: slot, from: offset(from), to: offset(bytes.len()) }
    }

    /// The bytes of a span that has a reader.
    pub fn bytes(&self, span: Span) -> &[u8] {
        &self.chunks[span.chunk as usize].bytes[span.from as usize..span.to as usize]
    }

    /// One more outbox part points into the chunk.
    pub fn retain(&mut self, chunk: u32) {
        self.chunks[chunk as usize].readers += 1;
    }

    /// One outbox part less points into the chunk; the last one frees it.
    pub fn release(&mut self, chunk: u32) {
        let readers = &mut self.chunks[chunk as usize].readers;
        debug_assert!(*readers > 0, "released more often than retained");
        *readers -= 1;
        if *readers == 0 {
            self.free_slot(chunk);
        }
    }

    /// Frees the chunk of an appended span that nobody took.
    pub fn settle(&mut self, span: Span) {
        let chunk = &self.chunks[span.chunk as usize];
        if chunk.readers == 0 && !chunk.bytes.is_empty() {
            self.free_slot(span.chunk);
        }
    }

    /// Bytes of memory in chunks that have readers.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    fn room_in(&self, open: OpenChunk, frame_bytes: usize) -> Option<u32> {
        let (slot, generation) = open.0?;
        let chunk = &self.chunks[slot as usize];
        let fits = chunk.generation == generation && chunk.bytes.len() + frame_bytes <= CHUNK_BYTES;
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

/// Chunks are far smaller than 4 GiB: a message is at most 64 KiB and a chunk holds 16 KiB or one message.
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
        let first = arena.append(&mut open, &[1; 100]);
        arena.retain(first.chunk);
        let second = arena.append(&mut open, &[2; 100]);
        assert_eq!((second.chunk, second.from), (first.chunk, first.to));
        let large = arena.append(&mut open, &vec![3; CHUNK_BYTES]);
        assert_ne!(large.chunk, first.chunk);
        arena.retain(large.chunk);
        assert_eq!(arena.bytes(large).len(), CHUNK_BYTES);
        assert_eq!(arena.bytes(first), [1; 100]);
    }

    #[test]
    fn a_chunk_without_readers_is_free_and_its_topic_opens_another() {
        let mut arena = Arena::default();
        let mut open = OpenChunk::default();
        let first = arena.append(&mut open, b"frame");
        arena.settle(first);
        assert_eq!(arena.held_bytes(), 0);
        let second = arena.append(&mut open, b"again");
        assert_eq!((second.from, second.to), (0, 5), "an old open chunk is not written to");
        arena.retain(second.chunk);
        arena.settle(second);
        assert_eq!(arena.bytes(second), b"again");
        arena.release(second.chunk);
        assert_eq!(arena.held_bytes(), 0);
    }
}
