//! Sockets that flood, listen or stall. One thread reads all that listen, and checks every frame as it arrives.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::crowd::{Frames, masked, upgrade};
use crate::support::{PATIENCE, Server};
use crate::voice::{Ear, Saying, Voice};

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
/// The bytes that one sender writes to its socket before the others get their turn.
const TURN_BYTES: usize = 256 * 1024;
/// After this time without a frame, nothing more is expected.
const QUIET: Duration = Duration::from_secs(8);

/// A socket that is read.
pub struct Seat {
    pub ear: Ear,
    /// Its number, if it sends.
    pub sender: Option<usize>,
    /// Durable frames that it has sent.
    pub sent: usize,
    /// How many of its own frames may be on their way at once, if it waits for them.
    pub window: Option<usize>,
    /// Why it ended.
    pub ended: Option<String>,
    socket: mio::net::TcpStream,
    frames: Frames,
    said: usize,
    waiting: Vec<u8>,
    taken: usize,
    more: Option<Box<dyn Iterator<Item = Saying>>>,
    can_write: bool,
}

/// The sockets that are read.
pub struct Fleet {
    pub seats: Vec<Seat>,
    /// The faults found in frames.
    pub faults: Vec<String>,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
}

impl Fleet {
    pub fn new() -> Self {
        let poll = Poll::new().unwrap();
        let events = Events::with_capacity(256);
        Self { seats: Vec::new(), faults: Vec::new(), poll, events, buffer: vec![0; 256 * 1024] }
    }

    /// One more socket, not yet greeted.
    pub fn add(&mut self, server: &Server, path: &str, voice: &Arc<Voice>) -> usize {
        let socket = upgrade(server, path, |_| {});
        socket.set_nonblocking(true).unwrap();
        let mut socket = mio::net::TcpStream::from_std(socket);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(self.seats.len()), interest).unwrap();
        self.seats.push(Seat {
            ear: Ear::new(voice),
            sender: None,
            sent: 0,
            window: None,
            ended: None,
            socket,
            frames: Frames::default(),
            said: 0,
            waiting: Vec::new(),
            taken: 0,
            more: None,
            can_write: true,
        });
        self.seats.len() - 1
    }

    /// Waits for everybody's greeting.
    pub fn greet(&mut self) {
        let never = AtomicBool::new(false);
        self.run(&never, |seats| seats.iter().all(|seat| seat.ear.others > 0)).unwrap();
    }

    /// The texts that a socket sends from now on.
    pub fn say(&mut self, seat: usize, sender: usize, sayings: impl Iterator<Item = Saying> + 'static) {
        self.seats[seat].sender = Some(sender);
        self.seats[seat].more = Some(Box::new(sayings));
    }

    /// Sends and listens until the condition holds. Stops early at the alarm, or when nothing more arrives.
    pub fn run(&mut self, alarm: &AtomicBool, until: impl Fn(&[Seat]) -> bool) -> Result<(), String> {
        let began = Instant::now();
        let mut heard_at = Instant::now();
        while !until(&self.seats) {
            if alarm.load(Ordering::Relaxed) {
                return Err(format!("stopped by the alarm after {:?}", began.elapsed()));
            }
            if heard_at.elapsed() > QUIET || began.elapsed() > PATIENCE * 2 {
                return Err(format!("not done after {:?}: {}", began.elapsed(), self.state()));
            }
            let mut has_more = false;
            for seat in self.seats.iter_mut().filter(|seat| seat.ended.is_none()) {
                has_more |= seat.send();
            }
            let patience = if has_more { Duration::ZERO } else { Duration::from_millis(20) };
            self.poll.poll(&mut self.events, Some(patience)).unwrap();
            for event in &self.events {
                heard_at = Instant::now();
                let seat = &mut self.seats[event.token().0];
                seat.can_write |= event.is_writable();
                seat.listen(&mut self.buffer, &mut self.faults);
            }
        }
        Ok(())
    }

    fn state(&self) -> String {
        let least = self.seats.iter().map(|seat| seat.ear.durable).min();
        let most = self.seats.iter().map(|seat| seat.ear.durable).max();
        format!("{} of {} gone, durable frames heard: {least:?} to {most:?}", self.endings().len(), self.seats.len())
    }

    /// How sockets ended, for those that did.
    pub fn endings(&self) -> Vec<String> {
        self.seats.iter().filter_map(|seat| seat.ended.clone()).collect()
    }
}

