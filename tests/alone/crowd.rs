//! Many members of a room that listen on one thread with as little work as possible: bytes are cut into frames and
//! counted.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::support::{PATIENCE, Server};

const TEXT: u8 = 1;
const PING: u8 = 9;

/// Cuts a server's bytes into frames: first the answer's head, then opcode and payload of each whole frame.
#[derive(Default)]
pub struct Frames {
    bytes: Vec<u8>,
    taken: usize,
    has_head: bool,
}

impl Frames {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub fn next(&mut self) -> Option<(u8, &[u8])> {
        if !self.has_head {
            let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
            assert!(self.bytes.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&self.bytes));
            (self.has_head, self.taken) = (true, end + 4);
        }
        let rest = &self.bytes[self.taken..];
        let [first, length, ..] = *rest else { return None };
        assert_eq!((first & 0xF0, length & 0x80), (0x80, 0), "a whole frame without a mask begins here");
        let (head, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes(rest.get(2..4)?.try_into().unwrap()))),
            127 => (10, usize::try_from(u64::from_be_bytes(rest.get(2..10)?.try_into().unwrap())).unwrap()),
            short => (2, usize::from(short)),
        };
        let payload = rest.get(head..head + length)?;
        self.taken += head + length;
        Some((first & 0x0F, payload))
    }

    /// Whether no part of an unfinished frame is left.
    pub fn is_at_a_boundary(&self) -> bool {
        self.taken == self.bytes.len()
    }
}

/// A client's frame whose mask is zero.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        short @ ..126 => frame.push(0x80 | short as u8),
        middle @ ..=0xFFFF => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Connects a socket and requests the upgrade, without waiting for the answer. `prepare` gets the socket before it
/// connects.
pub fn upgrade(server: &Server, path: &str, prepare: impl FnOnce(&socket2::Socket)) -> std::net::TcpStream {
    let address: SocketAddr = server.address().parse().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None).unwrap();
    prepare(&socket);
    socket.connect(&address.into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    let mut socket = std::net::TcpStream::from(socket);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    socket
}

struct Member {
    socket: mio::net::TcpStream,
    frames: Frames,
    /// Text frames so far.
    heard: usize,
}

/// The members.
pub struct Crowd {
    members: Vec<Member>,
    poll: Poll,
    events: Events,
}

impl Crowd {
    /// The users of room 0 with these indexes in the fixture, all greeted.
    pub fn join(server: &Server, users: std::ops::Range<usize>) -> Self {
        let poll = Poll::new().unwrap();
        let mut members = Vec::new();
        for user in users {
            let socket = upgrade(server, &server.chat_path(0, user), |_| {});
            socket.set_nonblocking(true).unwrap();
            let mut socket = mio::net::TcpStream::from_std(socket);
            poll.registry().register(&mut socket, Token(members.len()), Interest::READABLE).unwrap();
            members.push(Member { socket, frames: Frames::default(), heard: 0 });
        }
        let mut crowd = Self { members, poll, events: Events::with_capacity(64) };
        crowd.listen_until(1, |_| {});
        crowd
    }

    /// The first member sends a text; records how long it took to reach each member.
    pub fn say(&mut self, text: &str, latencies: &mut Vec<Duration>) {
        let heard = self.members[0].heard;
        let frame = masked(TEXT, text.as_bytes());
        let began = Instant::now();
        // A message fits the socket's buffer, because its sender has read everything that arrived.
        self.members[0].socket.write_all(&frame).unwrap();
        self.listen_until(heard + 1, |now| latencies.push(now - began));
    }

    /// Listens until everybody has received `heard` frames.
    fn listen_until(&mut self, heard: usize, mut arrived: impl FnMut(Instant)) {
        let mut missing = self.members.iter().filter(|member| member.heard < heard).count();
        let mut buffer = [0; 16 * 1024];
        while missing > 0 {
            self.poll.poll(&mut self.events, Some(PATIENCE)).unwrap();
            assert!(!self.events.is_empty(), "{missing} members wait for frame {heard}");
            for event in &self.events {
                let member = &mut self.members[event.token().0];
                let before = member.heard;
                member.take(&mut buffer);
                if before < heard && member.heard >= heard {
                    arrived(Instant::now());
                    missing -= 1;
                }
            }
        }
    }
}

impl Member {
    fn take(&mut self, buffer: &mut [u8]) {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => panic!("a member was let go"),
                Ok(count) => self.frames.feed(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("a member's connection broke: {error}"),
            }
            while let Some((opcode, payload)) = self.frames.next() {
                match opcode {
                    TEXT => self.heard += 1,
                    PING => self.socket.write_all(&masked(10, payload)).unwrap(),
                    other => panic!("a frame with opcode {other}"),
                }
            }
        }
    }
}
