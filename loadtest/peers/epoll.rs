//! The bare reference: a one-threaded epoll room server that does nothing but what a room needs.
//!
//! Any text message goes to every member of the room its path names, the sender too. What one
//! `epoll_wait` returned is read first; then each member gets one `send` that carries all the
//! frames its room gathered in that turn (coalescing). No tokens, no JSON, no timers, no limits:
//! what a real server costs above this is its own work, what it costs below is its cleverness.
#![allow(clippy::print_stdout, reason = "the listening line is the program's output")]

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};
use sha1::{Digest, Sha1};

const RECEIVE_BYTES: usize = 256 * 1024;
const EVENTS_PER_TURN: usize = 1024;
const LISTENER: u64 = u64::MAX;
const ACCEPTS_PER_TURN: usize = 64;

/// One socket; an idle one owns no buffer.
struct Conn {
    socket: OwnedFd,
    /// The room, once upgraded, and the place in its member list.
    seat: Option<(u32, u32)>,
    /// The start of a frame or handshake whose rest has not come yet.
    partial: Vec<u8>,
    /// What the kernel did not take; while it is not empty, everything queues here.
    unsent: Vec<u8>,
}

#[derive(Default)]
struct Room {
    members: Vec<u32>,
    /// The frames of this turn, ready to send.
    turn: Vec<u8>,
}

struct Server {
    epoll: OwnedFd,
    listener: TcpListener,
    conns: Vec<Option<Conn>>,
    free: Vec<u32>,
    rooms: Vec<Room>,
    room_of_path: HashMap<Vec<u8>, u32>,
    /// Rooms that gathered frames in this turn.
    dirty: Vec<u32>,
    /// Connections whose socket failed while others were being served.
    broken: Vec<u32>,
    buffer: Vec<u8>,
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(address), None) = (args.next(), args.next()) else {
        bail!("usage: peer-epoll 127.0.0.1:9000");
    };
    let address: SocketAddr = address.parse().context("the address to listen on")?;
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    // std listens with a backlog of 128; a load tester connects hundreds at once.
    rustix::net::listen(&listener, 4096)?;
    println!("peer-epoll listens on {}", listener.local_addr()?);
    Server::new(listener)?.run()
}

