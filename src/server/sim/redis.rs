//! Redis as the simulation has it: streams that are trimmed, emptied and set back, bells that nobody keeps, ways that are cut or
//! silent, and clients that append twice or in part.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::time::Time;
use crate::cluster::bus::{Bus, BusError, Listener, Positions, Reader, Writer};
use crate::ids::PARTITIONS;
use crate::limits::{BUS_ANSWER_TIMEOUT, BUS_BLOCK};

/// What the way between a node and Redis does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Open,
    /// Connections end, and no new one is made.
    Cut,
    /// Nothing comes through, and nobody is told.
    Silent,
}

type Place = (u64, u64);

#[derive(Default)]
struct Stream {
    entries: VecDeque<(Place, Bytes)>,
    last: Place,
}

pub(super) struct State {
    streams: [Stream; PARTITIONS],
    /// What each listener has not heard yet, by its number.
    bells: BTreeMap<u64, (usize, VecDeque<Bytes>)>,
    next_listener: u64,
    /// The server itself: up, away or stopped.
    pub server: Way,
    /// Connections to the server that was before are over.
    server_number: u64,
    pub ways: Vec<Way>,
    way_numbers: Vec<u64>,
    /// By how much the server's clock is behind.
    behind: u64,
    /// Until then what is appended may have places before those up to which others have read: everything was deleted while the clock
    /// is behind.
    pub hides_until: Duration,
    /// Entries that a stream keeps.
    pub entries_max: usize,
    random: StdRng,
}

/// The server, and the ways to it.
pub(super) struct Redis {
    state: Mutex<State>,
    time: Arc<Time>,
}

impl Redis {
    pub fn new(nodes: usize, entries_max: usize, time: Arc<Time>, seed: u64) -> Self {
        let state = State {
            streams: Default::default(),
            bells: BTreeMap::new(),
            next_listener: 0,
            server: Way::Open,
            server_number: 0,
            ways: vec![Way::Open; nodes],
            way_numbers: vec![0; nodes],
            behind: 0,
            hides_until: Duration::ZERO,
            entries_max,
            random: StdRng::seed_from_u64(seed),
        };
        Self { state: Mutex::new(state), time }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way as a node has it.
    pub fn of_node(self: &Arc<Self>, node: usize) -> Arc<dyn Bus> {
        Arc::new(NodesWay { redis: Arc::clone(self), node })
    }

    fn connection(self: &Arc<Self>, node: usize) -> Connection {
        let state = self.lock();
        let numbers = (state.server_number, state.way_numbers[node]);
        Connection { redis: Arc::clone(self), node, numbers }
    }
}

impl State {
    /// Everything that was there is gone.
    pub fn empty(&mut self, with_connections: bool, now: Duration) {
        self.hides_until = now + Duration::from_millis(self.behind);
        self.streams = Default::default();
        if with_connections {
            self.end_connections();
        }
    }

    /// A replica takes over that has not heard of the last entries, and whose clock may be behind.
    pub fn fail_over(&mut self) {
        for number in 0..PARTITIONS {
            let lacks = self.random.random_range(0..4);
            let stream = &mut self.streams[number];
            stream.entries.truncate(stream.entries.len().saturating_sub(lacks));
            stream.last = stream.entries.back().map_or(stream.last, |(place, _)| *place);
        }
        self.behind = self.random.random_range(0..20_000);
        self.end_connections();
    }

    pub fn end_connections(&mut self) {
        self.server_number += 1;
        self.bells.clear();
    }

    /// The way between a node and the server changes.
    pub fn set_way(&mut self, node: usize, way: Way) {
        self.ways[node] = way;
        if way == Way::Cut {
            self.way_numbers[node] += 1;
            self.bells.retain(|_, (of, _)| *of != node);
        }
    }

    fn append(&mut self, partition: usize, entry: &Bytes, now: Duration) {
        let bound = self.entries_max;
        let millis = u64::try_from(now.as_millis()).unwrap_or(0) + 10_000;
        let stream = &mut self.streams[partition % PARTITIONS];
        let next = (millis.saturating_sub(self.behind), 0);
        stream.last = if next > stream.last { next } else { (stream.last.0, stream.last.1 + 1) };
        stream.entries.push_back((stream.last, entry.clone()));
        while stream.entries.len() > bound {
            stream.entries.pop_front();
        }
    }
}

struct NodesWay {
    redis: Arc<Redis>,
    node: usize,
}

struct Connection {
    redis: Arc<Redis>,
    node: usize,
    numbers: (u64, u64),
}

fn gone() -> BusError {
    BusError("the connection is gone".into())
}

impl Connection {
    /// The state, if something comes through now.
    fn reach(&self) -> Result<Option<MutexGuard<'_, State>>, BusError> {
        let state = self.redis.lock();
        let (server, way) = (state.server, state.ways[self.node]);
        if server == Way::Cut || way == Way::Cut || self.numbers != (state.server_number, state.way_numbers[self.node])
        {
            return Err(gone());
        }
        Ok((server == Way::Open && way == Way::Open).then_some(state))
    }

