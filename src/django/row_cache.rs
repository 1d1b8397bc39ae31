//! Which of the rows found in the tables are news: those that were not there when their topic came to life, each once.
//!
//! Time comes in as an argument.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::write::Addition;
use crate::ids::Topic;
use crate::limits::{TAIL_FAR_EVERY, TAIL_OVERLAP, TAIL_ROWS_MAX};

/// What a process knows of the rows of its live topics.
#[derive(Debug, Default)]
pub struct Known {
    /// Topics with listeners, each with the time from which on its rows are news.
    live: HashMap<Topic, Timestamp>,
    /// Those of them that were not looked at yet.
    fresh: HashSet<Topic>,
    young: HashSet<Uuid>,
    old: HashSet<Uuid>,
    /// When `young` was begun.
    began: Timestamp,
    /// When it was looked last as far back as the overlap reaches.
    looked_far: Timestamp,
}

impl Known {
    /// Rows that are there `now` are no news.
    pub fn new(now: Timestamp) -> Self {
        Self { looked_far: now, ..Self::default() }
    }

    /// How far back the next look goes that goes far, and the first look at a topic: what the one knows as old, the
    /// other must not take for news.
    pub fn reach(&self) -> Timestamp {
        back(self.looked_far, TAIL_OVERLAP)
    }

    /// These topics have listeners now; at `before` it was last asked which have. Those that were not looked at since
    /// they have: their rows are to be looked at as far back as [`Self::reach`], since what was there already is to be
    /// known as old.
    pub fn listen(&mut self, live: &[Topic], before: Timestamp) -> Vec<Topic> {
        let mut now_live = HashMap::with_capacity(live.len());
        for &topic in live {
            let since = self.live.remove(&topic).unwrap_or_else(|| {
                self.fresh.insert(topic);
                before
            });
            now_live.insert(topic, since);
        }
        self.live = now_live;
        self.fresh.retain(|topic| self.live.contains_key(topic));
        self.fresh.iter().copied().collect()
    }

    /// Topics that have listeners.
    pub fn topics(&self) -> Vec<Topic> {
        self.live.keys().copied().collect()
    }

    /// From when on a topic's rows are news.
    pub fn since(&self, topic: Topic) -> Option<Timestamp> {
        self.live.get(&topic).copied()
    }

    /// All topics that [`Self::listen`] named were looked at for the first time: rows from before they had listeners are no news. What is news.
    pub fn first_news(&mut self, found: Vec<(Addition, Timestamp)>) -> Vec<Addition> {
        self.fresh.clear();
        let mut news = Vec::new();
        for (row, at) in found {
            let is_old = self.since(row.topic()).is_none_or(|since| at < since);
            if is_old {
                self.note(row);
            } else if !self.has(row) {
                news.push(row);
            }
        }
        news
    }

    /// Whatever their time: rows that were not there before, since a long transaction may commit what it made long ago.
    pub fn news(&self, found: Vec<(Addition, Timestamp)>) -> Vec<Addition> {
        found
            .into_iter()
            .map(|(row, _)| row)
            .filter(|row| !self.has(*row) && self.live.contains_key(&row.topic()))
            .collect()
    }

