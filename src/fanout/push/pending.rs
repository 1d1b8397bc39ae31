//! Events that wait to be pushed: the newest of each topic, in the order in which their topics came.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::fanout::push::note::News;
use crate::ids::Topic;
use crate::limits::PUSH_TOPICS_MAX;

/// What became of an event that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    /// Its topic waits now.
    New,
    /// It took the place of an earlier event of its topic.
    Collapsed,
    /// Its topic waits, and the one that waited longest was dropped for it.
    Dropped,
}

/// The topics that wait.
#[derive(Debug)]
pub(super) struct Pending {
    delay: Duration,
    /// The time at which each topic is due, in order.
    order: VecDeque<(Instant, Topic)>,
    newest: HashMap<Topic, News>,
}

impl Pending {
    /// Each topic waits for `delay`.
    pub fn new(delay: Duration) -> Self {
        Self { delay, order: VecDeque::new(), newest: HashMap::new() }
    }

    /// Takes an event. A later event of a topic does not put off when the topic is due.
    pub fn offer(&mut self, event: News, now: Instant) -> Offered {
        let topic = event.topic;
        if self.newest.insert(topic, event).is_some() {
            return Offered::Collapsed;
        }
        self.order.push_back((now + self.delay, topic));
        if self.order.len() <= PUSH_TOPICS_MAX {
            return Offered::New;
        }
        self.take_first();
        Offered::Dropped
    }

    /// The topic that has waited longest, if it is due.
    pub fn take(&mut self, now: Instant) -> Option<News> {
        let (due, _) = self.order.front()?;
        if *due > now {
            return None;
        }
        self.take_first()
    }

    fn take_first(&mut self) -> Option<News> {
        let (_, topic) = self.order.pop_front()?;
        self.newest.remove(&topic)
    }

    /// When the next topic is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.order.front().map(|(due, _)| *due)
    }

    /// Whatever waits is due now, and what comes later is due at once.
    pub fn hurry(&mut self) {
        self.delay = Duration::ZERO;
        let now = Instant::now();
        self.order.iter_mut().for_each(|(due, _)| *due = now);
    }

    /// How many topics wait.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::fanout::push::note::What;
    use crate::ids::{MessageId, RoomId, UserId};

    fn event(room: RoomId, at: i64) -> News {
        let (message, sender) = (MessageId::fresh(), UserId::fresh());
        let what = What::Message { room, message, sender };
        News { topic: Topic::Room(room), at: Timestamp(at), name: String::new(), text: String::new(), what }
    }

    #[test]
    fn a_topic_waits_once_and_its_newest_event_is_taken_when_the_first_is_due() {
        let delay = Duration::from_secs(2);
        let (mut pending, now) = (Pending::new(delay), Instant::now());
        let [one, other] = [RoomId::fresh(), RoomId::fresh()];
        assert_eq!(pending.offer(event(one, 1), now), Offered::New);
        assert_eq!(pending.offer(event(other, 7), now + delay / 2), Offered::New);
        assert_eq!(pending.offer(event(one, 2), now + delay / 2), Offered::Collapsed);
        assert!(pending.take(now + delay / 2).is_none(), "it is not due");
        assert_eq!(pending.next_due(), Some(now + delay));
        assert_eq!(pending.take(now + delay).unwrap().at.0, 2, "the newest, when the first is due");
        assert!(pending.take(now + delay).is_none(), "the other topic is not due");
        pending.hurry();
        assert_eq!(pending.take(Instant::now()).unwrap().at.0, 7, "a stop does not wait");
        assert!(pending.is_empty() && pending.newest.is_empty());
        assert_eq!(pending.offer(event(one, 3), now), Offered::New, "it may wait again");
    }

    #[test]
    fn what_waits_is_bounded_and_the_oldest_topic_gives_way() {
        let (mut pending, now) = (Pending::new(Duration::ZERO), Instant::now());
        let first = RoomId::fresh();
        pending.offer(event(first, 1), now);
        for at in 2..=i64::try_from(PUSH_TOPICS_MAX).unwrap() {
            assert_eq!(pending.offer(event(RoomId::fresh(), at), now), Offered::New);
        }
        assert_eq!(pending.offer(event(RoomId::fresh(), 0), now), Offered::Dropped);
        assert_eq!((pending.len(), pending.newest.len()), (PUSH_TOPICS_MAX, PUSH_TOPICS_MAX));
        assert_eq!(pending.take(now).unwrap().at.0, 2, "the first one gave way");
    }
}
