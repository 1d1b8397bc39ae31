//! A sender's messages between sending and the last receiver's copy.

use std::collections::VecDeque;

#[derive(Default)]
pub struct Flight {
    /// The sequence number of the first entry.
    first: u32,
    entries: VecDeque<Entry>,
}

struct Entry {
    /// When it was sent, or should have been.
    stamp: u64,
    waiting: u32,
}

/// One copy's arrival.
#[derive(Debug, PartialEq)]
pub struct Passage {
    pub stamp: u64,
    /// It was the last copy.
    pub complete: bool,
}

impl Flight {
    pub fn depart(&mut self, stamp: u64, receivers: u32) {
        self.entries.push_back(Entry { stamp, waiting: receivers });
    }

    /// `None` for a message that nobody waits for.
    pub fn arrive(&mut self, seq: u32) -> Option<Passage> {
        let at = seq.checked_sub(self.first)? as usize;
        let entry = self.entries.get_mut(at)?;
        entry.waiting = entry.waiting.checked_sub(1)?;
        let passage = Passage { stamp: entry.stamp, complete: entry.waiting == 0 };
        while self.entries.front().is_some_and(|entry| entry.waiting == 0) {
            self.entries.pop_front();
            self.first += 1;
        }
        Some(passage)
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
        let passage = |stamp, complete| Some(Passage { stamp, complete });
        assert_eq!(flight.arrive(0), passage(10, false));
        assert_eq!(flight.arrive(1), passage(20, true));
        assert_eq!(flight.arrive(1), None);
        assert_eq!(flight.arrive(0), passage(10, true));
        assert_eq!(flight.arrive(0), None);
        flight.depart(30, 1);
        assert_eq!(flight.arrive(2), passage(30, true));
        assert!(flight.entries.is_empty());
    }
}
