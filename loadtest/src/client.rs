//! Client connections on one epoll: connecting, upgrading, reading frames, answering pings.
//!
//! Everything runs on the calling thread and shares one receive buffer; an idle connection owns a socket and two empty
//! vectors. The `Handler` interprets the frames.

mod endings;

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Protocol, Socket, Type};

pub use self::endings::Ending;
use self::endings::{close_reason, in_words, upgrade_answer};
use crate::compression;
use crate::frames::{self, Frame, Parsed};
use crate::http::{self, Answer};
use crate::tls::Tls;

const RECEIVE_BYTES: usize = 512 * 1024;
/// Room for what TLS has held back of a record.
const RECORD_BYTES: usize = 32 * 1024;
const RESUMED_BYTES: usize = 4 * 1024 * 1024;
const EVENTS_PER_TURN: usize = 1024;

const ENDING: EventFlags = EventFlags::RDHUP.union(EventFlags::HUP).union(EventFlags::ERR);

/// The key of RFC 6455's own example, whose answer is known without hashing.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The only subprotocol that the tester offers.
const TAKEN: &[u8] = b"pregon.v1\r\n";

/// Receives the events of connections and their frames.
pub trait Handler {
    /// The upgrade succeeded.
    fn opened(&mut self, _link: usize) {}

