//! How messages are packed into frames, as an extension of the protocol may want it (RFC 6455 §9).

use std::borrow::Cow;

use super::deflate::{self, DEFLATE_BYTES_MIN, DEFLATE_FOR_ONE_BYTES_MIN, Window};

/// A way to pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Packing {
    /// As they are.
    #[default]
    Plain,
    /// Compressed, for clients that can look back so far.
    Deflated(Window),
}

impl Packing {
    /// Those whose frames differ, the usual one first.
    pub const ALL: &[Self] =
        &[Self::Plain, Self::Deflated(Window::Usual), Self::Deflated(Window::Small), Self::Deflated(Window::Least)];

    /// The place among [`Self::ALL`] of the one with the same frames.
    pub const fn index(self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Deflated(Window::Usual | Window::Full) => 1,
            Self::Deflated(Window::Small) => 2,
            Self::Deflated(Window::Least) => 3,
        }
    }

    /// Whole frames of a server, packed this way for all who listen. Control frames stay as they are: extensions leave them
    /// alone.
    pub fn pack(self, frames: &[u8]) -> Box<[u8]> {
        match self {
            Self::Plain => frames.into(),
            Self::Deflated(window) => deflate::packed(frames, window, DEFLATE_BYTES_MIN).into(),
        }
    }

    /// The same for one session alone: only what is long is compressed, and most is short.
    pub fn pack_for_one(self, frames: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Deflated(window) if frames.len() >= DEFLATE_FOR_ONE_BYTES_MIN => {
                deflate::packed(frames, window, DEFLATE_FOR_ONE_BYTES_MIN).into()
            }
            Self::Plain | Self::Deflated(_) => frames.into(),
        }
    }
}
