//! Carries a session's bytes between the engine and its peer by TCP, as they are or sealed above it (`tls`).
//!
//! Code that depends on the carrier matches the enum here or in `uring`, without a catch-all. If another one needs another
//! decision somewhere, the compiler points there.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::net::TcpStream;

/// A connected, non-blocking socket, and how bytes go through it.
#[derive(Debug)]
pub enum Stream {
    /// The bytes go as they are.
    Tcp(TcpStream),
}

impl Stream {
    /// A connected, non-blocking socket whose bytes go as they are.
    pub fn tcp(socket: std::net::TcpStream) -> Self {
        Self::Tcp(TcpStream::from_std(socket))
    }

    /// The socket below, for readiness, options and figures, never for bytes.
    pub(super) fn socket(&self) -> &TcpStream {
        let Self::Tcp(socket) = self;
        socket
    }

    /// As [`Self::socket`].
    pub(super) fn socket_mut(&mut self) -> &mut TcpStream {
        let Self::Tcp(socket) = self;
        socket
    }

    /// Reads what is there. A read that is shorter than the buffer has emptied the stream.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
        }
    }

    /// Writes what fits. A short write has filled the socket.
    pub(super) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => {
                let mut socket: &TcpStream = socket;
                match slices {
                    [one] => socket.write(one),
                    many => socket.write_vectored(many),
                }
            }
        }
    }

    /// Says that nothing more will be sent.
    pub(super) fn finish(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.shutdown(Shutdown::Write),
        }
    }
}
