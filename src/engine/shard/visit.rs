//! A connection from its acceptance to its end, as it is counted: by its client's address, and among those of nobody.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;

use super::port::{Address, Gate, Opening};
use crate::engine::session::pace::Said;

/// What sessions are counted by, for each slot of a shard, as far as there has been need.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Under which address.
    pub addresses: Vec<Address>,
    /// What each has said.
    pub said: Vec<Said>,
}

/// How a socket begins, and under what it is counted.
#[derive(Debug)]
pub(super) struct Opened {
    pub opening: Opening,
    pub address: Address,
}

impl From<Opening> for Opened {
    /// It is not counted.
    fn from(opening: Opening) -> Self {
        Self { opening, address: Address::default() }
    }
}

/// A connection that is not a session yet. Dropping it counts it no more.
pub(super) struct Visit {
    gate: Arc<dyn Gate>,
    peer: SocketAddr,
    address: Cell<Address>,
    /// The address is that of the client of the last request, who came by a proxy.
    is_forwarded: Cell<bool>,
    /// No request has come.
    is_nobodys: Cell<bool>,
}

impl Visit {
    /// `None` if the connection must be closed at once.
    pub(super) fn begin(gate: &Arc<dyn Gate>, peer: SocketAddr) -> Option<Self> {
        let address = Cell::new(gate.connected(peer)?);
        let (is_forwarded, is_nobodys) = (Cell::new(false), Cell::new(true));
        Some(Self { gate: gate.clone(), peer, address, is_forwarded, is_nobodys })
    }

    /// The other end of the connection.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Under what it is counted.
    pub(super) fn address(&self) -> Address {
        self.address.get()
    }

    /// The head of a request has come.
    pub(super) fn request_came(&self) {
        if self.is_nobodys.replace(false) {
            self.gate.spoke(self.address.get());
        }
    }

    /// Counts the client of a request for a socket. False if it has too many.
    pub(super) fn comes_from(&self, headers: &HeaderMap) -> bool {
        self.forget_client();
        let own = self.address.get();
        let Some(address) = self.gate.forwarded(self.peer, headers, own) else { return false };
        self.is_forwarded.set(address != own);
        self.address.set(address);
        true
    }

    /// The request got no socket: the next one may be another client's.
    pub(super) fn forget_client(&self) {
        if self.is_forwarded.replace(false) {
            self.gate.disconnected(self.address.take());
        }
    }

    /// The connection becomes a session, which is counted from now on.
    pub(super) fn opened(&self, opening: Opening) -> Opened {
        Opened { opening, address: self.address.take() }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.request_came();
        self.gate.disconnected(self.address.get());
    }
}
