//! A client of permessage-deflate that makes and reads frames by hand, with its own zlib streams.
#![allow(dead_code, reason = "some tests use a part")]

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{PATIENCE, Server, Wire};

/// A socket, and what it has heard.
pub struct Deflating {
    stream: Wire,
    received: Vec<u8>,
    /// What the server has answered to the offer; empty if it declined.
    pub extension: String,
}

/// A frame of the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Text { is_compressed: bool, frame: Value },
    Close(u16),
}

impl Heard {
    /// A text's JSON, and whether it came compressed.
    pub fn text(self) -> (bool, Value) {
        match self {
            Self::Text { is_compressed, frame } => (is_compressed, frame),
            Self::Close(code) => panic!("it closes with {code}"),
        }
    }
}

impl Deflating {
    /// A socket with an offer of extensions, and perhaps subprotocols.
    pub async fn open(server: &Server, path: &str, offer: Option<&str>, protocols: Option<&str>) -> Self {
        let mut stream = server.wire().await;
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            server.address()
        );
        for (name, value) in [("Sec-WebSocket-Extensions", offer), ("Sec-WebSocket-Protocol", protocols)] {
            if let Some(value) = value {
                request.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut socket = Self { stream, received: Vec::new(), extension: String::new() };
        let head = loop {
            if let Some(end) = socket.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let rest = socket.received.split_off(end + 4);
                break String::from_utf8(std::mem::replace(&mut socket.received, rest)).unwrap();
            }
            socket.receive().await;
        };
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let lines: Vec<&str> =
            head.lines().filter(|line| line.to_lowercase().starts_with("sec-websocket-ext")).collect();
        assert!(lines.len() <= 1, "{head}");
        if let Some((_, value)) = lines.first().and_then(|line| line.split_once(':')) {
            socket.extension = value.trim().to_owned();
        }
        socket
    }

    async fn receive(&mut self) {
        let count = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.received));
        assert!(count.await.expect("nothing comes").unwrap() > 0, "the connection ended");
    }

    /// The next text or close frame.
    pub async fn next(&mut self) -> Heard {
        loop {
            if let Some((first, payload)) = self.frame() {
                match first {
                    0x81 => return Heard::Text { is_compressed: false, frame: json_of(&payload) },
                    0xc1 => return Heard::Text { is_compressed: true, frame: json_of(&inflated(&payload)) },
                    0x88 => return Heard::Close(u16::from_be_bytes([payload[0], payload[1]])),
                    0x89 | 0x8a => {}
                    first => panic!("a frame that begins with {first:x}"),
                }
            } else {
                self.receive().await;
            }
        }
    }

    /// The next text of a type. Presence and counters before it are passed over.
    pub async fn expect(&mut self, kind: &str) -> (bool, Value) {
        loop {
            let (is_compressed, frame) = self.next().await.text();
            let is_beside = ["user_status", "post_updated", "users", "presence_count"];
            let of = if frame["type"] == "event" { &frame["event"]["type"] } else { &frame["type"] };
            if is_beside.iter().any(|beside| of == beside) {
                continue;
            }
            assert_eq!(frame["type"], kind, "{frame}");
            return (is_compressed, frame);
        }
    }

    /// The code with which the server ends the socket.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Heard::Close(code) = self.next().await {
                return code;
            }
        }
    }

    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (first, second) = (*self.received.first()?, *self.received.get(1)?);
        let (header, length) = match second {
            126 => (4, u64::from(u16::from_be_bytes(*self.received.get(2..)?.first_chunk()?))),
            127 => (10, u64::from_be_bytes(*self.received.get(2..)?.first_chunk()?)),
            short => (2, u64::from(short)),
        };
        let end = header + usize::try_from(length).unwrap();
        let payload = self.received.get(header..end)?.to_vec();
        self.received.drain(..end);
        Some((first, payload))
    }

    /// Sends a text compressed, as browsers do with each.
    pub async fn send(&mut self, frame: Value) {
        self.send_frame(0xc1, &deflated(frame.to_string().as_bytes())).await;
    }

    /// Sends a frame with this first byte.
    pub async fn send_frame(&mut self, first: u8, payload: &[u8]) {
        let key = [0x11, 0x22, 0x33, 0x44];
        let mut frame = vec![first];
        match payload.len() {
            short @ ..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
            long => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(long).unwrap().to_be_bytes());
            }
        }
        frame.extend_from_slice(&key);
        frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        self.stream.write_all(&frame).await.unwrap();
    }
}

fn json_of(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
}

/// A message's payload, without the tail of its flush.
pub fn deflated(message: &[u8]) -> Vec<u8> {
    let mut stream = Compress::new(Compression::new(6), false);
    let mut out = Vec::with_capacity(message.len() + 64);
    stream.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
    assert!(stream.total_in() == message.len() as u64 && out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

fn inflated(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 << 20);
    let input = [payload, &[0, 0, 0xff, 0xff]].concat();
    let mut stream = Decompress::new(false);
    stream.decompress_vec(&input, &mut out, FlushDecompress::Sync).unwrap();
    assert_eq!(stream.total_in(), input.len() as u64);
    out
}