    /// A text or binary frame; `now` in ns of the links' clock, read once per `recv`.
    fn frame(&mut self, link: usize, frame: Frame<'_>, now: u64);

    /// The whole answer to a request on a link of [`Links::open_http`]; `now` as for frames.
    fn answer(&mut self, _link: usize, _answer: Answer<'_>, _now: u64) {}

    /// The connection ended, not by us.
    fn closed(&mut self, link: usize, ending: &Ending);

    /// One socket has been read completely: the moment to send what its frames released.
    fn after_read(&mut self, _links: &mut Links) {}
}

/// What a connection is used for.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// The upgrade was requested.
    Upgrading,
    Frames,
    /// Requests and answers, one after the other.
    Http,
}

struct Link {
    socket: Option<OwnedFd>,
    /// Tells events of this socket from those of an earlier one in the same slot.
    life: u32,
    /// Nothing is read; arriving bytes stay in the kernel.
    paused: bool,
    phase: Phase,
    /// The start of a frame or answer whose end has not arrived.
    partial: Vec<u8>,
    /// Bytes that the kernel did not take yet.
    unsent: Vec<u8>,
    /// Why it took none. Reported once, to whoever next reads the socket.
    failure: Option<Errno>,
    /// What it says as soon as it is open. Not empty where it offered a subprotocol.
    first: Vec<u8>,
    tls: Option<Box<Tls>>,
}

/// How a client comes in.
#[derive(Clone, Debug, Default)]
pub struct Entrance {
    /// The path of the request.
    pub path: String,
    /// The subprotocols that it offers; the server must take the first.
    pub offer: Option<String>,
    /// Whole frames that it sends as soon as the socket is open.
    pub first: Vec<u8>,
}

impl Entrance {
    /// Without a subprotocol.
    pub fn at(path: String) -> Self {
        Self { path, ..Self::default() }
    }
}

/// All connections of the run.
pub struct Links {
    epoll: OwnedFd,
    links: Vec<Link>,
    buffer: Vec<u8>,
    /// What one read brought by TLS, and what one send is sealed in.
    sealed: Vec<u8>,
    events: Vec<epoll::Event>,
    start: Instant,
    /// When the last wait ended.
    woke_at: u64,
}

impl Links {
    pub fn new() -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            links: Vec::new(),
            buffer: vec![0; RECEIVE_BYTES],
            sealed: Vec::new(),
            events: Vec::with_capacity(EVENTS_PER_TURN),
            start: Instant::now(),
            woke_at: 0,
        })
    }

    /// ns since these links were made.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// The same, and the ns since the last wait ended, that is, how long the loop has not looked at its sockets.
    pub fn now_and_busy(&self) -> (u64, u64) {
        let now = self.now();
        (now, now.saturating_sub(self.woke_at))
    }

    /// Starts a connection; `opened` or `closed` is called later. Links are numbered from 0.
    pub fn open(&mut self, server: SocketAddr, source: Option<Ipv4Addr>, entrance: Entrance) -> Result<usize> {
        let number = self.add();
        self.reopen(number, server, source, entrance)?;
        Ok(number)
    }

    /// Starts a connection for HTTP/1.1 requests, one at a time.
    pub fn open_http(&mut self, server: SocketAddr, source: Option<Ipv4Addr>) -> Result<usize> {
        let number = self.add();
        self.reopen_http(number, server, source)?;
        Ok(number)
    }

    fn add(&mut self) -> usize {
        self.links.push(Link {
            socket: None,
            life: 0,
            paused: false,
            phase: Phase::Upgrading,
            partial: Vec::new(),
            unsent: Vec::new(),
            failure: None,
            first: Vec::new(),
            tls: None,
        });
        self.links.len() - 1
    }

    /// Starts a connection in the place of one that ended.
    pub fn reopen(
        &mut self,
        number: usize,
        server: SocketAddr,
        source: Option<Ipv4Addr>,
        entrance: Entrance,
    ) -> Result<()> {
        self.dial(number, server, source)?;
        let Entrance { path, offer, first } = entrance;
        let offer = offer.map_or(String::new(), |offer| format!("Sec-WebSocket-Protocol: {offer}\r\n"));
        let extension = if compression::is_on() { compression::OFFER } else { "" };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {server}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{offer}{extension}\r\n"
        );
        let link = &mut self.links[number];
        (link.phase, link.first) = (Phase::Upgrading, first);
        match &mut link.tls {
            // It waits there for the end of the handshake, which begins.
            Some(tls) => tls.seal(request.as_bytes(), &mut link.unsent),
            None => link.unsent = request.into_bytes(),
        }
        Ok(())
    }

    /// The same for one of [`Self::open_http`].
    pub fn reopen_http(&mut self, number: usize, server: SocketAddr, source: Option<Ipv4Addr>) -> Result<()> {
        self.dial(number, server, source)?;
        let link = &mut self.links[number];
        link.phase = Phase::Http;
        if let Some(tls) = &mut link.tls {
            tls.said(&mut link.unsent);
        }
        Ok(())
    }

    fn dial(&mut self, number: usize, server: SocketAddr, source: Option<Ipv4Addr>) -> Result<()> {
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
            let why = Errno::from_io_error(&error).map_or_else(|| error.to_string(), in_words);
            bail!("cannot connect to {server}: {why}");
        }
        let link = &mut self.links[number];
        link.life = link.life.wrapping_add(1);
        let data = EventData::new_u64(u64::from(link.life) << 32 | number as u64);
        let socket = OwnedFd::from(socket);
        // Edge-triggered: a level-triggered socket would be polled a second time after each read.
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, &socket, data, interest)?;
        link.socket = Some(socket);
        link.tls = Tls::to(server)?;
        link.paused = false;
        link.partial.clear();
        link.unsent.clear();
        link.failure = None;
        Ok(())
    }

    /// Closes one without a goodbye, as if its network had gone away.
    pub fn drop_link(&mut self, link: usize) {
        self.links[link].socket = None;
    }

    /// Sends a close frame (1000); the server's answer ends the connection.
    pub fn say_goodbye(&mut self, link: usize) {
        self.send(link, &frames::masked(frames::CLOSE, &1000_u16.to_be_bytes()));
    }

    /// Stops reading from it, and limits what the kernel keeps of arriving bytes.
    pub fn pause(&mut self, link: usize, receive_bytes: usize) -> Result<()> {
        let link = &mut self.links[link];
        link.paused = true;
        match &link.socket {
            Some(socket) => socket2::SockRef::from(socket).set_recv_buffer_size(receive_bytes).context("SO_RCVBUF"),
            None => Ok(()),
        }
    }

    /// Reads again, first everything that has gathered, with a kernel buffer that lets the rest arrive quickly.
    pub fn resume(&mut self, link: usize, handler: &mut impl Handler) {
        if let Some(socket) = &self.links[link].socket {
            // If this fails the rest only arrives more slowly.
            let _ = socket2::SockRef::from(socket).set_recv_buffer_size(RESUMED_BYTES);
        }
        if std::mem::replace(&mut self.links[link].paused, false) {
            // The end may have arrived already; its edge has passed.
            while self.read(link, handler) {}
        }
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
        self.woke_at = self.now();
        for event in &events {
            let data = event.data.u64();
            let link = (data & 0xffff_ffff) as usize;
            let life = (data >> 32) as u32;
            if self.links[link].life != life {
                continue;
            }
            let flags = event.flags;
            if flags.contains(EventFlags::OUT) {
                self.flush(link);
            }
            let ending = flags.intersects(ENDING);
            if self.links[link].paused {
                continue;
            }
            if ending || flags.contains(EventFlags::IN) {
                // An end that arrives together with data makes no edge of its own.
                while self.read(link, handler) || ending && self.links[link].socket.is_some() {}
                handler.after_read(self);
            }
        }
        self.events = events;
        Ok(())
    }

    /// Sends, or queues what the kernel does not take. A failed socket is noticed at its next read.
    pub fn send(&mut self, link: usize, bytes: &[u8]) {
        let Some(tls) = &mut self.links[link].tls else { return self.send_as_is(link, bytes) };
        let mut sealed = std::mem::take(&mut self.sealed);
        sealed.clear();
        tls.seal(bytes, &mut sealed);
        self.send_as_is(link, &sealed);
        self.sealed = sealed;
    }

    fn send_as_is(&mut self, link: usize, bytes: &[u8]) {
        let Link { socket, unsent, failure, .. } = &mut self.links[link];
        let Some(socket) = socket else { return };
        if !unsent.is_empty() {
            unsent.extend_from_slice(bytes);
            return;
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        let taken = match rustix::net::send(&*socket, bytes, flags) {
            Ok(count) => count,
            Err(Errno::AGAIN) => 0,
            Err(error) => {
                failure.get_or_insert(error);
                return;
            }
        };
        unsent.extend_from_slice(&bytes[taken..]);
    }

    /// Sends a close frame (1000) on all and closes them.
    pub fn close_all(&mut self) {
        let goodbye = frames::masked(frames::CLOSE, &1000_u16.to_be_bytes());
        for link in 0..self.links.len() {
            if self.links[link].phase != Phase::Http {
                self.send(link, &goodbye);
            }
            self.end_tls(link);
            self.links[link].socket = None;
        }
    }

    /// Ends a connection for requests.
    pub fn close_http(&mut self, link: usize) {
        self.end_tls(link);
        self.drop_link(link);
    }

    fn end_tls(&mut self, link: usize) {
        let mut sealed = Vec::new();
        if let Some(tls) = &mut self.links[link].tls {
            tls.say_goodbye(&mut sealed);
            self.send_as_is(link, &sealed);
        }
    }

    fn flush(&mut self, link: usize) {
        let unsent = std::mem::take(&mut self.links[link].unsent);
        if !unsent.is_empty() {
            self.send_as_is(link, &unsent);
        }
    }

    /// One `recv` after what was left over. Returns whether there may be more now. (If it did not fill the buffer there
    /// is not: later bytes make a new edge.)
    fn read(&mut self, link: usize, handler: &mut impl Handler) -> bool {
        let mut buffer = std::mem::take(&mut self.buffer);
        let Link { socket, partial, tls, .. } = &self.links[link];
        let Some(socket) = socket else {
            self.buffer = buffer;
            return false;
        };
        let kept = partial.len();
        buffer[..kept].copy_from_slice(partial);
        let end = buffer.len() - if tls.is_some() { RECORD_BYTES } else { 0 };
        let room = &mut buffer[kept..end];
        let mut filled = false;
        let ended = match rustix::net::recv(socket, &mut *room, RecvFlags::empty()) {
            Ok((0, _)) => Some(self.silent_end(link)),
            Ok((count, _)) => {
                filled = count == room.len();
                match self.opened(link, &mut buffer[kept..], count) {
                    Ok((0, false)) => None,
                    Ok((0, true)) => Some(self.silent_end(link)),
                    Ok((count, has_closed)) => {
                        let ended = self.input(link, &buffer[..kept + count], handler);
                        ended.or_else(|| has_closed.then(|| self.silent_end(link)))
                    }
                    Err(why) => Some(Ending::new(why)),
                }
            }
            Err(Errno::AGAIN) => None,
            Err(error) => Some(Ending::new(in_words(error))),
        };
        self.buffer = buffer;
        if let Some(ending) = &ended {
            self.links[link].socket = None;
            handler.closed(link, ending);
        }
        filled && ended.is_none()
    }

    /// Opens what was read, in its place, and says what TLS has to say. Returns how many plain bytes there are, and whether the
    /// server has said that these are the last.
    fn opened(&mut self, link: usize, bytes: &mut [u8], count: usize) -> Result<(usize, bool), String> {
        let Some(tls) = &mut self.links[link].tls else { return Ok((count, false)) };
        let mut sealed = std::mem::take(&mut self.sealed);
        sealed.clear();
        sealed.extend_from_slice(&bytes[..count]);
        let opened = tls.open(&sealed, bytes);
        sealed.clear();
        tls.said(&mut sealed);
        if !sealed.is_empty() {
            self.send_as_is(link, &sealed);
        }
        self.sealed = sealed;
        opened.map(|opened| (opened.bytes, opened.has_closed))
    }

    /// The ending when the server sent no close frame.
    fn silent_end(&mut self, link: usize) -> Ending {
        let Link { failure, phase, .. } = &mut self.links[link];
        match (failure.take(), phase) {
            (Some(error), _) => Ending::new(in_words(error)),
            (None, Phase::Upgrading) => Ending::new("the server closed the connection before it answered the upgrade"),
            (None, Phase::Frames) => Ending::new("the server closed the connection without a close frame"),
            (None, Phase::Http) => Ending::new("the server closed the connection"),
        }
    }

    /// Reads the upgrade's answer, then frames. Returns the ending if the connection must end.
    fn input(&mut self, link: usize, bytes: &[u8], handler: &mut impl Handler) -> Option<Ending> {
        let mut used = 0;
        if self.links[link].phase == Phase::Http {
            return self.answers(link, bytes, handler);
        }
        if self.links[link].phase == Phase::Upgrading {
            match upgrade_answer(bytes) {
                Ok(Some(length)) => used = length,
                Ok(None) => {
                    self.keep(link, bytes);
                    return None;
                }
                Err(ending) => return Some(ending),
            }
            if compression::is_on() && memchr::memmem::find(&bytes[..used], compression::TAKEN).is_none() {
                return Some(Ending::new("the server did not take permessage-deflate without context"));
            }
            self.links[link].phase = Phase::Frames;
            let first = std::mem::take(&mut self.links[link].first);
            if !first.is_empty() {
                if memchr::memmem::find(&bytes[..used], TAKEN).is_none() {
                    return Some(Ending::new("the server did not take the subprotocol pregon.v1"));
                }
                self.send(link, &first);
            }
            handler.opened(link);
        }
        let now = self.now();
        loop {
            match frames::parse(&bytes[used..]) {
                Parsed::Whole(frame, length) => {
                    used += length;
                    match frame.opcode {
                        opcode if frame.is_compressed => {
                            let hand = |payload: &[u8]| {
                                handler.frame(link, Frame { opcode, is_compressed: false, payload }, now);
                            };
                            if compression::inflated(frame.payload, hand).is_none() {
                                return Some(Ending::new("a message that cannot be inflated"));
                            }
                        }
                        frames::TEXT | 2 => handler.frame(link, frame, now),
                        frames::PING => {
                            self.send(link, &frames::masked(frames::PONG, frame.payload));
                        }
                        frames::CLOSE => return Some(close_reason(frame.payload)),
                        _ => {}
                    }
                }
                Parsed::Partial if bytes.len() - used > RECEIVE_BYTES / 2 => {
                    return Some(Ending::new("a frame larger than this tester reads"));
                }
                Parsed::Partial => break,
                Parsed::Broken(why) => return Some(Ending::new(format!("protocol error: {why}"))),
            }
        }
        self.keep(link, &bytes[used..]);
        None
    }

    /// Reads whole answers to requests. Returns the ending if the connection must end.
    fn answers(&mut self, link: usize, bytes: &[u8], handler: &mut impl Handler) -> Option<Ending> {
        let now = self.now();
        let mut used = 0;
        while used < bytes.len() {
            match http::parse_answer(&bytes[used..]) {
                Ok(Some((answer, length))) => {
                    used += length;
                    handler.answer(link, answer, now);
                }
                Ok(None) if bytes.len() - used > RECEIVE_BYTES / 2 => {
                    return Some(Ending::new("an answer larger than this tester reads"));
                }
                Ok(None) => break,
                Err(why) => return Some(Ending::new(why)),
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
