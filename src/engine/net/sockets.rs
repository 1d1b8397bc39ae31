//! A shard's sockets: adopts them, looks for events, sends stretches, closes sockets.
//!
//! Readiness comes from epoll. A socket is registered once, edge-triggered, for both directions, so steady traffic
//! costs no further `epoll_ctl`. A socket whose input did not fit into one read is read again at the next look. A
//! stretch is sent by io_uring in one system call where the kernel has it, else by one call for each socket. With TLS,
//! bytes are opened behind the read and sealed before the send.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use super::send::Sender;
use super::stream::Stream;
use super::stretch::{Sent, Stretch, Transmit};
use super::tls::Tls;
use super::tls::secured::Secured;
use crate::limits::TLS_RECORD_BYTES_MAX;

/// How often a look reads one socket in a row.
const READS_MAX: usize = 4;

/// What a look finds, socket by socket. `token` is the number given at adoption.
pub trait Handler {
    /// May any socket be read now? If not, the rest waits for the next look.
    fn has_room(&self) -> bool;
    /// May the socket be read now? If not, it is asked about again at the next look.
    fn takes_input(&self, token: u32) -> bool;
    /// Bytes came. They may be changed in place.
    fn received(&mut self, token: u32, bytes: &mut [u8]);
    /// The socket takes bytes again.
    fn writable(&mut self, token: u32);
    /// The peer has closed or the connection broke: nothing more comes.
    fn closed(&mut self, token: u32);
    /// The socket's peer has begun a record and not ended it, as many others have, and together they are too much: it has to go.
    /// Nothing that it sends is understood any more.
    fn hoards(&mut self, token: u32, can_be_told: bool);
}

#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    is_unread: bool,
    has_ended: bool,
}

/// A shard's sockets.
#[derive(Debug)]
pub struct Sockets {
    poll: Poll,
    events: Events,
    streams: Vec<Option<Stream>>,
    /// Sockets that may have more to read although no event will say so. The one that has waited longest comes first.
    unread: VecDeque<u32>,
    /// For each number: whether it is in `unread`, and whether the end of its input was announced, which happens once.
    marks: Vec<Marks>,
    buffer: Box<[u8]>,
    sender: Sender,
    secured: Secured,
    unopened_bytes_max: usize,
}

