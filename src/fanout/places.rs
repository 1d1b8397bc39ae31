//! Puts the batches of several lanes into the order in which they were committed, topic by topic. A batch that arrives
//! too early waits.
//!
//! A lane takes places for its batch right before COMMIT, while it holds the locks of the batch's topics. A lane that
//! commits in one of these topics afterwards takes a later place there. So a topic's places are in the order of its
//! sequence numbers. A batch is told in a topic when every batch with an earlier place there was told or gave its place
//! back.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::domain::event::{Committed, Cursor};
use crate::ids::Topic;
use crate::store::Told;

/// Events that are told together. The publisher drops `told` when it has told them.
#[derive(Debug)]
pub(super) struct Part {
    pub events: Vec<Arc<Committed>>,
    pub told: Arc<Told>,
    /// Before these events, everything up to this place was given up: listeners are told of the gap.
    pub gap: Option<(Topic, Cursor)>,
}

impl Part {
    /// Nothing was given up before these events.
    pub fn new(events: Vec<Arc<Committed>>, told: Arc<Told>) -> Self {
        Self { events, told, gap: None }
    }

    /// Everything up to this place of a topic is given up.
    pub fn gap(topic: Topic, upto: Cursor) -> Self {
        Self { gap: Some((topic, upto)), ..Self::new(Vec::new(), Arc::new(Told::new(|| ()))) }
    }
}

/// A batch's place in a topic.
#[derive(Debug)]
struct Place {
    /// The first event of the batch in this topic: it identifies the batch.
    first: Arc<Committed>,
    /// The batch's events in this topic, if they are committed and an earlier place is still taken.
    waits: Option<Part>,
}

/// The places taken in the topics of one publisher. A topic in which no place is taken is not in the map.
#[derive(Debug, Default)]
pub(super) struct Places(HashMap<Topic, VecDeque<Place>>);

impl Places {
    /// Takes a place in each topic of a batch that is about to be committed. `events` are the batch's events in this
    /// publisher's topics.
    pub fn take(&mut self, events: &[&Arc<Committed>]) {
        for event in firsts(events) {
            let places = self.0.entry(event.topic).or_default();
            places.push_back(Place { first: Arc::clone(event), waits: None });
        }
    }

    /// Gives the places of a batch back that was not committed. Returns the topics in which a waiting batch is now
    /// first: the caller takes it with [`Self::next_in`].
    pub fn give_back(&mut self, events: &[&Arc<Committed>]) -> Vec<Topic> {
        let mut moved = Vec::new();
        for event in firsts(events) {
            let Entry::Occupied(mut entry) = self.0.entry(event.topic) else { continue };
            let places = entry.get_mut();
            places.retain(|place| !Arc::ptr_eq(&place.first, event));
            match places.front() {
                None => drop(entry.remove()),
                Some(first) if first.waits.is_some() => moved.push(event.topic),
                Some(_) => {}
            }
        }
        moved
    }

    /// Takes committed events. Returns the events that are next in their topics, then the events that waited for them;
    /// keeps the rest.
    pub fn come(&mut self, part: Part) -> Vec<Part> {
        if self.0.is_empty() {
            return vec![part];
        }
        let Part { events, told, .. } = part;
        let (mut next, mut opened) = (Vec::with_capacity(events.len()), Vec::new());
        // For each topic of the part: the place at which its events wait; `None` if they need not wait.
        let mut waiting: HashMap<Topic, Option<usize>> = HashMap::new();
        for event in events {
            let topic = event.topic;
            let waits_at = *waiting.entry(topic).or_insert_with(|| {
                let places = self.0.get(&topic)?;
                // Events without a place were committed by another node.
                let at = places.iter().position(|place| Arc::ptr_eq(&place.first, &event))?;
                if at == 0 {
                    opened.push(topic);
                }
                (at > 0).then_some(at)
            });
            let place = waits_at.and_then(|at| self.0.get_mut(&topic)?.get_mut(at));
            match place {
                None => next.push(event),
                Some(place) => {
                    let new = || Part::new(Vec::new(), Arc::clone(&told));
                    place.waits.get_or_insert_with(new).events.push(event);
                }
            }
        }
        let mut parts = vec![Part::new(next, told)];
        for topic in opened {
            if let Some(places) = self.0.get_mut(&topic) {
                places.pop_front();
            }
            self.next_in(topic, &mut parts);
        }
        parts
    }

    /// Takes out the batches that wait at the first places of a topic.
    pub fn next_in(&mut self, topic: Topic, parts: &mut Vec<Part>) {
        let Entry::Occupied(mut entry) = self.0.entry(topic) else { return };
        let places = entry.get_mut();
        while let Some(part) = places.front_mut().and_then(|place| place.waits.take()) {
            parts.push(part);
            places.pop_front();
        }
        if places.is_empty() {
            entry.remove();
        }
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A batch's first event in each of its topics.
fn firsts<'a>(events: &[&'a Arc<Committed>]) -> impl Iterator<Item = &'a Arc<Committed>> {
    let mut seen = HashSet::new();
    events.iter().copied().filter(move |event| seen.insert(event.topic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::domain::chat::event::ChatEvent;
    use crate::domain::event::Event;
    use crate::ids::{EventId, RoomId, UserId};

    fn event(topic: Topic, seq: u64) -> Arc<Committed> {
        Arc::new(Committed {
            topic,
            cursor: Cursor { epoch: 1, seq },
            event_id: EventId::fresh(),
            at: Timestamp(0),
            previous: None,
            origin: None,
            event: Event::Chat(ChatEvent::Joined { user: UserId::default() }),
        })
    }

    fn part(events: &[&Arc<Committed>]) -> Part {
        Part::new(events.iter().map(|event| Arc::clone(event)).collect(), Arc::new(Told::new(|| ())))
    }

    fn numbers(parts: &[Part]) -> Vec<u64> {
        parts.iter().flat_map(|part| part.events.iter().map(|event| event.cursor.seq)).collect()
    }

    #[test]
    fn what_comes_early_waits_for_those_before_it_and_for_nobody_else() {
        let [topic, other] = [Topic::Room(RoomId::fresh()), Topic::Room(RoomId::fresh())];
        let (mut places, elsewhere) = (Places::default(), event(topic, 100));
        let [first, second, third, fourth] = [1, 2, 3, 4].map(|seq| event(topic, seq));
        let [free, late] = [event(other, 11), event(other, 12)];
        places.take(&[&first]);
        places.take(&[&second]);
        places.take(&[&third, &free, &fourth]);
        assert_eq!(numbers(&places.come(part(&[&third, &free, &fourth]))), [11], "the other topic's need not wait");
        assert_eq!(numbers(&places.come(part(&[&elsewhere]))), [100], "what another node committed has no place");
        assert!(places.give_back(&[&second]).is_empty(), "the first batch is still before the third");
        assert_eq!(numbers(&places.come(part(&[&first]))), [1, 3, 4]);
        assert!(places.is_empty());

        places.take(&[&first]);
        places.take(&[&second, &late]);
        assert_eq!(numbers(&places.come(part(&[&second, &late]))), [12]);
        assert_eq!(places.give_back(&[&first]), [topic], "the second batch is first now");
        let mut parts = Vec::new();
        places.next_in(topic, &mut parts);
        assert_eq!(numbers(&parts), [2]);
        assert!(places.is_empty());
    }
}
