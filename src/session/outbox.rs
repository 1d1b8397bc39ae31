//! What waits for one session: ranges of shared chunks, or, when it is behind, a debt of its own.

use std::collections::VecDeque;
use std::io::IoSlice;

use smallvec::SmallVec;

use crate::limits::WRITE_PARTS_MAX;
use crate::room::chunks::{Arena, Span};
use crate::ws::frame::frame_boundary_at_or_after;

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

const NOTHING: Part = Part { span: Span { chunk: 0, from: 0, to: 0 }, boundary: 0, class: Class::Ephemeral };

/// Bytes of whole frames from a frame's start, sent up to `sent`.
#[derive(Debug, Default)]
struct Debt {
    bytes: Vec<u8>,
    sent: usize,
}

/// What waits for one session. Idle, it owns no memory of its own.
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
        Self { head: NOTHING, rest: None, debt: None, waiting_bytes: 0 }
    }
}

impl Outbox {
    /// Appends frames. A session that is behind takes a copy of durable ones and drops ephemeral ones.
    pub fn push(&mut self, arena: &mut Arena, span: Span, class: Class) {
        if let Some(debt) = &mut self.debt {
            if class == Class::Durable {
                debt.bytes.extend_from_slice(arena.bytes(span));
            }
            return;
        }
        self.waiting_bytes += span.to - span.from;
        let tail = match &mut self.rest {
            Some(rest) => rest.back_mut().unwrap_or(&mut self.head),
            None => &mut self.head,
        };
        if tail.span.from == tail.span.to {
            arena.retain(span.chunk);
            *tail = Part { span, boundary: span.from, class };
        } else if tail.span.chunk == span.chunk && tail.span.to == span.from && tail.class == class {
            tail.span.to = span.to;
        } else {
            arena.retain(span.chunk);
            self.rest.get_or_insert_default().push_back(Part { span, boundary: span.from, class });
        }
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting_bytes == 0 && self.debt.is_none()
    }

    /// Bytes that wait.
    pub fn owed_bytes(&self) -> usize {
        self.debt.as_ref().map_or(self.waiting_bytes as usize, |debt| debt.bytes.len() - debt.sent)
    }

    /// The session is behind: it owes from a buffer of its own.
    pub fn is_behind(&self) -> bool {
        self.debt.is_some()
    }

    /// What to write next, at most [`WRITE_PARTS_MAX`] slices; neighbours in memory are one slice.
    pub fn slices<'a>(&'a self, arena: &'a Arena, slices: &mut Slices<'a>) {
        if let Some(debt) = &self.debt {
            slices.push(IoSlice::new(&debt.bytes[debt.sent..]));
            return;
        }
        let mut run = self.head.span;
        for part in self.rest.iter().flat_map(|rest| rest.iter()) {
            if part.span.chunk == run.chunk && part.span.from == run.to {
                run.to = part.span.to;
                continue;
            }
            slices.push(IoSlice::new(arena.bytes(run)));
            run = part.span;
            if slices.len() == WRITE_PARTS_MAX - 1 {
                break;
            }
        }
        if run.from < run.to {
            slices.push(IoSlice::new(arena.bytes(run)));
        }
    }

    /// The socket took the first `count` bytes of [`Self::slices`].
    pub fn took(&mut self, arena: &mut Arena, count: usize) {
        if let Some(debt) = &mut self.debt {
            debt.sent += count;
            if debt.sent == debt.bytes.len() {
                self.debt = None;
            } else {
                debt.compact();
            }
            return;
        }
        debug_assert!(count <= self.waiting_bytes as usize);
        let mut left = u32::try_from(count).unwrap_or(self.waiting_bytes).min(self.waiting_bytes);
        self.waiting_bytes -= left;
        while left > 0 {
            let span = &mut self.head.span;
            let taken = left.min(span.to - span.from);
            span.from += taken;
            left -= taken;
            if span.from == span.to {
                arena.release(span.chunk);
                self.next_head();
            }
        }
    }

    /// The session is behind: copies what is durable into a debt of its own, lets the shared chunks go and drops the
    /// ephemeral frames, save the one under way.
    pub fn fall_behind(&mut self, arena: &mut Arena) {
        if self.debt.is_some() || self.waiting_bytes == 0 {
            return;
        }
        let mut debt = Box::<Debt>::default();
        debt.sent = (self.head.span.from - self.head.boundary) as usize;
        while self.waiting_bytes > 0 {
            let Part { span, boundary, class } = self.head;
            let whole = arena.bytes(Span { from: boundary, ..span });
            let sent = (span.from - boundary) as usize;
            let kept = match class {
                Class::Durable => whole,
                Class::Ephemeral if sent == 0 => &[],
                Class::Ephemeral => &whole[..frame_boundary_at_or_after(whole, sent).unwrap_or(whole.len())],
            };
            debt.bytes.extend_from_slice(kept);
            self.waiting_bytes -= span.to - span.from;
            arena.release(span.chunk);
            self.next_head();
        }
        if debt.sent < debt.bytes.len() {
            self.debt = Some(debt);
        }
        debug_assert!(self.rest.is_none());
    }

    /// Drops all that waits save the frame under way, then sends `last` (a close frame).
    pub fn cut(&mut self, arena: &mut Arena, last: &[u8]) {
        self.fall_behind(arena);
        let mut debt = self.debt.take().unwrap_or_default();
        let under_way = match debt.sent {
            0 => 0,
            sent => frame_boundary_at_or_after(&debt.bytes, sent).unwrap_or(debt.bytes.len()),
        };
        debt.bytes.truncate(under_way);
        debt.bytes.extend_from_slice(last);
        self.debt = Some(debt);
    }

    /// Lets everything go: the session is over.
    pub fn clear(&mut self, arena: &mut Arena) {
        self.debt = None;
        while self.waiting_bytes > 0 {
            let span = self.head.span;
            self.waiting_bytes -= span.to - span.from;
            arena.release(span.chunk);
            self.next_head();
        }
    }

    fn next_head(&mut self) {
        match self.rest.as_mut().and_then(|rest| rest.pop_front()) {
            Some(next) => {
                self.head = next;
                if self.rest.as_ref().is_some_and(|rest| rest.is_empty()) {
                    self.rest = None;
                }
            }
            None => self.head = NOTHING,
        }
    }
}

