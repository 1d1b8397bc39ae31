//! How a stretch is sent: by one `send` for each visit, or with all visits in one submission to io_uring.

use std::fmt;
use std::io::{self, IoSlice};

use super::stream::Stream;
use super::stretch::{Sent, Stretch};
use super::uring::Ring;

/// With fewer visits, a submission costs more than the calls that it saves.
const RING_VISITS_MIN: usize = 2;

/// The way in which stretches are to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Io {
    /// io_uring where the kernel allows it, else epoll alone.
    Auto,
    /// io_uring; the server does not start without it.
    Uring,
    /// System calls one by one.
    Epoll,
}

impl fmt::Display for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Epoll => "epoll",
        })
    }
}

/// The way in which a shard sends its stretches.
#[derive(Debug)]
pub enum Sender {
    /// One system call for each visit.
    OneByOne,
    /// One system call for each stretch.
    Ring(Box<Ring>),
}

impl Sender {
    /// The calling thread's sender of stretches of up to `visits_max`.
    ///
    /// # Errors
    /// With [`Io::Uring`], when the kernel gives no ring.
    pub fn new(io: Io, visits_max: usize) -> io::Result<Self> {
        match io {
            Io::Epoll => Ok(Self::OneByOne),
            Io::Uring => Ring::new(visits_max).map(|ring| Self::Ring(Box::new(ring))),
            Io::Auto => Ok(Self::new(Io::Uring, visits_max).unwrap_or(Self::OneByOne)),
        }
    }

    /// The way in which this sender sends.
    pub fn io(&self) -> Io {
        match self {
            Self::OneByOne => Io::Epoll,
            Self::Ring(_) => Io::Uring,
        }
    }

    /// Notes that a stream was adopted under a number.
    pub(super) fn adopted(&mut self, token: u32, stream: &Stream) {
        if let Self::Ring(ring) = self {
            ring.know(token, stream);
        }
    }

    /// Notes that a socket is about to be closed.
    pub(super) fn closing(&mut self, token: u32) {
        if let Self::Ring(ring) = self
            && let Err(error) = ring.forget(token)
        {
            self.give_up(&error);
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        tracing::error!(%error, "io_uring fails: going on with one system call a visit");
        *self = Self::OneByOne;
    }

    /// Sends each visit's bytes and appends one outcome for each visit, in order. A visit to a number without a stream
    /// is [`Sent::Broken`].
    pub(super) fn send(&mut self, streams: &[Option<Stream>], stretch: &Stretch<'_>, outcomes: &mut Vec<Sent>) {
        let first = outcomes.len();
        if let Self::Ring(ring) = self
            && stretch.len() >= RING_VISITS_MIN
        {
            match ring.send(streams, stretch, outcomes) {
                Ok(()) => return,
                Err(error) => self.give_up(&error),
            }
        }
        // Visits that the ring judged before it failed keep their outcome.
        let judged = outcomes.len() - first;
        for (token, slices) in stretch.visits().skip(judged) {
            outcomes.push(match &streams[token as usize] {
                Some(stream) => write(stream, slices),
                None => Sent::Broken,
            });
        }
    }
}

fn write(stream: &Stream, slices: &[IoSlice<'_>]) -> Sent {
    let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
    loop {
        match stream.write(slices) {
            Ok(count) if count == wanted => return Sent::All,
            // A short write means that the socket is full: the rest waits for the event that says it is not.
            Ok(count) => return Sent::Part(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Part(0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Sent::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    /// The server's end of a connection, and the peer's.
    fn pair() -> (Stream, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0;
        socket.set_nonblocking(true).unwrap();
        (Stream::tcp(socket), peer)
    }

    fn senders() -> Vec<Sender> {
        let mut all = vec![Sender::OneByOne];
        // Where the kernel forbids io_uring there is nothing to test.
        all.extend(Sender::new(Io::Uring, 8));
        all
    }

    #[test]
    fn every_visit_of_a_stretch_gets_its_bytes() {
        for mut sender in senders() {
            let (sockets, peers): (Vec<_>, Vec<_>) = (0..8).map(|_| pair()).unzip();
            let sockets: Vec<_> = sockets.into_iter().map(Some).collect();
            let mut stretch = Stretch::default();
            for token in 0..8 {
                // Every other visit gathers.
                let parts = [IoSlice::new(b"first, "), IoSlice::new(b"second, "), IoSlice::new(b"third")];
                stretch.visit(token, if token % 2 == 0 { &parts } else { &parts[..1] });
            }
            let mut outcomes = Vec::new();
            sender.send(&sockets, &stretch, &mut outcomes);
            assert_eq!(outcomes, [Sent::All; 8], "{sender:?}");
            drop(sockets);
            for (number, mut peer) in peers.into_iter().enumerate() {
                let mut heard = String::new();
                peer.read_to_string(&mut heard).unwrap();
                assert_eq!(heard, if number % 2 == 0 { "first, second, third" } else { "first, " }, "{sender:?}");
            }
        }
    }

    #[test]
    fn full_broken_and_missing_sockets_are_told_apart_and_no_byte_is_sent_twice() {
        let much = vec![7; 16 * 1024 * 1024];
        for mut sender in senders() {
            let (full, mut reader) = pair();
            let (broken, gone) = pair();
            let (good, mut listener) = pair();
            drop(gone);
            broken.finish().unwrap();
            let sockets = [Some(full), Some(broken), None, Some(good)];
            let mut stretch = Stretch::default();
            stretch.visit(0, &[IoSlice::new(&much)]);
            for token in 1..4 {
                stretch.visit(token, &[IoSlice::new(b"hello")]);
            }
            let mut outcomes = Vec::new();
            sender.send(&sockets, &stretch, &mut outcomes);
            let Sent::Part(count) = outcomes[0] else { panic!("{:?} by {sender:?}", outcomes[0]) };
            assert!(count > 0 && count < much.len());
            assert_eq!(outcomes[1..], [Sent::Broken, Sent::Broken, Sent::All], "{sender:?}");

            let mut again = Stretch::default();
            again.visit(3, &[IoSlice::new(b"!")]);
            again.visit(0, &[IoSlice::new(&much[..1])]);
            outcomes.clear();
            sender.send(&sockets, &again, &mut outcomes);
            assert_eq!(outcomes, [Sent::All, Sent::Part(0)], "a full socket stays full: {sender:?}");
            drop(sockets);
            let mut heard = Vec::new();
            reader.read_to_end(&mut heard).unwrap();
            assert_eq!(heard.len(), count, "{sender:?}");
            heard.clear();
            listener.read_to_end(&mut heard).unwrap();
            assert_eq!(heard, b"hello!", "{sender:?}");
        }
    }
}
