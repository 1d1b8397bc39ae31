//! The forms in which one publication's frames may be wanted: what is said, and how it is packed.
//!
//! Sessions of one topic may have negotiated different forms. A frame is encoded once for each form that is listened to, whatever the
//! number of its listeners: by the publisher where it knows the forms, otherwise by the first shard that needs it.

use std::sync::OnceLock;

use super::v1::said::{Said, wrapped};
use super::ws::negotiation::{Negotiation, Subprotocol};
use super::ws::packing::Packing;
use crate::ids::Topic;

/// A subprotocol and a packing, as a session negotiated them. The default is what clients get that ask for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Form(u8);

const PACKINGS: usize = Packing::ALL.len();

impl Form {
    /// How many there are.
    pub const COUNT: usize = Subprotocol::ALL.len() * PACKINGS;
    /// How many there are besides the default.
    pub const OTHERS: usize = Self::COUNT - 1;
    /// There are others. While there are none, what tells them apart is compiled away.
    pub const ARE_MANY: bool = Self::COUNT > 1;

    /// That of `pregon.v1` without packing.
    #[expect(clippy::cast_possible_truncation, reason = "there are at most eight")]
    pub const V1: Self = Self((Subprotocol::V1 as usize * PACKINGS) as u8);
    /// That of a member who is given nothing yet: what comes is held for it. It is no form of frames.
    #[expect(clippy::cast_possible_truncation, reason = "there are at most eight")]
    pub const HELD: Self = Self(Self::COUNT as u8);
    /// That of a member who wants [`Self::V1`] and has been caught up, while publishers may still tell what it has. What has no
    /// place in the topic's order is given to it as to everybody. It is no form of frames either.
    #[expect(clippy::cast_possible_truncation, reason = "there are at most eight")]
    pub const CAUGHT: Self = Self(Self::COUNT as u8 + 1);
    /// How many places an array needs that also counts those who are [`Self::HELD`] or [`Self::CAUGHT`], and not the default.
    pub const PLACES: usize = Self::COUNT + 1;

    /// Is it one of `pregon.v1`?
    pub fn is_v1(self) -> bool {
        self.index() / PACKINGS == Subprotocol::V1 as usize
    }

    /// The form of a session.
    pub fn of(negotiation: Negotiation) -> Self {
        let Negotiation { subprotocol, packing } = negotiation;
        let index = subprotocol as usize * PACKINGS + packing as usize;
        Self(u8::try_from(index).unwrap_or(0))
    }

    /// All forms, the default first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).filter_map(|index| u8::try_from(index).ok().map(Self))
    }

    /// Its place in arrays with one entry for each form.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Its place in arrays with one entry for each form but the default; `None` for the default.
    pub fn among_others(self) -> Option<usize> {
        self.index().checked_sub(1).filter(|_| Self::ARE_MANY)
    }

    /// Whole frames that say what this form says, packed.
    pub fn pack(self, frames: &[u8]) -> Box<[u8]> {
        let packing = self.index().checked_rem(PACKINGS).and_then(|place| Packing::ALL.get(place));
        packing.copied().unwrap_or_default().pack(frames)
    }
}

// `Forms` has a bit for each.
const _: () = assert!(Form::COUNT <= 8);

/// Some forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forms(u8);

impl Forms {
    /// These and one more.
    #[must_use]
    pub fn with(self, form: Form) -> Self {
        Self(self.0 | 1 << form.0)
    }

    /// Is one of `pregon.v1` among them?
    pub fn has_v1(self) -> bool {
        self.iter().any(Form::is_v1)
    }

    /// Is it one of these?
    pub fn has(self, form: Form) -> bool {
        self.0 & (1 << form.0) != 0
    }

    /// Each of them, the default first.
    pub fn iter(self) -> impl Iterator<Item = Form> {
        Form::all().filter(move |form| self.has(*form))
    }
}

