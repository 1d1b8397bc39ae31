//! Puts the events of several nodes into the order of their topics: by their sequence numbers, which have no gaps.
//!
//! An event that comes too early waits for those before it. If they do not come by themselves within [`HOLD_BACK`], they
//! are read from the log. An event that was told before is dropped, so it does no harm if one comes twice.
//!
//! Of a topic that was silent for long nothing is remembered. Its next event says when the one before it happened: if that
//! was long ago and the log was read since, the event is next; otherwise the log is asked, because the one before may still be on
//! its way, or nobody told it: its commit may have taken up to [`COMMIT_MAX`]. While the log cannot be read nothing is forgotten, up to
//! [`SEQUENCE_TOPICS_MAX`] topics.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clock::Timestamp;
use crate::domain::event::{Committed, Cursor};
use crate::fanout::places::Part;
use crate::ids::{PARTITIONS, Topic};
use crate::limits::{
    COMMIT_MAX, HELD_BACK_MAX, HOLD_BACK, HOLE_PATIENCE, IN_FLIGHT_MAX, LOOK_DEEP_EVERY, LOOK_EVERY, SEQUENCE_MEMORY,
    SEQUENCE_TOPICS_MAX,
};
use crate::store::{Head, Missing, Told};

/// What has happened in one partition since this was last counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Events that had come before.
    pub doubled: u64,
    /// Times that an event came before its turn.
    pub holes: u64,
    /// Holes that the log filled.
    pub fills: u64,
    /// Events that the log did not have any more.
    pub lost: u64,
    /// Topics that were forgotten too early.
    pub forgotten: u64,
    /// Events that wait, more or fewer than before.
    pub held: i64,
}

/// The topics of one publisher in which something happened lately.
#[derive(Debug)]
pub(super) struct Sequence {
    topics: HashMap<Topic, State>,
    /// Topics by the time of an event, oldest first; a topic is there once.
    silent: VecDeque<(Instant, Topic)>,
    /// Topics in which events wait.
    holes: Vec<Topic>,
    held: usize,
    /// Figures, by partition.
    counts: [Counts; PARTITIONS],
    /// What happened before this process began is nobody's news.
    began: Timestamp,
    /// How far the last look at the log reached.
    looked: Reach,
    /// When it was, if there was one.
    looked_at: Option<Instant>,
    /// Since then topics were forgotten too early.
    has_forgotten: bool,
    /// The last event of the newest topic that was forgotten because there were too many. What such a topic was told is not known any more,
    /// so for [`SEQUENCE_MEMORY`] from then on the log is asked for the last [`IN_FLIGHT_MAX`] only.
    crowded_at: Option<Instant>,
}

/// What a look at the log has read: the places of all topics in which something was committed in this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Events since then, by their own time.
    pub since: Timestamp,
    /// When the log was read.
    pub until: Timestamp,
}

#[derive(Debug)]
struct State {
    epoch: u32,
    /// The number that is told next; `None` until the log was asked.
    next: Option<u64>,
    last: Instant,
    hole: Option<Hole>,
}

#[derive(Debug)]
struct Hole {
    since: Instant,
    /// Where nothing is known of the topic, it is read from this time on.
    from: Timestamp,
    /// When the log was asked.
    asked: Option<Instant>,
    /// Until then it is not asked again, because it could not be read.
    pause: Option<Instant>,
    held: BTreeMap<u64, (Arc<Committed>, Arc<Told>)>,
    /// The log has events before this number.
    upto: u64,
}

impl Sequence {
    /// Nothing has happened yet. `began` is when this process began.
    pub fn new(began: Timestamp) -> Self {
        let counts = Default::default();
        let (topics, silent, holes) = (HashMap::new(), VecDeque::new(), Vec::new());
        let looked = Reach { since: began, until: began };
        let (looked_at, crowded_at) = (None, None);
        Self { topics, silent, holes, held: 0, began, looked, looked_at, has_forgotten: false, crowded_at, counts }
    }