    /// The row was told, or need not be.
    pub fn note(&mut self, row: Addition) {
        if self.young.len() >= TAIL_ROWS_MAX / 2 {
            // More rows than that in a minute: rather one shown twice than memory without an end.
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(row.id());
    }

    /// Everything up to `now` was looked at from [`Self::reach`] on: what is older than the overlap will not be found again.
    pub fn looked_far(&mut self, now: Timestamp) {
        self.looked_far = now;
        if self.began < back(now, TAIL_OVERLAP + TAIL_FAR_EVERY) {
            self.old = std::mem::take(&mut self.young);
            self.began = now;
        }
    }

    fn has(&self, row: Addition) -> bool {
        self.young.contains(&row.id()) || self.old.contains(&row.id())
    }
}

/// A time as long before another.
pub fn back(from: Timestamp, by: Duration) -> Timestamp {
    from.plus_seconds(-i64::try_from(by.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{NotificationId, UserId};

    fn row(recipient: UserId) -> Addition {
        Addition::Notification { recipient, notification: NotificationId::fresh() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(0).plus_seconds(seconds)
    }

    #[test]
    fn what_was_there_before_the_first_listener_is_no_news_and_what_comes_later_is_whatever_its_time() {
        let (mut known, ana) = (Known::default(), UserId::fresh());
        let topic = Topic::Notifications(ana);
        assert_eq!(known.listen(&[topic], at(100)), [topic]);
        let (old, new, late) = (row(ana), row(ana), row(ana));
        assert_eq!(known.first_news(vec![(old, at(99)), (new, at(101))]), [new]);
        known.note(new);
        assert!(known.listen(&[topic], at(102)).is_empty());
        let found = vec![(old, at(99)), (new, at(101)), (late, at(70))];
        assert_eq!(known.news(found.clone()), [late], "of a transaction that took half a minute");
        known.note(late);
        assert_eq!(known.news(found.clone()), []);
        known.listen(&[], at(103));
        assert_eq!(known.news(vec![(row(ana), at(103))]), [], "nobody listens");
        assert_eq!(known.listen(&[topic], at(104)), [topic]);
        assert_eq!(known.first_news(found), [], "they have been told");
    }

    #[test]
    fn what_the_far_look_finds_was_known_as_old_by_the_first_look_however_long_ago_the_last_far_one_was() {
        let (mut known, ana) = (Known::new(at(1000)), UserId::fresh());
        let topic = Topic::Notifications(ana);
        let table: Vec<_> = (900..1300).step_by(10).map(|second| (row(ana), at(second))).collect();
        let seen_from = |since: Timestamp| table.iter().copied().filter(|(_, at)| *at >= since).collect::<Vec<_>>();
        // Far looks fail meanwhile.
        known.listen(&[topic], at(1299));
        let found = seen_from(known.reach());
        assert_eq!(known.first_news(found), []);
        let found = seen_from(known.reach());
        assert!(found.len() > 30);
        assert_eq!(known.news(found), []);
        known.looked_far(at(1300));
        assert_eq!(known.reach(), at(1240));
        assert_eq!(known.news(seen_from(known.reach())), []);
    }

    #[test]
    fn a_first_look_that_fails_moves_no_ones_beginning() {
        let (mut known, [ana, beto]) = (Known::new(at(0)), [UserId::fresh(), UserId::fresh()]);
        let [anas, betos] = [ana, beto].map(Topic::Notifications);
        assert_eq!(known.listen(&[anas], at(100)), [anas]);
        // That look failed, and beto came meanwhile.
        let fresh: HashSet<_> = known.listen(&[anas, betos], at(105)).into_iter().collect();
        assert_eq!(fresh, HashSet::from([anas, betos]));
        let (early, earlier) = (row(ana), row(beto));
        assert_eq!(known.first_news(vec![(early, at(102)), (earlier, at(102))]), [early], "only ana listened then");
        assert!(known.listen(&[anas, betos], at(110)).is_empty());
        known.listen(&[], at(111));
        assert_eq!(known.listen(&[anas], at(112)), [anas]);
        assert!(known.listen(&[], at(113)).is_empty(), "who has gone is not looked at");
    }

    #[test]
    fn rows_are_remembered_for_as_long_as_they_can_be_found() {
        let (mut known, ana) = (Known::default(), UserId::fresh());
        known.listen(&[Topic::Notifications(ana)], at(0));
        let first = row(ana);
        known.looked_far(at(1000));
        known.note(first);
        known.looked_far(at(1001));
        known.looked_far(at(1066));
        assert_eq!(known.news(vec![(first, at(1000))]), []);
        known.looked_far(at(1132));
        assert_eq!(known.news(vec![(first, at(1000))]), [first], "it is far beyond the overlap");
        for _ in 0..TAIL_ROWS_MAX * 2 {
            known.note(row(ana));
        }
        assert!(known.young.len() + known.old.len() <= TAIL_ROWS_MAX);
    }
}
