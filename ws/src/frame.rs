//! The frame layout of RFC 6455 §5.2: reads clients' headers, writes the server's frames.

use super::close::{CloseCode, Violation};

/// The longest payload of a control frame, RFC 6455 §5.5, in bytes.
pub const CONTROL_PAYLOAD_BYTES_MAX: usize = 125;

/// The longest header a client can send: two bytes, a 64-bit length, the masking key.
pub(crate) const CLIENT_HEADER_BYTES_MAX: usize = 14;

const FIN: u8 = 0x80;
/// RSV1 of a message's first frame: the message is compressed (RFC 7692 §6).
pub(crate) const COMPRESSED: u8 = 0x40;
/// RSV2 and RSV3, to which nothing gives a meaning.
const RESERVED: u8 = 0x30;
const MASKED: u8 = 0x80;
/// The length bits that announce a 16-bit length after them.
const LENGTH_16: u8 = 126;
/// The length bits that announce a 64-bit length after them.
const LENGTH_64: u8 = 127;

/// The kind of a frame, RFC 6455 §5.2. Reserved numbers have no variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation = 0x0,
    /// A message of UTF-8 text, or its first fragment.
    Text = 0x1,
    /// A message of bytes, or its first fragment.
    Binary = 0x2,
    /// The sender's last frame.
    Close = 0x8,
    /// Asks for a Pong with the same payload.
    Ping = 0x9,
    /// Answers a Ping, or comes unsolicited.
    Pong = 0xa,
}

impl Opcode {
    /// Whether this is a control frame: whole, at most 125 bytes, allowed between fragments.
    #[inline]
    pub fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }

    #[inline]
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }
}

/// The well-formed header of a client's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientHeader {
    /// Whether the message ends with this frame.
    pub(crate) fin: bool,
    /// Whether the message that begins here is compressed.
    pub(crate) is_compressed: bool,
    pub(crate) opcode: Opcode,
    pub(crate) key: [u8; 4],
    /// As announced. It has not been checked against any limit yet.
    pub(crate) payload_bytes: u64,
    /// 6, 8 or 14.
    pub(crate) header_bytes: usize,
}

/// Reads the header at the start of `bytes`; `None` while it has not arrived whole.
///
/// Faults are found in the order of the bytes, so that the answer does not depend on how many bytes
/// follow.
///
/// # Errors
///
/// 1002 for reserved bits and opcodes, fragmented or long control frames, an unmasked frame
/// (RFC 6455 §5.1), a length that is not minimal or has its highest bit set (§5.2).
#[inline]
pub(crate) fn parse_client_header(bytes: &[u8], may_be_compressed: bool) -> Result<Option<ClientHeader>, Violation> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let opcode = judge_first_byte(first, may_be_compressed)?;
    let Some((&second, rest)) = rest.split_first() else {
        return Ok(None);
    };
    if second & MASKED == 0 {
        return Err(Violation::protocol("a client frame without mask"));
    }
    let length = second & !MASKED;
    if opcode.is_control() && length >= LENGTH_16 {
        return Err(Violation::protocol("a control frame of more than 125 bytes"));
    }
    let Some((payload_bytes, rest)) = parse_length(length, rest)? else {
        return Ok(None);
    };
    let Some((&key, rest)) = rest.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let header_bytes = bytes.len() - rest.len();
    let (fin, is_compressed) = (first & FIN != 0, first & COMPRESSED != 0);
    Ok(Some(ClientHeader { fin, is_compressed, opcode, key, payload_bytes, header_bytes }))
}

/// The only place that judges RSV bits.
#[inline]
fn judge_first_byte(first: u8, may_be_compressed: bool) -> Result<Opcode, Violation> {
    if first & RESERVED != 0 || first & COMPRESSED != 0 && !may_be_compressed {
        return Err(Violation::protocol("a reserved bit is set"));
    }
    let Some(opcode) = Opcode::from_bits(first & 0x0f) else {
        return Err(Violation::protocol("a reserved opcode"));
    };
    if first & COMPRESSED != 0 && !matches!(opcode, Opcode::Text | Opcode::Binary) {
        return Err(Violation::protocol("a compressed frame that begins no message"));
    }
    if opcode.is_control() && first & FIN == 0 {
        return Err(Violation::protocol("a fragmented control frame"));
    }
    Ok(opcode)
}

