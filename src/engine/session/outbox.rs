//! What waits for one session: a buffer of its own, if it stalled, and behind it ranges of shared chunks.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;

use smallvec::SmallVec;

use crate::engine::topics::chunks::{Appended, Arena, Span, Stale};
use crate::limits::{Bounds, WRITE_PARTS_MAX};
use crate::protocol::ws::frame::frame_boundary_at_or_after;

/// What may happen to a frame under pressure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Never dropped silently.
    Durable,
    /// Typing, presence, signals: dropped for a session that is behind.
    Ephemeral,
}

/// The slices of one write.
pub type Slices<'a> = SmallVec<[IoSlice<'a>; WRITE_PARTS_MAX]>;

#[derive(Debug, Clone, Copy)]
struct Part {
    /// What is left to send; empty only in an idle outbox's head.
    span: Span,
    /// A frame's start at or before `span.from`, in the same chunk.
    boundary: u32,
    class: Class,
}

/// Bytes of whole frames from a frame's start, sent up to `sent`.
#[derive(Debug, Default)]
struct Debt {
    bytes: Vec<u8>,
    sent: usize,
}

/// What waits for one session. While nothing waits, it owns no memory.
#[derive(Debug)]
#[expect(clippy::box_collection, reason = "an idle outbox is as small as can be; most are idle")]
pub struct Outbox {
    head: Part,
    rest: Option<Box<VecDeque<Part>>>,
    debt: Option<Box<Debt>>,
    waiting_bytes: u32,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { head: Part::NONE, rest: None, debt: None, waiting_bytes: 0 }
    }
}

impl Outbox {
    /// Takes frames that were just appended.
    pub fn push(&mut self, appended: &mut Appended<'_>, class: Class) {
        let span = appended.span();
        self.waiting_bytes += span.to - span.from;
        let tail = match &mut self.rest {
            Some(rest) => rest.back_mut().unwrap_or(&mut self.head),
            None => &mut self.head,
        };
        let part = Part { span, boundary: span.from, class };
        if tail.span.is_empty() {
            *tail = part;
        } else if tail.span.is_followed_by(span) && tail.class == class {
            tail.span.to = span.to;
            return;
        } else {
            self.rest.get_or_insert_default().push_back(part);
        }
        appended.arena().retain(span);
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting_bytes == 0 && self.debt.is_none()
    }

    /// Bytes that wait.
    pub fn owed_bytes(&self) -> usize {
        self.debt.as_ref().map_or(0, |debt| debt.owed()) + self.waiting_bytes as usize
    }

