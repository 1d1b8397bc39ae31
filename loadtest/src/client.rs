//! Client connections on one epoll: connecting, upgrading, reading frames, answering pings.
//!
//! Everything runs on the calling thread and shares one receive buffer; an idle connection owns a
//! socket and two empty vectors. What frames mean is the `Handler`'s business.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Protocol, Socket, Type};

use crate::frames::{self, Frame, Parsed};

const RECEIVE_BYTES: usize = 512 * 1024;
const EVENTS_PER_TURN: usize = 1024;

const ENDING: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);

/// The key of RFC 6455's own example, so that the answer is known without hashing.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What becomes of connections and their frames.
pub trait Handler {
    /// The upgrade succeeded.
    fn opened(&mut self, _link: usize) {}

    /// A text or binary frame; `now` in ns of the links' clock, read once per `recv`.
    fn frame(&mut self, link: usize, frame: Frame<'_>, now: u64);

    /// The connection ended, not by us.
    fn closed(&mut self, link: usize, why: &str);

    /// One socket was read: the moment to send what its frames released.
    fn after_read(&mut self, _links: &mut Links) {}
}

struct Link {
    socket: Option<OwnedFd>,
    upgraded: bool,
    /// The start of a frame or answer whose rest has not come yet.
    partial: Vec<u8>,
    /// What the kernel did not take yet.
    unsent: Vec<u8>,
}

/// All connections of the run.
pub struct Links {
    epoll: OwnedFd,
    links: Vec<Link>,
    buffer: Vec<u8>,
    events: Vec<epoll::Event>,
    start: Instant,
}

impl Links {
    pub fn new() -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            links: Vec::new(),
            buffer: vec![0; RECEIVE_BYTES],
            events: Vec::with_capacity(EVENTS_PER_TURN),
            start: Instant::now(),
        })
    }

    /// ns since these links were made.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Starts a connection; `opened` or `closed` follows. Links are numbered from 0.
    pub fn open(&mut self, server: SocketAddr, source: Option<Ipv4Addr>, path: &str) -> Result<usize> {
        let domain = Domain::for_address(server);
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).context("cannot open another socket")?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            let source = SocketAddr::from((source, 0));
            socket.bind(&source.into()).with_context(|| format!("cannot bind to {source}"))?;
        }
        if let Err(error) = socket.connect(&server.into())
            && error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error())
        {
            return Err(error).with_context(|| format!("cannot connect to {server}"));
        }
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        let number = self.links.len();
        let data = EventData::new_u64(number as u64);
        let socket = OwnedFd::from(socket);
        // Edge-triggered: a level-triggered socket would be polled a second time after each read.
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &socket, data, interest)?;
        self.links.push(Link {
            socket: Some(socket),
            upgraded: false,
            partial: Vec::new(),
            unsent: request.into_bytes(),
        });
        Ok(number)
    }

    /// One `epoll_wait` and everything it returned; waits at most `timeout`.
    pub fn turn(&mut self, timeout: Duration, handler: &mut impl Handler) -> Result<()> {
        let timeout = Timespec { tv_sec: timeout.as_secs().cast_signed(), tv_nsec: timeout.subsec_nanos().into() };
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("epoll_wait"),
        }
        for event in &events {
            let link = event.data.u64() as usize;
            let flags = event.flags;
            if flags.contains(EventFlags::OUT) {
                self.flush(link);
            }
            let ending = flags.intersects(ENDING);
            if ending || flags.contains(EventFlags::IN) {
                // An end that came together with data makes no edge of its own.
                while self.read(link, handler) || ending && self.links[link].socket.is_some() {}
                handler.after_read(self);
            }
        }
        self.events = events;
        Ok(())
    }

    /// Sends, or queues what the kernel does not take. A failed socket shows when it is read next.
    pub fn send(&mut self, link: usize, bytes: &[u8]) {
        let Link { socket, unsent, .. } = &mut self.links[link];
        let Some(socket) = socket else { return };
        if !unsent.is_empty() {
            unsent.extend_from_slice(bytes);
            return;
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let taken = match rustix::net::send(&*socket, bytes, flags) {
            Ok(count) => count,
            Err(Errno::AGAIN) => 0,
            Err(_) => return,
        };
        unsent.extend_from_slice(&bytes[taken..]);
    }

    /// Says goodbye (1000) and closes all.
    pub fn close_all(&mut self) {
        let goodbye = frames::masked(frames::CLOSE, &1000_u16.to_be_bytes());
        for link in 0..self.links.len() {
            self.send(link, &goodbye);
            self.links[link].socket = None;
        }
    }

    fn flush(&mut self, link: usize) {
        let unsent = std::mem::take(&mut self.links[link].unsent);
        if !unsent.is_empty() {
            self.send(link, &unsent);
        }
    }

    /// One `recv` behind what was left over; whether there may be more now. (When it did not fill
    /// the buffer there is not: what comes later is a new edge.)
    fn read(&mut self, link: usize, handler: &mut impl Handler) -> bool {
        let mut buffer = std::mem::take(&mut self.buffer);
        let Link { socket, partial, .. } = &mut self.links[link];
        let Some(socket) = socket else {
            self.buffer = buffer;
            return false;
        };
        let kept = partial.len();
        buffer[..kept].copy_from_slice(partial);
        let room = &mut buffer[kept..];
        let mut filled = false;
        let ended = match rustix::net::recv(&*socket, &mut *room, RecvFlags::empty()) {
            Ok((0, _)) => Some("the server closed the connection without a close frame".into()),
            Ok((count, _)) => {
                filled = count == room.len();
                self.input(link, &buffer[..kept + count], handler)
            }
            Err(Errno::AGAIN) => None,
            Err(error) => Some(error.to_string()),
        };
        self.buffer = buffer;
        if let Some(why) = &ended {
            self.links[link].socket = None;
            handler.closed(link, why);
        }
        filled && ended.is_none()
    }

    /// The upgrade's answer, then frames; why the connection must end, if it must.
    fn input(&mut self, link: usize, bytes: &[u8], handler: &mut impl Handler) -> Option<String> {
        let mut used = 0;
        if !self.links[link].upgraded {
            match upgrade_answer(bytes) {
                Ok(Some(length)) => used = length,
                Ok(None) => {
                    self.keep(link, bytes);
                    return None;
                }
                Err(why) => return Some(why),
            }
            self.links[link].upgraded = true;
            handler.opened(link);
        }
        let now = self.now();
        loop {
            match frames::parse(&bytes[used..]) {
                Parsed::Whole(frame, length) => {
                    used += length;
                    match frame.opcode {
                        frames::TEXT | 2 => handler.frame(link, frame, now),
                        frames::PING => {
                            self.send(link, &frames::masked(frames::PONG, frame.payload));
                        }
                        frames::CLOSE => return Some(close_reason(frame.payload)),
                        _ => {}
                    }
                }
                Parsed::Partial if bytes.len() - used > RECEIVE_BYTES / 2 => {
                    return Some("a frame larger than this tester reads".into());
                }
                Parsed::Partial => break,
                Parsed::Broken(why) => return Some(format!("protocol error: {why}")),
            }
        }
        self.keep(link, &bytes[used..]);
        None
    }

    fn keep(&mut self, link: usize, rest: &[u8]) {
        let partial = &mut self.links[link].partial;
        partial.clear();
        partial.extend_from_slice(rest);
    }
}