/// What clients of `pregon.v1` are told where others are told the usual frames.
#[derive(Debug, Default)]
pub enum Also {
    /// Nothing.
    #[default]
    Nothing,
    /// Something of its own.
    Said(Box<Said>),
    /// The same, as events of this topic.
    Wrapped(Topic),
}

/// The same frames in all forms, each made when it is first asked for. `B` holds those of the default form.
#[derive(Debug)]
pub struct FrameSet<B> {
    usual: B,
    also: Also,
    others: [OnceLock<Box<[u8]>>; Form::OTHERS],
}

impl<B: AsRef<[u8]>> FrameSet<B> {
    /// Whole frames of the default form.
    pub fn new(usual: B) -> Self {
        Self { usual, also: Also::Nothing, others: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// And what clients of `pregon.v1` are told.
    #[must_use]
    pub fn and(self, also: Also) -> Self {
        Self { also, ..self }
    }

    /// What is said in `pregon.v1`, with the place of each frame, if it has something of its own to say.
    pub fn said(&self) -> Option<&Said> {
        match &self.also {
            Also::Said(said) => Some(said),
            Also::Nothing | Also::Wrapped(_) => None,
        }
    }

    /// Nothing of it has a place in the topic's order: no reader can have had it before.
    pub fn is_passing(&self) -> bool {
        self.said().is_none()
    }

    /// Bytes that it was made with.
    pub fn given_bytes(&self) -> usize {
        self.usual().len() + self.said().map_or(0, |said| said.frames.len())
    }

    /// In the default form.
    pub fn usual(&self) -> &[u8] {
        self.usual.as_ref()
    }

    /// In this form.
    pub fn of(&self, form: Form) -> &[u8] {
        match form.among_others().and_then(|other| self.others.get(other)) {
            None => self.usual(),
            Some(_) if form == Form::V1 && self.said().is_some() => self.said().map_or(&[], |said| &said.frames),
            Some(made) => made.get_or_init(|| self.made(form)),
        }
    }

    fn made(&self, form: Form) -> Box<[u8]> {
        match &self.also {
            _ if !form.is_v1() => form.pack(self.usual()),
            Also::Nothing => Box::default(),
            Also::Said(said) => form.pack(&said.frames),
            Also::Wrapped(topic) => form.pack(&wrapped(*topic, self.usual())),
        }
    }

    /// Bytes in these forms together.
    pub fn bytes_of(&self, forms: Forms) -> usize {
        forms.iter().map(|form| self.of(form).len()).sum()
    }

    /// Memory of what is made so far, in bytes.
    #[cfg(test)]
    pub fn held_bytes(&self) -> usize {
        let made = self.others.iter().filter_map(OnceLock::get).map(|frames| frames.len());
        self.usual().len() + made.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ws::close::CloseCode;
    use crate::protocol::ws::frame::{encode_close, encode_text};

    #[test]
    fn each_form_is_made_once_and_only_when_somebody_wants_it() {
        let mut frames = Vec::new();
        encode_text(b"uno", &mut frames);
        encode_text(&[b'x'; 125], &mut frames);
        encode_close(CloseCode(1000), "", &mut frames);
        let set = FrameSet::new(frames);
        let spaced = Form::of(Negotiation { packing: Packing::Spaced, ..Negotiation::default() });
        assert!(!spaced.is_v1() && Form::V1.is_v1() && !Form::HELD.is_v1() && !Form::CAUGHT.is_v1());
        assert_eq!(set.of(Form::default()), set.usual());
        assert_eq!(set.held_bytes(), set.usual().len());
        let packed = set.of(spaced);
        assert!(packed.starts_with(b"\x81\x04uno \x81\x7e\x00\x7e") && packed.ends_with(b"x \x88\x02\x03\xe8"));
        assert!(std::ptr::eq(packed, set.of(spaced)), "the same bytes");
        assert_eq!(set.held_bytes(), set.usual().len() + packed.len());
        let both = Forms::default().with(spaced).with(Form::default());
        assert_eq!(set.bytes_of(both), set.held_bytes());
        assert_eq!(both.iter().collect::<Vec<_>>(), [Form::default(), spaced]);
    }
}
