//! Pushes that wait to be sent again, ordered by when they are due, and how long they wait.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use crate::limits::{PUSH_BACKOFF, PUSH_BACKOFF_MAX, PUSH_RETRIES_MAX};

/// What waits.
#[derive(Debug)]
pub(super) struct Retries<T>(BinaryHeap<Reverse<Due<T>>>);

#[derive(Debug)]
struct Due<T> {
    at: Instant,
    what: T,
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<T> Eq for Due<T> {}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl<T> Retries<T> {
    /// Nothing waits.
    pub fn new() -> Self {
        Self(BinaryHeap::new())
    }

    /// Has `what` wait until `at`; gives it back if there is no room.
    pub fn wait(&mut self, at: Instant, what: T) -> Result<(), T> {
        if self.0.len() >= PUSH_RETRIES_MAX {
            return Err(what);
        }
        self.0.push(Reverse(Due { at, what }));
        Ok(())
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse(due)| due.at)
    }

    /// One that is due.
    pub fn take(&mut self, now: Instant) -> Option<T> {
        let is_due = self.next_due().is_some_and(|at| at <= now);
        is_due.then(|| self.0.pop()).flatten().map(|Reverse(due)| due.what)
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// How long a push waits after its `attempts`th attempt, from 1: a part of a bound that doubles, so that pushes which failed
/// together do not come back together; or what its push service asked for, and a part more. `part` is from 0 to 1.
pub(super) fn pause(attempts: u32, asked: Option<Duration>, part: f64) -> Duration {
    let bound = PUSH_BACKOFF.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(PUSH_BACKOFF_MAX);
    match asked {
        Some(asked) => (asked + PUSH_BACKOFF.mul_f64(part)).min(PUSH_BACKOFF_MAX),
        None => bound.mul_f64(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_comes_when_it_is_due_in_order_and_is_bounded() {
        let (mut retries, now) = (Retries::new(), Instant::now());
        for seconds in [3, 1, 2] {
            retries.wait(now + Duration::from_secs(seconds), seconds).unwrap();
        }
        assert_eq!(retries.take(now), None);
        assert_eq!(retries.next_due(), Some(now + Duration::from_secs(1)));
        let late = now + Duration::from_secs(5);
        assert_eq!([retries.take(late), retries.take(late), retries.take(late)], [Some(1), Some(2), Some(3)]);
        for _ in 0..PUSH_RETRIES_MAX {
            retries.wait(now, 0).unwrap();
        }
        assert_eq!((retries.wait(now, 7), retries.len()), (Err(7), PUSH_RETRIES_MAX));
    }

    #[test]
    fn pauses_double_up_to_a_bound_and_a_push_service_is_obeyed() {
        let longest: Vec<u64> = (1..=12).map(|attempts| pause(attempts, None, 1.0).as_secs()).collect();
        assert_eq!(longest, [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
        assert_eq!(pause(3, None, 0.0), Duration::ZERO);
        assert_eq!(pause(3, None, 0.5), Duration::from_secs(4));
        assert_eq!(pause(1, Some(Duration::from_secs(30)), 0.0), Duration::from_secs(30));
        assert_eq!(pause(1, Some(Duration::from_secs(30)), 0.5), Duration::from_secs(31));
        assert_eq!(pause(1, Some(Duration::from_secs(100_000)), 1.0), PUSH_BACKOFF_MAX);
        assert_eq!(pause(u32::MAX, None, 1.0), PUSH_BACKOFF_MAX);
    }
}