    /// Takes notice of where topics were when this process began, or a little later. In all others nothing had happened for
    /// [`COMMIT_MAX`]. So what has an earlier time than this process was committed after it began all the same, by a node whose
    /// clock is behind or whose commit took long.
    pub fn begin(&mut self, heads: &[Head], now: Instant) {
        for Head { topic, cursor: Cursor { epoch, seq } } in heads.iter().copied() {
            if let Entry::Vacant(vacant) = self.topics.entry(topic) {
                vacant.insert(State { epoch, next: Some(seq + 1), last: now, hole: None });
                self.silent.push_back((now, topic));
            }
        }
        self.began = self.began.minus(COMMIT_MAX);
    }

    /// Takes events, of this node or another, and adds those to `ready` whose turn it is.
    pub fn come(&mut self, part: Part, now: Instant, ready: &mut Vec<Part>) {
        for event in part.events {
            self.take(event, &part.told, now, ready);
        }
        self.forget_silent();
        self.forget_too_many();
    }

    /// Takes what the log answered; `None` if it could not be read. What the log does not have is given up.
    pub fn filled(
        &mut self,
        missing: Missing,
        found: Option<Vec<Arc<Committed>>>,
        now: Instant,
        ready: &mut Vec<Part>,
    ) {
        let Missing { topic, epoch, .. } = missing;
        let Some(state) = self.topics.get_mut(&topic).filter(|state| state.epoch == epoch) else { return };
        let Some(hole) = &mut state.hole else { return };
        let Some(found) = found else {
            hole.asked = None;
            if now.saturating_duration_since(hole.since) < HOLE_PATIENCE {
                // A database that is away refuses at once: without a pause it would be asked all the time.
                hole.pause = Some(now + LOOK_EVERY);
                return;
            }
            return self.give_up(topic, now, ready);
        };
        self.counts[topic.partition()].fills += 1;
        if state.next.is_none() {
            let first_held = hole.held.keys().next().copied();
            state.next = found.first().map(|event| event.cursor.seq).or(first_held).or(Some(hole.upto));
        }
        let told = Arc::new(Told::new(|| ()));
        for event in found {
            self.take(event, &told, now, ready);
        }
        self.go_on(topic, now, ready);
        let Some(state) = self.topics.get_mut(&topic) else { return };
        let Some(hole) = &mut state.hole else { return };
        if state.next <= Some(missing.after.saturating_add(1)) {
            return self.give_up(topic, now, ready);
        }
        // A later hole, whose events may still come by themselves.
        (hole.since, hole.asked) = (now, None);
    }

    /// Takes notice of all topics in which the log has events of this time, and up to which places. What has not come and does not
    /// come soon is read. Where topics were forgotten too early, nobody knows what was told of those that are not known: a gap is added
    /// to `ready` instead.
    pub fn look(&mut self, heads: &[Head], reach: Reach, now: Instant, ready: &mut Vec<Part>) {
        // Of topics that are not known, what happened so long before the last look was told; what is later was not.
        let from = self.looked.until.min(reach.until).minus(self.depth(now)).max(self.began);
        self.looked = Reach { since: reach.since.max(self.began), until: reach.until };
        self.looked_at = Some(now);
        heads.iter().for_each(|head| self.look_at(*head, from, now, ready));
        self.has_forgotten = false;
        self.forget_silent();
        self.forget_too_many();
    }

