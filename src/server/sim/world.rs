//! A simulated cluster: nodes, their database, their Redis and their clients, and everything that may befall them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use uuid::Uuid;

use super::client::{Circumstances, Client};
use super::log::Log;
use super::node::{Node, Shared};
use super::redis::{Redis, Way};
use super::time::Time;
use crate::domain::user::Account;
use crate::ids::{RoomId, Topic, UserId};
use crate::limits::{COMMIT_MAX, HOLE_PATIENCE, LOOK_DEEP_EVERY, LOOK_EVERY_CALM, SEQUENCE_MEMORY};
use crate::protocol::v1::topic::Name;
use crate::protocol::ws::frame::payload_of_first;

const ROOMS: usize = 3;
/// Users with notifications: topics in which the lanes of all nodes commit.
const NOTIFIED: usize = 2;
const TOPICS: usize = ROOMS + NOTIFIED;
const CLIENTS: usize = 6;
/// While nothing has failed lately, each event is heard within this time of its commit: it is the turns that tasks wait for, and
/// [`HOLD_BACK`](crate::limits::HOLD_BACK).
const CALM_PATIENCE: Duration = Duration::from_millis(1500);
/// The same while something has failed for so long that all know of it: they look at the log all the time.
const KNOWN_PATIENCE: Duration = Duration::from_millis(2000);
const KNOWN_AFTER: Duration = Duration::from_millis(4000);
/// Whatever fails, but the database: a silent node is noticed after a second, a dead connection after 1.25 s, and the calm look
/// comes every two.
const PATIENCE: Duration = Duration::from_millis(4500);
/// What failed longer ago does no harm any more.
const AFTER_EFFECT: Duration = Duration::from_secs(10);
/// How long a node may have no turns.
const STOPPED_MAX: Duration = Duration::from_millis(2500);
const MILLI: Duration = Duration::from_millis(1);

/// A cluster with its clients.
pub(super) struct World {
    pub random: StdRng,
    shared: Shared,
    nodes: Vec<Option<Node>>,
    skews: Vec<i64>,
    /// When nodes that are dead start again, ways open, and so on.
    heals: Vec<(Instant, Heal)>,
    clients: Vec<Client>,
    traffic: f64,
    trouble: f64,
    has_short_streams: bool,
    /// When something failed last, or was still failing.
    disturbed_at: Option<Instant>,
    /// When something began to fail or to work last.
    changed_at: Option<Instant>,
    /// When the database was away last, and for how long.
    away_at: Option<Instant>,
    away_since: Option<Instant>,
    /// When the database was back after it was away for longer than holes wait.
    given_up_at: Option<Instant>,
    /// When each node was stopped last.
    stopped: Vec<Option<Instant>>,
    pub counts: BTreeMap<&'static str, u64>,
    /// What each client has heard of each topic, as one number.
    digests: BTreeMap<(usize, String), DefaultHasher>,
    pub trail: Vec<String>,
    held_max: usize,
}

/// Whether holes may be given up while the database is away for so long. A hole may be there before.
fn is_long(away: Duration) -> bool {
    away + STOPPED_MAX + Duration::from_secs(1) > HOLE_PATIENCE
}

