//! Decides which rows found in the tables are news: those that were added after their topic got listeners, each of them
//! once.
//!
//! Looks overlap, so most rows are found several times: the ids of rows that were told or are old are remembered for
//! longer than a look reaches back. `young` and `old` are two generations of them, at most [`TAIL_ROWS_MAX`] together.
//!
//! Time comes in as an argument.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::domain::write::Addition;
use crate::ids::Topic;
use crate::limits::{TAIL_FAR_EVERY, TAIL_OVERLAP, TAIL_ROWS_MAX};

/// What a process knows of the rows of its live topics.
#[derive(Debug, Default)]
pub struct Known {
    /// Topics with listeners, each with the time since which its rows are news.
    live: HashMap<Topic, Timestamp>,
    /// The live topics whose rows were not looked at yet.
    fresh: HashSet<Topic>,
    young: HashSet<Uuid>,
    old: HashSet<Uuid>,
    /// When `young` was begun.
    began: Timestamp,
    /// When the last look was made that went back as far as the overlap.
    looked_far: Timestamp,
}

impl Known {
    /// Rows that exist `now` are no news.
    pub fn new(now: Timestamp) -> Self {
        Self { looked_far: now, ..Self::default() }
    }

    /// How far back the next far look goes. The first look at a topic goes back equally far: it must know every old row
    /// that the far look will find, or the far look takes that row for news.
    pub fn reach(&self) -> Timestamp {
        self.looked_far.minus(TAIL_OVERLAP)
    }

    /// Notes the topics that have listeners now; `before` is when the caller last asked for them. Returns the topics
    /// whose rows were not looked at since they have listeners. The caller looks at the rows of these as far back as
    /// [`Self::reach`], so that the rows that existed already are known as old.
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

    /// The topics that have listeners.
    pub fn topics(&self) -> Vec<Topic> {
        self.live.keys().copied().collect()
    }

    /// The time since which a topic's rows are news.
    pub fn since(&self, topic: Topic) -> Option<Timestamp> {
        self.live.get(&topic).copied()
    }

    /// Takes the rows of the first look at all topics that [`Self::listen`] returned. Rows from before their topic had
    /// listeners are noted as old. Returns the others, which are news.
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

    /// The rows of a later look that are news: those not known yet, whatever their time, because a long transaction may
    /// commit rows that it made long ago.
    pub fn news(&self, found: Vec<(Addition, Timestamp)>) -> Vec<Addition> {
        found
            .into_iter()
            .map(|(row, _)| row)
            .filter(|row| !self.has(*row) && self.live.contains_key(&row.topic()))
            .collect()
    }

    /// Notes a row that was told, or need not be told.
    pub fn note(&mut self, row: Addition) {
        if self.young.len() >= TAIL_ROWS_MAX / 2 {
            // So many rows came within about a minute that the older half is dropped: a row may be told twice, but
            // memory stays bounded.
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(row.id());
    }

    /// Notes that a far look covered everything from [`Self::reach`] to `now`. Rows that are older than the overlap
    /// will not be found again.
    pub fn looked_far(&mut self, now: Timestamp) {
        self.looked_far = now;
        if self.began < now.minus(TAIL_OVERLAP + TAIL_FAR_EVERY) {
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
        assert_eq!(known.first_news(found), [], "all of them were told");
    }

    #[test]
    fn what_the_far_look_finds_was_known_as_old_by_the_first_look_however_long_ago_the_last_far_one_was() {
        let (mut known, ana) = (Known::new(at(1000)), UserId::fresh());
        let topic = Topic::Notifications(ana);
        let table: Vec<_> = (900..1300).step_by(10).map(|second| (row(ana), at(second))).collect();
        let seen_from = |since: Timestamp| table.iter().copied().filter(|(_, at)| *at >= since).collect::<Vec<_>>();
        // All far looks since the start have failed.
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
        assert_eq!(known.first_news(vec![(early, at(102)), (earlier, at(102))]), [early], "only ana listened at 102");
        assert!(known.listen(&[anas, betos], at(110)).is_empty());
        known.listen(&[], at(111));
        assert_eq!(known.listen(&[anas], at(112)), [anas]);
        assert!(known.listen(&[], at(113)).is_empty(), "a topic without listeners is not looked at");
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
