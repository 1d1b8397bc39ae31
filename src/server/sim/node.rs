//! A simulated node: the real publishers, the real tasks of its cluster and a real shard, without threads or a runtime.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::log::Log;
use super::redis::Redis;
use super::time::Time;
use crate::cluster::by_hand::{self, Doing};
use crate::cluster::{Cluster, Outbox};
use crate::domain::event::Committed;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::shard::by_hand::Shard;
use crate::engine::shard::port::{Answer, Errand, Inbox, Seating, ToShard};
use crate::fanout::posts::PostUpdates;
use crate::fanout::publisher::Fanout;
use crate::fanout::publisher::by_hand::ByHand as Publishers;
use crate::fanout::routes::Routes;
use crate::ids::Topic;
use crate::protocol::v0::object::Presenter;
use crate::server::replay::{Missed, Replay};
use crate::store::Told;

/// Each task has a turn at least this often, unless the whole node has none.
const TURN_EVERY: Duration = Duration::from_millis(50);
const LANES: usize = 2;
/// Turns of a node are made of these.
const TASKS: usize = 9;

/// What a lane is at.
enum Lane {
    Rests,
    /// Its transaction holds the rows of these topics.
    Open {
        topics: Vec<usize>,
        events: Vec<Arc<Committed>>,
        until: Instant,
        is_rolled_back: bool,
    },
    /// It has committed, and has told nobody yet.
    Committed {
        events: Vec<Arc<Committed>>,
        until: Instant,
    },
    /// It waits until this is true.
    Telling(Arc<AtomicBool>),
}

/// An errand that is being done.
enum Job {
    Judge(Errand),
    Read(Doing<Answer>),
}

/// Everything that the nodes share.
#[derive(Clone)]
pub(super) struct Shared {
    pub log: Arc<Log>,
    pub redis: Arc<Redis>,
    pub time: Arc<Time>,
}

/// A running node.
pub(super) struct Node {
    pub shard: Shard,
    random: StdRng,
    shared: Shared,
    skew: i64,
    fanout: Arc<Fanout>,
    publishers: Publishers,
    routes: Arc<Routes>,
    outbox: Outbox,
    cluster: by_hand::ByHand,
    replay: Arc<Replay>,
    inbox: Arc<Inbox>,
    jobs: Vec<Job>,
    lanes: Vec<Lane>,
    last_turns: [Instant; TASKS],
    /// Until then it has no turns at all.
    pub stopped_until: Option<Instant>,
}

impl Node {
    /// `skew` is by how many microseconds its clock is wrong.
    pub fn start(number: usize, name: Uuid, skew: i64, shared: &Shared, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let (inbox, routes) = (Arc::<Inbox>::default(), Arc::<Routes>::default());
        let presenter = Arc::new(Presenter::new("http://localhost", true));
        let publishers = random.random_range(1..=2);
        let inboxes = Arc::from([Arc::clone(&inbox)]);
        let (ways, shown) = (Arc::clone(&routes), Arc::clone(&presenter));
        let fanout = Arc::new(Fanout::new(ways, inboxes, shown, PostUpdates::Coalesced, publishers));
        let now = shared.time.now();
        let cluster = Cluster::named(name, shared.time.wall(skew));
        let (began, read_missing) = cluster.read_missing();
        fanout.join_others(began, read_missing);
        let publishers = fanout.by_hand();
        let outbox = cluster.outbox();
        let (log, redis, time) = (Arc::clone(&shared.log), &shared.redis, Arc::clone(&shared.time));
        let told = Arc::clone(&fanout);
        let hear = Arc::new(move |events| told.tell(events, Told::new(|| ())));
        let wall = Arc::clone(&time);
        let bus = redis.of_node(number);
        let cluster = cluster.by_hand(
            &bus,
            (log.clone(), Arc::clone(&fanout)),
            hear,
            move || wall.wall(skew),
            move || time.now(),
        );
        let replay = Arc::new(Replay { log, presenter, routes: Arc::clone(&routes) });
        let shard = Shard::new(Arc::clone(&inbox), routes.clone(), now);
        Self {
            shard,
            random,
            shared: shared.clone(),
            skew,
            fanout,
            publishers,
            routes,
            outbox,
            cluster,
            replay,
            inbox,
            jobs: Vec::new(),
            lanes: (0..LANES).map(|_| Lane::Rests).collect(),
            last_turns: [now; TASKS],
            stopped_until: None,
        }
    }

