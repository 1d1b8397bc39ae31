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

/// A frame as clients send them.
fn masked(random: &mut StdRng, opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
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

fn encode(random: &mut StdRng, said: &Said, out: &mut Vec<u8>) {
    let mut text = |text: String| masked(random, 1, text.as_bytes(), out);
    match said {
        Said::Signal { data, echo, .. } => text(format!(r#"{{"type":"signal","echo":{echo},"data":{data}}}"#)),
        Said::Typing(is_typing) => text(format!(r#"{{"type":"typing","is_typing":{is_typing}}}"#)),
        Said::Ping(timestamp) => text(format!(r#"{{"type":"ping","timestamp":{timestamp}}}"#)),
        Said::Write => text(r#"{"type":"chat_message","content":"hola"}"#.into()),
        Said::Nonsense => text("{".into()),
        Said::Binary => masked(random, 2, b"binary", out),
        Said::ProtocolPing(payload) => masked(random, 9, payload, out),
        Said::ProtocolPong => masked(random, 10, b"", out),
        Said::Close(code) => masked(random, 8, &code.to_be_bytes(), out),
        // Not masked.
        Said::Violation(_) => out.extend_from_slice(&[0x81, 1, b'x']),
    }
}

/// Everything in one read, or split in two at any place.
pub(super) fn pieces(random: &mut StdRng, said: Vec<Said>) -> Vec<Piece> {
    let mut bytes = Vec::new();
    said.iter().for_each(|one| encode(random, one, &mut bytes));
    if said.len() == 1 && random.random_bool(0.3) && !matches!(said[0], Said::Violation(_)) {
        let rest = bytes.split_off(random.random_range(1..bytes.len()));
        return vec![Piece { bytes, said: Vec::new() }, Piece { bytes: rest, said }];
    }
    vec![Piece { bytes, said }]
}