/// The payload length, from its seven bits and the bytes after them, and the remaining bytes.
#[inline]
fn parse_length(length: u8, bytes: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    const NOT_MINIMAL: Violation = Violation::protocol("a length that is not minimal");
    match length {
        LENGTH_16 => {
            let Some((length, rest)) = bytes.split_first_chunk::<2>() else {
                return Ok(None);
            };
            let length = u64::from(u16::from_be_bytes(*length));
            if length < u64::from(LENGTH_16) {
                return Err(NOT_MINIMAL);
            }
            Ok(Some((length, rest)))
        }
        LENGTH_64 => {
            let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
                return Ok(None);
            };
            let length = u64::from_be_bytes(*length);
            if length > i64::MAX as u64 {
                return Err(Violation::protocol("a length with its highest bit set"));
            }
            if length <= u64::from(u16::MAX) {
                return Err(NOT_MINIMAL);
            }
            Ok(Some((length, rest)))
        }
        length => Ok(Some((u64::from(length), bytes))),
    }
}

/// Appends a whole text frame, unmasked as a server's frames are (RFC 6455 §5.1), with a header of
/// 2, 4 or 10 bytes. The payload must be UTF-8.
#[inline]
pub fn encode_text(payload: &[u8], out: &mut Vec<u8>) {
    encode(Opcode::Text, payload, out);
}

/// Appends a whole frame of any kind except a continuation, because the server does not fragment.
///
/// # Panics
///
/// If a control frame's payload exceeds [`CONTROL_PAYLOAD_BYTES_MAX`].
pub fn encode(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    debug_assert_ne!(opcode, Opcode::Continuation, "the server does not fragment");
    assert!(
        !opcode.is_control() || payload.len() <= CONTROL_PAYLOAD_BYTES_MAX,
        "a control frame of {} bytes",
        payload.len()
    );
    encode_with(0, opcode, payload, out);
}

/// As [`encode`], with these RSV bits.
pub(crate) fn encode_with(bits: u8, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    let header = ServerHeader::new(opcode, payload.len());
    out.reserve(header.as_bytes().len() + payload.len());
    let start = out.len();
    out.extend_from_slice(header.as_bytes());
    out[start] |= bits;
    out.extend_from_slice(payload);
}

/// Appends a Ping, RFC 6455 §5.5.2.
///
/// # Panics
///
/// If the payload exceeds [`CONTROL_PAYLOAD_BYTES_MAX`].
pub fn encode_ping(payload: &[u8], out: &mut Vec<u8>) {
    encode(Opcode::Ping, payload, out);
}

/// Appends a Pong, RFC 6455 §5.5.3; the payload of a received Ping always fits.
///
/// # Panics
///
/// If the payload exceeds [`CONTROL_PAYLOAD_BYTES_MAX`].
pub fn encode_pong(payload: &[u8], out: &mut Vec<u8>) {
    encode(Opcode::Pong, payload, out);
}

/// Appends a Close frame, RFC 6455 §5.5.1. A reason of more than 123 bytes is cut at a character. (For a Close without
/// a code call `encode(Opcode::Close, b"", out)`.)
pub fn encode_close(code: CloseCode, reason: &str, out: &mut Vec<u8>) {
    debug_assert!(code.may_be_received(), "close code {code} must not be sent");
    let reason = &reason[..reason.floor_char_boundary(CONTROL_PAYLOAD_BYTES_MAX - 2)];
    let header = ServerHeader::new(Opcode::Close, 2 + reason.len());
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Space that [`begin_text`] leaves for the header: that of payloads from 126 to 65,535 bytes, which most events have.
/// `finish` moves other payloads by a few bytes.
const HEADER_BYTES_LIKELY: usize = 4;

/// A text frame whose payload is being written to the end of a buffer.
#[derive(Debug)]
#[must_use = "the frame has no header before `finish`"]
pub struct UnfinishedText {
    start: usize,
}

/// Begins a text frame whose payload is written straight to the end of `out`, for payloads whose length is not known
/// beforehand. To abandon the frame instead of finishing it, truncate `out` to its earlier length.
pub fn begin_text(out: &mut Vec<u8>) -> UnfinishedText {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES_LIKELY]);
    UnfinishedText { start }
}

impl UnfinishedText {
    /// Ends the frame: everything in `out` after its beginning is the payload, which must be UTF-8. The header is
    /// written directly before it; payloads below 126 bytes or above 65,535 are moved for that.
    ///
    /// # Panics
    ///
    /// If `out` is shorter than when the frame was begun.
    pub fn finish(self, out: &mut Vec<u8>) {
        let payload_at = self.start + HEADER_BYTES_LIKELY;
        assert!(out.len() >= payload_at, "the buffer lost the frame's beginning");
        let header = ServerHeader::new(Opcode::Text, out.len() - payload_at);
        // `splice` moves the payload only if the header's length differs from 4.
        out.splice(self.start..payload_at, header.as_bytes().iter().copied());
    }
}

