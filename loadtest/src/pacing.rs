//! When the next message is sent: in a closed loop by what has arrived, in an open loop by the clock.

use clap::ValueEnum;
use serde::Serialize;

/// What lets the next message go.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Release {
    /// The sender has its own copy of one under way.
    Sender,
    /// Everybody in the room has one under way.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pacing {
    /// Every sender has `window` messages under way.
    Each { window: u32, release: Release },
    /// All senders together have `window` under way and take turns.
    Together { window: u32, release: Release },
    /// So many messages a second over all senders, whatever the server does.
    Rate { per_second: f64 },
}

/// The times at which an open loop sends.
pub struct Schedule {
    start: u64,
    interval_ns: f64,
    taken: u64,
}

impl Schedule {
    pub fn new(now: u64, per_second: f64) -> Self {
        Self { start: now, interval_ns: 1e9 / per_second, taken: 0 }
    }

    /// The time of the next message.
    pub fn due(&self) -> u64 {
        self.start + (self.taken as f64 * self.interval_ns) as u64
    }

    /// The scheduled time of a message that is due, once each. Latency counts from it even when the
    /// message goes out late: no coordinated omission.
    pub fn take(&mut self, now: u64) -> Option<u64> {
        let due = self.due();
        (due <= now).then(|| {
            self.taken += 1;
            due
        })
    }
}

impl std::fmt::Display for Pacing {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |release: &Release| match release {
            Release::Sender => "next when the sender has its copy",
            Release::All => "next when everybody has it",
        };
        match self {
            Self::Each { window, release } => {
                write!(out, "window {window} each, {}", name(release))
            }
            Self::Together { window, release } => {
                write!(out, "window {window} together, {}", name(release))
            }
            Self::Rate { per_second } => write!(out, "{per_second} messages/s (open loop)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_messages_keep_their_scheduled_times() {
        let mut schedule = Schedule::new(1_000, 1_000.0);
        assert_eq!(schedule.take(1_000), Some(1_000));
        assert_eq!(schedule.take(1_000), None);
        assert_eq!(schedule.due(), 1_001_000);
        let late: Vec<u64> = std::iter::from_fn(|| schedule.take(3_500_000)).collect();
        assert_eq!(late, [1_001_000, 2_001_000, 3_001_000]);
    }
}
