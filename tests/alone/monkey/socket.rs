//! A socket that is not spared: every byte is looked at, and it may stall, break off, or have almost no buffer.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::crowd::{Frames, masked};

const PONG: u8 = 10;

/// What came.
#[derive(Debug)]
pub enum Heard {
    Text(String),
    /// The server's goodbye with its code.
    Close(#[expect(dead_code, reason = "shown when it should not have come")] u16),
    /// The connection is gone.
    End,
    /// Something that no server may send.
    Broken(String),
}

pub struct Socket {
    stream: TcpStream,
    frames: Frames,
    has_goodbye: bool,
    /// It has sent random bytes.
    has_babbled: bool,
}

impl Socket {
    /// A handshake; `None` if it was refused or nobody answers. `is_tiny`: the kernel holds almost nothing for it.
    pub async fn open(address: &str, path: &str, is_tiny: bool) -> Option<Self> {
        let address: SocketAddr = address.parse().ok()?;
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.ok()?;
        if is_tiny {
            SockRef::from(&socket).set_recv_buffer_size(4 * 1024).ok()?;
            SockRef::from(&socket).set_tcp_mss(536).ok()?;
        }
        let mut stream = socket.connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut head = Vec::new();
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            let mut some = [0; 4096];
            let count = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut some)).await.ok()?.ok()?;
            if count == 0 {
                return None;
            }
            head.extend_from_slice(&some[..count]);
        }
        if !head.starts_with(b"HTTP/1.1 101 ") {
            return None;
        }
        let mut frames = Frames::default();
        frames.feed(&head);
        Some(Self { stream, frames, has_goodbye: false, has_babbled: false })
    }

    /// The next text, or how it ended. May be dropped and asked again.
    pub async fn next(&mut self) -> Heard {
        loop {
            match self.frames.next() {
                Some((1, payload)) => match std::str::from_utf8(payload) {
                    Ok(text) => return Heard::Text(text.to_owned()),
                    Err(error) => return Heard::Broken(format!("a text that is none: {error}")),
                },
                Some((8, payload)) => {
                    self.has_goodbye = true;
                    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    return Heard::Close(code);
                }
                Some((9, payload)) => {
                    let pong = masked(PONG, payload);
                    // A peer that is gone is heard of below.
                    let _ = self.stream.try_write(&pong);
                }
                // Random bytes may be a ping.
                Some((10, _)) if self.has_babbled => {}
                Some((opcode, _)) => return Heard::Broken(format!("a frame with opcode {opcode}")),
                None => {
                    let mut some = [0; 16 * 1024];
                    match self.stream.read(&mut some).await {
                        Ok(0) if self.frames.is_at_a_boundary() => return Heard::End,
                        Ok(0) => return Heard::Broken("the end within a frame".to_owned()),
                        Ok(count) => self.frames.feed(&some[..count]),
                        Err(error) if error.kind() == ErrorKind::ConnectionReset => return Heard::End,
                        Err(error) => return Heard::Broken(error.to_string()),
                    }
                }
            }
        }
    }

    /// Sends a frame of text unless the connection is gone.
    pub async fn say(&mut self, text: &str) -> bool {
        self.stream.write_all(&masked(1, text.as_bytes())).await.is_ok()
    }

    /// Sends what no protocol knows.
    pub async fn babble(&mut self, bytes: &[u8]) {
        self.has_babbled = true;
        let _ = self.stream.write_all(bytes).await;
    }

    /// Goes without a word: a reset reaches the server.
    pub fn reset(self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        let _ = self.stream.write_all(&masked(8, &1000_u16.to_be_bytes())).await;
        while !self.has_goodbye && matches!(self.next().await, Heard::Text(_)) {}
    }
}
