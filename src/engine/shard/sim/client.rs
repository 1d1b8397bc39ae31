//! What simulated clients say: real masked frames, split anywhere, and the meaning of each.

use rand::Rng;
use rand::rngs::StdRng;

/// What a client has said when a piece of its bytes has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Signal {
        number: u64,
        data: String,
        echo: bool,
    },
    Typing(bool),
    /// An application's ping, with its timestamp.
    Ping(String),
    /// A protocol ping.
    ProtocolPing(Vec<u8>),
    ProtocolPong,
    /// Something that is to be stored.
    Write,
    /// No JSON.
    Nonsense,
    Binary,
    Close(u16),
    /// Bytes that are no frame, and the close frame with which the session ends.
    Violation(Vec<u8>),
}

/// The bytes of one read, and what the client has said when they have come.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub bytes: Vec<u8>,
    pub said: Vec<Said>,
}

/// A text as clients send it that may compress it: in one frame or several.
fn text(random: &mut StdRng, text: &str, may_deflate: bool, out: &mut Vec<u8>) {
    let deflated;
    let (mut first, payload) = if may_deflate && random.random_bool(0.7) {
        deflated = deflate(text.as_bytes());
        (0x41, &deflated[..])
    } else {
        (0x01, text.as_bytes())
    };
    let mut rest = payload;
    while may_deflate && random.random_bool(0.2) {
        let (part, behind) = rest.split_at(random.random_range(0..=rest.len()));
        masked(random, std::mem::take(&mut first), part, out);
        rest = behind;
    }
    masked(random, 0x80 | first, rest, out);
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut stream = flate2::Compress::new(flate2::Compression::new(6), false);
    let mut out = Vec::with_capacity(text.len() + 64);
    stream.compress_vec(text, &mut out, flate2::FlushCompress::Sync).expect("it has room");
    out.truncate(out.len() - 4);
    out
}

/// A frame as clients send them, with its first byte.
fn masked(random: &mut StdRng, first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match payload.len() {
        short @ ..126 => out.push(0x80 | u8::try_from(short).expect("below 126")),
        long => {
            out.push(0x80 | 126);
            out.extend_from_slice(&u16::try_from(long).expect("frames of clients are short").to_be_bytes());
        }
    }
    let key: [u8; 4] = random.random();
    out.extend_from_slice(&key);
    out.extend(payload.iter().enumerate().map(|(place, byte)| byte ^ key[place % 4]));
}

fn encode(random: &mut StdRng, said: &Said, may_deflate: bool, out: &mut Vec<u8>) {
    let mut text = |said: String| text(random, &said, may_deflate, out);
    match said {
        Said::Signal { data, echo, .. } => text(format!(r#"{{"type":"signal","echo":{echo},"data":{data}}}"#)),
        Said::Typing(is_typing) => text(format!(r#"{{"type":"typing","is_typing":{is_typing}}}"#)),
        Said::Ping(timestamp) => text(format!(r#"{{"type":"ping","timestamp":{timestamp}}}"#)),
        Said::Write => text(r#"{"type":"chat_message","content":"hola"}"#.into()),
        Said::Nonsense => text("{".into()),
        Said::Binary => masked(random, 0x82, b"binary", out),
        Said::ProtocolPing(payload) => masked(random, 0x89, payload, out),
        Said::ProtocolPong => masked(random, 0x8a, b"", out),
        Said::Close(code) => masked(random, 0x88, &code.to_be_bytes(), out),
        // Not masked.
        Said::Violation(_) => out.extend_from_slice(&[0x81, 1, b'x']),
    }
}

/// Everything in one read, or split in two at any place.
pub(super) fn pieces(random: &mut StdRng, said: Vec<Said>, may_deflate: bool) -> Vec<Piece> {
    let mut bytes = Vec::new();
    said.iter().for_each(|one| encode(random, one, may_deflate, &mut bytes));
    if said.len() == 1 && random.random_bool(0.3) && !matches!(said[0], Said::Violation(_)) {
        let rest = bytes.split_off(random.random_range(1..bytes.len()));
        return vec![Piece { bytes, said: Vec::new() }, Piece { bytes: rest, said }];
    }
    vec![Piece { bytes, said }]
}
