//! The WebSocket codec against tungstenite, with byte streams cut anywhere, and with broken streams.

use std::io::{self, Read, Write};
use std::ops::ControlFlow;

use pregon::protocol::ws::frame::{begin_text, encode, encode_close};
use pregon::protocol::ws::mask::{unmask, unmask_plain};
use pregon::protocol::ws::{CloseCode, Decoder, Incoming, Limits, Opcode, Violation};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader};
use tungstenite::protocol::{Role, WebSocket};

const MESSAGE_BYTES_MAX: usize = 80_000;

/// An item of a stream, in either direction.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl From<Incoming<'_>> for Value {
    fn from(incoming: Incoming<'_>) -> Self {
        match incoming {
            Incoming::Text(text) => Self::Text(text.to_owned()),
            Incoming::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Incoming::Ping(payload) => Self::Ping(payload.to_vec()),
            Incoming::Pong(payload) => Self::Pong(payload.to_vec()),
            Incoming::Close(code, reason) => Self::Close(code.map(|code| code.0), reason.into()),
        }
    }
}

impl From<tungstenite::Message> for Value {
    fn from(message: tungstenite::Message) -> Self {
        match message {
            tungstenite::Message::Text(text) => Self::Text(text.as_str().to_owned()),
            tungstenite::Message::Binary(bytes) => Self::Binary(bytes.to_vec()),
            tungstenite::Message::Ping(payload) => Self::Ping(payload.to_vec()),
            tungstenite::Message::Pong(payload) => Self::Pong(payload.to_vec()),
            tungstenite::Message::Close(None) => Self::Close(None, String::new()),
            tungstenite::Message::Close(Some(close)) => {
                Self::Close(Some(close.code.into()), close.reason.as_str().to_owned())
            }
            tungstenite::Message::Frame(_) => unreachable!("never read"),
        }
    }
}

// The generated streams.

/// A message, the places at which it is fragmented, and the control frames between the fragments.
#[derive(Clone, Debug)]
struct Sent {
    value: Value,
    fragments: Vec<(Index, Option<Value>)>,
    key: [u8; 4],
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => vec(any::<char>(), 0..60).prop_map(String::from_iter),
        6 => vec(prop::char::range(' ', '~'), 0..400).prop_map(String::from_iter),
        // Around the step from 16-bit to 64-bit lengths.
        1 => (65_500..65_600_usize).prop_map(|length| "\u{e9}x".repeat(length / 3)),
    ]
}

fn data() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => text().prop_map(Value::Text),
        1 => vec(any::<u8>(), 0..300).prop_map(Value::Binary),
    ]
}

fn control() -> impl Strategy<Value = Value> {
    prop_oneof![vec(any::<u8>(), 0..=125).prop_map(Value::Ping), vec(any::<u8>(), 0..=125).prop_map(Value::Pong),]
}

fn close() -> impl Strategy<Value = Value> {
    let code = prop_oneof![Just(1000), Just(1001), Just(1011), 3000..5000_u16];
    prop_oneof![
        1 => Just(Value::Close(None, String::new())),
        3 => (code, vec(any::<char>(), 0..30))
            .prop_map(|(code, reason)| Value::Close(Some(code), String::from_iter(reason))),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let fragments = prop_oneof![Just(Vec::new()), vec((any::<Index>(), proptest::option::of(control())), 1..5),];
    let whole = prop_oneof![data(), control()];
    prop_oneof![
        (data(), fragments, any::<[u8; 4]>()).prop_map(|(value, fragments, key)| Sent { value, fragments, key }),
        (whole, any::<[u8; 4]>()).prop_map(|(value, key)| Sent { value, fragments: vec![], key }),
    ]
}

/// A stream of up to eight messages and perhaps a Close.
fn stream() -> impl Strategy<Value = (Vec<Sent>, Option<Value>)> {
    (vec(sent(), 0..8), proptest::option::of(close()))
}

/// Lengths of pieces, used in turn: single bytes, packets, whole buffers.
fn pieces() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1..4_usize, 1..200_usize, 1..100_000_usize], 1..12)
}

