//! Time as the simulation lets it pass.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::Timestamp;

/// The time of day when a simulation begins, in microseconds since 1970.
const WALL_BEGAN: i64 = 1_700_000_000_000_000;

/// The time that has passed.
pub(super) struct Time {
    began: Instant,
    micros: AtomicU64,
}

impl Time {
    pub fn new() -> Self {
        Self { began: Instant::now(), micros: AtomicU64::new(0) }
    }

    pub fn now(&self) -> Instant {
        self.began + self.passed()
    }

    /// Since the simulation began.
    pub fn passed(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed))
    }

    /// The time of day by a clock that is wrong by so many microseconds.
    pub fn wall(&self, skew: i64) -> Timestamp {
        let passed = i64::try_from(self.micros.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        Timestamp(WALL_BEGAN + passed + skew)
    }

    pub fn pass(&self, time: Duration) {
        self.micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(0), Ordering::Relaxed);
    }
}