impl Server {
    fn new(listener: TcpListener) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        Ok(Self {
            epoll,
            listener,
            conns: Vec::new(),
            free: Vec::new(),
            rooms: Vec::new(),
            room_of_path: HashMap::new(),
            dirty: Vec::new(),
            broken: Vec::new(),
            buffer: vec![0; RECEIVE_BYTES],
        })
    }

    fn run(mut self) -> Result<()> {
        let mut events = Vec::with_capacity(EVENTS_PER_TURN);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                let token = event.data.u64();
                if token == LISTENER {
                    self.accept();
                    continue;
                }
                let id = token as u32;
                let flags = event.flags;
                if flags.contains(EventFlags::OUT) {
                    self.flush(id);
                }
                if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                    self.read(id);
                }
            }
            self.walk();
            while let Some(id) = self.broken.pop() {
                self.remove(id);
            }
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS_PER_TURN {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let Ok(socket) = rustix::net::accept_with(&self.listener, flags) else {
                return;
            };
            let _ = rustix::net::sockopt::set_tcp_nodelay(&socket, true);
            let id = self.free.pop().unwrap_or(self.conns.len() as u32);
            let interest = EventFlags::IN;
            if epoll::add(&self.epoll, &socket, EventData::new_u64(u64::from(id)), interest).is_err() {
                self.free.push(id);
                continue;
            }
            let conn = Conn { socket, seat: None, partial: Vec::new(), unsent: Vec::new() };
            match self.conns.get_mut(id as usize) {
                Some(slot) => *slot = Some(conn),
                None => self.conns.push(Some(conn)),
            }
        }
    }

    /// One `recv` into the shared buffer, behind what was left of the last one.
    fn read(&mut self, id: u32) {
        let mut buffer = std::mem::take(&mut self.buffer);
        if let Some(conn) = self.conns[id as usize].as_mut() {
            let kept = conn.partial.len();
            buffer[..kept].copy_from_slice(&conn.partial);
            match rustix::net::recv(&conn.socket, &mut buffer[kept..], RecvFlags::empty()) {
                Ok((0, _)) => self.broken.push(id),
                Ok((count, _)) => match self.input(id, &mut buffer[..kept + count]) {
                    Some(used) => self.keep(id, &buffer[used..kept + count]),
                    None => self.broken.push(id),
                },
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => self.broken.push(id),
            }
        }
        self.buffer = buffer;
    }

    fn keep(&mut self, id: u32, rest: &[u8]) {
        let Some(conn) = self.conns[id as usize].as_mut() else {
            return;
        };
        conn.partial.clear();
        if rest.is_empty() {
            conn.partial = Vec::new();
        } else if rest.len() < RECEIVE_BYTES / 2 {
            conn.partial.extend_from_slice(rest);
        } else {
            self.broken.push(id);
        }
    }

    /// Handshake, then frames; how many bytes were used, or `None` when the socket must go.
    fn input(&mut self, id: u32, bytes: &mut [u8]) -> Option<usize> {
        let seat = self.conns[id as usize].as_ref()?.seat;
        let (room, mut used) = match seat {
            Some((room, _)) => (room, 0),
            None => match memchr::memmem::find(bytes, b"\r\n\r\n") {
                Some(end) => (self.upgrade(id, &bytes[..end + 2])?, end + 4),
                None => return Some(0),
            },
        };
        while let Some(frame) = Frame::parse(&bytes[used..]) {
            let payload = used + frame.header..used + frame.header + frame.length;
            used = payload.end;
            match frame.opcode {
                1 => self.gather(room, &bytes[payload], frame.mask),
                9 => {
                    let mut pong = Vec::with_capacity(frame.length + 4);
                    put_frame(&mut pong, 10, &bytes[payload], frame.mask);
                    self.send(id, &pong);
                }
                10 => {}
                _ => return None,
            }
        }
        Some(used)
    }

    fn gather(&mut self, room: u32, masked: &[u8], mask: [u8; 4]) {
        let turn = &mut self.rooms[room as usize].turn;
        if turn.is_empty() {
            self.dirty.push(room);
        }
        put_frame(turn, 1, masked, mask);
    }

    /// Each member of each room with news gets one `send` of all of it.
    fn walk(&mut self) {
        while let Some(room) = self.dirty.pop() {
            let mut turn = std::mem::take(&mut self.rooms[room as usize].turn);
            let members = std::mem::take(&mut self.rooms[room as usize].members);
            for &id in &members {
                self.send(id, &turn);
            }
            turn.clear();
            let room = &mut self.rooms[room as usize];
            room.members = members;
            room.turn = turn;
        }
    }

    fn send(&mut self, id: u32, bytes: &[u8]) {
        let Some(conn) = self.conns[id as usize].as_mut() else {
            return;
        };
        if !conn.unsent.is_empty() {
            conn.unsent.extend_from_slice(bytes);
            return;
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let taken = match rustix::net::send(&conn.socket, bytes, flags) {
            Ok(count) => count,
            Err(Errno::AGAIN) => 0,
            Err(_) => return self.broken.push(id),
        };
        if taken < bytes.len() {
            conn.unsent.extend_from_slice(&bytes[taken..]);
            self.watch(id, EventFlags::IN | EventFlags::OUT);
        }
    }

    fn flush(&mut self, id: u32) {
        let Some(conn) = self.conns[id as usize].as_mut() else {
            return;
        };
        let unsent = std::mem::take(&mut conn.unsent);
        self.send(id, &unsent);
        if self.conns[id as usize].as_ref().is_some_and(|conn| conn.unsent.is_empty()) {
            self.watch(id, EventFlags::IN);
        }
    }

    fn watch(&mut self, id: u32, interest: EventFlags) {
        if let Some(conn) = self.conns[id as usize].as_ref() {
            let data = EventData::new_u64(u64::from(id));
            if epoll::modify(&self.epoll, &conn.socket, data, interest).is_err() {
                self.broken.push(id);
            }
        }
    }

    fn upgrade(&mut self, id: u32, head: &[u8]) -> Option<u32> {
        let head = std::str::from_utf8(head).ok()?;
        let path = head.strip_prefix("GET ")?.split([' ', '?']).next()?;
        let key = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
        })?;
        let mut digest = Sha1::new();
        digest.update(key);
        digest.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
        let accept = base64::engine::general_purpose::STANDARD.encode(digest.finalize());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        self.send(id, answer.as_bytes());
        let room = match self.room_of_path.get(path.as_bytes()) {
            Some(&room) => room,
            None => {
                self.rooms.push(Room::default());
                let room = self.rooms.len() as u32 - 1;
                self.room_of_path.insert(path.as_bytes().to_vec(), room);
                room
            }
        };
        let members = &mut self.rooms[room as usize].members;
        self.conns[id as usize].as_mut()?.seat = Some((room, members.len() as u32));
        members.push(id);
        Some(room)
    }

    fn remove(&mut self, id: u32) {
        let Some(conn) = self.conns[id as usize].take() else {
            return;
        };
        self.free.push(id);
        let Some((room, place)) = conn.seat else {
            return;
        };
        let members = &mut self.rooms[room as usize].members;
        members.swap_remove(place as usize);
        if let Some(&moved) = members.get(place as usize)
            && let Some(moved) = self.conns[moved as usize].as_mut()
        {
            moved.seat = Some((room, place));
        }
    }
}

