//! A stretch of the walk: visits to sockets, each with the bytes to send and what became of them.

use std::io::IoSlice;

/// What became of one visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The socket took all of it.
    All,
    /// The socket took the first so many bytes. No more was tried, and it may take more.
    First(usize),
    /// So many bytes were taken, and the socket is full. `Handler::writable` tells when it takes more. (With TLS, what was sealed is
    /// taken even if the socket has no room for it, so that this may be all that was wanted.)
    Part(usize),
    /// The connection is broken.
    Broken,
}

/// Visits to sockets, each with the bytes to send there.
#[derive(Debug, Default)]
pub struct Stretch<'a> {
    slices: Vec<IoSlice<'a>>,
    /// Each visit's token, and where its slices end.
    visits: Vec<(u32, usize)>,
}

impl<'a> Stretch<'a> {
    /// A stretch without visits, with room for so many visits of one slice each.
    pub fn with_capacity(visits: usize) -> Self {
        Self { slices: Vec::with_capacity(visits), visits: Vec::with_capacity(visits) }
    }

    /// Adds a visit. A stretch never has two visits to one socket.
    pub fn visit(&mut self, token: u32, slices: &[IoSlice<'a>]) {
        self.slices.extend_from_slice(slices);
        self.visits.push((token, self.slices.len()));
    }

    /// The visits in order: the token and slices of each.
    pub fn visits(&self) -> impl Iterator<Item = (u32, &[IoSlice<'a>])> {
        let mut start = 0;
        self.visits.iter().map(move |&(token, end)| {
            let slices = &self.slices[start..end];
            start = end;
            (token, slices)
        })
    }

    /// Number of visits.
    pub fn len(&self) -> usize {
        self.visits.len()
    }

    /// True if there is no visit.
    pub fn is_empty(&self) -> bool {
        self.visits.is_empty()
    }
}

/// Sends a stretch: a shard's sockets, or what stands for them in a simulation.
pub trait Transmit {
    /// Sends each visit's bytes; `outcomes` gets one outcome for each visit, in order.
    fn send(&mut self, stretch: &Stretch<'_>, outcomes: &mut Vec<Sent>);
    /// Bytes that were taken for a socket and that its peer has not acknowledged yet; `None` where the kernel does not say.
    fn unacknowledged_bytes(&self, token: u32) -> Option<usize>;
    /// Bytes that were taken from a session and sealed, and that its socket has no room for.
    fn sealed_bytes_of(&self, _token: u32) -> usize {
        0
    }
    /// The same of all sessions together.
    fn sealed_bytes(&self) -> usize {
        0
    }
    /// Bytes that came of records whose end has not come, of all sessions.
    fn unopened_bytes(&self) -> usize {
        0
    }
    /// The other end of a socket; `None` where there is none.
    fn peer(&self, _token: u32) -> Option<std::net::SocketAddr> {
        None
    }
}