#[derive(Debug, Clone, Copy)]
enum Heal {
    Node(usize),
    Way(usize),
    Server { is_empty: bool },
    Database,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let nodes = random.random_range(2..=3);
        let mut id = || Uuid::from_u128(random.random());
        let rooms = (0..ROOMS).map(|_| Topic::Room(RoomId(id())));
        let mut topics: Vec<Topic> = rooms.collect();
        let notified: Vec<UserId> = (0..NOTIFIED).map(|_| UserId(id())).collect();
        topics.extend(notified.iter().map(|user| Topic::Notifications(*user)));
        let mut users = notified;
        users.resize_with(CLIENTS + nodes, || UserId(id()));
        let time = Arc::new(Time::new());
        let has_short_streams = random.random_bool(0.3);
        let entries_max = if has_short_streams { random.random_range(2..20) } else { 5000 };
        let shared = Shared {
            log: Arc::new(Log::new(&topics, random.random())),
            redis: Arc::new(Redis::new(nodes, entries_max, Arc::clone(&time), random.random())),
            time,
        };
        let client = |(number, user): (usize, &UserId)| {
            let account = Account::active(*user, format!("c{number}").into());
            Client::new(account, TOPICS, number >= CLIENTS)
        };
        let clients = users.iter().enumerate().map(client).collect();
        let skews = (0..nodes).map(|_| random.random_range(-400_000..400_000)).collect();
        let (traffic, trouble) = (random.random_range(0.02..0.4), random.random_range(0.0..0.05));
        let mut world = Self {
            random,
            shared,
            nodes: (0..nodes).map(|_| None).collect(),
            skews,
            heals: Vec::new(),
            clients,
            traffic,
            trouble,
            has_short_streams,
            disturbed_at: None,
            changed_at: None,
            away_at: None,
            away_since: None,
            given_up_at: None,
            stopped: vec![None; nodes],
            counts: BTreeMap::new(),
            digests: BTreeMap::new(),
            trail: Vec::new(),
            held_max: 0,
        };
        (0..nodes).for_each(|node| world.start(node));
        world
    }

    /// What everybody has heard.
    pub fn digest(&self) -> Vec<u64> {
        self.digests.values().map(Hasher::finish).collect()
    }

    fn note(&mut self, what: &'static str, number: usize) {
        *self.counts.entry(what).or_default() += 1;
        self.trail.push(format!("{:?} {what} {number}", self.shared.time.passed()));
        if self.trail.len() > 60 {
            self.trail.remove(0);
        }
    }

    fn start(&mut self, node: usize) {
        let (name, seed) = (Uuid::from_u128(self.random.random()), self.random.random());
        self.nodes[node] = Some(Node::start(node, name, self.skews[node], &self.shared, seed));
        self.note("starts", node);
        let steady = CLIENTS + node;
        self.connect(steady, node);
        (0..ROOMS).for_each(|topic| self.subscribe(steady, topic, false));
    }

    fn kill(&mut self, node: usize) {
        if let Some(dead) = self.nodes[node].take() {
            self.note("is killed", node);
            dead.kill();
            for client in &mut self.clients {
                if client.socket.is_some_and(|(of, _)| of == node) {
                    client.lost();
                }
            }
        }
    }

    pub fn step(&mut self) {
        let micros = match self.random.random_range(0..100) {
            0..70 => self.random.random_range(500..10_000),
            70..95 => self.random.random_range(10_000..60_000),
            _ => self.random.random_range(100_000..200_000),
        };
        if self.random.random_bool(self.trouble) {
            self.trouble();
        }
        if self.random.random_bool(0.01) {
            self.trim();
        }
        if self.random.random_bool(0.003) {
            self.lull();
        }
        if self.random.random_bool(0.0004) {
            self.long_outage();
        }
        if self.random.random_bool(0.0006) {
            self.slow_commit();
        }
        if self.random.random_bool(0.5) {
            let client = self.random.random_range(0..CLIENTS);
            self.act(client);
        }
        let traffic = self.traffic;
        self.turn(Duration::from_micros(micros), traffic);
    }

    /// Nothing is written for a while, and nobody asks for anything.
    fn lull(&mut self) {
        self.note("a lull", 0);
        for _ in 0..self.random.random_range(20..80) {
            self.turn(MILLI * 100, 0.0);
        }
        (0..3).for_each(|_| self.trim());
    }

    /// Redis is away for longer than nodes remember topics in which nothing happens. Meanwhile there is less of everything.
    fn long_outage(&mut self) {
        let began = self.shared.time.now();
        if self.shared.redis.lock().server != Way::Open {
            return;
        }
        let way = if self.random.random_bool(0.5) { Way::Cut } else { Way::Silent };
        self.shared.redis.lock().server = way;
        let until = began + SEQUENCE_MEMORY + MILLI * self.random.random_range(1000..30_000);
        self.heals.push((until, Heal::Server { is_empty: way == Way::Cut && self.random.random_bool(0.5) }));
        self.changed_at = Some(began);
        self.note("Redis is away for over a minute", 0);
        while self.shared.time.now() < until {
            if self.random.random_bool(self.trouble / 4.0) {
                self.trouble();
            }
            if self.random.random_bool(0.01) {
                self.trim();
            }
            if self.random.random_bool(0.2) {
                let client = self.random.random_range(0..CLIENTS);
                self.act(client);
            }
            let traffic = self.traffic / 4.0;
            self.turn(MILLI * 100, traffic);
        }
    }

    /// The database takes long over a commit, perhaps the first one in its topics for long. When it is over, the node dies or Redis loses
    /// what it was told.
    fn slow_commit(&mut self) {
        if self.random.random_bool(0.5) {
            let until = self.shared.time.now() + SEQUENCE_MEMORY + MILLI * self.random.random_range(1000..10_000);
            while self.shared.time.now() < until {
                self.turn(MILLI * 100, 0.0);
            }
        }
        let until = self.shared.time.now() + COMMIT_MAX.mul_f64(self.random.random());
        let node = self.random.random_range(0..self.nodes.len());
        if !self.nodes[node].as_mut().is_some_and(|node| node.commits_slowly(until)) {
            return;
        }
        self.note("a commit takes long", node);
        while self.shared.time.now() < until - MILLI * 100 {
            if self.random.random_bool(self.trouble / 4.0) {
                self.trouble();
            }
            if self.random.random_bool(0.1) {
                let client = self.random.random_range(0..CLIENTS);
                self.act(client);
            }
            let traffic = self.traffic / 8.0;
            self.turn(MILLI * 100, traffic);
        }
        let now = self.shared.time.now();
        if self.nodes[node].is_some() && self.random.random_bool(0.7) {
            self.kill(node);
            self.heals.push((now + MILLI * self.random.random_range(50..20_000), Heal::Node(node)));
        } else {
            (0..4).for_each(|_| self.turn(MILLI * 50, 0.0));
            self.shared.redis.lock().fail_over();
        }
        (self.disturbed_at, self.changed_at) = (Some(now), Some(now));
    }

    /// The oldest events are kept no longer: those that everybody has heard who is there.
    fn trim(&mut self) {
        let now = self.shared.time.now();
        let is_unknown = self.away_at.is_some_and(|at| now - at < 2 * AFTER_EFFECT);
        if is_unknown || self.away_since.is_some() {
            return;
        }
        let age = if self.is_calm() { PATIENCE } else { PATIENCE + 2 * STOPPED_MAX };
        let topic = self.random.random_range(0..TOPICS);
        self.shared.log.trim(topic, age, now);
        self.note("the log is trimmed", topic);
    }

    /// Nothing has failed lately.
    fn is_calm(&self) -> bool {
        let now = self.shared.time.now();
        !self.has_short_streams && self.disturbed_at.is_none_or(|at| now - at > AFTER_EFFECT)
    }

    /// Time passes, and everybody has a turn.
    fn turn(&mut self, time: Duration, traffic: f64) {
        self.shared.time.pass(time);
        self.heal();
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.shuffle(&mut self.random);
        for number in order {
            let Some(node) = &mut self.nodes[number] else { continue };
            let sent = node.turn(traffic);
            self.held_max = self.held_max.max(node.held());
            self.deliver(number, sent);
        }
        self.check_that_nobody_waits();
    }

    fn trouble(&mut self) {
        let now = self.shared.time.now();
        let millis = if self.random.random_bool(0.1) { 20_000 } else { 4000 };
        let until = now + MILLI * self.random.random_range(50..millis);
        let node = self.random.random_range(0..self.nodes.len());
        let way = if self.random.random_bool(0.5) { Way::Cut } else { Way::Silent };
        match self.random.random_range(0..100) {
            0..18 if self.nodes[node].is_some() => {
                self.kill(node);
                self.heals.push((until, Heal::Node(node)));
            }
            18..34 if self.shared.redis.lock().ways[node] == Way::Open => {
                self.shared.redis.lock().set_way(node, way);
                self.heals.push((until, Heal::Way(node)));
                self.note(if way == Way::Cut { "is cut off" } else { "hears no answers" }, node);
            }
            34..46 if self.shared.redis.lock().server == Way::Open => {
                self.shared.redis.lock().server = way;
                let is_empty = way == Way::Cut && self.random.random_bool(0.5);
                self.heals.push((until, Heal::Server { is_empty }));
                self.note(if way == Way::Cut { "Redis is away" } else { "Redis is stopped" }, 0);
            }
            46..54 => {
                self.shared.redis.lock().empty(false, self.shared.time.passed());
                self.note("streams are deleted", 0);
            }
            54..64 => {
                self.shared.redis.lock().fail_over();
                self.note("Redis fails over", 0);
            }
            64..72 => {
                self.shared.redis.lock().end_connections();
                self.note("connections end", 0);
            }
            72..84 if self.away_since.is_none() => self.lose_the_database(now),
            84..100 => {
                let until = now + STOPPED_MAX.mul_f64(self.random.random());
                if let Some(stopped) = &mut self.nodes[node] {
                    stopped.stopped_until = Some(until);
                    self.stopped[node] = Some(until);
                }
                self.note("is stopped", node);
            }
            _ => return,
        }
        self.disturbed_at = Some(now);
        self.changed_at = Some(now);
    }

    fn lose_the_database(&mut self, now: Instant) {
        self.shared.log.lock().is_away = true;
        self.away_since = Some(now);
        let millis = if self.random.random_bool(0.25) { 14_000 } else { 2000 };
        self.heals.push((now + MILLI * self.random.random_range(20..millis), Heal::Database));
        self.note("the database is away", 0);
    }

    fn heal(&mut self) {
        let now = self.shared.time.now();
        if !self.heals.is_empty() {
            self.disturbed_at = Some(now);
        }
        if self.away_since.is_some() {
            self.away_at = Some(now);
        }
        let (due, later) = self.heals.drain(..).partition::<Vec<_>, _>(|(at, _)| *at <= now);
        self.heals = later;
        for (_, heal) in due {
            self.changed_at = Some(now);
            match heal {
                // No node starts without its database.
                Heal::Node(_) if self.away_since.is_some() => self.heals.push((now, heal)),
                Heal::Node(node) => self.start(node),
                Heal::Way(node) => self.shared.redis.lock().set_way(node, Way::Open),
                Heal::Server { is_empty } => {
                    let mut redis = self.shared.redis.lock();
                    redis.server = Way::Open;
                    if is_empty {
                        redis.empty(true, self.shared.time.passed());
                    }
                }
                Heal::Database => {
                    self.shared.log.lock().is_away = false;
                    let away = self.away_since.take().map_or(Duration::ZERO, |since| now - since);
                    if is_long(away) {
                        self.given_up_at = Some(now);
                    }
                }
            }
        }
    }

    fn connect(&mut self, client: usize, node: usize) {
        let Some(here) = &mut self.nodes[node] else { return };
        let index = here.shard.connect(&self.clients[client].account);
        self.clients[client].socket = Some((node, index));
        let sent = here.shard.walk();
        self.deliver(node, sent);
    }

    fn say(&mut self, client: usize, text: &str) {
        let Some((node, index)) = self.clients[client].socket else { return };
        let Some(here) = &mut self.nodes[node] else { return };
        here.shard.say(index, text);
        here.gather();
        let sent = here.shard.walk();
        self.deliver(node, sent);
    }

    fn subscribe(&mut self, client: usize, topic: usize, with_cursor: bool) {
        let known = &self.clients[client].topics[topic];
        let is_own = topic < ROOMS || topic - ROOMS == client;
        if is_own && known.at.is_none() && known.asked.is_none() && self.clients[client].socket.is_some() {
            let text = self.clients[client].subscribe(topic, &self.shared.log, with_cursor);
            self.say(client, &text);
        }
    }

    fn act(&mut self, client: usize) {
        let (topic, node) = (self.random.random_range(0..TOPICS), self.random.random_range(0..self.nodes.len()));
        let Some((at, index)) = self.clients[client].socket else {
            if self.random.random_bool(0.3) {
                self.connect(client, node);
            }
            return;
        };
        match self.random.random_range(0..100) {
            0..60 => {
                let with_cursor = self.random.random_bool(0.85);
                self.subscribe(client, topic, with_cursor);
            }
            60..72 if topic < ROOMS || topic - ROOMS == client => {
                let name = Name(self.shared.log.lock().topics[topic].topic).to_string();
                self.say(client, &format!(r#"{{"type":"unsubscribe","id":1,"topic":"{name}"}}"#));
            }
            72..78 => {
                if let Some(node) = &mut self.nodes[at] {
                    node.shard.end(index);
                }
                self.clients[client].lost();
                self.note("a socket drops", client);
            }
            _ => {}
        }
    }

    /// Clients read what their sockets were sent.
    fn deliver(&mut self, node: usize, sent: BTreeMap<u32, Vec<u8>>) {
        let circumstances = Circumstances { now: self.shared.time.now(), may_give_up: self.may_give_up() };
        let mut turned_out = false;
        for (index, bytes) in sent {
            let number = self.clients.iter().position(|client| client.socket == Some((node, index)));
            let Some(number) = number else {
                let sockets: Vec<_> = self.clients.iter().map(|client| client.socket).collect();
                panic!("node {node} sends to nobody ({index}; {sockets:?}): {}", String::from_utf8_lossy(&bytes))
            };
            let mut rest = &bytes[..];
            while let Some((payload, _, after)) = payload_of_first(rest) {
                let frame: Value = serde_json::from_slice(payload.expect("a text")).expect("JSON");
                let what = self.clients[number].heard(&frame, &self.shared.log, circumstances);
                turned_out |= what == "turned out" && self.clients[number].is_steady;
                // Topics have no order among each other.
                let heard = self.digests.entry((number, frame["topic"].to_string())).or_default();
                (what, frame["cursor"].as_str()).hash(heard);
                *self.counts.entry(what).or_default() += 1;
                rest = after;
            }
        }
        if turned_out {
            (0..ROOMS).for_each(|topic| self.subscribe(CLIENTS + node, topic, true));
        }
    }

    fn may_give_up(&self) -> bool {
        let now = self.shared.time.now();
        self.away_since.is_some_and(|since| is_long(now - since))
            || self.given_up_at.is_some_and(|at| now - at < AFTER_EFFECT)
    }

    fn check_that_nobody_waits(&self) {
        let now = self.shared.time.now();
        if self.away_at.is_some_and(|at| now - at < PATIENCE) {
            return;
        }
        let is_calm = self.is_calm();
        let is_known = !self.has_short_streams && self.changed_at.is_none_or(|at| now > at + KNOWN_AFTER);
        let is_hidden = self.shared.redis.lock().hides_until > self.shared.time.passed();
        let patience = match (is_calm, is_known) {
            _ if is_hidden => PATIENCE,
            (true, _) => CALM_PATIENCE,
            (false, true) => KNOWN_PATIENCE,
            (false, false) => PATIENCE,
        };
        for (number, client) in self.clients.iter().enumerate() {
            let Some((node, _)) = client.socket else { continue };
            // A node that has no turns tells nothing, and needs a while afterwards.
            let is_after_a_stop = self.stopped[node].is_some_and(|at| now < at + PATIENCE + STOPPED_MAX);
            let patience = if is_after_a_stop { patience + STOPPED_MAX } else { patience };
            if let Some(late) = client.is_late(&self.shared.log, now, patience) {
                panic!("client {number} on node {node}: {late}; calm: {is_calm}, known: {is_known}");
            }
        }
    }

    /// Everything works again, nothing more is written, and all clients come back: in the end nobody lacks anything, and nothing is
    /// held.
    pub fn settle(&mut self) {
        let began = self.shared.time.now();
        for (at, _) in &mut self.heals {
            *at = began;
        }
        loop {
            let micros = self.random.random_range(5_000..60_000);
            self.turn(Duration::from_micros(micros), 0.0);
            for client in 0..self.clients.len() {
                // Steady ones come with their nodes.
                if self.clients[client].socket.is_none() && client < CLIENTS {
                    let node = self.random.random_range(0..self.nodes.len());
                    self.connect(client, node);
                }
                let had = |known: &super::client::Known| known.last.is_some();
                for topic in (0..TOPICS).filter(|topic| had(&self.clients[client].topics[*topic])).collect::<Vec<_>>() {
                    self.subscribe(client, topic, true);
                }
            }
            let waited = self.shared.time.now() - began;
            let lacks = self.clients.iter().enumerate().find_map(|(number, client)| {
                client.lacks(&self.shared.log).map(|lack| format!("client {number} ({:?}): {lack}", client.socket))
            });
            let is_at_rest = self.nodes.iter().flatten().all(Node::is_at_rest);
            if waited > LOOK_DEEP_EVERY + PATIENCE {
                assert!(is_at_rest, "something waits for ever");
                assert!(lacks.is_none(), "{}", lacks.unwrap_or_default());
            }
            if waited > LOOK_EVERY_CALM + MILLI * 500 && is_at_rest && lacks.is_none() {
                break;
            }
        }
        for number in 0..self.clients.len() {
            if let Some((node, index)) = self.clients[number].socket
                && let Some(node) = &mut self.nodes[node]
            {
                node.shard.end(index);
                self.clients[number].lost();
            }
        }
        for (number, node) in self.nodes.iter().enumerate() {
            assert!(node.as_ref().is_some_and(Node::is_empty), "something is left behind on node {number}");
        }
        *self.counts.entry("held at most").or_default() += self.held_max as u64;
    }
}
