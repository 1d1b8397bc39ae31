//! TLS in front of HTTP: a connection's handshake, and its socket as hyper reads it until the engine adopts it.

mod doorway;
mod held;
mod pace;
mod plain_http;

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use rustls::ServerConfig;
use tokio::net::TcpStream;

use crate::engine::net::tls::{End, Sealed, Tls};
use crate::limits::{TLS_HELLO_BYTES_MAX, TLS_RECORD_BYTES_MAX, TLS_SEALED_KEPT_BYTES, TLS_VISIT_BYTES_MAX};

pub(super) use doorway::{Doorway, Terms};
pub(super) use held::Holding;
pub(super) use pace::Pace;

use held::Share;

/// A connection's socket and its TLS, with what was opened and is not read yet.
#[derive(Debug)]
pub(super) struct TlsSocket {
    socket: TcpStream,
    tls: Box<Tls>,
    plain: Vec<u8>,
    /// How much of `plain` was read.
    read: usize,
    has_ended: bool,
    share: Share,
}

/// What the connections of a thread share while they are read and written.
struct Scratch {
    sealed_in: Box<[u8]>,
    sealed_out: Sealed,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        sealed_in: vec![0; TLS_RECORD_BYTES_MAX].into_boxed_slice(),
        sealed_out: Sealed::default(),
    });
}

/// A tokio socket as something that reads and writes without waiting.
struct Now<'a>(&'a TcpStream);

impl io::Read for Now<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl io::Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a handshake came to nothing, for the metrics and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The client has gone.
    Gone,
    /// What it sent is no TLS, or none that is spoken here.
    Refused(&'static str),
    /// It began an HTTP request.
    PlainHttp,
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Shakes hands with a client. Computing waits for its turn in `pace`.
async fn shake_hands(
    socket: &TcpStream,
    config: Arc<ServerConfig>,
    pace: &Pace,
) -> Result<(Box<Tls>, Vec<u8>), Failure> {
    let tls = Tls::new(config).map_err(|_| Failure::Refused("the configuration"))?;
    let (mut tls, mut plain) = (Box::new(tls), Vec::new());
    while tls.is_resumed().is_none() {
        socket.readable().await?;
        let receive = || {
            SCRATCH.with_borrow_mut(|scratch| {
                let scratch = &mut scratch.sealed_in[..TLS_HELLO_BYTES_MAX];
                tls.receive(&mut Now(socket), scratch, &mut plain)
            })
        };
        let received = match pace.compute(receive).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            received => received?,
        };
        // The alert that says why, too.
        while !tls.flush(&mut Now(socket))? {
            socket.writable().await?;
        }
        match tls.end() {
            Some(End::Broken(why)) => return Err(Failure::Refused(why)),
            // A request may have come with the end, and then the client still reads.
            Some(End::Closed) if tls.is_resumed().is_some() => {}
            Some(End::Closed) => return Err(Failure::Gone),
            None if received.bytes == 0 => return Err(Failure::Gone),
            None => {}
        }
    }
    Ok((tls, plain))
}

impl TlsSocket {
    fn new(socket: TcpStream, tls: Box<Tls>, plain: Vec<u8>, share: Share) -> Self {
        Self { socket, tls, plain, read: 0, has_ended: false, share }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// The socket, its TLS, and what was opened and not read.
    pub(super) fn into_parts(mut self) -> (TcpStream, Box<Tls>, Vec<u8>) {
        self.plain.drain(..self.read);
        (self.socket, self.tls, self.plain)
    }

    /// Sends what was sealed; ready when the socket has all of it.
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.share.stays()?;
        while !self.tls.flush(&mut Now(&self.socket))? {
            self.counts(context)?;
            ready!(self.socket.poll_write_ready(context))?;
        }
        self.counts(context)?;
        Poll::Ready(Ok(()))
    }

    /// Counts what it holds; fails when that is too much.
    fn counts(&mut self, context: &Context<'_>) -> io::Result<()> {
        let unread = self.plain.len() - self.read;
        self.share.holds(unread + self.tls.partial_bytes() + self.tls.unsent_bytes(), context)
    }

    /// Lends out what was opened.
    fn lend(&mut self, into: &mut ReadBufCursor<'_>) {
        let Self { plain, read, .. } = self;
        let count = into.remaining().min(plain.len() - *read);
        into.put_slice(&plain[*read..*read + count]);
        *read += count;
        if *read == plain.len() {
            (*plain, *read) = (Vec::new(), 0);
        }
    }
}

impl Read for TlsSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.share.stays()?;
        loop {
            if this.read < this.plain.len() {
                this.lend(&mut into);
                return Poll::Ready(this.counts(context));
            }
            match this.tls.end() {
                Some(End::Broken(_)) => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                Some(End::Closed) => return Poll::Ready(Ok(())),
                None if this.has_ended => return Poll::Ready(Ok(())),
                None => {}
            }
            ready!(this.socket.poll_read_ready(context))?;
            let Self { socket, tls, plain, .. } = &mut *this;
            let received =
                SCRATCH.with_borrow_mut(|scratch| tls.receive(&mut Now(socket), &mut scratch.sealed_in, plain));
            match received {
                Ok(received) => this.has_ended = received.bytes == 0,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Poll::Ready(Err(error)),
            }
            // Alerts and answers about keys. What finds no room goes with the next write.
            this.tls.flush(&mut Now(&this.socket))?;
            this.counts(context)?;
        }
    }
}

impl Write for TlsSocket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // What was sealed before goes first, so that there is never more than one record of it.
        ready!(self.poll_sent(context))?;
        let Self { socket, tls, .. } = &mut *self;
        let taken = &bytes[..bytes.len().min(TLS_VISIT_BYTES_MAX)];
        let sent = SCRATCH.with_borrow_mut(|Scratch { sealed_out, .. }| {
            sealed_out.make_room(taken.len());
            let sealed = tls.seal(taken, sealed_out).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe));
            let sent = sealed.and_then(|()| match socket.try_write(sealed_out.bytes()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                sent => sent,
            });
            if let Ok(sent) = sent {
                tls.keep(&sealed_out.bytes()[sent..]);
            }
            sealed_out.clear(TLS_SEALED_KEPT_BYTES);
            sent
        });
        let counted = sent.and_then(|_| self.counts(context));
        Poll::Ready(counted.map(|()| taken.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_sent(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Said once, however often this is polled.
        self.tls.say_goodbye();
        ready!(self.poll_sent(context))?;
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.socket), context)
    }
}

#[cfg(test)]
mod tests;
