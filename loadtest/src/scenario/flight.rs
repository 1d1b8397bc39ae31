//! A sender's messages between sending and the last receiver's copy.

use std::collections::VecDeque;

#[derive(Default)]
pub struct Flight {
    /// The sequence number of the first entry.
    first: u32,
    entries: VecDeque<Entry>,
    /// The sequence number after the last message that everybody got.
    complete_end: u32,
    /// Messages that nobody got although everybody got a later one.
    passed_over: Vec<u32>,
}

struct Entry {
    /// When it was sent or scheduled.
    stamp: u64,
    receivers: u32,
    waiting: u32,
    /// When its sender had its own copy.
    echoed: Option<u64>,
}

/// One copy's arrival.
#[derive(Debug, PartialEq)]
pub struct Passage {
    pub stamp: u64,
    /// It was the first copy.
    pub first: bool,
    /// It was the last copy.
    pub complete: bool,
    /// When its sender had its own copy, if it has.
    pub echoed: Option<u64>,
}

impl Flight {
    pub fn depart(&mut self, stamp: u64, receivers: u32) {
        self.entries.push_back(Entry { stamp, receivers, waiting: receivers, echoed: None });
    }

    /// The sender's own copy has come; [`Self::arrive`] counts it.
    pub fn echo(&mut self, seq: u32, now: u64) {
        let at = seq.checked_sub(self.first).map(|at| at as usize);
        if let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) {
            entry.echoed.get_or_insert(now);
        }
    }

    /// Counts a copy; `None` for a message that nobody waits for.
    pub fn arrive(&mut self, seq: u32) -> Option<Passage> {
        let at = seq.checked_sub(self.first)? as usize;
        let entry = self.entries.get_mut(at)?;
        let first = entry.waiting == entry.receivers;
        entry.waiting = entry.waiting.checked_sub(1)?;
        let complete = entry.waiting == 0;
        let passage = Passage { stamp: entry.stamp, first, complete, echoed: entry.echoed };
        if passage.complete {
            self.complete_end = self.complete_end.max(seq + 1);
            self.clear();
        }
        Some(passage)
    }

    /// Removes finished messages at the front. Every receiver gets a sender's messages in order, so a message that
    /// nobody has when a later one is complete was refused or lost as a whole.
    fn clear(&mut self) {
        while let Some(entry) = self.entries.front() {
            match entry {
                Entry { waiting: 0, .. } => {}
                Entry { waiting, receivers, .. } if waiting == receivers && self.first < self.complete_end => {
                    self.passed_over.push(self.first);
                }
                _ => return,
            }
            self.entries.pop_front();
            self.first += 1;
        }
    }

    /// The messages that nobody got, in order; called at the end.
    pub fn unheard(&self) -> Vec<u32> {
        let waiting = self.entries.iter().enumerate().filter(|(_, entry)| entry.waiting == entry.receivers);
        let waiting = waiting.map(|(at, _)| self.first + at as u32);
        self.passed_over.iter().copied().chain(waiting).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_complete_with_its_last_copy_in_any_order() {
        let mut flight = Flight::default();
        flight.depart(10, 2);
        flight.depart(20, 1);
        let passage = |stamp, first, complete| Some(Passage { stamp, first, complete, echoed: None });
        assert_eq!(flight.arrive(0), passage(10, true, false));
        assert_eq!(flight.arrive(1), passage(20, true, true));
        assert_eq!(flight.arrive(1), None);
        assert_eq!(flight.arrive(0), passage(10, false, true));
        assert_eq!(flight.arrive(0), None);
        flight.depart(30, 1);
        assert_eq!(flight.arrive(2), passage(30, true, true));
        assert!(flight.entries.is_empty());
    }

    #[test]
    fn a_copy_knows_when_its_sender_had_its_own() {
        let mut flight = Flight::default();
        flight.depart(10, 3);
        assert_eq!(flight.arrive(0).map(|passage| passage.echoed), Some(None));
        flight.echo(0, 17);
        flight.echo(1, 18);
        assert_eq!(flight.arrive(0).map(|passage| passage.echoed), Some(Some(17)));
        assert_eq!(flight.arrive(0).map(|passage| passage.echoed), Some(Some(17)));
    }

    #[test]
    fn what_nobody_got_is_told_from_what_some_got() {
        let mut flight = Flight::default();
        (0..5).for_each(|stamp| flight.depart(stamp, 2));
        // Message 0 reaches one receiver, 1 nobody, 2 both, 3 nobody, 4 one.
        for seq in [0, 2, 2, 4] {
            assert!(flight.arrive(seq).is_some());
        }
        assert_eq!(flight.unheard(), [1, 3]);
        assert!(flight.arrive(0).is_some_and(|passage| passage.complete));
        assert_eq!(flight.unheard(), [1, 3]);
        assert_eq!(flight.first, 3, "skipped messages take no memory");
    }
}