impl Seat {
    /// Writes some of its texts to the socket. Returns whether there is more that the socket may take.
    fn send(&mut self) -> bool {
        let mut handed = 0;
        while self.can_write && handed < TURN_BYTES {
            if self.taken == self.waiting.len() {
                self.waiting.clear();
                self.taken = 0;
                if self.window.is_some_and(|window| self.said - self.heard_of_itself() >= window) {
                    return false;
                }
                let Some(saying) = self.more.as_mut().and_then(Iterator::next) else {
                    self.more = None;
                    return false;
                };
                self.said += 1;
                self.sent += usize::from(saying.is_durable);
                self.waiting = saying.frame;
            }
            match self.socket.write(&self.waiting[self.taken..]) {
                Ok(count) => (self.taken, handed) = (self.taken + count, handed + count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.can_write = false,
                Err(error) => self.end(error.to_string()),
            }
            if self.ended.is_some() {
                return false;
            }
        }
        self.can_write
    }

    fn heard_of_itself(&self) -> usize {
        self.sender.and_then(|sender| self.ear.heard.get(sender).copied()).unwrap_or_default()
    }

    fn end(&mut self, why: String) {
        self.more = None;
        self.ended.get_or_insert(why);
    }

    fn listen(&mut self, buffer: &mut [u8], faults: &mut Vec<String>) {
        loop {
            match self.socket.read(buffer) {
                Ok(0) => return self.end("the connection ended".to_owned()),
                Ok(count) => self.frames.feed(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => return self.end(error.to_string()),
            }
            while let Some((opcode, payload)) = self.frames.next() {
                match opcode {
                    TEXT => faults.extend(self.ear.hear(payload).err()),
                    PING => self.waiting.extend_from_slice(&masked(10, payload)),
                    CLOSE => {
                        let code = u16::from_be_bytes([payload[0], payload[1]]);
                        self.ended.get_or_insert(format!("closed with {code}"));
                    }
                    other => faults.push(format!("a frame with opcode {other}")),
                }
            }
        }
    }

    /// Whether all its texts are sent, and each of its durable frames came back or was refused.
    fn is_answered(&self) -> bool {
        let Some(sender) = self.sender else { return true };
        let heard = self.ear.counts.get(sender).copied().unwrap_or_default();
        self.more.is_none() && self.taken == self.waiting.len() && heard + self.ear.refused >= self.sent
    }
}

/// How many durable frames of all senders were accepted, once that is known.
pub fn accepted(seats: &[Seat]) -> Option<usize> {
    let known = seats.iter().filter(|seat| seat.ended.is_none()).all(Seat::is_answered);
    known.then(|| seats.iter().map(|seat| seat.sent - seat.ear.refused.min(seat.sent)).sum())
}

/// Whether everybody who is still connected has received everything that was accepted.
pub fn is_settled(seats: &[Seat]) -> bool {
    accepted(seats).is_some_and(|all| seats.iter().all(|seat| seat.ended.is_some() || seat.ear.durable >= all))
}

/// The faults of one room's readers after `all` durable frames: each must be connected, and must have received every
/// frame once, in one order.
pub fn faults_of(seats: &[Seat], all: usize) -> Vec<String> {
    let mut faults = Vec::new();
    let gone: Vec<_> = seats.iter().filter_map(|seat| seat.ended.as_deref()).collect();
    if let Some(first) = gone.first() {
        faults.push(format!("{} of {} readers are gone: {first}", gone.len(), seats.len()));
    }
    let there = seats.iter().filter(|seat| seat.ended.is_none());
    let wrong: Vec<_> = there.clone().map(|seat| seat.ear.durable).filter(|count| *count != all).collect();
    if let Some(first) = wrong.first() {
        faults.push(format!("{} readers heard other than all {all} durable frames, one of them {first}", wrong.len()));
    }
    let mut orders: Vec<_> = there.map(|seat| seat.ear.order).collect();
    orders.sort_unstable();
    orders.dedup();
    if orders.len() > 1 {
        faults.push(format!("readers heard {} different orders", orders.len()));
    }
    faults
}

/// A socket that is greeted and then not read, with the buffers of a small distant machine, so that the kernels hold
/// little of what is sent to it.
pub struct Stalled {
    pub ear: Ear,
    socket: TcpStream,
    frames: Frames,
}

impl Stalled {
    pub fn open(server: &Server, path: &str, voice: &Arc<Voice>) -> Self {
        let mut socket = upgrade(server, path, |socket| {
            socket.set_recv_buffer_size(4 * 1024).unwrap();
            socket.set_tcp_mss(536).unwrap();
        });
        let mut frames = Frames::default();
        let mut byte = [0];
        while frames.next().is_none() {
            assert_eq!(socket.read(&mut byte).unwrap(), 1, "{path}");
            frames.feed(&byte);
        }
        Self { ear: Ear::new(voice), socket, frames }
    }

    /// Reads everything that waited for it, up to the answer of a ping, the goodbye or the end. Returns the fault, if
    /// any.
    pub fn read_at_last(&mut self) -> Result<&'static str, String> {
        socket2::SockRef::from(&self.socket).set_recv_buffer_size(4 * 1024 * 1024).unwrap();
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // The connection may be gone; what is left in the kernel is read all the same.
        let _ = self.socket.write_all(&masked(TEXT, br#"{"type":"ping","timestamp":0}"#));
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) if self.frames.is_at_a_boundary() => return Ok("an end"),
                Ok(0) => return Err("a torn frame at the end".to_owned()),
                Ok(count) => self.frames.feed(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok("a reset"),
                Err(error) => return Err(format!("a stalled reader: {error}")),
            }
            while let Some((opcode, payload)) = self.frames.next() {
                match opcode {
                    TEXT if payload.starts_with(br#"{"type":"pong""#) => return Ok("the pong"),
                    TEXT => self.ear.hear(payload)?,
                    CLOSE if payload.starts_with(&4008_u16.to_be_bytes()) => return Ok("4008"),
                    PING => {}
                    other => return Err(format!("opcode {other}, {payload:?}")),
                }
            }
        }
    }
}