impl Debt {
    /// Forgets what was sent, in whole frames, once it is the larger half.
    fn compact(&mut self) {
        if self.sent < 64 * 1024 || self.sent * 2 < self.bytes.len() {
            return;
        }
        let mut start = 0;
        while let Some(end) = frame_boundary_at_or_after(&self.bytes[start..], 1)
            && start + end <= self.sent
        {
            start += end;
        }
        self.bytes.drain(..start);
        self.sent -= start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::chunks::OpenChunk;
    use crate::ws::frame::encode_text;

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
            let span = self.arena.append(&mut self.open, &frame);
            outbox.push(&mut self.arena, span, class);
            self.arena.settle(span);
        }

        fn waiting(&self, outbox: &Outbox) -> Vec<u8> {
            let mut slices = Slices::new();
            outbox.slices(&self.arena, &mut slices);
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
        outbox.slices(&bench.arena, &mut slices);
        assert_eq!(slices.len(), 1);
        assert_eq!(slices[0].to_vec(), frames(&["one", "two", "typing"]));
    }

    #[test]
    fn a_session_that_is_behind_keeps_what_is_durable_and_pins_no_chunk() {
        let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
        bench.push(&mut outbox, "typing that is under way", Class::Ephemeral);
        bench.push(&mut outbox, "more typing", Class::Ephemeral);
        bench.push(&mut outbox, "kept", Class::Durable);
        outbox.took(&mut bench.arena, 5);
        outbox.fall_behind(&mut bench.arena);
        assert_eq!(bench.arena.held_bytes(), 0);
        bench.push(&mut outbox, "dropped", Class::Ephemeral);
        bench.push(&mut outbox, "kept too", Class::Durable);
        let all = frames(&["typing that is under way", "kept", "kept too"]);
        assert_eq!(bench.waiting(&outbox), all[5..]);
        let owed = outbox.owed_bytes();
        outbox.took(&mut bench.arena, owed);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_cut_finishes_the_frame_under_way() {
        let (mut bench, mut outbox) = (Bench::new(), Outbox::default());
        bench.push(&mut outbox, "first", Class::Durable);
        bench.push(&mut outbox, "second", Class::Durable);
        bench.push(&mut outbox, "third", Class::Durable);
        outbox.took(&mut bench.arena, frames(&["first"]).len() + 3);
        outbox.cut(&mut bench.arena, b"CLOSE");
        let mut expected = frames(&["second"])[3..].to_vec();
        expected.extend_from_slice(b"CLOSE");
        assert_eq!(bench.waiting(&outbox), expected);

        let mut untouched = Outbox::default();
        bench.push(&mut untouched, "never begun", Class::Durable);
        untouched.cut(&mut bench.arena, b"CLOSE");
        assert_eq!(bench.waiting(&untouched), b"CLOSE");
    }

    #[test]
    fn an_outbox_is_small() {
        assert!(size_of::<Outbox>() <= 48, "{}", size_of::<Outbox>());
    }
}
