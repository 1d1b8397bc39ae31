//! How much mail the walk carries: after so many bytes were appended, the walk goes round once before more mail is
//! taken.

/// The bytes that were appended since the round began, and how many visits are left of the round.
#[derive(Debug)]
pub(super) struct Round {
    bytes_max: usize,
    appended_bytes: usize,
    visits_left: usize,
}

impl Round {
    /// A round that is full when so many bytes were appended.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, appended_bytes: 0, visits_left: 0 }
    }

    /// Counts bytes of frames that came by mail. `waiting` is how many sessions now wait for a visit.
    pub(super) fn appended(&mut self, bytes: usize, waiting: usize) {
        if self.appended_bytes == 0 {
            self.visits_left = waiting;
        }
        self.appended_bytes += bytes;
    }

    /// Counts one visit of the walk.
    pub(super) fn passed(&mut self) {
        self.visits_left = self.visits_left.saturating_sub(1);
        if self.visits_left == 0 {
            self.appended_bytes = 0;
        }
    }

    /// True if enough mail was taken: the walk goes first, if any session waits for a visit.
    pub(super) fn is_full(&self) -> bool {
        self.appended_bytes >= self.bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PUBLICATION_BYTES_MAX;

    #[test]
    fn a_full_round_takes_no_more_until_the_walk_has_passed_all_who_wait() {
        let mut round = Round::new(PUBLICATION_BYTES_MAX);
        round.appended(PUBLICATION_BYTES_MAX - 1, 3);
        assert!(!round.is_full());
        round.appended(1, 3);
        (0..2).for_each(|_| round.passed());
        assert!(round.is_full());
        round.passed();
        assert!(!round.is_full());
    }
}
