//! The decoder: takes a client's byte stream, returns whole messages and control frames.

use std::ops::ControlFlow;

use super::close::{CloseCode, Violation, parse_close};
use super::deflate::Inflater;
use super::frame::{CLIENT_HEADER_BYTES_MAX, CONTROL_PAYLOAD_BYTES_MAX, ClientHeader, Opcode, parse_client_header};
use super::mask::unmask;
use super::utf8::{TextBuffer, whole_text};

/// The most frames of one message. Without this limit a message of empty fragments would never end.
pub const MESSAGE_FRAGMENTS_MAX: u32 = 65_536;

/// One item that a client sent. It is borrowed for the callback; the callback copies whatever it keeps.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole text message, valid UTF-8 (RFC 6455 §5.6).
    Text(&'a mut str),
    /// A whole binary message.
    Binary(&'a mut [u8]),
    /// A Ping. The caller answers with a Pong of the same payload, at most 125 bytes (§5.5.2).
    Ping(&'a [u8]),
    /// An answer to a Ping, or unsolicited (§5.5.3).
    Pong(&'a [u8]),
    /// The client's last frame, with its code if it gave one, and its reason (§5.5.1).
    Close(Option<CloseCode>, &'a str),
}

/// Decodes the bytes of one client, in pieces cut anywhere.
///
/// It owns heap memory only while a frame or message is partial. This memory grows with the bytes received, never with
/// an announced length.
#[derive(Debug, Default)]
pub struct Decoder {
    partial: Option<Box<Partial>>,
    ended: bool,
}

// One per connection, and most connections are idle.
const _: () = assert!(size_of::<Decoder>() <= 16);

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes all of `bytes`, unmasking them in place, and calls `on` for each whole message and control frame, in the
    /// order of the stream.
    ///
    /// The stream ends after a Close frame, after `on` breaks, and after a violation: all later bytes, of this call or
    /// another, are discarded (RFC 6455 §1.4, §7.1.7).
    ///
    /// # Errors
    ///
    /// The client's violation, found at the first byte that shows it, after `on` got everything before it: 1002 for
    /// framing (§5), 1007 for text that is not UTF-8 (§8.1), 1008 for more than [`MESSAGE_FRAGMENTS_MAX`] fragments,
    /// 1009 for a message of more than `message_bytes_max` bytes, judged from the headers; for a compressed one also those
    /// of [`Inflater::inflated`], found at its end.
    #[inline]
    pub fn decode(
        &mut self,
        bytes: &mut [u8],
        mut limits: Limits<'_>,
        mut on: impl FnMut(Incoming<'_>) -> ControlFlow<()>,
    ) -> Result<(), Violation> {
        if self.ended {
            return Ok(());
        }
        match self.decode_live(bytes, &mut limits, &mut on) {
            Ok(()) => Ok(()),
            Err(stop) => {
                self.end();
                match stop {
                    Stop::Done => Ok(()),
                    Stop::Broken(violation) => Err(violation),
                }
            }
        }
    }

    /// Ends the stream: what was partial is forgotten, and all later bytes are discarded.
    pub fn end(&mut self) {
        self.ended = true;
        self.partial = None;
    }

    /// Whether nothing is partial: no unfinished frame, and no message that waits for its next fragment.
    pub fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    /// Heap bytes held for partial frames and messages; 0 when idle.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.heap_bytes())
    }

    fn decode_live(&mut self, mut bytes: &mut [u8], limits: &mut Limits<'_>, on: On<'_>) -> Result<(), Stop> {
        while !bytes.is_empty() {
            if self.partial.is_none() {
                bytes = decode_whole(bytes, limits, on)?;
                if bytes.is_empty() {
                    break;
                }
            }
            let partial = self.partial.get_or_insert_default();
            bytes = partial.take(bytes, limits, on)?;
            if partial.is_done() {
                self.partial = None;
            }
        }
        Ok(())
    }
}

/// What a client may send.
#[derive(Debug)]
pub struct Limits<'a> {
    /// Bytes of a message, before and after inflating.
    pub message_bytes_max: usize,
    /// Inflates compressed messages, if compression was negotiated.
    pub inflater: Option<&'a mut Inflater>,
}

impl Limits<'_> {
    /// Messages of so many bytes, none of them compressed.
    pub fn plain(message_bytes_max: usize) -> Self {
        Self { message_bytes_max, inflater: None }
    }

    /// Inflates a whole message, and hands it on.
    fn hand_inflated(&mut self, opcode: Opcode, payload: &[u8], on: On<'_>) -> Result<(), Stop> {
        let Some(inflater) = &mut self.inflater else {
            unreachable!("a compressed header is a violation unless there is an inflater");
        };
        let message = inflater.inflated(payload, self.message_bytes_max)?;
        match opcode {
            Opcode::Text => hand(on, Incoming::Text(whole_text(message)?)),
            _ => hand(on, Incoming::Binary(message)),
        }
    }
}

type On<'a> = &'a mut dyn FnMut(Incoming<'_>) -> ControlFlow<()>;

/// Why the decoder reads no further.
enum Stop {
    /// A Close frame came, or the caller broke off.
    Done,
    Broken(Violation),
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Broken(violation)
    }
}

/// Hands one value on.
#[inline]
fn hand(on: On<'_>, incoming: Incoming<'_>) -> Result<(), Stop> {
    match on(incoming) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Stop::Done),
    }
}

