//! TLS of one connection: opens what came in the caller's buffer, and seals what goes into it.
//!
//! The state machine and the records are rustls'. Its unbuffered interface lets many connections share the buffers of their
//! thread, so that an idle one owns none (docs/decisions/0028).

#[cfg(test)]
pub(crate) mod by_hand;
mod sealed;
pub mod secured;

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{AlertDescription, Error, HandshakeKind, ServerConfig};

pub use sealed::Sealed;

/// A record's kind, version and length (RFC 8446 §5.1).
const RECORD_HEADER_BYTES: usize = 5;

/// Why nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer has said so (`close_notify`, RFC 8446 §6.1).
    Closed,
    /// The peer has broken the protocol or refuses ours, in a few words for the log and the metrics. An alert says so to the peer.
    Broken(&'static str),
}

/// What one read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes that were read; 0: the peer has closed its side of the socket.
    pub bytes: usize,
    /// The read filled its buffer, so there may be more.
    pub has_filled: bool,
}

/// The TLS of one connection. At rest it has rustls' state and no buffer.
pub struct Tls {
    connection: UnbufferedServerConnection,
    /// What came of records whose end has not come.
    partial: Vec<u8>,
    /// Sealed records that the socket has not taken, and how much of them it has. They cannot be sealed again.
    unsent: Sealed,
    sent: usize,
    end: Option<End>,
    /// What comes is read and thrown away.
    is_deaf: bool,
    /// When all is sent, the server's side of the socket is closed.
    is_finishing: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partial, unsent, sent, end, is_deaf, is_finishing, .. } = self;
        f.debug_struct("Tls")
            .field("partial_bytes", &partial.len())
            .field("unsent_bytes", &(unsent.bytes().len() - sent))
            .field("end", end)
            .field("is_deaf", is_deaf)
            .field("is_finishing", is_finishing)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// The server's side of a connection that has just been accepted.
    ///
    /// # Errors
    /// When the configuration cannot serve anybody, which is a fault of this program.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let connection = UnbufferedServerConnection::new(config)?;
        let unsent = Sealed::default();
        Ok(Self { connection, partial: Vec::new(), unsent, sent: 0, end: None, is_deaf: false, is_finishing: false })
    }

    /// Reads once and opens what came: `plain` gets the peer's bytes, and what has to be answered waits for [`Self::flush`]. The
    /// read fills at most `scratch`, in which records are opened; a record with its header must fit
    /// ([`crate::limits::TLS_RECORD_BYTES_MAX`]).
    ///
    /// # Errors
    /// Those of the read. What is wrong in the records becomes [`Self::end`].
    pub fn receive(&mut self, socket: &mut impl Read, scratch: &mut [u8], plain: &mut Vec<u8>) -> io::Result<Received> {
        let kept = self.partial.len();
        if kept >= scratch.len() {
            self.break_off("too much before the end of the handshake");
            return Ok(Received { bytes: 0, has_filled: false });
        }
        scratch[..kept].copy_from_slice(&self.partial);
        let bytes = socket.read(&mut scratch[kept..])?;
        let received = Received { bytes, has_filled: kept + bytes == scratch.len() };
        if bytes == 0 || self.end.is_some() || self.is_deaf {
            // What comes behind the end is not understood.
            return Ok(received);
        }
        self.partial = Vec::new();
        let came = &mut scratch[..kept + bytes];
        let used = self.open(came, plain);
        if self.end.is_none() {
            self.partial = came[used..].to_vec();
        }
        Ok(received)
    }

    /// Opens all whole records of `came`. Returns how many of its bytes are done with.
    fn open(&mut self, came: &mut [u8], plain: &mut Vec<u8>) -> usize {
        let mut used = 0;
        loop {
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(&mut came[used..]);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        discard += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.unsent),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => {
                    self.end.get_or_insert(End::Closed);
                }
                Ok(_) => return used + discard,
                Err(error) => self.end = Some(End::Broken(in_words(&error))),
            }
            used += discard;
            // What comes behind a fault is not looked at. An alert that waits is taken out before.
            if self.is_broken() && !self.connection.wants_write() {
                return came.len();
            }
        }
    }

    /// Seals bytes: whole records are appended to `out`, all of which must be sent, in this order.
    ///
    /// # Errors
    /// When nothing can be sent any more: the connection has ended, or its keys are used up (TLS 1.2 after 2^24 records).
    pub fn seal(&mut self, plain: &[u8], out: &mut Sealed) -> Result<(), Exhausted> {
        self.write(out, |traffic, free| traffic.encrypt(plain, free))
    }

    /// Has the peer told that nothing more is sent, behind all that waits.
    pub fn say_goodbye(&mut self) {
        let mut out = std::mem::take(&mut self.unsent);
        // Where it cannot be said any more, it need not be.
        let _ = self.write(&mut out, |traffic, free| traffic.queue_close_notify(free));
        self.unsent = out;
    }

    fn write(
        &mut self,
        out: &mut Sealed,
        mut one: impl FnMut(&mut WriteTraffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), Exhausted> {
        if self.is_broken() {
            return Err(Exhausted);
        }
        loop {
            // What has come of a record is shown again: rustls may have begun to put a message together in it.
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut self.partial);
            let is_done = match state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let written = out.append(|free| match one(&mut traffic, free) {
                        Ok(count) => Ok(count),
                        Err(EncryptError::InsufficientSize(size)) => Err(Some(size.required_size)),
                        Err(EncryptError::EncryptExhausted) => Err(None),
                    });
                    if !written {
                        return Err(Exhausted);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(data)) => {
                    encode(data, out);
                    false
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.end.get_or_insert(End::Closed);
                    false
                }
                Ok(_) | Err(_) => return Err(Exhausted),
            };
            self.partial.drain(..discard);
            if is_done {
                return Ok(());
            }
        }
    }

    /// Keeps sealed bytes that the socket did not take.
    pub fn keep(&mut self, unsent: &[u8]) {
        self.unsent.extend(unsent);
    }

    /// Sends what waits. True if nothing waits any more.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<bool> {
        while self.unsent_bytes() > 0 {
            match socket.write(&self.unsent.bytes()[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        (self.unsent, self.sent) = (Sealed::default(), 0);
        Ok(true)
    }

    /// Sealed bytes that the socket has not taken.
    pub fn unsent_bytes(&self) -> usize {
        self.unsent.bytes().len() - self.sent
    }

    /// Bytes of records whose end has not come.
    pub fn partial_bytes(&self) -> usize {
        self.partial.len()
    }

    /// Why nothing more comes, if it is so.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// From here on nothing is understood or sealed any more, and what came of a record is forgotten.
    pub fn break_off(&mut self, why: &'static str) {
        self.partial = Vec::new();
        self.end = Some(End::Broken(why));
    }

    /// From here on what comes is thrown away, and what came of a record is forgotten. False if nothing can be sealed any more, either.
    pub fn deafen(&mut self) -> bool {
        // If its first record is whole, rustls has begun to put a message together in it, and would look for it there.
        let is_untouched = match self.partial.first_chunk::<RECORD_HEADER_BYTES>() {
            Some([_, _, _, high, low]) => {
                self.partial.len() < RECORD_HEADER_BYTES + usize::from(u16::from_be_bytes([*high, *low]))
            }
            None => true,
        };
        if is_untouched && !self.is_broken() {
            self.partial = Vec::new();
            self.is_deaf = true;
        } else {
            self.break_off("it held most of the unfinished records");
        }
        self.is_deaf
    }

    fn is_broken(&self) -> bool {
        matches!(self.end, Some(End::Broken(_)))
    }

    /// How the handshake went; `None` while it is under way. True: a ticket was taken.
    pub fn is_resumed(&self) -> Option<bool> {
        let is_over = !self.connection.is_handshaking();
        is_over.then(|| self.connection.handshake_kind() == Some(HandshakeKind::Resumed))
    }
}

/// Appends what rustls has to say.
fn encode(mut data: EncodeTlsData<'_>, out: &mut Sealed) {
    out.append(|free| match data.encode(free) {
        Ok(count) => Ok(count),
        Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
        Err(EncodeError::AlreadyEncoded) => Err(None),
    });
}

/// Nothing more can be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted;

type WriteTraffic<'a> = rustls::unbuffered::WriteTraffic<'a, ServerConnectionData>;
type EncodeTlsData<'a> = rustls::unbuffered::EncodeTlsData<'a, ServerConnectionData>;

/// A reason for the log and the metrics: few different ones, whatever peers send.
fn in_words(error: &Error) -> &'static str {
    match error {
        Error::NoApplicationProtocol => "no protocol in common: HTTP/1.1 alone is spoken",
        Error::PeerIncompatible(_) => "no version, cipher or group in common",
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            // A certificate of the same name by another key.
            | AlertDescription::DecryptError,
        ) => "the client does not trust the certificate",
        Error::AlertReceived(_) => "the client gave up",
        Error::InvalidMessage(_) => "no TLS",
        Error::DecryptError | Error::PeerSentOversizedRecord => "a record that cannot be opened",
        _ => "the client broke the protocol",
    }
}

#[cfg(test)]
mod tests;
