//! How many sessions a node should give away: what it has above the mean, and no more than a part of all in a minute.

use std::time::{Duration, Instant};

use crate::domain::operator::Pace;

/// What a node has, and those that can take something of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Sessions of this node.
    pub own: u64,
    /// Those of them that were told to move.
    pub moving: u64,
    /// Sessions of each other node that can take some.
    pub others: Vec<u64>,
}

impl Load {
    /// Sessions of a node, if all had the same; rounded up, so that nobody goes below it.
    pub fn mean(&self) -> u64 {
        let all = self.own + self.others.iter().sum::<u64>();
        all.div_ceil(self.others.len() as u64 + 1)
    }

    /// Is this clearly more than the mean? `skew` says by how many percent. A few sessions are no reason: where the mean is small, one
    /// more is many percent.
    pub fn is_skewed(&self, skew_percent: u32) -> bool {
        let (mean, stay) = (self.mean(), self.own.saturating_sub(self.moving));
        stay > mean + FEW && (stay - mean) * 100 > mean * u64::from(skew_percent)
    }

    /// How many more sessions to give away: down to the mean, at most. `lately` were told to move before, and count as those of
    /// this time.
    pub fn excess(&self, pace: Pace, lately: u64) -> u64 {
        let seconds = u64::from(pace.over_seconds.max(60));
        let most =
            self.own.saturating_mul(u64::from(pace.percent_per_minute)).saturating_mul(seconds).div_ceil(100 * 60);
        let stay = self.own.saturating_sub(self.moving);
        stay.saturating_sub(self.mean()).min(most.saturating_sub(lately))
    }
}

/// The sessions that were told to move lately. They count for as long as they have time to move, and for a minute at least.
#[derive(Debug, Default, Clone, Copy)]
pub struct Lately {
    count: u64,
    until: Option<Instant>,
    /// When some were told last, and how many were moving then, those included.
    last: Option<(Instant, u64)>,
}

impl Lately {
    /// How many they are.
    pub fn count(&self, now: Instant) -> u64 {
        if self.until.is_some_and(|until| now < until) { self.count } else { 0 }
    }

    /// So many more are told to move within this time; `moving` were told before and have not moved.
    pub fn add(&mut self, count: u64, moving: u64, window: Duration, now: Instant) {
        self.count = self.count(now) + count;
        self.until = self.until.max(Some(now + window.max(MINUTE)));
        self.last = Some((now, moving + count));
    }