    /// Some of its tasks have a turn, in any order. `traffic` is how probably a lane that rests begins a transaction. Returns what
    /// its sockets were sent.
    pub fn turn(&mut self, traffic: f64) -> BTreeMap<u32, Vec<u8>> {
        let now = self.shared.time.now();
        if self.stopped_until.is_some_and(|until| until > now) {
            return BTreeMap::new();
        }
        self.stopped_until = None;
        let mut order: Vec<usize> = (0..TASKS).collect();
        order.shuffle(&mut self.random);
        for task in order {
            let is_due = now.saturating_duration_since(self.last_turns[task]) >= TURN_EVERY;
            if !is_due && self.random.random_bool(0.6) {
                continue;
            }
            self.last_turns[task] = now;
            self.task(task, traffic, now);
        }
        self.shard.walk()
    }

    fn task(&mut self, task: usize, traffic: f64, now: Instant) {
        match task {
            0 => (0..LANES).for_each(|lane| self.lane(lane, traffic, now)),
            1 => self.publish(now),
            2 => self.cluster.send(),
            3 => {
                self.cluster.receive();
                self.relieve(now);
            }
            4 => self.cluster.listen(),
            5 => {
                self.cluster.look();
                self.relieve(now);
            }
            6 => {
                self.cluster.fill();
                self.relieve(now);
            }
            7 => self.do_errands(),
            _ => {
                let most = self.random.random_range(1..40);
                self.shard.take_mail(most, now);
                self.gather();
            }
        }
    }

    /// A publisher's queue is bounded, and nobody else would make room in it.
    fn relieve(&mut self, now: Instant) {
        if self.random.random_bool(0.2) {
            self.publish(now);
        }
    }

    fn publish(&mut self, now: Instant) {
        for publisher in 0..self.publishers.count() {
            self.publishers.work(publisher, usize::MAX, now);
        }
    }

    fn lane(&mut self, lane: usize, traffic: f64, now: Instant) {
        let next = match std::mem::replace(&mut self.lanes[lane], Lane::Rests) {
            Lane::Rests if self.random.random_bool(traffic) => self.begin(now),
            Lane::Open { topics, events, until, is_rolled_back } if until <= now => {
                let mut state = self.shared.log.lock();
                topics.iter().for_each(|topic| state.topics[*topic].is_locked = false);
                let is_away = state.is_away;
                drop(state);
                if is_rolled_back || is_away {
                    self.fanout.give_back(&events);
                    Lane::Rests
                } else {
                    self.shared.log.commit(&events, now, self.shared.time.wall(0));
                    let until = now + Duration::from_micros(self.random.random_range(0..8000));
                    Lane::Committed { events, until }
                }
            }
            Lane::Committed { events, until } if until <= now => {
                let is_told = Arc::<AtomicBool>::default();
                let told = Arc::clone(&is_told);
                self.outbox.events(&events);
                self.fanout.tell(events, Told::new(move || told.store(true, Ordering::Relaxed)));
                Lane::Telling(is_told)
            }
            Lane::Telling(is_told) if is_told.load(Ordering::Relaxed) => Lane::Rests,
            other => other,
        };
        self.lanes[lane] = next;
    }

    /// A transaction takes the rows of some topics, and with them its places.
    fn begin(&mut self, now: Instant) -> Lane {
        let mut state = self.shared.log.lock();
        let free = state.topics.iter().enumerate().filter(|(_, rows)| !rows.is_locked);
        let free: Vec<usize> = free.map(|(topic, _)| topic).collect();
        let count = self.random.random_range(1..=3);
        let topics: Vec<usize> = free.choose_multiple(&mut self.random, count).copied().collect();
        if state.is_away || topics.is_empty() {
            return Lane::Rests;
        }
        topics.iter().for_each(|topic| state.topics[*topic].is_locked = true);
        drop(state);
        let mut events = Vec::new();
        for topic in &topics {
            let count = if self.random.random_bool(0.02) { 30 } else { self.random.random_range(1..=3) };
            events.extend(self.shared.log.next(*topic, count, self.shared.time.wall(self.skew)));
        }
        self.fanout.place(&events);
        let micros = if self.random.random_bool(0.04) { 1_200_000 } else { 15_000 };
        let until = now + Duration::from_micros(self.random.random_range(0..micros));
        Lane::Open { topics, events, until, is_rolled_back: self.random.random_bool(0.06) }
    }

