//! Frames of `pregon.v1` with the place of each, so that a reader who has had some of them is given the rest.

use std::sync::Arc;

use crate::domain::event::Cursor;
use crate::ids::Topic;
use crate::protocol::v0::event::text_frame;
use crate::protocol::v0::json;
use crate::protocol::v1::event::{Named, users};
use crate::protocol::v1::topic::Name;
use crate::protocol::ws::frame::payload_of_first;

/// Whole frames of one topic, and what each is.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whole frames.
    pub frames: Vec<u8>,
    /// Where each of them ends, in order.
    pub marks: Vec<Mark>,
    /// Users whom these frames name by numbers that listeners were told before. Who is not one of them yet has to be told.
    pub named: Vec<Arc<Named>>,
    /// When they were named.
    pub naming: Naming,
}

/// Tells an earlier use of a topic's names from a later one. Few thousand millions of uses lie between two that are compared.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Naming(pub u32);

impl Naming {
    /// Was this use later than the other one?
    pub fn is_behind(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() > 0
    }
}

/// Where a frame ends, and which event it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// One past its last byte.
    pub end: u32,
    /// Its event's place; `None` for a frame that everybody gets, such as one that names users.
    pub cursor: Option<Cursor>,
}

impl Said {
    /// Adds what `write` appends: one frame, or nothing.
    pub fn add(&mut self, cursor: Option<Cursor>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.frames.len();
        write(&mut self.frames);
        if self.frames.len() > start {
            self.mark(cursor);
        }
    }

    /// Adds frames that were said before.
    pub fn extend(&mut self, frames: &[u8], marks: &[Mark]) {
        let base = offset(self.frames.len());
        self.frames.extend_from_slice(frames);
        self.marks.extend(marks.iter().map(|mark| Mark { end: base + mark.end, ..*mark }));
    }

    /// Adds frames of a later publication of the same topic. What was named when these were begun counts for all of them.
    pub fn append(&mut self, other: &Self) {
        if self.is_empty() {
            self.naming = other.naming;
        }
        self.extend(&other.frames, &other.marks);
        for named in &other.named {
            if !self.named.iter().any(|known| known.number == named.number) {
                self.named.push(Arc::clone(named));
            }
        }
    }

    /// The frame that tells whom these frames name; nothing if all of them were new.
    pub fn names(&self, topic: Topic) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.named.is_empty() {
            users(&mut out, topic, self.named.iter().map(|named| &**named));
        }
        out
    }

    /// The frames that somebody still has to get who has had everything up to `cursor`.
    pub fn behind(&self, cursor: Cursor) -> Vec<u8> {
        behind(&self.frames, &self.marks, cursor)
    }

    /// Nothing was said.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    fn mark(&mut self, cursor: Option<Cursor>) {
        self.marks.push(Mark { end: offset(self.frames.len()), cursor });
    }
}

/// Those of some frames that somebody still has to get who has had everything up to `cursor`.
pub fn behind(frames: &[u8], marks: &[Mark], cursor: Cursor) -> Vec<u8> {
    let mut rest = Vec::new();
    let mut start = 0;
    for mark in marks {
        let end = mark.end as usize;
        if mark.cursor.is_none_or(|place| place > cursor) {
            rest.extend_from_slice(frames.get(start..end).unwrap_or_default());
        }
        start = end;
    }
    rest
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Frames of clients that name no subprotocol, each as an event of a topic: what they say has no place in the topic's order.
/// Frames that are no text stay as they are.
pub fn wrapped(topic: Topic, mut frames: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(frames.len() + 96);
    while let Some((payload, whole, rest)) = payload_of_first(frames) {
        match payload {
            Some(payload) => text_frame(&mut out, |out| {
                out.extend_from_slice(br#"{"type":"event","topic":"#);
                json::id(out, Name(topic));
                out.extend_from_slice(br#","event":"#);
                out.extend_from_slice(payload);
                out.push(b'}');
            }),
            None => out.extend_from_slice(whole),
        }
        frames = rest;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RoomId;

    fn place(seq: u64) -> Option<Cursor> {
        Some(Cursor { epoch: 1, seq })
    }

    #[test]
    fn who_has_had_some_is_given_the_rest_and_all_names() {
        let mut said = Said::default();
        said.add(None, |out| out.extend_from_slice(b"names "));
        said.add(place(4), |out| out.extend_from_slice(b"four "));
        said.add(place(5), |_| {});
        let mut later = Said::default();
        later.add(place(6), |out| out.extend_from_slice(b"six"));
        said.extend(&later.frames, &later.marks);
        assert_eq!(said.behind(Cursor { epoch: 1, seq: 3 }), b"names four six");
        assert_eq!(said.behind(Cursor { epoch: 1, seq: 5 }), b"names six");
        assert_eq!(said.behind(Cursor { epoch: 2, seq: 0 }), b"names ");
    }

    #[test]
    fn frames_are_wrapped_one_by_one() {
        let topic = Topic::Room(RoomId(uuid::Uuid::nil()));
        let mut frames = Vec::new();
        for payload in [r#"{"type":"a"}"#.to_owned(), format!(r#"{{"type":"{}"}}"#, "b".repeat(300))] {
            text_frame(&mut frames, |out| out.extend_from_slice(payload.as_bytes()));
        }
        let wrapped = wrapped(topic, &frames);
        let (first, _, rest) = payload_of_first(&wrapped).unwrap();
        let zeros = "0".repeat(32);
        assert_eq!(
            first.unwrap(),
            format!(r#"{{"type":"event","topic":"room:{zeros}","event":{{"type":"a"}}}}"#).as_bytes()
        );
        let (second, _, rest) = payload_of_first(rest).unwrap();
        assert!(second.unwrap().ends_with(b"bbb\"}}") && rest.is_empty());
    }
}
