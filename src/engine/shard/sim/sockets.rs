//! Simulated sockets: each takes what its buffer has room for, and its peer reads at once, in parts or not at all.

use std::collections::VecDeque;
use std::time::Instant;

use crate::engine::net::stretch::{Sent, Stretch, Transmit};

use super::client::Piece;

/// How a peer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    All,
    Some,
    Nothing,
}

/// One socket with the peer behind it.
#[derive(Debug)]
pub(super) struct Socket {
    /// Bytes that it holds until its peer reads.
    pub capacity: usize,
    pub held: usize,
    pub reads: Reads,
    /// The last send found no room, and the shard was not told yet that there is room again.
    pub is_full: bool,
    /// Everything that is sent is lost.
    pub is_broken: bool,
    /// The peer will send no more.
    pub has_ended: bool,
    /// The server will send no more.
    pub is_finished: bool,
    /// The bytes that it took since the shadow last looked.
    pub taken: Vec<u8>,
    /// The bytes that the peer has sent.
    pub input: VecDeque<Piece>,
    /// When the peer last read anything, or had nothing to read.
    pub read_at: Instant,
}

impl Socket {
    pub(super) fn new(capacity: usize, reads: Reads, now: Instant) -> Self {
        let (taken, input) = (Vec::new(), VecDeque::new());
        Self {
            capacity,
            held: 0,
            reads,
            is_full: false,
            is_broken: false,
            has_ended: false,
            is_finished: false,
            taken,
            input,
            read_at: now,
        }
    }

    /// The peer reads so many bytes.
    pub(super) fn read(&mut self, count: usize, now: Instant) {
        if self.held == 0 || count > 0 {
            self.read_at = now;
        }
        self.held -= count;
    }

    /// Once a third of the buffer is free again, the kernel says so, one time.
    pub(super) fn becomes_writable(&mut self) -> bool {
        self.is_full && (self.capacity - self.held) * 3 >= self.capacity && {
            self.is_full = false;
            true
        }
    }
}

/// A shard's sockets by number.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    pub all: Vec<Option<Socket>>,
}

impl Sockets {
    pub(super) fn adopt(&mut self, token: u32, socket: Socket) {
        let place = token as usize;
        if self.all.len() <= place {
            self.all.resize_with(place + 1, || None);
        }
        assert!(self.all[place].is_none(), "two sockets have one number");
        self.all[place] = Some(socket);
    }
}

impl Transmit for Sockets {
    fn send(&mut self, stretch: &Stretch<'_>, outcomes: &mut Vec<Sent>) {
        outcomes.clear();
        for (token, slices) in stretch.visits() {
            let socket = self.all[token as usize].as_mut().expect("only open sockets are visited");
            let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
            assert!(wanted > 0, "nobody is visited for nothing");
            assert!(!socket.is_finished, "something is sent behind the end");
            if socket.is_broken {
                outcomes.push(Sent::Broken);
                continue;
            }
            let count = wanted.min(socket.capacity - socket.held);
            socket.held += count;
            let mut left = count;
            for slice in slices {
                let part = left.min(slice.len());
                socket.taken.extend_from_slice(&slice[..part]);
                left -= part;
            }
            socket.is_full = count < wanted;
            outcomes.push(if count == wanted { Sent::All } else { Sent::Part(count) });
        }
    }

    fn unacknowledged_bytes(&self, token: u32) -> Option<usize> {
        self.all.get(token as usize)?.as_ref().map(|socket| socket.held)
    }
}
