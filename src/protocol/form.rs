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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Form(u8);

const PACKINGS: usize = Packing::ALL.len();
#[expect(clippy::cast_possible_truncation, reason = "there are four")]
const PACKINGS_U8: u8 = PACKINGS as u8;

impl Form {
    /// How many there are.
    pub const COUNT: usize = Subprotocol::ALL.len() * PACKINGS;
    const OTHERS: usize = Self::COUNT - 1;

    /// That of `pregon.v1` without packing.
    #[expect(clippy::cast_possible_truncation, reason = "there are at most eight")]
    pub const V1: Self = Self((Subprotocol::V1 as usize * PACKINGS) as u8);
    /// That of a member who is given nothing yet: what comes is held for it. It is no form of frames.
    #[expect(clippy::cast_possible_truncation, reason = "there are at most eight")]
    pub const HELD: Self = Self(Self::COUNT as u8);

    /// That of a member who wants this form of `pregon.v1` and has been caught up, while publishers may still tell what it has.
    /// What has no place in the topic's order is given to it as to everybody. It is no form of frames either.
    #[must_use]
    pub fn caught(self) -> Self {
        debug_assert!(self.is_v1(), "others are never caught up");
        Self(Self::HELD.0 + 1 + self.0 % PACKINGS_U8)
    }

    /// Frames are made in it: it is neither [`Self::HELD`] nor [`Self::caught`].
    pub fn is_of_frames(self) -> bool {
        self < Self::HELD
    }

    /// Is it one of [`Self::caught`]?
    pub fn is_caught(self) -> bool {
        self > Self::HELD
    }

    /// The form of frames that is made for such a member: of one who is held, what is kept for it.
    #[must_use]
    pub fn wanted(self) -> Self {
        match self.0.checked_sub(Self::HELD.0) {
            None => self,
            Some(0) => Self::V1,
            Some(caught) => Self(Self::V1.0 + caught - 1),
        }
    }

    /// Is it one of `pregon.v1`?
    pub fn is_v1(self) -> bool {
        self.index() / PACKINGS == Subprotocol::V1 as usize
    }

    /// The form of a session.
    pub fn of(negotiation: Negotiation) -> Self {
        let Negotiation { subprotocol, packing } = negotiation;
        let index = subprotocol as usize * PACKINGS + packing.index();
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
    fn among_others(self) -> Option<usize> {
        self.index().checked_sub(1)
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
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let first = u8::try_from(rest.checked_ilog2().map(|_| rest.trailing_zeros())?).ok()?;
            rest &= rest - 1;
            Some(Form(first))
        })
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

/// Frames in each form besides the default, once they are made.
type Made = [OnceLock<Box<[u8]>>; Form::OTHERS];

/// The same frames in all forms, each made when it is first asked for. `B` holds those of the default form.
#[derive(Debug)]
pub struct FrameSet<B> {
    usual: B,
    also: Also,
    /// Most are wanted in the default form alone.
    others: OnceLock<Box<Made>>,
    /// What was made of it before it went anywhere.
    made_bytes: usize,
}

impl<B: AsRef<[u8]>> FrameSet<B> {
    /// Whole frames of the default form.
    pub fn new(usual: B) -> Self {
        Self { usual, also: Also::Nothing, others: OnceLock::new(), made_bytes: 0 }
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

    /// The same, with these forms made now: packing takes time that a shard has not.
    #[must_use]
    pub fn made_for(mut self, forms: Forms) -> Self {
        forms.iter().for_each(|form| _ = self.of(form));
        let made = self.others.get().into_iter().flat_map(|others| others.iter());
        self.made_bytes = made.filter_map(OnceLock::get).map(|frames| frames.len()).sum();
        self
    }

    /// Bytes that it came with. They stay the same while others make further forms.
    pub fn given_bytes(&self) -> usize {
        self.usual().len() + self.said().map_or(0, |said| said.frames.len()) + self.made_bytes
    }

    /// In the default form.
    pub fn usual(&self) -> &[u8] {
        self.usual.as_ref()
    }

    /// In this form.
    pub fn of(&self, form: Form) -> &[u8] {
        let Some(other) = form.among_others().filter(|other| *other < Form::OTHERS) else { return self.usual() };
        match (&self.also, form) {
            (Also::Said(said), Form::V1) => &said.frames,
            (Also::Nothing, form) if form.is_v1() => &[],
            _ => self.others.get_or_init(Box::default)[other].get_or_init(|| self.made(form)),
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
        let made = self.others.get().into_iter().flat_map(|others| others.iter());
        let made = made.filter_map(OnceLock::get).map(|frames| frames.len());
        self.usual().len() + made.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ws::close::CloseCode;
    use crate::protocol::ws::deflate::Window;
    use crate::protocol::ws::frame::{encode_close, encode_text};

    #[test]
    fn each_form_is_made_once_and_only_when_somebody_wants_it() {
        let mut frames = Vec::new();
        encode_text(b"uno", &mut frames);
        encode_text(&[b'x'; 1000], &mut frames);
        encode_close(CloseCode(1000), "", &mut frames);
        let set = FrameSet::new(frames);
        let packing = Packing::Deflated(Window::Usual);
        let deflated = Form::of(Negotiation { packing, ..Negotiation::default() });
        assert!(!deflated.is_v1() && Form::V1.is_v1() && !Form::HELD.is_v1() && !Form::V1.caught().is_v1());
        assert_eq!(set.of(Form::default()), set.usual());
        assert_eq!(set.held_bytes(), set.usual().len());
        let packed = set.of(deflated);
        assert!(packed.starts_with(b"\x81\x03uno\xc1") && packed.ends_with(b"\x88\x02\x03\xe8"));
        assert!(packed.len() < 40, "{} bytes", packed.len());
        assert!(std::ptr::eq(packed, set.of(deflated)), "the same bytes");
        assert_eq!(set.held_bytes(), set.usual().len() + packed.len());
        let both = Forms::default().with(deflated).with(Form::default());
        assert_eq!(set.bytes_of(both), set.held_bytes());
        assert_eq!(both.iter().collect::<Vec<_>>(), [Form::default(), deflated]);
        assert_eq!(set.given_bytes(), set.usual().len(), "what is made later does not count");
        let packed_bytes = packed.len();
        let early = FrameSet::new(set.usual().to_vec()).made_for(both);
        assert_eq!((early.given_bytes(), early.held_bytes()), (set.held_bytes(), set.held_bytes()));
        assert_eq!(early.of(deflated).len(), packed_bytes);
    }

    #[test]
    fn every_session_has_one_of_the_forms() {
        let windows = [Window::Usual, Window::Full, Window::Small, Window::Least].map(Packing::Deflated);
        for packing in windows.into_iter().chain([Packing::Plain]) {
            for subprotocol in Subprotocol::ALL.iter().copied() {
                let form = Form::of(Negotiation { subprotocol, packing });
                assert!(Form::all().any(|known| known == form) && form.is_v1() == (subprotocol == Subprotocol::V1));
                assert_eq!(packing.pack(b"\x81\x00"), form.pack(b"\x81\x00"));
            }
        }
    }
}