    /// Does something as soon as it comes through, and `work` has an answer. The client's deadline is over after a while.
    async fn ask<T>(
        &self,
        patience: Duration,
        mut work: impl FnMut(&mut State) -> Option<T>,
        late: impl Fn() -> Result<T, BusError>,
    ) -> Result<T, BusError> {
        let until: Instant = self.redis.time.now() + patience;
        poll_fn(|_| {
            match self.reach() {
                Err(error) => return Poll::Ready(Err(error)),
                Ok(Some(mut state)) => {
                    if let Some(done) = work(&mut state) {
                        return Poll::Ready(Ok(done));
                    }
                    if self.redis.time.now() >= until {
                        return Poll::Ready(late());
                    }
                }
                Ok(None) if self.redis.time.now() >= until => return Poll::Ready(Err(gone())),
                Ok(None) => {}
            }
            Poll::Pending
        })
        .await
    }

    /// The same of what the server answers at once.
    async fn do_at_once<T>(&self, mut work: impl FnMut(&mut State) -> T) -> Result<T, BusError> {
        self.ask(BUS_ANSWER_TIMEOUT, |state| Some(work(state)), || Err(gone())).await
    }
}

#[async_trait]
impl Bus for NodesWay {
    async fn writer(&self) -> Result<Box<dyn Writer>, BusError> {
        let connection = self.redis.connection(self.node);
        connection.do_at_once(|_| ()).await?;
        Ok(Box::new(connection))
    }

    async fn reader(&self) -> Result<Box<dyn Reader>, BusError> {
        let connection = self.redis.connection(self.node);
        connection.do_at_once(|_| ()).await?;
        Ok(Box::new(connection))
    }

    async fn listener(&self) -> Result<Box<dyn Listener>, BusError> {
        let connection = self.redis.connection(self.node);
        let node = self.node;
        let number = connection.do_at_once(|state| {
            state.next_listener += 1;
            state.bells.insert(state.next_listener, (node, VecDeque::new()));
            state.next_listener
        });
        let number = number.await?;
        Ok(Box::new(Ear { connection, number }))
    }
}

#[async_trait]
impl Writer for Connection {
    async fn append(&mut self, entries: &[(usize, Bytes)]) -> Result<(), BusError> {
        let now = self.redis.time.passed();
        let done = self.do_at_once(|state| {
            for (partition, entry) in entries {
                // A connection that ends at the wrong moment: some entries are appended, and nobody knows which.
                if state.random.random_bool(0.002) {
                    return Err(gone());
                }
                state.append(*partition, entry, now);
                if state.random.random_bool(0.02) {
                    state.append(*partition, entry, now);
                }
            }
            Ok(())
        });
        done.await?
    }

    async fn ring(&mut self, bells: &[Bytes]) -> Result<(), BusError> {
        self.do_at_once(|state| {
            for (_, heard) in state.bells.values_mut() {
                heard.extend(bells.iter().cloned());
            }
        })
        .await
    }
}

#[async_trait]
impl Reader for Connection {
    async fn ends(&mut self) -> Result<Positions, BusError> {
        self.do_at_once(|state| {
            let name = |stream: &Stream| {
                let (time, number) = stream.entries.back().map_or((0, 0), |(place, _)| *place);
                format!("{time}-{number}")
            };
            Positions(std::array::from_fn(|number| name(&state.streams[number])))
        })
        .await
    }

    async fn read_after(&mut self, positions: &mut Positions) -> Result<Vec<Bytes>, BusError> {
        let known = positions.clone();
        let found = self.ask(
            BUS_BLOCK,
            |state| {
                let (mut moved, mut entries) = (known.clone(), Vec::new());
                let shares: Vec<f64> = (0..PARTITIONS).map(|_| state.random.random()).collect();
                for (number, share) in shares.into_iter().enumerate() {
                    let place = parsed(&known.0[number]);
                    let behind = state.streams[number].entries.iter().filter(|(at, _)| *at > place);
                    // Some answers have a part of one stream, or nothing of it.
                    let most = if share < 0.2 {
                        0
                    } else if share < 0.4 {
                        1
                    } else {
                        usize::MAX
                    };
                    for ((time, at), entry) in behind.take(most) {
                        moved.0[number] = format!("{time}-{at}");
                        entries.push(entry.clone());
                    }
                }
                (!entries.is_empty()).then_some((moved, entries))
            },
            || Ok((known.clone(), Vec::new())),
        );
        let (moved, entries) = found.await?;
        *positions = moved;
        Ok(entries)
    }
}

fn parsed(place: &str) -> Place {
    let (time, number) = place.split_once('-').expect("a place");
    (time.parse().expect("a number"), number.parse().expect("a number"))
}

struct Ear {
    connection: Connection,
    number: u64,
}

#[async_trait]
impl Listener for Ear {
    async fn heard(&mut self) -> Result<Bytes, BusError> {
        let number = self.number;
        poll_fn(|_| match self.connection.reach() {
            Err(error) => Poll::Ready(Err(error)),
            Ok(Some(mut state)) => match state.bells.get_mut(&number) {
                None => Poll::Ready(Err(gone())),
                Some((_, heard)) => heard.pop_front().map_or(Poll::Pending, |bell| Poll::Ready(Ok(bell))),
            },
            Ok(None) => Poll::Pending,
        })
        .await
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.connection.redis.lock().bells.remove(&self.number);
    }
}