    /// Ranges that wait, one after the other: each costs memory of its own.
    pub fn parts(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| rest.len()) + usize::from(!self.head.span.is_empty())
    }

    /// Collects what to write next and returns its number of bytes: at most [`WRITE_PARTS_MAX`] slices and
    /// `Bounds::write_bytes_max` bytes. Ranges that are next to each other in memory are one slice.
    ///
    /// # Errors
    /// When a range has outlived its chunk: nothing of it may be sent.
    pub fn slices<'a>(&'a self, arena: &'a Arena, slices: &mut Slices<'a>) -> Result<usize, Stale> {
        let write_bytes_max = arena.bounds().write_bytes_max;
        let mut left = write_bytes_max;
        if let Some(debt) = &self.debt {
            let wanted = debt.owed().min(left);
            slices.push(IoSlice::new(&debt.bytes[debt.sent..debt.sent + wanted]));
            left -= wanted;
            if left == 0 {
                return Ok(write_bytes_max);
            }
        }
        let mut run = self.head.span;
        let mut put = |span: Span| {
            let bytes = arena.bytes(span)?;
            let bytes = &bytes[..bytes.len().min(left)];
            left -= bytes.len();
            slices.push(IoSlice::new(bytes));
            Ok(left > 0 && slices.len() < WRITE_PARTS_MAX)
        };
        for part in self.rest.iter().flat_map(|rest| rest.iter()) {
            if run.is_followed_by(part.span) {
                run.to = part.span.to;
                continue;
            }
            if !put(run)? {
                return Ok(write_bytes_max - left);
            }
            run = part.span;
        }
        if !run.is_empty() {
            put(run)?;
        }
        Ok(write_bytes_max - left)
    }

    /// The socket took the first `count` bytes of [`Self::slices`].
    pub fn took(&mut self, arena: &mut Arena, count: usize) {
        debug_assert!(count <= self.owed_bytes());
        let mut left = count;
        if let Some(debt) = &mut self.debt {
            let before = debt.bytes.capacity();
            let taken = left.min(debt.owed());
            debt.sent += taken;
            left -= taken;
            if debt.owed() == 0 {
                self.debt = None;
                arena.debt_changed(Some(before), None);
            } else {
                debt.compact(arena.bounds());
                arena.debt_changed(Some(before), Some(debt.bytes.capacity()));
            }
        }
        let mut left = u32::try_from(left).unwrap_or(self.waiting_bytes).min(self.waiting_bytes);
        self.waiting_bytes -= left;
        while left > 0 {
            let span = &mut self.head.span;
            let taken = left.min(span.to - span.from);
            span.from += taken;
            left -= taken;
            if span.is_empty() {
                arena.release(*span);
                self.next_head();
            }
        }
    }

    /// Frees the shared chunks that the session pins: copies durable frames into a buffer of the session's own and drops
    /// ephemeral ones, except the frame under way. What comes later waits in shared chunks again, behind that buffer.
    ///
    /// # Errors
    /// When a range has outlived its chunk: what waits is gone and the session must end.
    pub fn fall_behind(&mut self, arena: &mut Arena) -> Result<(), Stale> {
        if self.waiting_bytes == 0 {
            return Ok(());
        }
        let before = self.debt.as_ref().map(|debt| debt.bytes.capacity());
        let mut debt = self.debt.take().unwrap_or_else(|| {
            let sent = (self.head.span.from - self.head.boundary) as usize;
            Box::new(Debt { bytes: Vec::new(), sent })
        });
        while self.waiting_bytes > 0 {
            let Part { span, boundary, class } = self.head;
            let Ok(whole) = arena.bytes(span.starting_at(boundary)) else {
                arena.debt_changed(before, None);
                self.clear(arena);
                return Err(Stale);
            };
            let sent = (span.from - boundary) as usize;
            let kept = match class {
                Class::Durable => whole,
                Class::Ephemeral => &whole[..frame_under_way(whole, sent).end.max(sent)],
            };
            debt.append(kept, arena.bounds());
            self.pop_head(arena);
        }
        let after = (debt.owed() > 0).then(|| debt.bytes.capacity());
        arena.debt_changed(before, after);
        self.debt = after.map(|_| debt);
        debug_assert!(self.rest.is_none());
        Ok(())
    }

    /// Drops all that waits save the frame under way, then sends `last` (a close frame).
    ///
    /// # Errors
    /// When the frame under way has outlived its chunk: nothing may be sent, and the session must end.
    pub fn cut(&mut self, arena: &mut Arena, last: &[u8]) -> Result<(), Stale> {
        let Part { span, boundary, .. } = self.head;
        let (frames, sent) = match &self.debt {
            Some(debt) => (&debt.bytes[..], debt.sent),
            None if self.waiting_bytes == 0 => (&[][..], 0),
            None => match arena.bytes(span.starting_at(boundary)) {
                Ok(frames) => (frames, (span.from - boundary) as usize),
                Err(Stale) => {
                    self.clear(arena);
                    return Err(Stale);
                }
            },
        };
        let mut kept = Box::<Debt>::default();
        let under_way = frame_under_way(frames, sent);
        kept.append(&frames[under_way.clone()], arena.bounds());
        kept.sent = if under_way.is_empty() { 0 } else { sent - under_way.start };
        kept.append(last, arena.bounds());
        self.clear(arena);
        arena.debt_changed(None, Some(kept.bytes.capacity()));
        self.debt = Some(kept);
        Ok(())
    }

    /// Lets everything go: the session is over.
    pub fn clear(&mut self, arena: &mut Arena) {
        if let Some(debt) = self.debt.take() {
            arena.debt_changed(Some(debt.bytes.capacity()), None);
        }
        while self.waiting_bytes > 0 {
            self.pop_head(arena);
        }
    }

    /// Ranges that wait.
    #[cfg(any(test, debug_assertions))]
    pub fn spans(&self) -> impl Iterator<Item = Span> {
        let rest = self.rest.iter().flat_map(|rest| rest.iter());
        std::iter::once(&self.head).chain(rest).map(|part| part.span).filter(|span| !span.is_empty())
    }

    /// Memory of the session's own buffer.
    #[cfg(any(test, debug_assertions))]
    pub fn debt_bytes(&self) -> Option<usize> {
        self.debt.as_ref().map(|debt| debt.bytes.capacity())
    }

    /// The last bytes that wait, or a part of them.
    #[cfg(test)]
    pub fn tail<'a>(&'a self, arena: &'a Arena) -> &'a [u8] {
        match self.spans().last() {
            Some(last) => arena.bytes(last).unwrap_or_default(),
            None => self.debt.as_ref().map_or(&[], |debt| &debt.bytes),
        }
    }

    fn pop_head(&mut self, arena: &mut Arena) {
        let span = self.head.span;
        self.waiting_bytes -= span.to - span.from;
        arena.release(span);
        self.next_head();
    }

    fn next_head(&mut self) {
        match self.rest.as_mut().and_then(|rest| rest.pop_front()) {
            Some(next) => {
                self.head = next;
                if self.rest.as_ref().is_some_and(|rest| rest.is_empty()) {
                    self.rest = None;
                }
            }
            None => self.head = Part::NONE,
        }
    }
}