/// The length of a complete, successful answer; `None` while it is incomplete.
fn upgrade_answer(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return match bytes.len() {
            0..16_384 => Ok(None),
            _ => Err("an endless answer to the upgrade".into()),
        };
    };
    let head = &bytes[..end];
    let first_line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let first_line = String::from_utf8_lossy(first_line);
    if !first_line.starts_with("HTTP/1.1 101") {
        return Err(format!("the upgrade was answered with `{first_line}`"));
    }
    if memchr::memmem::find(head, ACCEPT).is_none() {
        return Err("the upgrade's Sec-WebSocket-Accept is wrong".into());
    }
    Ok(Some(end + 4))
}

fn close_reason(payload: &[u8]) -> String {
    match payload.split_first_chunk::<2>() {
        Some((code, reason)) => {
            let (code, reason) = (u16::from_be_bytes(*code), String::from_utf8_lossy(reason));
            format!("closed by the server with {code} {reason}")
        }
        None => "closed by the server without a code".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_accepted_whole_and_only_when_right() {
        let good = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: \
                     s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x00";
        assert_eq!(upgrade_answer(good), Ok(Some(good.len() - 2)));
        assert_eq!(upgrade_answer(&good[..40]), Ok(None));
        let refused = upgrade_answer(b"HTTP/1.1 403 Forbidden\r\n\r\n");
        assert!(refused.is_err_and(|why| why.contains("403 Forbidden")));
        assert!(upgrade_answer(b"HTTP/1.1 101 X\r\nA: b\r\n\r\n").is_err());
    }

    #[test]
    fn close_codes_are_shown() {
        assert_eq!(close_reason(b"\x0f\xa8slow"), "closed by the server with 4008 slow");
    }
}