// Encoding and transport.

fn frame(opcode: OpCode, fin: bool, key: [u8; 4], payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { is_final: fin, opcode, mask: Some(key), ..FrameHeader::default() };
    Frame::from_payload(header, payload.to_vec().into()).format(out).expect("a Vec takes all");
}

/// Encodes a value with tungstenite, as a client does. `values` gets what a server must see, in order.
fn write_sent(sent: &Sent, out: &mut Vec<u8>, values: &mut Vec<Value>) {
    let (opcode, payload) = match &sent.value {
        Value::Text(text) => (Data::Text, text.as_bytes()),
        Value::Binary(bytes) => (Data::Binary, bytes.as_slice()),
        control => {
            write_control(control, sent.key, out);
            values.push(control.clone());
            return;
        }
    };
    let mut cuts: Vec<usize> = sent.fragments.iter().map(|(index, _)| index.index(payload.len() + 1)).collect();
    cuts.sort_unstable();
    let mut opcode = OpCode::Data(opcode);
    let mut start = 0;
    for (cut, (_, between)) in cuts.into_iter().zip(&sent.fragments) {
        frame(opcode, false, sent.key, &payload[start..cut], out);
        (opcode, start) = (OpCode::Data(Data::Continue), cut);
        if let Some(control) = between {
            write_control(control, sent.key, out);
            values.push(control.clone());
        }
    }
    frame(opcode, true, sent.key, &payload[start..], out);
    values.push(sent.value.clone());
}

fn write_control(value: &Value, key: [u8; 4], out: &mut Vec<u8>) {
    let mut frame = match value {
        Value::Ping(payload) => Frame::ping(payload.clone()),
        Value::Pong(payload) => Frame::pong(payload.clone()),
        Value::Close(code, reason) => {
            Frame::close(code.map(|code| CloseFrame { code: code.into(), reason: reason.clone().into() }))
        }
        data => unreachable!("{data:?} is no control frame"),
    };
    frame.header_mut().mask = Some(key);
    frame.format(out).expect("a Vec takes all");
}

fn write_stream(sent: &[Sent], close: Option<&Value>) -> (Vec<u8>, Vec<Value>) {
    let mut bytes = Vec::new();
    let mut values = Vec::new();
    for sent in sent {
        write_sent(sent, &mut bytes, &mut values);
    }
    if let Some(close) = close {
        write_control(close, [9, 8, 7, 6], &mut bytes);
        values.push(close.clone());
    }
    (bytes, values)
}

/// Cuts `bytes` into pieces of the given lengths, used in turn.
fn cut<'a>(mut bytes: &'a [u8], lengths: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    lengths.iter().cycle().map_while(move |length| {
        let (piece, rest) = bytes.split_at((*length).min(bytes.len()));
        bytes = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Everything that can be observed of a decoder at the end of a stream.
#[derive(Debug, PartialEq)]
struct Outcome {
    values: Vec<Value>,
    violation: Option<Violation>,
    idle: bool,
}

fn decode(bytes: &[u8], lengths: &[usize]) -> Outcome {
    let mut decoder = Decoder::new();
    let mut outcome = Outcome { values: Vec::new(), violation: None, idle: true };
    let mut fed = 0;
    for piece in cut(bytes, lengths) {
        let result = decoder.decode(&mut piece.to_vec(), Limits::plain(MESSAGE_BYTES_MAX), |incoming| {
            outcome.values.push(incoming.into());
            ControlFlow::Continue(())
        });
        if let Err(violation) = result {
            assert_eq!(outcome.violation.replace(violation), None, "violated twice");
        }
        fed += piece.len();
        assert_eq!(decoder.is_idle(), decoder.heap_bytes() == 0);
        assert!(decoder.heap_bytes() <= 400 + 2 * fed, "memory grows with what was received");
    }
    outcome.idle = decoder.is_idle();
    outcome
}

/// A socket that returns the server's bytes in pieces, and discards the client's.
struct Socket<'a, I: Iterator<Item = &'a [u8]>> {
    pieces: I,
    piece: &'a [u8],
}

impl<'a, I: Iterator<Item = &'a [u8]>> Read for Socket<'a, I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            self.piece = self.pieces.next().unwrap_or_default();
        }
        self.piece.read(buffer)
    }
}

