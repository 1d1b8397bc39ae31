//! Which of the rows found in the tables are news: those that were not there when their topic came to life, each once.
//!
//! Time comes in as an argument.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::durable::write::Addition;
use crate::ids::Topic;
use crate::limits::{TAIL_OVERLAP, TAIL_ROWS_MAX};

/// What a process knows of the rows of its live topics.
#[derive(Debug, Default)]
pub struct Known {
    /// Topics with listeners, each with the time from which on its rows are news.
    live: HashMap<Topic, Timestamp>,
    young: HashSet<Uuid>,
    old: HashSet<Uuid>,
    /// When `young` was begun.
    began: Timestamp,
}

impl Known {
    /// These topics have listeners now; at `before` it was looked last. Those that are new: their rows are to be looked
    /// at as far back as the overlap reaches, since what was there already is to be known as old.
    pub fn listen(&mut self, live: &[Topic], before: Timestamp) -> Vec<Topic> {
        let mut fresh = Vec::new();
        let mut now_live = HashMap::with_capacity(live.len());
        for &topic in live {
            let since = self.live.remove(&topic).unwrap_or_else(|| {
                fresh.push(topic);
                before
            });
            now_live.insert(topic, since);
        }
        self.live = now_live;
        fresh
    }

    /// These topics could not be looked at: they are new the next time, too.
    pub fn forget(&mut self, topics: &[Topic]) {
        self.live.retain(|topic, _| !topics.contains(topic));
    }

    /// Topics that have listeners.
    pub fn topics(&self) -> Vec<Topic> {
        self.live.keys().copied().collect()
    }

    /// From when on a topic's rows are news.
    pub fn since(&self, topic: Topic) -> Option<Timestamp> {
        self.live.get(&topic).copied()
    }

    /// These topics were looked at for the first time: rows from before they had listeners are no news. What is news.
    pub fn first_news(&mut self, found: Vec<(Addition, Timestamp)>) -> Vec<Addition> {
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

    /// Everything up to `now` was looked at as far back as the overlap reaches: what is older will not be found again.
    pub fn looked_far(&mut self, now: Timestamp) {
        let overlap = i64::try_from(TAIL_OVERLAP.as_secs()).unwrap_or(i64::MAX);
        if self.began.plus_seconds(overlap + 5) < now {
            self.old = std::mem::take(&mut self.young);
            self.began = now;
        }
    }

    fn has(&self, row: Addition) -> bool {
        self.young.contains(&row.id()) || self.old.contains(&row.id())
    }
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