    fn look_at(&mut self, Head { topic, cursor }: Head, from: Timestamp, now: Instant, ready: &mut Vec<Part>) {
        let Cursor { epoch, seq } = cursor;
        let state = match self.topics.entry(topic) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) if self.has_forgotten => {
                self.silent.push_back((now, topic));
                vacant.insert(State { epoch, next: Some(seq + 1), last: now, hole: None });
                ready.push(Part::gap(topic, cursor));
                return;
            }
            Entry::Vacant(vacant) => {
                self.silent.push_back((now, topic));
                vacant.insert(State { epoch, next: None, last: now, hole: None })
            }
        };
        if epoch > state.epoch {
            let dropped = state.begin_anew(epoch);
            self.held -= dropped;
            self.counts[topic.partition()].held -= i64::try_from(dropped).unwrap_or(i64::MAX);
            self.holes.retain(|hole| *hole != topic);
        }
        if epoch < state.epoch || state.next.is_some_and(|next| next > seq) {
            return;
        }
        match &mut state.hole {
            Some(hole) => (hole.upto, hole.from) = (hole.upto.max(seq + 1), hole.from.min(from)),
            None => {
                self.counts[topic.partition()].holes += 1;
                self.holes.push(topic);
                state.hole = Some(Hole { upto: seq + 1, ..Hole::new(now, from) });
            }
        }
    }

    /// When [`Self::take_due`] has something.
    pub fn next_due(&self) -> Option<Instant> {
        let due = |topic| self.topics.get(topic).and_then(|state| state.hole.as_ref()).and_then(Hole::due);
        self.holes.iter().filter_map(due).min()
    }

    /// What is to be read from the log now. The answer goes to [`Self::filled`].
    pub fn take_due(&mut self, now: Instant) -> Vec<Missing> {
        let topics = &mut self.topics;
        let due = self.holes.iter().filter_map(|topic| {
            let state = topics.get_mut(topic)?;
            let hole = state.hole.as_mut()?;
            if hole.due()? > now {
                return None;
            }
            hole.asked = Some(now);
            let first = hole.held.first_key_value();
            let before = first.map_or(hole.upto, |(seq, _)| *seq);
            let (after, since) = state.next.map_or((0, hole.from), |next| (next - 1, Timestamp(0)));
            Some(Missing { topic: *topic, epoch: state.epoch, after, before, since })
        });
        due.collect()
    }

    /// A question that [`Self::take_due`] gave could not be asked: it is given again after a while.
    pub fn not_asked(&mut self, topic: Topic, now: Instant) {
        if let Some(hole) = self.topics.get_mut(&topic).and_then(|state| state.hole.as_mut()) {
            (hole.since, hole.asked) = (now, None);
        }
    }

    /// What has happened since this was last asked, by partition.
    pub fn take_counts(&mut self) -> [Counts; PARTITIONS] {
        std::mem::take(&mut self.counts)
    }

    /// Events that wait.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Events that the log did not have any more.
    #[cfg(test)]
    pub fn lost(&self) -> u64 {
        self.counts.iter().map(|counts| counts.lost).sum()
    }

    /// Nothing is missing, and nothing waits.
    #[cfg(test)]
    pub fn is_whole(&self) -> bool {
        self.holes.is_empty() && self.held == 0 && self.topics.values().all(|state| state.hole.is_none())
    }

    fn take(&mut self, event: Arc<Committed>, told: &Arc<Told>, now: Instant, ready: &mut Vec<Part>) {
        let (topic, Cursor { epoch, seq }) = (event.topic, event.cursor);
        let Some(state) = self.topics.get_mut(&topic) else {
            if self.looked_at.is_some() && event.at < self.looked.until.minus(SEQUENCE_MEMORY - IN_FLIGHT_MAX) {
                // A look found it, and its topic was forgotten since: it comes from streams that this node had not read for long. What is
                // younger is none of those: its commit took long.
                self.counts[topic.partition()].doubled += 1;
                return;
            }
            let unknown = self.looked.unknown_before(&event, self.depth(now));
            let is_young = |before: Timestamp| before >= self.began && before > unknown;
            let next = (!event.previous.is_some_and(is_young)).then_some(seq);
            self.topics.insert(topic, State { epoch, next, last: now, hole: None });
            self.silent.push_back((now, topic));
            return self.take_known(event, told, now, ready);
        };
        state.last = now;
        if epoch > state.epoch {
            let dropped = state.begin_anew(epoch);
            self.held -= dropped;
            self.counts[topic.partition()].held -= i64::try_from(dropped).unwrap_or(i64::MAX);
            self.holes.retain(|hole| *hole != topic);
        } else if epoch < state.epoch {
            self.counts[topic.partition()].doubled += 1;
            return;
        }
        self.take_known(event, told, now, ready);
    }

    fn take_known(&mut self, event: Arc<Committed>, told: &Arc<Told>, now: Instant, ready: &mut Vec<Part>) {
        let (topic, seq) = (event.topic, event.cursor.seq);
        let Some(state) = self.topics.get_mut(&topic) else { return };
        match state.next {
            Some(next) if seq < next => self.counts[topic.partition()].doubled += 1,
            Some(next) if seq == next => {
                state.next = Some(seq + 1);
                push(ready, event, told);
                if state.hole.is_some() {
                    self.go_on(topic, now, ready);
                }
            }
            _ => {
                let is_new = state.hole.is_none();
                let from = self.looked.unknown_before(&event, self.depth(now)).max(self.began);
                let Some(state) = self.topics.get_mut(&topic) else { return };
                let hole = state.hole.get_or_insert_with(|| Hole::new(now, from));
                if hole.held.insert(seq, (event, Arc::clone(told))).is_some() {
                    self.counts[topic.partition()].doubled += 1;
                } else {
                    self.held += 1;
                    self.counts[topic.partition()].held += 1;
                }
                if is_new {
                    self.counts[topic.partition()].holes += 1;
                    self.holes.push(topic);
                }
                if self.held > HELD_BACK_MAX
                    && let Some(oldest) = self.holes.first().copied()
                {
                    self.give_up(oldest, now, ready);
                }
            }
        }
    }

    /// Tells the events that waited and are next now.
    fn go_on(&mut self, topic: Topic, now: Instant, ready: &mut Vec<Part>) {
        let Some(state) = self.topics.get_mut(&topic) else { return };
        let (Some(hole), Some(next)) = (&mut state.hole, &mut state.next) else { return };
        while let Some(first) = hole.held.first_entry() {
            let seq = *first.key();
            if seq > *next {
                break;
            }
            let (event, told) = first.remove();
            self.held -= 1;
            self.counts[topic.partition()].held -= 1;
            if seq == *next {
                *next += 1;
                push(ready, event, &told);
            }
        }
        if hole.held.is_empty() && *next >= hole.upto {
            state.hole = None;
            self.holes.retain(|hole| *hole != topic);
        } else if hole.asked.is_none() {
            hole.since = now;
        }
    }

    /// Goes on without the events that are missing before the first one that waits.
    fn give_up(&mut self, topic: Topic, now: Instant, ready: &mut Vec<Part>) {
        let Some(state) = self.topics.get_mut(&topic) else { return };
        let first = state.hole.as_ref().map(|hole| hole.held.keys().next().copied().unwrap_or(hole.upto));
        let Some(first) = first else { return };
        let lost = first.saturating_sub(state.next.unwrap_or(first));
        if first > 1 && (lost > 0 || state.next.is_none()) {
            ready.push(Part::gap(topic, Cursor { epoch: state.epoch, seq: first - 1 }));
        }
        self.counts[topic.partition()].lost += lost;
        tracing::error!(%topic, lost, "events are not in the log any more: listeners of this node have not heard them");
        state.next = Some(first);
        if let Some(hole) = &mut state.hole {
            hole.asked = None;
        }
        self.go_on(topic, now, ready);
    }

    /// How long before something that is known events of topics that are not known may have happened, of which nobody was told.
    fn depth(&self, now: Instant) -> Duration {
        let is_crowded = self.crowded_at.is_some_and(|at| now.saturating_duration_since(at) < SEQUENCE_MEMORY);
        if is_crowded { IN_FLIGHT_MAX } else { COMMIT_MAX + LOOK_DEEP_EVERY }
    }

    /// Forgets topics in which nothing happened for [`SEQUENCE_MEMORY`] before the last look at the log. While the log cannot be
    /// read nothing is forgotten: it will be asked for everything since the last look, and what was told is not told again.
    fn forget_silent(&mut self) {
        let Some(looked_at) = self.looked_at else { return };
        while let Some((at, topic)) = self.silent.front().copied()
            && looked_at.saturating_duration_since(at) >= SEQUENCE_MEMORY
        {
            self.silent.pop_front();
            let Some(state) = self.topics.get(&topic) else { continue };
            if state.hole.is_none() && looked_at.saturating_duration_since(state.last) >= SEQUENCE_MEMORY {
                self.topics.remove(&topic);
            } else if state.hole.is_some() {
                // It waits for the log.
                self.silent.push_back((looked_at, topic));
            } else {
                self.silent.push_back((state.last, topic));
            }
        }
    }

    /// Forgets topics that are silent for longest, above [`SEQUENCE_TOPICS_MAX`]. Those that wait for the log are as many as events may
    /// wait: they stay.
    fn forget_too_many(&mut self) {
        /// Entries that are looked at for each topic too many.
        const STEPS: usize = 8;
        let too_many = self.topics.len().saturating_sub(SEQUENCE_TOPICS_MAX);
        for _ in 0..too_many.saturating_mul(STEPS) {
            if self.topics.len() <= SEQUENCE_TOPICS_MAX {
                return;
            }
            let Some((at, topic)) = self.silent.pop_front() else { return };
            let Some(state) = self.topics.get(&topic) else { continue };
            if state.hole.is_some() || state.last > at {
                self.silent.push_back((state.last, topic));
                continue;
            }
            // The log was read since, and will not be asked for it again.
            let was_read = self.looked_at.is_some_and(|looked_at| state.last + 2 * IN_FLIGHT_MAX <= looked_at);
            self.topics.remove(&topic);
            if was_read {
                self.crowded_at = Some(at);
                continue;
            }
            self.counts[topic.partition()].forgotten += 1;
            if !std::mem::replace(&mut self.has_forgotten, true) {
                tracing::warn!(
                    most = SEQUENCE_TOPICS_MAX,
                    "the log has not been read for long, and more topics are busy than are remembered: listeners of some will \
                     be told of a gap. See why the database cannot be read"
                );
            }
        }
    }
}