/// The hot path: passes on single-frame messages and control frames straight from the read buffer. Returns the
/// remaining bytes, which start with anything else.
#[inline]
fn decode_whole<'b>(mut bytes: &'b mut [u8], limits: &mut Limits<'_>, on: On<'_>) -> Result<&'b mut [u8], Stop> {
    while let Some(header) = parse_client_header(bytes, limits.inflater.is_some())? {
        let whole = header.fin && header.opcode != Opcode::Continuation;
        let received = (bytes.len() - header.header_bytes) as u64;
        if !whole || header.payload_bytes > received {
            break;
        }
        // The cast is exact: the payload is not longer than `bytes`.
        let payload_bytes = header.payload_bytes as usize;
        if payload_bytes > limits.message_bytes_max && !header.opcode.is_control() {
            return Err(TOO_BIG.into());
        }
        let (frame, rest) = bytes.split_at_mut(header.header_bytes + payload_bytes);
        bytes = rest;
        let payload = &mut frame[header.header_bytes..];
        unmask(payload, header.key, 0);
        match header.opcode {
            opcode if header.is_compressed => limits.hand_inflated(opcode, payload, on)?,
            Opcode::Text => hand(on, Incoming::Text(whole_text(payload)?))?,
            Opcode::Binary => hand(on, Incoming::Binary(payload))?,
            _ => hand_control(on, header.opcode, payload)?,
        }
    }
    Ok(bytes)
}

fn hand_control(on: On<'_>, opcode: Opcode, payload: &[u8]) -> Result<(), Stop> {
    match opcode {
        Opcode::Ping => hand(on, Incoming::Ping(payload)),
        Opcode::Pong => hand(on, Incoming::Pong(payload)),
        _ => {
            let (code, reason) = parse_close(payload)?;
            hand(on, Incoming::Close(code, reason))?;
            Err(Stop::Done)
        }
    }
}

const TOO_BIG: Violation = Violation { code: CloseCode::TOO_BIG, reason: "a message above the size limit" };
const TOO_MANY_FRAGMENTS: Violation = Violation { code: CloseCode::POLICY, reason: "a message of too many fragments" };

/// The part that has arrived of a header, a frame, a message.
#[derive(Debug, Default)]
struct Partial {
    header: [u8; CLIENT_HEADER_BYTES_MAX],
    header_bytes: usize,
    frame: Option<Frame>,
    /// The payload of an unfinished control frame, which may stand between two fragments.
    control: Vec<u8>,
    message: Option<Message>,
}

