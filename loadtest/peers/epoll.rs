//! The bare reference: a one-threaded epoll room server with nothing but what a room needs.
//!
//! Any text message goes to every member of the room in its path, including the sender. The server first reads
//! everything that one `epoll_wait` returned; then each member gets one `send` with all frames that its room gathered
//! in that turn (coalescing; `--no-coalesce`: one `send` per message and member). It has no tokens, JSON, timers or
//! limits: whatever a real server costs beyond this is its own work, and whatever it costs less is its cleverness.
#![allow(clippy::print_stdout, reason = "the listening line is the program's output")]

mod protocol;

use std::net::TcpListener;
use std::os::fd::OwnedFd;

use anyhow::Result;
use clap::Parser;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};

use protocol::{Frame, Options, Rooms, Seat, put_frame, upgrade};

const RECEIVE_BYTES: usize = 256 * 1024;
const EVENTS_PER_TURN: usize = 1024;
const LISTENER: u64 = u64::MAX;
const ACCEPTS_PER_TURN: usize = 64;

/// One socket; an idle one owns no buffer.
struct Conn {
    socket: OwnedFd,
    /// Set once the connection is upgraded.
    seat: Option<Seat>,
    /// The start of a frame or handshake whose end has not arrived.
    partial: Vec<u8>,
    /// Bytes that the kernel did not take. While it is not empty, everything queues here.
    unsent: Vec<u8>,
}

struct Server {
    epoll: OwnedFd,
    listener: TcpListener,
    conns: Vec<Option<Conn>>,
    free: Vec<u32>,
    rooms: Rooms,
    coalesce: bool,
    /// Connections whose socket failed while others were being served.
    broken: Vec<u32>,
    buffer: Vec<u8>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let listener = options.listen()?;
    listener.set_nonblocking(true)?;
    println!("peer-epoll listens on {}", listener.local_addr()?);
    Server::new(listener, !options.no_coalesce)?.run()
}

impl Server {
    fn new(listener: TcpListener, coalesce: bool) -> Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        Ok(Self {
            epoll,
            listener,
            conns: Vec::new(),
            free: Vec::new(),
            rooms: Rooms::default(),
            coalesce,
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

    /// One `recv` into the shared buffer, after the rest of the last one.
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

    /// Handles the handshake, then frames. Returns the number of bytes used, or `None` if the socket must be closed.
    fn input(&mut self, id: u32, bytes: &mut [u8]) -> Option<usize> {
        let seat = self.conns[id as usize].as_ref()?.seat;
        let (room, mut used) = match seat {
            Some(seat) => (seat.room, 0),
            None => match memchr::memmem::find(bytes, b"\r\n\r\n") {
                Some(end) => (self.admit(id, &bytes[..end + 2])?, end + 4),
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
        if !self.coalesce && self.rooms.is_dirty(room) {
            self.walk();
        }
        self.rooms.gather(room, masked, mask);
    }

    /// Sends everything that is new to each member of each room, in one `send`.
    fn walk(&mut self) {
        while let Some((number, room)) = self.rooms.take_dirty() {
            for &id in &room.members {
                self.send(id, &room.turn);
            }
            self.rooms.give_back(number, room);
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

    fn admit(&mut self, id: u32, head: &[u8]) -> Option<u32> {
        let (path, answer) = upgrade(head)?;
        self.send(id, answer.as_bytes());
        let seat = self.rooms.join(id, path);
        self.conns[id as usize].as_mut()?.seat = Some(seat);
        Some(seat.room)
    }

    fn remove(&mut self, id: u32) {
        let Some(conn) = self.conns[id as usize].take() else {
            return;
        };
        self.free.push(id);
        if let Some((moved, seat)) = conn.seat.and_then(|seat| self.rooms.leave(seat))
            && let Some(moved) = self.conns[moved as usize].as_mut()
        {
            moved.seat = Some(seat);
        }
    }
}