/// The first frame boundary at or after `position`; `None` if the buffer ends before it. The buffer holds whole server
/// (unmasked) frames and starts at a boundary. A writer that stopped at `position` uses it to finish the frame under
/// way. The time grows with the number of frames before `position`.
pub fn frame_boundary_at_or_after(frames: &[u8], position: usize) -> Option<usize> {
    let mut boundary = 0;
    while boundary < position {
        boundary = boundary.checked_add(server_frame_bytes(frames.get(boundary..)?)?)?;
    }
    (boundary <= frames.len()).then_some(boundary)
}

/// The length in bytes of the server frame that starts `bytes`; `None` if the header is cut.
fn server_frame_bytes(bytes: &[u8]) -> Option<usize> {
    let (&[_, second], rest) = bytes.split_first_chunk::<2>()?;
    debug_assert_eq!(second & MASKED, 0, "a server frame is never masked");
    Some(match second & !MASKED {
        LENGTH_16 => 4 + usize::from(u16::from_be_bytes(*rest.first_chunk()?)),
        LENGTH_64 => {
            let payload_bytes = u64::from_be_bytes(*rest.first_chunk()?);
            usize::try_from(payload_bytes).ok()?.checked_add(10)?
        }
        length => 2 + usize::from(length),
    })
}

/// The header of a whole, unmasked frame.
struct ServerHeader {
    bytes: [u8; 10],
    header_bytes: u8,
}

impl ServerHeader {
    #[inline]
    fn new(opcode: Opcode, payload_bytes: usize) -> Self {
        let mut bytes = [0; 10];
        bytes[0] = FIN | opcode as u8;
        let header_bytes = if payload_bytes < usize::from(LENGTH_16) {
            bytes[1] = payload_bytes as u8;
            2
        } else if let Ok(length) = u16::try_from(payload_bytes) {
            bytes[1] = LENGTH_16;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            4
        } else {
            bytes[1] = LENGTH_64;
            bytes[2..10].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
            10
        };
        Self { bytes, header_bytes }
    }

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.header_bytes)]
    }
}

/// The first of some frames: its payload if it is a text that is not compressed, the frame itself, and the frames behind it.
pub type First<'a> = (Option<&'a [u8]>, &'a [u8], &'a [u8]);

/// The first of a server's whole frames; `None` at the end.
pub fn payload_of_first(frames: &[u8]) -> Option<First<'_>> {
    let (message, whole, rest) = first_message(frames)?;
    Some((message.filter(|(opcode, _)| *opcode == Opcode::Text).map(|(_, payload)| payload), whole, rest))
}

/// Whether these bytes are whole frames of a server, each a text message in one piece, not compressed, and nothing else. What
/// comes from elsewhere is looked at before it is sent on.
pub fn are_whole_texts(mut frames: &[u8]) -> bool {
    while !frames.is_empty() {
        let Some((Some(text), whole, rest)) = payload_of_first(frames) else { return false };
        // Neither masked nor with a longer length than it needs.
        let header = ServerHeader::new(Opcode::Text, text.len());
        if !whole.starts_with(header.as_bytes()) || simdutf8::basic::from_utf8(text).is_err() {
            return false;
        }
        frames = rest;
    }
    true
}

/// The first of some frames: what it is and its payload if it is a message that is not compressed, the frame itself, and the
/// frames behind it.
pub(crate) type FirstMessage<'a> = (Option<(Opcode, &'a [u8])>, &'a [u8], &'a [u8]);