struct Frame {
    opcode: u8,
    header: usize,
    length: usize,
    mask: [u8; 4],
}

impl Frame {
    /// The next whole frame; a fragmented or unmasked one comes out as opcode 0, which ends the
    /// connection.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = bytes.split_first_chunk::<2>()?;
        let (length, extended) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
            127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?, 8),
            short => (usize::from(short), 0),
        };
        let mask = *rest.get(extended..)?.first_chunk::<4>()?;
        let header = 2 + extended + 4;
        if bytes.len() - header < length {
            return None;
        }
        let plain = first & 0xf0 == 0x80 && second & 0x80 != 0;
        let opcode = if plain { first & 0x0f } else { 0 };
        Some(Self { opcode, header, length, mask })
    }
}

/// Appends a server frame around `masked`, unmasked in place.
fn put_frame(out: &mut Vec<u8>, opcode: u8, masked: &[u8], mask: [u8; 4]) {
    out.push(0x80 | opcode);
    match masked.len() {
        length @ 0..126 => out.push(length as u8),
        length @ 126..65536 => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let start = out.len();
    out.extend_from_slice(masked);
    let mut words = out[start..].chunks_exact_mut(4);
    for word in &mut words {
        for (byte, key) in word.iter_mut().zip(mask) {
            *byte ^= key;
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_frame_comes_out_plain() {
        for length in [0_usize, 5, 125, 126, 70_000] {
            let text: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mask = [1, 2, 3, 4];
            let masked: Vec<u8> = (0..length).map(|at| text[at] ^ mask[at % 4]).collect();
            let mut out = Vec::new();
            put_frame(&mut out, 1, &masked, mask);
            assert!(out.ends_with(&text));
            let mut client = vec![0x81, 0x80 | 127];
            client.extend_from_slice(&(length as u64).to_be_bytes());
            client.extend_from_slice(&mask);
            client.extend_from_slice(&masked);
            let frame = Frame::parse(&client).expect("whole");
            assert_eq!((frame.opcode, frame.header, frame.length), (1, 14, length));
            client.pop();
            assert!(Frame::parse(&client).is_none());
        }
    }
}