    /// One of its lanes begins a transaction whose commit takes until then. False if none rests.
    pub fn commits_slowly(&mut self, until: Instant) -> bool {
        let resting = self.lanes.iter().position(|lane| matches!(lane, Lane::Rests));
        let Some(lane) = resting else { return false };
        let mut begun = self.begin(self.shared.time.now());
        if let Lane::Open { until: end, is_rolled_back, .. } = &mut begun {
            (*end, *is_rolled_back) = (until, false);
        }
        self.lanes[lane] = begun;
        matches!(self.lanes[lane], Lane::Open { .. })
    }

    /// What was asked of the desk since.
    pub fn gather(&mut self) {
        for errand in self.shard.take_errands() {
            let job = match errand {
                Errand::Catch { session, ticket, user, topic, from, subscribing } => {
                    let replay = Arc::clone(&self.replay);
                    Job::Read(Box::pin(async move {
                        let missed = Missed { session, ticket, user, topic, from, subscribing };
                        let (mut answers, _) = replay.catch(vec![missed]).await;
                        answers.pop().expect("one answer for each")
                    }))
                }
                errand => Job::Judge(errand),
            };
            self.jobs.push(job);
        }
    }

    fn do_errands(&mut self) {
        let mut waiting = Vec::new();
        for job in std::mem::take(&mut self.jobs) {
            if self.random.random_bool(0.2) {
                waiting.push(job);
                continue;
            }
            let answer = match job {
                Job::Judge(errand) => self.judged(&errand),
                // A page takes a few queries, and each a few polls.
                Job::Read(mut reading) => match (0..4).find_map(|_| by_hand::poll(&mut reading)) {
                    Some(answer) => answer,
                    None => {
                        waiting.push(Job::Read(reading));
                        continue;
                    }
                },
            };
            self.inbox.try_send(ToShard::Answer(Box::new(answer))).expect("the inbox has room");
        }
        self.jobs = waiting;
    }

    fn judged(&self, errand: &Errand) -> Answer {
        let Errand::Judge { session, ticket, user, topic, .. } = *errand else { panic!("{errand:?}") };
        let endpoint = match topic {
            Topic::Room(room) => Endpoint::Chat { room, has_presence: false },
            _ => Endpoint::Notifications,
        };
        let mark = self.shard.mark(user, topic);
        Answer::Judged { session, ticket, outcome: Ok(Seating { endpoint, mark }) }
    }

    /// It is killed: transactions that are open are rolled back, or committed if that was under way, and nobody is told.
    pub fn kill(mut self) {
        let now = self.shared.time.now();
        for lane in std::mem::take(&mut self.lanes) {
            let Lane::Open { topics, events, is_rolled_back, .. } = lane else { continue };
            let mut state = self.shared.log.lock();
            topics.iter().for_each(|topic| state.topics[*topic].is_locked = false);
            let is_committed = !is_rolled_back && !state.is_away && self.random.random_bool(0.7);
            drop(state);
            if is_committed {
                self.shared.log.commit(&events, now, self.shared.time.wall(0));
            }
        }
    }

    /// Nothing waits for anything.
    pub fn is_at_rest(&self) -> bool {
        self.jobs.is_empty()
            && self.inbox.is_empty()
            && self.shard.held() == 0
            && self.publishers.is_at_rest()
            && self.lanes.iter().all(|lane| matches!(lane, Lane::Rests))
    }

    /// Events that wait for others.
    pub fn held(&self) -> usize {
        self.publishers.held()
    }

    /// Nobody listens, and nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.shard.is_empty() && self.routes.is_empty()
    }
}
