//! Whether the bus works, and since when it does not.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::clock::Timestamp;

/// A part of a node that has a connection of its own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Sender,
    Receiver,
    Listener,
}

const ALL: u8 = 0b111;

/// The state of all connections.
#[derive(Debug, Default)]
pub(super) struct Link {
    up: AtomicU8,
    /// Since when not all were up; `None` while all are.
    down_since: Mutex<Option<Timestamp>>,
}

impl Link {
    /// All connections work.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire) == ALL
    }

    /// Since when something has not worked; `None` if everything works.
    pub fn down_since(&self) -> Option<Timestamp> {
        if self.is_up() { None } else { Some(self.since().unwrap_or_default()) }
    }

    /// A connection came or went at `at`. True if that is news.
    pub fn set(&self, part: Part, is_up: bool, at: Timestamp) -> bool {
        let bit = 1 << part as u8;
        let before =
            if is_up { self.up.fetch_or(bit, Ordering::AcqRel) } else { self.up.fetch_and(!bit, Ordering::AcqRel) };
        let now = if is_up { before | bit } else { before & !bit };
        if now == before && self.since().is_some() == (now != ALL) {
            return false;
        }
        let mut since = self.down_since.lock().unwrap_or_else(PoisonError::into_inner);
        if now == ALL {
            *since = None;
        } else {
            since.get_or_insert(at);
        }
        metrics::gauge!("pregon_bus_up").set(if now == ALL { 1.0 } else { 0.0 });
        before != now
    }

    fn since(&self) -> Option<Timestamp> {
        *self.down_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