impl Part {
    const NONE: Self = Self { span: Span::NONE, boundary: 0, class: Class::Ephemeral };
}

impl Debt {
    fn owed(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Grows in steps, not by doubling: the sum of all debts is bounded by their memory.
    fn append(&mut self, frames: &[u8], bounds: &Bounds) {
        if self.bytes.capacity() - self.bytes.len() < frames.len() {
            let step = if self.bytes.is_empty() { frames.len() } else { frames.len().max(bounds.debt_step_bytes) };
            self.bytes.reserve_exact(step);
        }
        self.bytes.extend_from_slice(frames);
    }

    /// Forgets what was sent, in whole frames, once it is the larger half.
    fn compact(&mut self, bounds: &Bounds) {
        if self.sent < bounds.shared_bytes_max || self.sent * 2 < self.bytes.len() {
            return;
        }
        let start = frame_under_way(&self.bytes, self.sent).start;
        self.bytes.drain(..start);
        self.sent -= start;
    }
}

/// The frame that is partly sent when the first `sent` bytes are; empty if these end at the end of a frame. `frames` begins
/// with a whole frame.
fn frame_under_way(frames: &[u8], sent: usize) -> Range<usize> {
    let mut start = 0;
    while start < sent {
        let end = frame_boundary_at_or_after(&frames[start..], 1).map_or(frames.len(), |length| start + length);
        if end > sent {
            return start..end;
        }
        start = end;
    }
    sent..sent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::topics::chunks::OpenChunk;
    use crate::limits::{CHUNK_BYTES, DEBT_STEP_BYTES, WRITE_BYTES_MAX};
    use crate::protocol::ws::frame::encode_text;

    struct Bench {
        arena: Arena,
        open: OpenChunk,
    }

    impl Bench {
        fn new() -> Self {
            Self { arena: Arena::default(), open: OpenChunk::default() }
        }

        fn push(&mut self, outbox: &mut Outbox, payload: &str, class: Class) {
            let mut frame = Vec::new();
            encode_text(payload.as_bytes(), &mut frame);
            outbox.push(&mut self.arena.append(&mut self.open, &frame), class);
        }

        fn waiting(&self, outbox: &Outbox) -> Vec<u8> {
            let mut slices = Slices::new();
            outbox.slices(&self.arena, &mut slices).unwrap();
            slices.iter().flat_map(|slice| slice.to_vec()).collect()
        }
    }

    fn frames(payloads: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in payloads {
            encode_text(payload.as_bytes(), &mut bytes);
        }
        bytes
    }

    #[test]
    fn contiguous_frames_are_one_slice() {
        let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
        bench.push(&mut outbox, "one", Class::Durable);
        bench.push(&mut outbox, "two", Class::Durable);
        bench.push(&mut outbox, "typing", Class::Ephemeral);
        let mut slices = Slices::new();
        outbox.slices(&bench.arena, &mut slices).unwrap();
        assert_eq!(slices.len(), 1);
        assert_eq!(slices[0].to_vec(), frames(&["one", "two", "typing"]));
    }

    #[test]
    fn a_session_that_stalls_keeps_what_is_durable_and_pins_no_chunk() {
        let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
        bench.push(&mut outbox, "typing that is under way", Class::Ephemeral);
        bench.push(&mut outbox, "more typing", Class::Ephemeral);
        bench.push(&mut outbox, "kept", Class::Durable);
        outbox.took(&mut bench.arena, 5);
        outbox.fall_behind(&mut bench.arena).unwrap();
        assert_eq!(bench.arena.held_bytes(), 0);
        bench.push(&mut outbox, "shared again", Class::Durable);
        bench.push(&mut outbox, "dropped", Class::Ephemeral);
        let all = frames(&["typing that is under way", "kept", "shared again", "dropped"]);
        assert_eq!(bench.waiting(&outbox), all[5..]);
        outbox.fall_behind(&mut bench.arena).unwrap();
        assert_eq!(bench.arena.held_bytes(), 0);
        bench.push(&mut outbox, "the last", Class::Durable);
        let all = frames(&["typing that is under way", "kept", "shared again", "the last"]);
        assert_eq!(bench.waiting(&outbox), all[5..]);
        // Past the buffer's end, into the shared range.
        outbox.took(&mut bench.arena, all.len() - 5 - 3);
        assert_eq!(bench.waiting(&outbox), all[all.len() - 3..]);
        outbox.took(&mut bench.arena, 3);
        assert_eq!((outbox.is_empty(), bench.arena.memory_bytes()), (true, 0));
    }

    #[test]
    fn many_ranges_are_copied_whole_in_order_and_give_their_chunks_back() {
        const RANGES: usize = 300;
        let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
        let text = |number: usize| format!("{number} {}", "x".repeat(number % 9 * 30));
        let mut kept = Vec::new();
        for number in 0..RANGES {
            let class = if number % 5 == 4 { Class::Ephemeral } else { Class::Durable };
            bench.push(&mut outbox, &text(number), class);
            if class == Class::Durable {
                encode_text(text(number).as_bytes(), &mut kept);
            }
            // Between two ranges lies what somebody else was told.
            drop(bench.arena.append(&mut bench.open, b"another's"));
        }
        let before = bench.arena.held_bytes();
        assert!(outbox.parts() == RANGES && before > CHUNK_BYTES * 2, "{} ranges, {before} bytes", outbox.parts());
        outbox.took(&mut bench.arena, 2);
        outbox.fall_behind(&mut bench.arena).unwrap();
        assert_eq!((outbox.parts(), bench.arena.held_bytes()), (0, 0));
        assert_eq!(bench.waiting(&outbox), kept[2..]);
        let memory = bench.arena.memory_bytes();
        assert!(outbox.debt_bytes() == Some(memory) && memory <= kept.len() + DEBT_STEP_BYTES, "{memory} bytes");
        bench.arena.check_invariants(outbox.spans(), outbox.debt_bytes().into_iter());
        bench.push(&mut outbox, "behind it", Class::Durable);
        encode_text(b"behind it", &mut kept);
        assert_eq!(bench.waiting(&outbox), kept[2..]);
        outbox.took(&mut bench.arena, kept.len() - 2);
        assert_eq!((outbox.is_empty(), bench.arena.memory_bytes(), bench.arena.debts().count), (true, 0, 0));
    }

    #[test]
    fn a_cut_finishes_the_frame_under_way() {
        let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
        bench.push(&mut outbox, "first", Class::Durable);
        bench.push(&mut outbox, "second", Class::Durable);
        bench.push(&mut outbox, "third", Class::Durable);
        outbox.took(&mut bench.arena, frames(&["first"]).len() + 3);
        outbox.cut(&mut bench.arena, b"CLOSE").unwrap();
        let mut expected = frames(&["second"])[3..].to_vec();
        expected.extend_from_slice(b"CLOSE");
        assert_eq!(bench.waiting(&outbox), expected);

        let mut untouched = Outbox::default();
        bench.push(&mut untouched, "never begun", Class::Durable);
        untouched.cut(&mut bench.arena, b"CLOSE").unwrap();
        assert_eq!(bench.waiting(&untouched), b"CLOSE");
    }

    /// The chunk of what it was sent before may be gone: that is no fault.
    #[test]
    fn whoever_owes_nothing_is_cut_with_the_close_frame_alone() {
        let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
        bench.push(&mut outbox, "taken", Class::Durable);
        outbox.took(&mut bench.arena, frames(&["taken"]).len());
        assert_eq!(bench.arena.held_bytes(), 0);
        outbox.cut(&mut bench.arena, b"CLOSE").unwrap();
        assert_eq!(bench.waiting(&outbox), b"CLOSE");
    }

    #[test]
    fn one_write_is_bounded_in_bytes() {
        let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
        for _ in 0..40 {
            bench.push(&mut outbox, &"x".repeat(8000), Class::Durable);
        }
        let mut slices = Slices::new();
        assert_eq!(outbox.slices(&bench.arena, &mut slices), Ok(WRITE_BYTES_MAX));
        assert_eq!(slices.iter().map(|slice| slice.len()).sum::<usize>(), WRITE_BYTES_MAX);
        drop(slices);
        outbox.fall_behind(&mut bench.arena).unwrap();
        assert_eq!(bench.waiting(&outbox).len(), WRITE_BYTES_MAX);
    }

    #[test]
    fn debts_are_added_up_where_they_grow_and_shrink() {
        let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
        bench.push(&mut outbox, "one", Class::Durable);
        outbox.fall_behind(&mut bench.arena).unwrap();
        bench.push(&mut outbox, &"x".repeat(1000), Class::Durable);
        outbox.fall_behind(&mut bench.arena).unwrap();
        let debts = bench.arena.debts();
        assert_eq!((debts.count, debts.bytes >= outbox.owed_bytes()), (1, true));
        outbox.cut(&mut bench.arena, b"CLOSE").unwrap();
        assert_eq!(bench.arena.debts().bytes, 5);
        outbox.took(&mut bench.arena, 5);
        assert_eq!((bench.arena.debts().count, bench.arena.memory_bytes()), (0, 0));
    }

    #[test]
    fn an_outbox_is_small() {
        assert!(size_of::<Outbox>() <= 48, "{}", size_of::<Outbox>());
    }
}