    /// How many are moving, as long as the shards may not have said yet whom they have just told.
    pub fn moving(&self, now: Instant) -> u64 {
        let just = self.last.filter(|(told, _)| now.saturating_duration_since(*told) < SHARDS_SAY);
        just.map_or(0, |(_, moving)| moving)
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// Shards have said by then how many of their sessions are moving.
const SHARDS_SAY: Duration = Duration::from_secs(1);

/// Says when a node gives sessions away by itself: when it has had clearly more than the mean for two looks, and not soon again.
#[derive(Debug)]
pub struct Watch {
    skew_percent: u32,
    was_skewed: bool,
    rests_until: Option<Instant>,
}

impl Watch {
    /// From so many percent above the mean.
    pub fn new(skew_percent: u32) -> Self {
        Self { skew_percent, was_skewed: false, rests_until: None }
    }

    /// One look. True if sessions are to be given away now; then the node rests for so long.
    pub fn is_due(&mut self, load: &Load, now: Instant, rest: Duration) -> bool {
        let is_skewed = load.is_skewed(self.skew_percent);
        let is_second = std::mem::replace(&mut self.was_skewed, is_skewed) && is_skewed;
        let is_due = is_second && self.rests_until.is_none_or(|until| now >= until);
        if is_due {
            (self.was_skewed, self.rests_until) = (false, Some(now + rest));
        }
        is_due
    }
}

/// So many sessions above the mean are no skew.
const FEW: u64 = 20;

/// Divides `all` among parts as their sizes are, and gives none more than it has.
pub fn shares(all: usize, sizes: &[usize]) -> Vec<usize> {
    let sum: usize = sizes.iter().sum();
    let all = all.min(sum);
    let (mut seen, mut given) = (0, 0);
    let share = |size: &usize| {
        seen += size;
        let until = (all * seen).checked_div(sum).unwrap_or(0);
        let share = until - given;
        given = until;
        share
    };
    sizes.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(own: u64, others: &[u64]) -> Load {
        Load { own, moving: 0, others: others.to_vec() }
    }

    fn excess(load: &Load, pace: Pace) -> u64 {
        load.excess(pace, 0)
    }

    #[test]
    fn a_node_gives_away_what_it_has_above_the_mean_and_no_more_than_its_part() {
        let all = Pace { over_seconds: 60, percent_per_minute: 100 };
        assert_eq!(excess(&load(12, &[0]), all), 6);
        assert_eq!(excess(&load(100, &[0, 0]), all), 66, "the mean is rounded up");
        assert_eq!(excess(&load(5, &[7]), all), 0);
        assert_eq!(excess(&load(5, &[]), all), 0);
        let tenth = Pace { percent_per_minute: 10, ..all };
        assert_eq!(excess(&load(1000, &[0]), tenth), 100);
        assert_eq!(excess(&load(1000, &[0]), Pace { over_seconds: 180, ..tenth }), 300);
        assert_eq!(
            excess(&load(6000, &[0]), Pace { over_seconds: 61, ..tenth }),
            610,
            "no second minute for one second"
        );
        assert_eq!(excess(&load(1000, &[0]), Pace { over_seconds: 1, ..tenth }), 100, "a minute's part, however fast");
        assert_eq!(excess(&load(3, &[0]), tenth), 1, "a small node gives one at least");
        assert_eq!((load(1000, &[0]).excess(tenth, 60), load(1000, &[0]).excess(tenth, 100)), (40, 0), "in one minute");
        // Once it has told some to move, there is nothing to give: before they go, and after the others have taken them.
        let moving = excess(&load(1000, &[0, 300]), all);
        assert_eq!(excess(&Load { moving, ..load(1000, &[0, 300]) }, all), 0);
        assert_eq!(excess(&load(1000 - moving, &[moving, 300]), all), 0);
    }

    #[test]
    fn who_was_told_to_move_counts_for_the_time_given_to_move_and_a_minute_at_least() {
        let (mut lately, began) = (Lately::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        assert_eq!((lately.count(began), lately.moving(began)), (0, 0));
        lately.add(10, 0, Duration::from_secs(1), began);
        assert_eq!((lately.count(at(59)), lately.count(at(60))), (10, 0));
        lately.add(30, 4, Duration::from_secs(3600), at(59));
        assert_eq!((lately.count(at(3658)), lately.count(at(3659))), (40, 0), "an hour's window");
        assert_eq!((lately.moving(at(59)), lately.moving(at(60))), (34, 0), "shards say it themselves");
        lately.add(1, 20, Duration::from_secs(60), at(100));
        assert_eq!((lately.count(at(3658)), lately.moving(at(100))), (41, 21), "a shorter window ends none");
    }

    #[test]
    fn a_little_more_than_the_mean_is_no_skew() {
        assert!(load(150, &[50]).is_skewed(20));
        assert!(!load(119, &[81]).is_skewed(20), "below the threshold");
        assert!(!load(30, &[0]).is_skewed(20), "few sessions");
        assert!(!load(1000, &[]).is_skewed(20) && !load(0, &[0, 0]).is_skewed(20));
    }

    #[test]
    fn a_node_gives_away_by_itself_at_the_second_look_and_then_rests() {
        let (mut watch, began, rest) = (Watch::new(20), Instant::now(), Duration::from_secs(120));
        let mut look = |seconds, own| watch.is_due(&load(own, &[100]), began + Duration::from_secs(seconds), rest);
        assert!(!look(0, 300), "it may pass");
        assert!(!look(10, 100) && !look(20, 300), "it has passed, and comes again");
        assert!(look(30, 300));
        // What was given away comes back: nothing moves to and fro.
        assert!((4..15).all(|tens| !look(tens * 10, 300)));
        assert!(look(150, 300), "after its rest, and it was so at the look before");
    }

    #[test]
    fn each_part_gives_as_it_has() {
        assert_eq!(shares(10, &[10, 10]), [5, 5]);
        assert_eq!(shares(3, &[1, 0, 5]), [0, 0, 3]);
        assert_eq!(shares(9, &[2, 3]), [2, 3], "no more than there are");
        assert_eq!(shares(4, &[0, 0]), [0, 0]);
        for all in 0..50 {
            let sizes = [7, 13, 1, 22];
            let shares = shares(all, &sizes);
            assert_eq!(shares.iter().sum::<usize>(), all.min(43));
            assert!(shares.iter().zip(sizes).all(|(share, size)| *share <= size), "{shares:?}");
        }
    }
}
