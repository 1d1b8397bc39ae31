//! What other programs take of the machine while something is timed on it.

use std::fs;
use std::time::Instant;

use crate::support::PATIENCE;

/// Times are stretched by at most this: on a machine busier than that no time says anything.
const STRETCH_MAX: f64 = 4.0;

/// CPU time so far, in ticks: of all programs together, and of the two that are timed.
pub struct Busy {
    all: u64,
    ours: u64,
    total: u64,
}

impl Busy {
    /// As it is now, where `server` is the process that is timed together with this one.
    pub fn now(server: u32) -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks: Vec<u64> = stat
            .lines()
            .next()
            .into_iter()
            .flat_map(str::split_ascii_whitespace)
            .skip(1)
            .take(8)
            .filter_map(|number| number.parse().ok())
            .collect();
        let total: u64 = ticks.iter().sum();
        // The fourth and fifth are idle time and waiting for disks.
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Self { all: total - idle, ours: of("self") + of(&server.to_string()), total }
    }

    /// By how much longer something took since then than on a machine of its own: 1 if nobody else did anything.
    pub fn stretch(&self, server: u32) -> f64 {
        self.stretch_until(&Self::now(server))
    }

    fn stretch_until(&self, now: &Self) -> f64 {
        let others = (now.all - self.all).saturating_sub(now.ours.saturating_sub(self.ours));
        let total = now.total.saturating_sub(self.total).max(1);
        let left = total.saturating_sub(others).max(1);
        (total as f64 / left as f64).min(STRETCH_MAX)
    }
}

/// CPU ticks of a process, in user and in kernel mode.
fn of(process: &str) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    behind_name.split_ascii_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

#[test]
fn a_machine_that_others_use_stretches_times() {
    let before = Busy { all: 1000, ours: 500, total: 5000 };
    let stretch = |all: u64, ours: u64| before.stretch_until(&Busy { all: 1000 + all, ours: 500 + ours, total: 5200 });
    assert_eq!([stretch(150, 150), stretch(150, 50), stretch(200, 0)], [1.0, 2.0, STRETCH_MAX]);
    let now = Busy::now(std::process::id());
    assert!(now.total > now.all && now.all > 0);
    // This loop is what takes the first tick.
    let began = Instant::now();
    while Busy::now(std::process::id()).ours == 0 {
        assert!(began.elapsed() < PATIENCE, "a process that works is seen to work");
    }
}
