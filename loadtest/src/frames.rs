//! WebSocket bytes for a client: reads unmasked server frames, builds masked ones.

use crate::compression;

/// The mask of all our frames. A constant is legal for a load tester, costs the server as much as a random one, and
/// lets a sequence number be patched in place.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The bit of a compressed message.
pub const COMPRESSED: u8 = 0x40;

pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// One whole frame, borrowed from the receive buffer.
#[derive(Debug, PartialEq)]
pub struct Frame<'a> {
    pub opcode: u8,
    /// The payload is to be inflated.
    pub is_compressed: bool,
    pub payload: &'a [u8],
}

#[derive(Debug, PartialEq)]
pub enum Parsed<'a> {
    /// A frame, and the number of its bytes.
    Whole(Frame<'a>, usize),
    /// More bytes are needed.
    Partial,
    /// The server sent something that it must not.
    Broken(&'static str),
}

/// Parses the start of `bytes`; copies nothing.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else {
        return Parsed::Partial;
    };
    if second & 0x80 != 0 {
        return Parsed::Broken("a masked frame from the server");
    }
    let is_compressed = first & COMPRESSED != 0;
    if first & 0x30 != 0 || is_compressed && !compression::is_on() {
        return Parsed::Broken("reserved bits set");
    }
    if first & 0x80 == 0 || first & 0x0f == 0 {
        return Parsed::Broken("a fragmented message, which this tester does not read");
    }
    let (length, extended) = match second {
        126 => match rest.first_chunk() {
            Some(length) => (u64::from(u16::from_be_bytes(*length)), 2),
            None => return Parsed::Partial,
        },
        127 => match rest.first_chunk() {
            Some(length) => (u64::from_be_bytes(*length), 8),
            None => return Parsed::Partial,
        },
        short => (u64::from(short), 0),
    };
    let Ok(length) = usize::try_from(length) else {
        return Parsed::Broken("a length beyond this machine");
    };
    match rest[extended..].get(..length) {
        Some(payload) => {
            let opcode = first & 0x0f;
            Parsed::Whole(Frame { opcode, is_compressed, payload }, 2 + extended + length)
        }
        None => Parsed::Partial,
    }
}

/// A client frame around `payload`. Texts are compressed if the run is about that.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    if opcode == TEXT && compression::is_on() {
        return framed(0x80 | COMPRESSED | TEXT, &compression::deflated(payload));
    }
    framed(0x80 | opcode, payload)
}

/// A client frame with this first byte.
pub fn framed(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 14);
    out.push(first);
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..65536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let masked = payload.iter().enumerate().map(|(at, byte)| byte ^ MASK[at % 4]);
    out.extend(masked);
    out
}

/// A text frame built once, of which a few bytes change from message to message.
pub struct Stencil {
    payload: Vec<u8>,
    frame: Vec<u8>,
    header: usize,
    holes: Vec<usize>,
}

impl Stencil {
    /// `holes` are the positions in `payload` where the changing bytes start: the same in each.
    pub fn new(payload: &[u8], holes: &[usize]) -> Self {
        let frame = framed(0x80 | TEXT, payload);
        let header = frame.len() - payload.len();
        Self { payload: payload.to_vec(), frame, header, holes: holes.to_vec() }
    }

    /// Appends the frame with `bytes` in its holes.
    pub fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if compression::is_on() {
            self.holes.iter().for_each(|hole| self.payload[*hole..hole + bytes.len()].copy_from_slice(bytes));
            return out.extend_from_slice(&masked(TEXT, &self.payload));
        }
        for hole in &self.holes {
            for (at, byte) in bytes.iter().enumerate() {
                self.frame[self.header + hole + at] = byte ^ MASK[(hole + at) % 4];
            }
        }
        out.extend_from_slice(&self.frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            length @ 0..126 => frame.push(length as u8),
            length @ 126..65536 => {
                frame.push(126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    fn unmask(frame: &[u8], header: usize) -> Vec<u8> {
        let key = &frame[header - 4..header];
        let body = frame[header..].iter().enumerate();
        body.map(|(at, byte)| byte ^ key[at % 4]).collect()
    }

    #[test]
    fn frames_of_every_length_form_are_read_and_their_prefixes_are_partial() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![b'x'; length];
            let bytes = server_frame(TEXT, &payload);
            let Parsed::Whole(frame, used) = parse(&bytes) else {
                panic!("{length}: not whole");
            };
            assert_eq!((frame.payload.len(), used), (length, bytes.len()));
            for cut in [0, 1, 2, 3, bytes.len() / 2, bytes.len() - 1] {
                if cut < bytes.len() {
                    assert_eq!(parse(&bytes[..cut]), Parsed::Partial, "{length} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn several_frames_in_one_buffer_come_out_one_by_one() {
        let mut bytes = server_frame(TEXT, b"one");
        bytes.extend(server_frame(PING, b""));
        bytes.extend(server_frame(TEXT, b"three"));
        let mut at = 0;
        let mut seen = Vec::new();
        while let Parsed::Whole(frame, used) = parse(&bytes[at..]) {
            seen.push((frame.opcode, frame.payload.to_vec()));
            at += used;
        }
        let expected = [(TEXT, b"one".to_vec()), (PING, Vec::new()), (TEXT, b"three".to_vec())];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_a_server_must_not_send_is_broken() {
        for bytes in [[0x81, 0x80], [0xc1, 0x00], [0x01, 0x00], [0x80, 0x00]] {
            assert!(matches!(parse(&bytes), Parsed::Broken(_)), "{bytes:?}");
        }
    }

    #[test]
    fn a_stencil_changes_only_its_holes() {
        for holes in [&[0][..], &[3], &[9], &[1, 11]] {
            let mut stencil = Stencil::new(b"0123456789abcdef", holes);
            let mut out = Vec::new();
            stencil.put(b"HOLE", &mut out);
            let mut expected = b"0123456789abcdef".to_vec();
            holes.iter().for_each(|hole| expected[*hole..hole + 4].copy_from_slice(b"HOLE"));
            assert_eq!(unmask(&out, 6), expected);
        }
        assert_eq!(unmask(&masked(TEXT, &[7; 300]), 8), vec![7; 300]);
    }
}
