//! Decides when the next message is sent: in a closed loop by what has arrived, in an open loop by the clock.

use clap::ValueEnum;
use serde::Serialize;

/// What releases the next message.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Release {
    /// The sender has received its own copy of one that is under way.
    Sender,
    /// Everybody in the room has received one that is under way.
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pacing {
    /// Every sender has `window` messages under way.
    Each { window: u32, release: Release },
    /// All senders together have `window` messages under way, and take turns.
    Together { window: u32, release: Release },
    /// This many messages per second over all senders, whatever the server does.
    Rate { per_second: f64 },
}

/// A scenario's pace: an open loop unless a closed one is requested.
#[derive(clap::Args, Clone, Debug)]
pub struct PacingOptions {
    /// Open loop: messages per second of all senders together, whatever the server does [default: as many as make
    /// 20,000 deliveries/s]
    #[arg(long, conflicts_with_all = ["closed", "window", "window_each", "release_when"])]
    pub rate: Option<f64>,
    /// Closed loop: send the next message when the last one has arrived
    #[arg(long)]
    pub closed: bool,
    /// Closed loop with this many messages under way (room and chat: of each sender; rooms: of all senders together,
    /// taking turns)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub window: Option<u32>,
    /// Closed loop with this many messages of each sender under way
    #[arg(long, conflicts_with = "window", value_parser = clap::value_parser!(u32).range(1..))]
    pub window_each: Option<u32>,
    /// Closed loop: send the next message when the sender has its own copy, or when everybody has theirs
    #[arg(long, value_enum)]
    pub release_when: Option<Release>,
}

/// Deliveries per second of an open loop without a given rate: about a tenth of a core's work.
const DELIVERIES_PER_SECOND: f64 = 20_000.0;

impl PacingOptions {
    /// `members` is the number of receivers of one message; `closed` is the default of `--closed`.
    pub fn pacing(&self, members: usize, closed: Pacing) -> anyhow::Result<Pacing> {
        let is_closed =
            self.closed || self.window.is_some() || self.window_each.is_some() || self.release_when.is_some();
        if !is_closed {
            let per_second = self.rate.unwrap_or(DELIVERIES_PER_SECOND / members.max(1) as f64);
            anyhow::ensure!(per_second.is_finite() && per_second > 0.0, "--rate {per_second} is not a rate");
            return Ok(Pacing::Rate { per_second });
        }
        Ok(match (closed, self.window_each) {
            (Pacing::Together { release, .. }, Some(window)) | (Pacing::Each { window, release }, None) => {
                Pacing::Each { window: self.window.unwrap_or(window), release: self.release_when.unwrap_or(release) }
            }
            (Pacing::Each { release, .. }, Some(window)) => {
                Pacing::Each { window, release: self.release_when.unwrap_or(release) }
            }
            (Pacing::Together { window, release }, None) => Pacing::Together {
                window: self.window.unwrap_or(window),
                release: self.release_when.unwrap_or(release),
            },
            (rate @ Pacing::Rate { .. }, _) => rate,
        })
    }
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

    /// The scheduled time of a message that is due; each is returned once. Latency counts from it even if the message
    /// is sent late, which avoids coordinated omission.
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
            Self::Rate { per_second } => write!(out, "{per_second:.1} a second (open loop)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        pacing: PacingOptions,
    }

    fn pacing(line: &str, closed: Pacing) -> Pacing {
        let line = Line::try_parse_from(["x"].into_iter().chain(line.split_whitespace())).expect("options");
        line.pacing.pacing(1000, closed).expect("a pacing")
    }

    #[test]
    fn the_loop_is_open_unless_a_closed_one_is_asked_for() {
        let each = Pacing::Each { window: 1, release: Release::All };
        let together = Pacing::Together { window: 64, release: Release::All };
        assert_eq!(pacing("", each), Pacing::Rate { per_second: 20.0 });
        assert_eq!(pacing("--rate 50", each), Pacing::Rate { per_second: 50.0 });
        assert_eq!(pacing("--closed", each), each);
        assert_eq!(pacing("--window 16", each), Pacing::Each { window: 16, release: Release::All });
        let sender = Release::Sender;
        assert_eq!(pacing("--release-when sender", together), Pacing::Together { window: 64, release: sender });
        assert_eq!(pacing("--window-each 2", together), Pacing::Each { window: 2, release: Release::All });
        assert!(Line::try_parse_from(["x", "--rate", "5", "--closed"]).is_err());
    }

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
