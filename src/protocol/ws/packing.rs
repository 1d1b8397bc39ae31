//! How messages are packed into frames, as an extension of the protocol may want it (RFC 6455 §9).

/// A way to pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Packing {
    /// As they are.
    #[default]
    Plain,
    /// With a space behind each text. It stands for what an extension would do, so that the simulation has two ways.
    #[cfg(test)]
    Spaced,
}

impl Packing {
    /// All of them, the usual one first.
    pub const ALL: &[Self] = &[
        Self::Plain,
        #[cfg(test)]
        Self::Spaced,
    ];

    /// Whole frames of a server, packed this way. Control frames stay as they are: extensions leave them alone.
    pub fn pack(self, frames: &[u8]) -> Box<[u8]> {
        match self {
            Self::Plain => frames.into(),
            #[cfg(test)]
            Self::Spaced => spaced(frames),
        }
    }
}

#[cfg(test)]
fn spaced(mut frames: &[u8]) -> Box<[u8]> {
    use super::frame::encode_text;

    let mut packed = Vec::new();
    while let [first, length, ..] = *frames {
        let (header, payload) = match length {
            126 => (4, usize::from(u16::from_be_bytes([frames[2], frames[3]]))),
            127 => panic!("no test sends so much at once"),
            short => (2, usize::from(short)),
        };
        let (frame, rest) = frames.split_at(header + payload);
        if first & 0x0f == 1 {
            encode_text(&[&frame[header..], b" "].concat(), &mut packed);
        } else {
            packed.extend_from_slice(frame);
        }
        frames = rest;
    }
    packed.into()
}
