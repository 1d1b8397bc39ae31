//! Log lines about what may happen thousands of times a second: one in a while, which says how many it stands for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// From one line to the next.
const INTERVAL: Duration = Duration::from_secs(10);

/// One kind of line.
#[derive(Debug)]
pub struct Thinned {
    began: Instant,
    /// When the next line may be written, in milliseconds since `began`.
    due: AtomicU64,
    /// What happened since the last line.
    unsaid: AtomicU64,
}

impl Default for Thinned {
    fn default() -> Self {
        Self { began: Instant::now(), due: AtomicU64::new(0), unsaid: AtomicU64::new(0) }
    }
}

impl Thinned {
    /// It happened once more. `say` writes the line and is told how many times it happened since the last line, this one included.
    pub fn note(&self, say: impl FnOnce(u64)) {
        self.note_at(self.began.elapsed(), say);
    }

    fn note_at(&self, now: Duration, say: impl FnOnce(u64)) {
        self.unsaid.fetch_add(1, Ordering::Relaxed);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let due = self.due.load(Ordering::Relaxed);
        let next = millis(now + INTERVAL);
        // One of several threads gets the line; the others are counted in the next one.
        if millis(now) >= due && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            say(self.unsaid.swap(0, Ordering::Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_with_the_next_line() {
        let (line, mut said) = (Thinned::default(), Vec::new());
        for seconds in [0, 0, 3, 9, 10, 11, 30] {
            line.note_at(Duration::from_secs(seconds), |times| said.push((seconds, times)));
        }
        assert_eq!(said, [(0, 1), (10, 4), (30, 2)]);
    }
}
