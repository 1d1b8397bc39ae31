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
    /// Something passing may be among the ranges.
    has_passing: bool,
}

impl Default for Outbox {
    fn default() -> Self {
        Self { head: Part::NONE, rest: None, debt: None, waiting_bytes: 0, has_passing: false }
    }
}

impl Outbox {
    /// Takes frames that were just appended.
    pub fn push(&mut self, appended: &mut Appended<'_>, class: Class) {
        let span = appended.span();
        self.waiting_bytes += span.to - span.from;
        self.has_passing |= class == Class::Ephemeral;
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
        self.has_passing = false;
        Ok(())
    }

    /// Whether something passing may be among the ranges that wait.
    pub fn has_passing(&self) -> bool {
        self.has_passing
    }

    /// Drops what is passing, except the frame under way: it is old by the time it would be read. Returns the number of ranges
    /// that were dropped, or shortened.
    ///
    /// # Errors
    /// When the frame under way has outlived its chunk: nothing may be sent, and the session must end.
    pub fn forget_passing(&mut self, arena: &mut Arena) -> Result<usize, Stale> {
        if !std::mem::take(&mut self.has_passing) {
            return Ok(0);
        }
        let mut dropped = 0;
        let Part { span, boundary, class } = self.head;
        if class == Class::Ephemeral && !span.is_empty() {
            let sent = (span.from - boundary) as usize;
            let frames = arena.bytes(span.starting_at(boundary)).inspect_err(|Stale| self.has_passing = true)?;
            let end = boundary + u32::try_from(frame_under_way(frames, sent).end).unwrap_or(u32::MAX);
            self.waiting_bytes -= span.to - end;
            self.head.span.to = end;
            dropped += usize::from(end < span.to);
        }
        if let Some(rest) = &mut self.rest {
            let before = rest.len();
            rest.retain(|part| {
                if part.class == Class::Ephemeral {
                    self.waiting_bytes -= part.span.to - part.span.from;
                    arena.release(part.span);
                }
                part.class == Class::Durable
            });
            dropped += before - rest.len();
            if rest.is_empty() {
                self.rest = None;
            }
        }
        if self.head.span.is_empty() && !span.is_empty() {
            arena.release(span);
            self.next_head();
        }
        Ok(dropped)
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
        self.has_passing = false;
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
mod tests;