/// The same for binary messages, too.
pub(crate) fn first_message(frames: &[u8]) -> Option<FirstMessage<'_>> {
    let (&first, &length) = (frames.first()?, frames.get(1)?);
    let (header, payload) = match length {
        LENGTH_16 => (4, usize::from(u16::from_be_bytes(*frames.get(2..)?.first_chunk()?))),
        LENGTH_64 => (10, usize::try_from(u64::from_be_bytes(*frames.get(2..)?.first_chunk()?)).ok()?),
        short => (2, usize::from(short)),
    };
    let (whole, rest) = frames.split_at_checked(payload.checked_add(header)?)?;
    // One that is compressed has another bit.
    let is_it = |opcode: &Opcode| first == FIN | *opcode as u8;
    let opcode = [Opcode::Text, Opcode::Binary].into_iter().find(is_it);
    Some((opcode.map(|opcode| (opcode, &whole[header..])), whole, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bytes: &[u8]) -> Result<Option<ClientHeader>, CloseCode> {
        parse_client_header(bytes, false).map_err(|violation| violation.code)
    }

    /// A masked header with the given length bytes and key 1, 2, 3, 4.
    fn masked(first: u8, length: &[u8]) -> Vec<u8> {
        let mut bytes = [&[first], length, &[1, 2, 3, 4]].concat();
        bytes[1] |= MASKED;
        bytes
    }

    #[test]
    fn headers_of_each_length_are_read() {
        let cases: [(&[u8], u64, usize); 6] = [
            (&[0], 0, 6),
            (&[125], 125, 6),
            (&[126, 0, 126], 126, 8),
            (&[126, 0xff, 0xff], 65_535, 8),
            (&[127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536, 14),
            (&[127, 0x7f, 255, 255, 255, 255, 255, 255, 255], i64::MAX as u64, 14),
        ];
        for (length, payload_bytes, header_bytes) in cases {
            let mut bytes = masked(0x81, length);
            bytes.extend_from_slice(b"payload");
            let expected = ClientHeader {
                fin: true,
                is_compressed: false,
                opcode: Opcode::Text,
                key: [1, 2, 3, 4],
                payload_bytes,
                header_bytes,
            };
            assert_eq!(header(&bytes), Ok(Some(expected)));
            for end in 0..header_bytes {
                assert_eq!(header(&bytes[..end]), Ok(None), "cut at {end}");
            }
        }
    }

    #[test]
    fn fin_and_opcode_are_read() {
        let opcodes = [
            (0x0, Opcode::Continuation),
            (0x1, Opcode::Text),
            (0x2, Opcode::Binary),
            (0x8, Opcode::Close),
            (0x9, Opcode::Ping),
            (0xa, Opcode::Pong),
        ];
        for (bits, opcode) in opcodes {
            let fin = [true, false];
            for fin in fin.into_iter().filter(|fin| *fin || !opcode.is_control()) {
                let first = if fin { FIN | bits } else { bits };
                let parsed = header(&masked(first, &[5])).ok().flatten();
                assert_eq!(parsed.map(|h| (h.fin, h.opcode)), Some((fin, opcode)));
            }
        }
    }

    #[test]
    fn each_malformed_header_is_refused_as_soon_as_it_can_be_seen() {
        let cases: [(&[u8], &str); 14] = [
            (&[0xc1], "RSV1"),
            (&[0xa1], "RSV2"),
            (&[0x91], "RSV3"),
            (&[0x83], "reserved data opcode"),
            (&[0x87], "reserved data opcode"),
            (&[0x8b], "reserved control opcode"),
            (&[0x8f], "reserved control opcode"),
            (&[0x08], "fragmented Close"),
            (&[0x09], "fragmented Ping"),
            (&[0x81, 0x05], "no mask"),
            (&[0x89, 0xfe], "long Ping"),
            (&[0x81, 0xfe, 0, 125], "125 in 16 bits"),
            (&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff], "65,535 in 64 bits"),
            (&[0x82, 0xff, 0x80, 0, 0, 0, 0, 1, 0, 0], "highest bit"),
        ];
        for (bytes, name) in cases {
            assert_eq!(header(bytes), Err(CloseCode::PROTOCOL_ERROR), "{name}");
            assert_eq!(header(&bytes[..bytes.len() - 1]), Ok(None), "{name}");
            let followed = [bytes, &[0xff; 20]].concat();
            assert_eq!(parse_client_header(&followed, false), parse_client_header(bytes, false), "{name}");
        }
    }

    #[test]
    fn whole_texts_are_told_from_anything_else() {
        let mut frames = Vec::new();
        for payload in ["", "hola", &"x".repeat(126), &"ñ".repeat(40_000)] {
            let before = frames.len();
            encode_text(payload.as_bytes(), &mut frames);
            assert!(are_whole_texts(&frames));
            assert!((before + 1..frames.len()).rev().take(300).all(|cut| !are_whole_texts(&frames[..cut])));
        }
        assert!(are_whole_texts(b""));
        let masked = [&[0x81, 0x80 | 1, 1, 2, 3, 4, b'a' ^ 1][..], &[b'x'; 129]].concat();
        assert!(!are_whole_texts(&masked[..131]));
        let huge = [0x81, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0];
        for bad in [
            &b"\x81"[..],
            b"\x81\x01\xff",
            b"\x01\x01a",
            b"\xc1\x01a",
            b"\x82\x01a",
            b"\x89\x00",
            b"\x88\x02\x03\xe8",
            b"\x81\x81abcda",
            b"\x81\x7e\x00\x01a",
            b"\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x01a",
            b"\x81\x01a\x81\x02a",
            &huge,
        ] {
            assert!(!are_whole_texts(bad), "{bad:x?}");
            // Whatever it claims to be, nobody reads beyond its end.
            let _ = payload_of_first(bad);
        }
    }

    #[test]
    fn frames_of_rfc_6455_5_7_are_written() {
        let mut out = Vec::new();
        encode_text(b"Hello", &mut out);
        assert_eq!(out, b"\x81\x05Hello");
        out.clear();
        encode_ping(b"Hello", &mut out);
        assert_eq!(out, b"\x89\x05Hello");
        out.clear();
        encode_pong(b"Hello", &mut out);
        assert_eq!(out, b"\x8a\x05Hello");
        out.clear();
        encode(Opcode::Binary, &[7; 256], &mut out);
        assert_eq!(out[..4], [0x82, 0x7e, 0x01, 0x00]);
        assert_eq!(out[4..], [7; 256]);
        out.clear();
        encode(Opcode::Binary, &vec![7; 65_536], &mut out);
        assert_eq!(out[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(out.len(), 10 + 65_536);
    }

    #[test]
    fn a_close_carries_code_and_reason_and_is_cut_at_a_character() {
        let mut out = Vec::new();
        encode_close(CloseCode::NORMAL, "bye", &mut out);
        assert_eq!(out, b"\x88\x05\x03\xe8bye");
        out.clear();
        // 122 bytes, then a character of two: 124 do not fit, and half a character may not be sent.
        let long = format!("{}\u{e9}", "x".repeat(122));
        encode_close(CloseCode::GOING_AWAY, &long, &mut out);
        assert_eq!(out[..4], [0x88, 124, 0x03, 0xe9]);
        assert_eq!(out[4..], [b'x'; 122]);
    }

    #[test]
    #[should_panic(expected = "a control frame of 126 bytes")]
    fn a_control_frame_of_126_bytes_is_not_written() {
        encode_ping(&[0; 126], &mut Vec::new());
    }

    #[test]
    fn a_frame_written_in_place_equals_a_copied_one() {
        for length in [0, 1, 5, 125, 126, 127, 1400, 65_535, 65_536, 70_000] {
            let payload: Vec<u8> = (0..length).map(|i| b'a' + (i % 26) as u8).collect();
            let mut copied = b"before".to_vec();
            encode_text(&payload, &mut copied);
            let mut in_place = b"before".to_vec();
            let frame = begin_text(&mut in_place);
            in_place.extend_from_slice(&payload);
            frame.finish(&mut in_place);
            assert!(copied == in_place, "payload of {length} bytes");
        }
    }

    #[test]
    fn boundaries_are_found_at_or_after_each_position() {
        let mut frames = Vec::new();
        let mut boundaries = vec![0];
        for length in [5, 0, 300, 125, 66_000, 3] {
            encode_text(&vec![b'x'; length], &mut frames);
            boundaries.push(frames.len());
        }
        for position in 0..=frames.len() {
            let expected = boundaries.iter().copied().find(|boundary| *boundary >= position);
            assert_eq!(frame_boundary_at_or_after(&frames, position), expected);
        }
        assert_eq!(frame_boundary_at_or_after(&frames, frames.len() + 1), None);
    }

    #[test]
    fn a_cut_last_frame_has_no_boundary() {
        let mut frames = Vec::new();
        encode_text(b"first", &mut frames);
        let first = frames.len();
        for length in [5, 300, 66_000] {
            frames.truncate(first);
            encode_text(&vec![b'x'; length], &mut frames);
            for end in (first + 1..frames.len()).step_by(1 + length / 100) {
                assert_eq!(frame_boundary_at_or_after(&frames[..end], first), Some(first));
                assert_eq!(frame_boundary_at_or_after(&frames[..end], first + 1), None, "{end}");
            }
        }
        assert_eq!(frame_boundary_at_or_after(b"", 0), Some(0));
        assert_eq!(frame_boundary_at_or_after(b"", 1), None);
    }
}
