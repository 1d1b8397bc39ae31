//! Whether the bus works, and how long a connection that failed waits for the next attempt.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::limits::{BUS_PAUSE_MAX, BUS_PAUSE_MIN};

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
    /// How often each part's connection failed since it last worked.
    failures: [AtomicU8; 3],
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
        if is_up && before != now {
            self.failures[part as usize].store(0, Ordering::Relaxed);
        }
        if now != before || !is_up {
            metrics::gauge!("pregon_bus_up").set(if now == ALL { 1.0 } else { 0.0 });
        }
        before != now
    }

    /// How long this part waits after a failure: twice as long after each further one, until its connection works.
    pub fn pause(&self, part: Part) -> Duration {
        let failures = &self.failures[part as usize];
        let before = failures.load(Ordering::Relaxed);
        failures.store(before.saturating_add(1), Ordering::Relaxed);
        BUS_PAUSE_MIN.saturating_mul(1 << before.min(16)).min(BUS_PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_waits_longer_until_its_own_connection_works() {
        let link = Link::default();
        let pauses = |part, count| (0..count).map(|_| link.pause(part)).collect::<Vec<_>>();
        let ms = Duration::from_millis;
        assert_eq!(pauses(Part::Sender, 4), [ms(200), ms(400), ms(800), BUS_PAUSE_MAX]);
        link.set(Part::Receiver, true);
        assert_eq!(pauses(Part::Sender, 300).last(), Some(&BUS_PAUSE_MAX));
        link.set(Part::Sender, true);
        assert_eq!(pauses(Part::Sender, 2), [ms(200), ms(400)]);
    }
}