impl<'a, I: Iterator<Item = &'a [u8]>> Write for Socket<'a, I> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A fault put into a stream.
#[derive(Clone, Debug)]
enum Fault {
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Fault::Flip(at, 1 << bit)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Fault::Insert(at, byte)),
        2 => any::<Index>().prop_map(Fault::Remove),
        1 => any::<Index>().prop_map(Fault::Truncate),
    ]
}

impl Fault {
    fn put(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        if length == 0 {
            return;
        }
        match self {
            Self::Flip(at, bit) => bytes[at.index(length)] ^= bit,
            Self::Insert(at, byte) => bytes.insert(at.index(length), *byte),
            Self::Remove(at) => drop(bytes.remove(at.index(length))),
            Self::Truncate(at) => bytes.truncate(at.index(length)),
        }
    }
}

/// Frames with any header, well-formed or not, in any order.
fn wild_frames() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop_oneof![8 => 0..3_u8, 4 => 8..11_u8, 1 => 0..16_u8];
    let reserved = prop_oneof![20 => Just(0), 1 => 0..8_u8];
    let masked = prop::bool::weighted(0.97);
    let payload = prop_oneof![
        3 => vec(any::<u8>(), 0..8),
        3 => vec(0x20..0x7f_u8, 0..200),
        1 => Just(vec![0x03, 0xe8]),
        1 => Just(vec![b'x'; 50_000]),
    ];
    let frame =
        (any::<bool>(), reserved, opcode, masked, payload).prop_map(|(fin, reserved, opcode, masked, payload)| {
            let header = FrameHeader {
                is_final: fin,
                rsv1: reserved & 4 != 0,
                rsv2: reserved & 2 != 0,
                rsv3: reserved & 1 != 0,
                opcode: opcode.into(),
                mask: masked.then_some([1, 2, 3, 4]),
            };
            let mut out = Vec::new();
            Frame::from_payload(header, payload.into()).format(&mut out).expect("a Vec takes all");
            out
        });
    vec(frame, 0..12).prop_map(|frames| frames.concat())
}

/// Streams that are more or less broken.
fn broken_stream() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => vec(any::<u8>(), 0..300),
        4 => wild_frames(),
        4 => (stream(), vec(fault(), 1..4)).prop_map(|((sent, close), faults)| {
            let (mut bytes, _) = write_stream(&sent, close.as_ref());
            faults.iter().for_each(|fault| fault.put(&mut bytes));
            bytes
        }),
    ]
}

/// Bytes that are mostly text.
fn almost_text() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        12 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
        6 => "[a-z ]{1,30}".prop_map(String::into_bytes),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => any::<char>().prop_map(|c| {
            let mut bytes = c.to_string().into_bytes();
            bytes.pop();
            bytes
        }),
    ];
    vec(part, 0..20).prop_map(|parts| parts.concat())
}