/// A frame whose header has arrived.
#[derive(Debug)]
struct Frame {
    kind: FrameKind,
    key: [u8; 4],
    received: usize,
    payload_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum FrameKind {
    Control(Opcode),
    Data { fin: bool },
}

/// A message whose first header has arrived.
#[derive(Debug)]
struct Message {
    fragments: u32,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Text(TextBuffer),
    Binary(Vec<u8>),
    /// It is inflated at its end.
    Compressed(Opcode, Vec<u8>),
}

impl Partial {
    /// Takes bytes up to the end of the current frame, at most, and returns the rest.
    fn take<'b>(&mut self, mut bytes: &'b mut [u8], limits: &mut Limits<'_>, on: On<'_>) -> Result<&'b mut [u8], Stop> {
        if self.frame.is_none() {
            let taken = self.take_header(bytes, limits)?;
            bytes = &mut bytes[taken..];
        }
        // A frame without payload is complete with its header.
        let Some(frame) = &mut self.frame else {
            return Ok(bytes);
        };
        let missing = frame.payload_bytes - frame.received;
        let (part, rest) = bytes.split_at_mut(missing.min(bytes.len()));
        unmask(part, frame.key, frame.received);
        frame.received += part.len();
        let kind = frame.kind;
        let whole = frame.received == frame.payload_bytes;
        if whole {
            self.frame = None;
        }
        match kind {
            FrameKind::Control(opcode) => self.take_control(opcode, part, whole, on)?,
            FrameKind::Data { fin } => self.take_data(part, whole && fin, limits, on)?,
        }
        Ok(rest)
    }

    /// Takes bytes of a header, and opens its frame once the header is whole. Returns how many bytes it took.
    fn take_header(&mut self, bytes: &[u8], limits: &Limits<'_>) -> Result<usize, Violation> {
        let before = self.header_bytes;
        let copied = bytes.len().min(CLIENT_HEADER_BYTES_MAX - before);
        self.header[before..before + copied].copy_from_slice(&bytes[..copied]);
        match parse_client_header(&self.header[..before + copied], limits.inflater.is_some())? {
            Some(header) => {
                self.header_bytes = 0;
                self.open_frame(&header, limits.message_bytes_max)?;
                Ok(header.header_bytes - before)
            }
            None => {
                self.header_bytes += copied;
                Ok(copied)
            }
        }
    }

    /// Checks a frame's place in the message and the message's size, RFC 6455 §5.4.
    fn open_frame(&mut self, header: &ClientHeader, message_bytes_max: usize) -> Result<(), Violation> {
        let (kind, bytes_max) = if header.opcode.is_control() {
            (FrameKind::Control(header.opcode), CONTROL_PAYLOAD_BYTES_MAX)
        } else {
            let received = self.open_fragment(header.opcode, header.is_compressed)?;
            (FrameKind::Data { fin: header.fin }, message_bytes_max.saturating_sub(received))
        };
        let payload_bytes = usize::try_from(header.payload_bytes).map_err(|_| TOO_BIG)?;
        if payload_bytes > bytes_max {
            return Err(TOO_BIG);
        }
        self.frame = Some(Frame { kind, key: header.key, received: 0, payload_bytes });
        Ok(())
    }

    /// Begins a message, or counts its next fragment. Returns the message's bytes received so far.
    fn open_fragment(&mut self, opcode: Opcode, is_compressed: bool) -> Result<usize, Violation> {
        let data = match (opcode, &mut self.message) {
            (Opcode::Continuation, Some(message)) => {
                message.fragments += 1;
                if message.fragments > MESSAGE_FRAGMENTS_MAX {
                    return Err(TOO_MANY_FRAGMENTS);
                }
                return Ok(message.data.len());
            }
            (Opcode::Continuation, None) => {
                return Err(Violation::protocol("a continuation of no message"));
            }
            (_, Some(_)) => return Err(Violation::protocol("a message inside another")),
            (opcode, None) if is_compressed => Data::Compressed(opcode, Vec::new()),
            (Opcode::Text, None) => Data::Text(TextBuffer::default()),
            (_, None) => Data::Binary(Vec::new()),
        };
        self.message = Some(Message { fragments: 1, data });
        Ok(0)
    }

    fn take_control(&mut self, opcode: Opcode, part: &[u8], whole: bool, on: On<'_>) -> Result<(), Stop> {
        if whole && self.control.is_empty() {
            return hand_control(on, opcode, part);
        }
        self.control.extend_from_slice(part);
        if whole {
            let payload = std::mem::take(&mut self.control);
            hand_control(on, opcode, &payload)?;
        }
        Ok(())
    }

    fn take_data(&mut self, part: &[u8], whole: bool, limits: &mut Limits<'_>, on: On<'_>) -> Result<(), Stop> {
        let Some(message) = &mut self.message else {
            unreachable!("open_fragment began a message before any data frame");
        };
        message.data.append(part)?;
        if whole {
            match &mut message.data {
                Data::Text(text) => hand(on, Incoming::Text(text.finish()?))?,
                Data::Binary(bytes) => hand(on, Incoming::Binary(bytes))?,
                Data::Compressed(opcode, bytes) => limits.hand_inflated(*opcode, bytes, on)?,
            }
            self.message = None;
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.header_bytes == 0 && self.frame.is_none() && self.message.is_none()
    }

    fn heap_bytes(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.data.capacity());
        size_of::<Self>() + self.control.capacity() + message
    }
}

impl Data {
    fn append(&mut self, part: &[u8]) -> Result<(), Violation> {
        match self {
            Self::Text(text) => text.append(part),
            Self::Binary(bytes) | Self::Compressed(_, bytes) => {
                bytes.extend_from_slice(part);
                Ok(())
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Compressed(_, bytes) => bytes.len(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Binary(bytes) | Self::Compressed(_, bytes) => bytes.capacity(),
        }
    }
}

#[cfg(test)]
mod tests;