impl Sockets {
    /// An empty set that reads up to `receive_bytes` at a time, looks at `events_max` sockets a look, sends by `sender`, and
    /// holds up to `unopened_bytes_max` of TLS records whose end has not come.
    ///
    /// # Errors
    /// When the kernel gives no epoll instance (open files).
    pub fn new(receive_bytes: usize, events_max: usize, unopened_bytes_max: usize, sender: Sender) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(events_max),
            streams: Vec::new(),
            unread: VecDeque::new(),
            marks: Vec::new(),
            buffer: vec![0; receive_bytes].into_boxed_slice(),
            sender,
            secured: Secured::default(),
            unopened_bytes_max,
        })
    }

    /// Takes a stream over under a number that is free, with its TLS if it has it.
    ///
    /// # Errors
    /// When the kernel does not register it.
    pub fn adopt(&mut self, token: u32, mut stream: Stream, tls: Option<Box<Tls>>) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(stream.socket_mut(), Token(token as usize), interest)?;
        let place = token as usize;
        if self.streams.len() <= place {
            self.streams.resize_with(place + 1, || None);
            self.marks.resize(place + 1, Marks::default());
        }
        debug_assert!(self.streams[place].is_none());
        self.marks[place].has_ended = false;
        self.sender.adopted(token, &stream);
        self.streams[place] = Some(stream);
        if let Some(tls) = tls {
            self.secured.adopt(token, tls);
        }
        Ok(())
    }

    /// Looks once at what is ready, without waiting. True when more may be ready: look again before sleeping.
    ///
    /// # Errors
    /// When the kernel refuses the wait.
    pub fn look(&mut self, handler: &mut impl Handler) -> io::Result<bool> {
        for _ in 0..self.unread.len() {
            // Sockets that may not be read now stay in `unread`. Whether sockets take bytes again is asked below all
            // the same.
            if !handler.has_room() {
                break;
            }
            let Some(token) = self.unread.pop_front() else { break };
            self.marks[token as usize].is_unread = false;
            self.read(token, handler);
        }
        match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            other => other?,
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let mut seen = 0;
        for event in &events {
            seen += 1;
            let Ok(token) = u32::try_from(event.token().0) else { continue };
            // What was sealed goes first: until it has gone, the socket takes nothing more.
            if event.is_writable() && self.flush(token) {
                handler.writable(token);
            }
            let has_ended = event.is_read_closed() || event.is_error();
            if event.is_readable() || has_ended {
                self.marks[token as usize].has_ended |= has_ended;
                self.read(token, handler);
            }
        }
        let is_full = seen == events.capacity();
        self.events = events;
        Ok(is_full || !self.unread.is_empty())
    }

    fn flush(&mut self, token: u32) -> bool {
        match self.streams.get(token as usize).and_then(Option::as_ref) {
            Some(stream) => self.secured.flush(token, stream),
            None => true,
        }
    }

    /// Closes a socket at once. Its number is free again.
    pub fn close(&mut self, token: u32) {
        if let Some(stream) = self.streams.get(token as usize).and_then(Option::as_ref) {
            self.secured.close(token, stream);
        }
        self.drop_stream(token);
    }

    fn drop_stream(&mut self, token: u32) {
        if let Some(mut stream) = self.streams.get_mut(token as usize).and_then(Option::take) {
            self.sender.closing(token);
            // An error here changes nothing: the descriptor goes with its last holder.
            let _ = self.poll.registry().deregister(stream.socket_mut());
            // The number may still be in `unread`. Its turn then finds no stream, or the stream that has the number by
            // then.
        }
    }

    /// Sends nothing more (FIN). What the peer sends is still read.
    pub fn finish(&mut self, token: u32) {
        let Some(stream) = self.streams.get(token as usize).and_then(Option::as_ref) else { return };
        if self.secured.has(token) {
            self.secured.finish(token, stream);
        } else {
            // An error means that the connection is gone, which the next read finds out.
            let _ = stream.finish();
        }
    }

    /// Closes a socket so that the peer learns of it at once (RST); what was not sent yet is lost.
    pub fn reset(&mut self, token: u32) {
        if let Some(stream) = self.streams.get(token as usize).and_then(Option::as_ref) {
            let _ = socket2::SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO));
        }
        self.secured.forget(token);
        self.drop_stream(token);
    }

    /// Reads once; if no further event may come, reads until nothing is left. If the peer sends faster than it is read,
    /// the rest waits for the next look.
    fn read(&mut self, token: u32, handler: &mut impl Handler) {
        let Some(stream) = self.streams.get_mut(token as usize).and_then(Option::as_mut) else { return };
        if !handler.has_room() || !handler.takes_input(token) {
            return self.read_later(token);
        }
        if self.secured.has(token) {
            return self.read_secured(token, handler);
        }
        for _ in 0..READS_MAX {
            match stream.read(&mut self.buffer) {
                Ok(0) => return handler.closed(token),
                Ok(count) if count == self.buffer.len() => {
                    handler.received(token, &mut self.buffer);
                    return self.read_later(token);
                }
                Ok(count) => {
                    handler.received(token, &mut self.buffer[..count]);
                    // A short read has emptied the socket, and the next byte raises an event. No event follows if the
                    // end of input was announced together with these bytes or earlier: then this reads on to the end.
                    if !self.marks[token as usize].has_ended {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return handler.closed(token),
            }
        }
        self.read_later(token);
    }

    /// The same for a socket with TLS.
    fn read_secured(&mut self, token: u32, handler: &mut impl Handler) {
        for _ in 0..READS_MAX {
            let Some(stream) = self.streams.get(token as usize).and_then(Option::as_ref) else { return };
            let read = match self.secured.read(token, stream, &mut self.buffer) {
                Some(Ok(read)) => read,
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                Some(Err(_)) | None => return handler.closed(token),
            };
            let mut plain = self.secured.take_plain();
            if !plain.is_empty() {
                handler.received(token, &mut plain);
            }
            self.secured.give_plain(plain);
            if read.has_ended {
                return handler.closed(token);
            }
            // Another socket's record, as long as may be, must have room before the next look.
            let room = self.unopened_bytes_max.saturating_sub(TLS_RECORD_BYTES_MAX);
            for (hoarder, can_be_told) in self.secured.hoarders(room) {
                handler.hoards(hoarder, can_be_told);
            }
            if read.received.has_filled {
                return self.read_later(token);
            }
            if !self.marks[token as usize].has_ended {
                return;
            }
        }
        self.read_later(token);
    }

    fn read_later(&mut self, token: u32) {
        if !std::mem::replace(&mut self.marks[token as usize].is_unread, true) {
            self.unread.push_back(token);
        }
    }
}

impl AsRawFd for Sockets {
    /// Readable when a look would find something.
    fn as_raw_fd(&self) -> RawFd {
        self.poll.as_raw_fd()
    }
}

impl Transmit for Sockets {
    fn send(&mut self, stretch: &Stretch<'_>, outcomes: &mut Vec<Sent>) {
        outcomes.clear();
        if self.secured.is_empty() {
            self.sender.send(&self.streams, stretch, outcomes);
        } else {
            self.secured.send(&self.streams, &mut self.sender, stretch, outcomes);
        }
    }

    fn unacknowledged_bytes(&self, token: u32) -> Option<usize> {
        let stream = self.streams.get(token as usize)?.as_ref()?;
        super::unacknowledged::bytes(stream.socket()).map(|bytes| bytes + self.secured.unsent_bytes_of(token))
    }

    fn sealed_bytes_of(&self, token: u32) -> usize {
        self.secured.unsent_bytes_of(token)
    }

    fn sealed_bytes(&self) -> usize {
        self.secured.unsent_bytes()
    }

    fn unopened_bytes(&self) -> usize {
        self.secured.partial_bytes()
    }

    fn peer(&self, token: u32) -> Option<std::net::SocketAddr> {
        self.streams.get(token as usize)?.as_ref()?.socket().peer_addr().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::Instant;

    use super::*;

    #[derive(Default)]
    struct Heard {
        bytes: usize,
        is_closed: bool,
    }

    impl Handler for Heard {
        fn has_room(&self) -> bool {
            true
        }

        fn takes_input(&self, _: u32) -> bool {
            true
        }

        fn received(&mut self, _: u32, bytes: &mut [u8]) {
            self.bytes += bytes.len();
        }

        fn writable(&mut self, _: u32) {}

        fn closed(&mut self, _: u32) {
            self.is_closed = true;
        }

        fn hoards(&mut self, _: u32, _: bool) {}
    }

    /// Takes one read for each look.
    struct Reluctant {
        heard: Vec<u32>,
        has_room: bool,
    }

    impl Handler for Reluctant {
        fn has_room(&self) -> bool {
            self.has_room
        }

        fn takes_input(&self, _: u32) -> bool {
            true
        }

        fn received(&mut self, token: u32, _: &mut [u8]) {
            self.heard.push(token);
            self.has_room = false;
        }

        fn writable(&mut self, _: u32) {}

        fn closed(&mut self, _: u32) {}

        fn hoards(&mut self, _: u32, _: bool) {}
    }

    #[test]
    fn who_sends_without_end_keeps_nobody_else_from_being_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sockets = Sockets::new(64, 8, 0, Sender::OneByOne).unwrap();
        let mut peers = Vec::new();
        for token in 0..3 {
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let socket = listener.accept().unwrap().0;
            socket.set_nonblocking(true).unwrap();
            sockets.adopt(token, Stream::tcp(socket), None).unwrap();
            if token < 2 {
                peer.write_all(&[7; 64 * 1024]).unwrap();
            }
            peers.push(peer);
        }
        let mut handler = Reluctant { heard: Vec::new(), has_room: true };
        // Both senders wait to be read again when the third speaks.
        while handler.heard.len() < 4 {
            handler.has_room = true;
            sockets.look(&mut handler).unwrap();
        }
        peers[2].write_all(b"me too").unwrap();
        let before = handler.heard.len();
        while handler.heard.last() != Some(&2) && handler.heard.len() < before + 50 {
            handler.has_room = true;
            sockets.look(&mut handler).unwrap();
        }
        assert_eq!(handler.heard.last(), Some(&2), "{:?}", handler.heard);
    }

    #[test]
    fn an_end_is_heard_behind_more_bytes_than_one_read_takes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0;
        socket.set_nonblocking(true).unwrap();
        let mut sockets = Sockets::new(64, 8, 0, Sender::OneByOne).unwrap();
        sockets.adopt(0, Stream::tcp(socket), None).unwrap();
        peer.write_all(&[7; 100]).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let mut heard = Heard::default();
        let began = Instant::now();
        while !heard.is_closed && began.elapsed() < Duration::from_secs(2) {
            sockets.look(&mut heard).unwrap();
        }
        assert_eq!((heard.bytes, heard.is_closed), (100, true));
    }
}
