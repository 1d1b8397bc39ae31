//! Thins out frames of which only the latest counts, where they come too fast. The last one is always sent.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// What becomes of a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Passed<V> {
    /// To be sent now.
    Now(V),
    /// It is kept until its turn.
    Held,
    /// It takes the place of an earlier frame that was still kept; that one is never sent.
    Replaced,
}

#[derive(Debug)]
struct Entry<V> {
    /// When a sender at the steady rate would send the next frame: the "theoretical arrival time" of the generic cell
    /// rate algorithm.
    arrival: Instant,
    held: Option<V>,
    /// The entry's place in `due`.
    due: Instant,
}

/// One rate for many keys: `burst` frames at once, then one every `every`.
#[derive(Debug)]
pub struct Pace<K, V> {
    every: Duration,
    tolerance: Duration,
    entries: BTreeMap<K, Entry<V>>,
    due: BTreeSet<(Instant, K)>,
}

impl<K: Copy + Ord, V> Pace<K, V> {
    /// A pace with no keys yet.
    pub fn new(every: Duration, burst: u32) -> Self {
        let tolerance = every * burst.saturating_sub(1);
        Self { every, tolerance, entries: BTreeMap::new(), due: BTreeSet::new() }
    }

    /// Takes the latest frame of a key.
    pub fn pass(&mut self, key: K, value: V, now: Instant) -> Passed<V> {
        let entry = self.entries.entry(key).or_insert_with(|| {
            self.due.insert((now, key));
            Entry { arrival: now, held: None, due: now }
        });
        if entry.held.is_some() {
            entry.held = Some(value);
            return Passed::Replaced;
        }
        // While nothing is held, the entry's place in `due` says when the entry can be forgotten.
        self.due.remove(&(entry.due, key));
        let is_early = entry.arrival > now + self.tolerance;
        if is_early {
            entry.due = entry.arrival - self.tolerance;
        } else {
            entry.arrival = entry.arrival.max(now) + self.every;
            entry.due = entry.arrival;
        }
        self.due.insert((entry.due, key));
        if is_early {
            entry.held = Some(value);
            Passed::Held
        } else {
            Passed::Now(value)
        }
    }

    /// Forgets a key, and drops the frame that is held for it.
    pub fn forget(&mut self, key: K) {
        if let Some(entry) = self.entries.remove(&key) {
            self.due.remove(&(entry.due, key));
        }
    }

    /// Takes the held frame of a key before its turn.
    pub fn take(&mut self, key: K) -> Option<V> {
        self.entries.get_mut(&key)?.held.take()
    }

    /// Takes the held frames of all keys in a range before their turn, in the order of the keys.
    pub fn take_range(&mut self, keys: RangeInclusive<K>) -> Vec<V> {
        self.entries.range_mut(keys).filter_map(|(_, entry)| entry.held.take()).collect()
    }

    /// Takes the frames whose turn has come by `now`.
    pub fn take_due(&mut self, now: Instant) -> Vec<V> {
        let mut values = Vec::new();
        while let Some(&(due, key)) = self.due.first()
            && due <= now
        {
            self.due.pop_first();
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if let Some(value) = entry.held.take() {
                values.push(value);
                entry.arrival = entry.arrival.max(now) + self.every;
            }
            if entry.arrival > now {
                entry.due = entry.arrival;
                self.due.insert((entry.due, key));
            } else {
                self.entries.remove(&key);
            }
        }
        values
    }

    /// When [`Self::take_due`] next has something to do.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_millis(100);

    #[test]
    fn ten_at_once_then_one_every_tenth_of_a_second_and_the_last_one_always() {
        let (mut pace, began) = (Pace::new(EVERY, 10), Instant::now());
        let (mut sent, mut now, mut replaced) = (Vec::new(), began, 0);
        for number in 1..=1000 {
            match pace.pass("post", number, now) {
                Passed::Now(value) => sent.push((now - began, value)),
                Passed::Held => {}
                Passed::Replaced => replaced += 1,
            }
            now += Duration::from_millis(1);
            sent.extend(pace.take_due(now).into_iter().map(|value| (now - began, value)));
        }
        while let Some(due) = pace.next_due() {
            sent.extend(pace.take_due(due).into_iter().map(|value| (due - began, value)));
        }
        assert_eq!(sent.last().unwrap().1, 1000, "the final state");
        assert!(sent.is_sorted_by_key(|(_, value)| *value));
        assert!((18..=21).contains(&sent.len()), "{sent:?}");
        assert_eq!(sent.len() + replaced, 1000);
        for pair in sent[10..].windows(2) {
            assert!(pair[1].0 - pair[0].0 >= EVERY, "{pair:?}");
        }
        assert!(pace.entries.is_empty() && pace.due.is_empty(), "nothing is left behind");
    }

    #[test]
    fn a_slow_key_is_never_held_and_keys_do_not_hinder_each_other() {
        let (mut pace, mut now) = (Pace::new(EVERY, 10), Instant::now());
        for number in 0..100 {
            assert_eq!(pace.pass("slow", number, now), Passed::Now(number));
            now += EVERY;
            assert!(pace.take_due(now).is_empty());
        }
        for number in 0..10 {
            assert_eq!(pace.pass("fast", number, now), Passed::Now(number));
        }
        assert_eq!(pace.pass("fast", 10, now), Passed::Held);
        assert_eq!(pace.pass("fast", 11, now), Passed::Replaced);
        assert_eq!(pace.pass("slow", 0, now), Passed::Now(0));
        assert_eq!(pace.take_range("a"..="e"), [0; 0]);
        assert_eq!((pace.take_range("f"..="slow"), pace.take("fast")), (vec![11], None));
        assert_eq!(pace.pass("fast", 12, now), Passed::Held);
        pace.forget("fast");
        assert!(pace.take_due(now + EVERY * 100).is_empty());
    }

    #[test]
    fn a_burst_of_one_spaces_everything() {
        let (mut pace, now) = (Pace::new(EVERY, 1), Instant::now());
        assert_eq!(pace.pass(1, 'a', now), Passed::Now('a'));
        assert_eq!(pace.pass(1, 'b', now), Passed::Held);
        assert_eq!(pace.next_due(), Some(now + EVERY));
        assert!(pace.take_due(now + EVERY / 2).is_empty());
        assert_eq!(pace.take_due(now + EVERY), ['b']);
        assert_eq!(pace.pass(1, 'c', now + EVERY), Passed::Held);
    }
}