impl Reach {
    /// From when on what happened before an event may be unknown: it was on its way for up to `depth`, or the log was not read since.
    fn unknown_before(self, event: &Committed, depth: Duration) -> Timestamp {
        event.at.min(self.until).minus(depth)
    }
}

impl State {
    /// The log has begun anew. Returns how many events of the old one were waiting: they are dropped.
    fn begin_anew(&mut self, epoch: u32) -> usize {
        (self.epoch, self.next) = (epoch, Some(1));
        self.hole.take().map_or(0, |hole| hole.held.len())
    }
}

impl Hole {
    fn new(since: Instant, from: Timestamp) -> Self {
        Self { since, from, asked: None, pause: None, held: BTreeMap::new(), upto: 0 }
    }

    /// When the log is asked; `None` if it was.
    fn due(&self) -> Option<Instant> {
        let due = self.since + HOLD_BACK;
        self.asked.is_none().then_some(self.pause.map_or(due, |pause| pause.max(due)))
    }
}

fn push(ready: &mut Vec<Part>, event: Arc<Committed>, told: &Arc<Told>) {
    match ready.last_mut().filter(|last| Arc::ptr_eq(&last.told, told)) {
        Some(last) => last.events.push(event),
        None => ready.push(Part::new(vec![event], Arc::clone(told))),
    }
}

pub(super) mod counters;

#[cfg(test)]
mod tests;
