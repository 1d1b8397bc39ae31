//! What carries a connection's HTTP: its socket as it is, or its socket with TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::encryption::TlsSocket;
use crate::engine::net::tls::Tls;

/// A connection's socket, as hyper reads and writes it.
pub(super) enum Carrier {
    Plain(TokioIo<TcpStream>),
    Tls(TlsSocket),
}

/// What the engine takes over of a connection.
pub(super) struct Carried {
    pub socket: TcpStream,
    pub tls: Option<Box<Tls>>,
    /// Bytes of the peer that were opened, and that hyper has not read.
    pub unread: Vec<u8>,
}

impl Carrier {
    pub fn plain(socket: TcpStream) -> Self {
        Self::Plain(TokioIo::new(socket))
    }

    /// The socket below, for figures and for bytes that nobody needs.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket.inner(),
            Self::Tls(socket) => socket.socket(),
        }
    }

    /// As [`Self::socket`].
    pub fn socket_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) => socket.inner_mut(),
            Self::Tls(socket) => socket.socket_mut(),
        }
    }

    pub fn into_parts(self) -> Carried {
        match self {
            Self::Plain(socket) => Carried { socket: socket.into_inner(), tls: None, unread: Vec::new() },
            Self::Tls(socket) => {
                let (socket, tls, unread) = socket.into_parts();
                Carried { socket, tls: Some(tls), unread }
            }
        }
    }
}

impl Read for Carrier {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, into),
            Self::Tls(socket) => Pin::new(socket).poll_read(context, into),
        }
    }
}

impl Write for Carrier {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Tls(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(socket) => socket.is_write_vectored(),
            // Slices are put together by hyper: a record is sealed from one.
            Self::Tls(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(context, bytes),
            Self::Tls(socket) => Pin::new(socket).poll_write_vectored(context, bytes),
        }
    }
}