/// Index of the first byte after which no valid text can follow.
fn first_bad_byte(bytes: &[u8]) -> Option<usize> {
    (0..bytes.len()).find(|end| std::str::from_utf8(&bytes[..=*end]).is_err_and(|error| error.error_len().is_some()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn what_tungstenite_sends_is_read_however_it_is_cut(
        (sent, close) in stream(),
        lengths in pieces(),
    ) {
        let (bytes, values) = write_stream(&sent, close.as_ref());
        let outcome = decode(&bytes, &lengths);
        prop_assert_eq!(outcome, Outcome { values, violation: None, idle: true });
    }

    #[test]
    fn what_is_sent_is_read_by_tungstenite(
        values in vec(prop_oneof![3 => data(), 1 => control()], 0..10),
        close in close(),
        lengths in pieces(),
    ) {
        let mut bytes = Vec::new();
        for value in &values {
            match value {
                Value::Text(text) => {
                    let frame = begin_text(&mut bytes);
                    bytes.extend_from_slice(text.as_bytes());
                    frame.finish(&mut bytes);
                }
                Value::Binary(payload) => encode(Opcode::Binary, payload, &mut bytes),
                Value::Ping(payload) => encode(Opcode::Ping, payload, &mut bytes),
                Value::Pong(payload) => encode(Opcode::Pong, payload, &mut bytes),
                Value::Close(..) => unreachable!("not generated here"),
            }
        }
        match &close {
            Value::Close(Some(code), reason) => encode_close(CloseCode(*code), reason, &mut bytes),
            _ => encode(Opcode::Close, b"", &mut bytes),
        }
        let socket = Socket { pieces: cut(&bytes, &lengths), piece: &[] };
        let mut client = WebSocket::from_raw_socket(socket, Role::Client, None);
        for value in values.into_iter().chain([close]) {
            prop_assert_eq!(Value::from(client.read().expect("a valid stream")), value);
        }
        prop_assert!(client.read().is_err(), "nothing more was sent");
    }

    #[test]
    fn a_broken_stream_has_one_outcome_however_it_is_cut(
        bytes in broken_stream(),
        lengths in pieces(),
    ) {
        let whole = decode(&bytes, &[usize::MAX]);
        prop_assert_eq!(&whole, &decode(&bytes, &lengths));
        prop_assert_eq!(&whole, &decode(&bytes, &[1]));
    }

    #[test]
    fn bad_text_is_refused_at_its_first_bad_byte_however_it_is_cut(
        payload in almost_text(),
        fragments in vec(any::<Index>(), 0..4),
        lengths in pieces(),
    ) {
        let mut cuts: Vec<usize> =
            fragments.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(payload.len());
        // The position of each payload byte in the stream.
        let mut bytes = Vec::new();
        let mut places = Vec::new();
        let mut opcode = Data::Text;
        let mut start = 0;
        for (n, cut) in cuts.iter().enumerate() {
            let part = &payload[start..*cut];
            frame(OpCode::Data(opcode), n + 1 == cuts.len(), [5, 6, 7, 8], part, &mut bytes);
            places.extend(bytes.len() - part.len()..bytes.len());
            (opcode, start) = (Data::Continue, *cut);
        }
        let refused_at = match (first_bad_byte(&payload), std::str::from_utf8(&payload)) {
            (Some(bad), _) => Some(places[bad]),
            // Cut inside a character: noticed at the message's end.
            (None, Err(_)) => Some(bytes.len() - 1),
            (None, Ok(_)) => None,
        };
        let mut decoder = Decoder::new();
        let mut at = 0;
        for piece in cut(&bytes, &lengths) {
            let result = decoder.decode(&mut piece.to_vec(), Limits::plain(MESSAGE_BYTES_MAX), |_| {
                ControlFlow::Continue(())
            });
            let refused = refused_at.is_some_and(|bad| (at..at + piece.len()).contains(&bad));
            let expected = refused.then_some(CloseCode::INVALID_PAYLOAD);
            prop_assert_eq!(result.err().map(|violation| violation.code), expected);
            at += piece.len();
        }
        prop_assert!(decoder.is_idle());
    }

    #[test]
    fn fast_masking_equals_plain_masking(
        bytes in vec(any::<u8>(), 0..2000),
        at in any::<Index>(),
        key in any::<[u8; 4]>(),
        offset in 0..usize::MAX / 2,
    ) {
        let at = at.index(bytes.len() + 1);
        let mut fast = bytes.clone();
        let mut plain = bytes.clone();
        unmask(&mut fast[at..], key, offset);
        unmask_plain(&mut plain[at..], key, offset);
        prop_assert_eq!(&fast, &plain);
        unmask(&mut fast[at..], key, offset);
        prop_assert_eq!(fast, bytes);
    }
}
