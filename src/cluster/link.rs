//! Whether the bus works.

use std::sync::atomic::{AtomicU8, Ordering};

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
}

impl Link {
    /// All connections work.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire) == ALL
    }

    /// A connection came or went. True if that is news.
    pub fn set(&self, part: Part, is_up: bool) -> bool {
        let bit = 1 << part as u8;
        let before =
            if is_up { self.up.fetch_or(bit, Ordering::AcqRel) } else { self.up.fetch_and(!bit, Ordering::AcqRel) };
        let now = if is_up { before | bit } else { before & !bit };
        if now != before || !is_up {
            metrics::gauge!("pregon_bus_up").set(if now == ALL { 1.0 } else { 0.0 });
        }
        before != now
    }
}
