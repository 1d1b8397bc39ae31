//! Seeded simulation of subscriptions: clients subscribe, resume, unsubscribe and come back while events are committed, published,
//! read and forgotten in any order. Each client must hear every event of a topic behind its cursor once and in order, or of a gap.
//! Some stop reading, and a shard has little memory at times: who owes most loses its topics, and hears nothing of them behind that.
//! It must know whom each event names, although the topic's names are forgotten all the time, and every request must be answered.
//! It found that publishers may be late with what a subscription has read: a seat that went live at once heard that twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::*;
use crate::domain::rights::Withdrawals;
use crate::domain::user::Account;
use crate::engine::shard::by_hand::Sink;
use crate::engine::shard::core::{Blocked, Core};
use crate::engine::shard::port::{Inbox, Publication, Whom};
use crate::engine::shard::sim::ports::{Asked, Routes, ports};
use crate::ids::{FamilyId, RoomId, ShardId};
use crate::limits::Bounds;
use crate::protocol::form::Also;
use crate::protocol::v0::event::text_frame;
use crate::protocol::v0::json::Object;
use crate::protocol::v1::event::{Named, users};
use crate::protocol::v1::request::Credential;
use crate::protocol::v1::topic::Name;
use crate::protocol::ws::deflate::{Window, puff};
use crate::protocol::ws::frame::payload_of_first;
use crate::protocol::ws::negotiation::{Negotiation, Subprotocol};
use crate::protocol::ws::packing::Packing;

mod bounds;
mod heard;

const ROOMS: usize = 3;
const CLIENTS: usize = 5;
const STEPS: usize = 250;
/// As in the simulation of whole shards: `PREGON_SIMULATE_SEEDS` asks for another number, `PREGON_SIMULATE_FROM` for another first.
const SEEDS: u64 = 256;

/// A room's log as the database has it, and how far it was published.
#[derive(Default)]
struct Log {
    last: u64,
    published: u64,
    /// Events up to here are not kept.
    forgotten: u64,
}

/// People who say something, and how many of them have numbers at a time.
const PEOPLE: u64 = 7;
const NAMES: usize = 3;

/// How a room's people are named, as `fanout/names.rs` does it.
#[derive(Default)]
struct Names {
    /// The number of each, and whether all listeners were told.
    numbers: BTreeMap<u64, (u32, bool)>,
}

impl Names {
    fn number(&mut self, person: u64, next: &mut u32) -> &mut (u32, bool) {
        if !self.numbers.contains_key(&person) && self.numbers.len() >= NAMES {
            self.numbers.clear();
        }
        self.numbers.entry(person).or_insert_with(|| {
            *next += 1;
            (*next, false)
        })
    }
}

/// What a client knows of a topic.
#[derive(Default, Clone)]
struct Known {
    /// Whose the numbers are that it was told.
    names: BTreeMap<u64, String>,
    /// It is subscribed, and the next event is behind this one.
    at: Option<u64>,
    /// What it heard last.
    last: Option<u64>,
    /// It has asked for it with this cursor, and was not answered.
    asked: Option<Option<u64>>,
    /// Its request's answer may be among what was dropped when it lost its topics.
    may_be_dropped: bool,
    /// It was told of a gap.
    gaps: u64,
}

struct Client {
    index: u32,
    /// How far back it can look while it inflates, as a power of two; `None` if it knows no compression.
    window_bits: Option<u32>,
    account: Arc<Account>,
    topics: Vec<Known>,
}

enum Errands {
    Judge(Errand, crate::domain::rights::Mark),
    /// It was read already: frames, cursor, more.
    Read(SessionKey, Ticket, Caught),
}

struct World {
    random: StdRng,
    core: Core,
    asked: Arc<Asked>,
    routes: Arc<Routes>,
    errands: Arc<Mutex<Vec<Errand>>>,
    under_way: Vec<Errands>,
    rooms: Vec<RoomId>,
    logs: Vec<Log>,
    names: Vec<Names>,
    /// The last number that was given, and the last use of names.
    next: (u32, u32),
    clients: Vec<Client>,
    sink: Sink,
    counts: BTreeMap<&'static str, u64>,
    /// How often each client heard the last signal.
    signals: Vec<u64>,
}

fn frame_of(out: &mut Vec<u8>, topic: Topic, seq: u64, number: u32) {
    text_frame(out, |out| {
        let mut object = Object::open(out);
        object.text("type", "event").id("topic", Name(topic)).id("cursor", place(seq));
        // Some are long enough to be compressed, and some too long for small windows.
        object.text("text", &"hola ".repeat(usize::try_from(seq % 4).unwrap() * 40));
        object.number("user", u64::from(number)).close();
    });
}

fn named(person: u64, number: u32) -> Named {
    Named { number, id: UserId(uuid::Uuid::nil()), username: format!("p{person}").into(), looks: None, avatar: None }
}

fn place(seq: u64) -> Cursor {
    Cursor { epoch: 1, seq }
}

impl World {
    fn new(seed: u64) -> Self {
        let inboxes: Arc<[Arc<Inbox>]> = Arc::from([Arc::new(Inbox::default())]);
        let (asked, routes) = (Arc::<Asked>::default(), Arc::<Routes>::default());
        let mut ports = ports(inboxes, routes.clone(), &asked);
        let errands = Arc::<Mutex<Vec<Errand>>>::default();
        let kept = errands.clone();
        ports.errands = Arc::new(move |errand| {
            kept.lock().unwrap().push(errand);
            true
        });
        let core = Core::new(ShardId(0), ports, Instant::now());
        let rooms: Vec<RoomId> = (0..ROOMS).map(|_| RoomId::fresh()).collect();
        let logs = (0..ROOMS).map(|_| Log::default()).collect();
        let random = StdRng::seed_from_u64(seed);
        let (under_way, clients, sink, counts) = (Vec::new(), Vec::new(), Sink::default(), BTreeMap::new());
        let signals = vec![0; CLIENTS];
        let (names, next) = ((0..ROOMS).map(|_| Names::default()).collect(), (0, 0));
        let mut world = Self {
            random,
            core,
            asked,
            routes,
            errands,
            under_way,
            rooms,
            logs,
            names,
            next,
            clients,
            sink,
            counts,
            signals,
        };
        for number in 0..CLIENTS {
            let account = Account::active(UserId::fresh(), format!("u{number}").into());
            let topics = vec![Known::default(); ROOMS];
            world.clients.push(Client { index: u32::MAX, window_bits: None, account: Arc::new(account), topics });
            world.connect(number);
        }
        world
    }

    fn withdrawals(&self) -> &Withdrawals {
        &self.asked.withdrawals
    }

    fn connect(&mut self, client: usize) {
        let index = self.core.reserve();
        let (packing, window_bits) = match self.random.random_range(0..8) {
            0..3 => (Packing::Deflated(Window::Usual), Some(15)),
            3 => (Packing::Deflated(Window::Small), Some(9)),
            4 => (Packing::Deflated(Window::Least), Some(8)),
            _ => (Packing::Plain, None),
        };
        let negotiation = Negotiation { subprotocol: Subprotocol::V1, packing };
        self.core.begin_many(index, negotiation, Some(Credential::Token("t".into())), None);
        (self.clients[client].index, self.clients[client].window_bits) = (index, window_bits);
        let errand = self.errands.lock().unwrap().pop();
        let Some(Errand::Identify { session, request, .. }) = errand else { panic!("{errand:?}") };
        let account = self.clients[client].account.clone();
        let mark = self.withdrawals().mark(account.id, Endpoint::Many.topic(account.id));
        let (family, token_left) = (FamilyId::issued(0), Duration::from_secs(3600));
        let outcome = Ok(Identity { account, family, mark, token_left, token_expires: 0 });
        self.core.answered(Answer::Identified { session, request, outcome });
        self.walk();
    }

    fn topic(&self, room: usize) -> Topic {
        Topic::Room(self.rooms[room])
    }

    fn step(&mut self) {
        let (client, room) = (self.random.random_range(0..CLIENTS), self.random.random_range(0..ROOMS));
        match self.random.random_range(0..100) {
            0..25 => self.commit(room),
            25..45 => self.publish(room),
            45..60 => self.subscribe(client, room),
            60..66 => self.unsubscribe(client, room),
            66..69 => self.come_back(client),
            69..71 => self.evict(client, room),
            71..74 => self.signal(client, room),
            74..77 => self.stall(client),
            77 => self.recover(client),
            78..80 => self.lack_memory(),
            80 => self.core.look_at_subscriptions(),
            81..83 => self.logs[room].forgotten = self.logs[room].last.saturating_sub(self.random.random_range(0..4)),
            _ => self.do_an_errand(),
        }
        self.walk();
        self.core.check_invariants();
        let is_gone = |client: &usize| !self.core.is_open(self.clients[*client].index);
        let gone: Vec<usize> = (0..CLIENTS).filter(is_gone).collect();
        for client in gone {
            *self.counts.entry("let go").or_default() += 1;
            self.come_back(client);
        }
    }

    /// Its socket is full.
    fn stall(&mut self, client: usize) {
        let index = self.clients[client].index;
        let line = &mut self.core.lines[index as usize];
        if line.blocked_at.is_none() {
            line.blocked_at = Some(self.core.now);
            self.core.blocked.push(Blocked { index, unacknowledged: usize::MAX, sealed_bytes: 0 });
            *self.counts.entry("stalled").or_default() += 1;
        }
    }

    /// It reads nothing, and asks for nothing.
    fn is_stalled(&self, client: usize) -> bool {
        self.core.lines[self.clients[client].index as usize].blocked_at.is_some()
    }

    fn recover(&mut self, client: usize) {
        self.core.unblock(self.clients[client].index);
        self.walk();
    }

    /// For a moment the shard may keep nothing for anybody, or has to let go whoever owes most.
    fn lack_memory(&mut self) {
        if self.random.random_bool(0.3) {
            self.core.kept_bytes = SHARD_HELD_BYTES_MAX;
        } else {
            self.core.bounds.waiting_bytes_max = self.core.arena.memory_bytes();
        }
    }

    fn commit(&mut self, room: usize) {
        self.logs[room].last += self.random.random_range(1..4);
    }

    /// Publishers tell what was committed, in order, in any pieces.
    fn publish(&mut self, room: usize) {
        let topic = self.topic(room);
        let (from, last) = (self.logs[room].published, self.logs[room].last);
        if from == last {
            return;
        }
        let to = self.random.random_range(from + 1..=last);
        self.logs[room].published = to;
        if self.routes.listeners(topic).is_empty() {
            return;
        }
        // Publishers make what somebody wants at this moment.
        let mut said = Said::default();
        if Form::all().any(|form| form.is_v1() && self.routes.wants(topic, form)) {
            for seq in from + 1..=to {
                let (number, is_told) = self.names[room].number(seq % PEOPLE, &mut self.next.0);
                let (number, who) = (*number, named(seq % PEOPLE, *number));
                let mut one = Said::default();
                match std::mem::replace(is_told, true) {
                    true => one.named.push(Arc::new(who)),
                    false => one.add(None, |out| users(out, topic, std::iter::once(&who))),
                }
                self.next.1 += 1;
                one.naming = Naming(self.next.1);
                one.add(Some(place(seq)), |out| frame_of(out, topic, seq, number));
                said.append(&one);
            }
        } else {
            self.names[room] = Names::default();
        }
        let also = if said.is_empty() { Also::Nothing } else { Also::Said(Box::new(said)) };
        let frames = FrameSet::new(bytes::Bytes::new()).and(also);
        let (class, except, origin) = (Class::Durable, Except::Nobody, None);
        let publication = Publication { topic, frames, class, except, origin, born: Instant::now() };
        self.core.take(ToShard::Publish(Arc::new(publication)));
        *self.counts.entry("published").or_default() += 1;
    }

    fn send(&mut self, client: usize, text: &str) {
        self.core.many_text(self.clients[client].index, text);
        self.gather();
    }

    /// What is passing reaches everybody at once who has been caught up, and nobody else.
    fn signal(&mut self, client: usize, room: usize) {
        self.core.bounds = Bounds::of_shards(1);
        (0..CLIENTS).for_each(|client| self.recover(client));
        if self.clients[client].topics[room].at.is_none() {
            return;
        }
        self.signals = vec![0; CLIENTS];
        let topic = self.topic(room);
        self.send(client, &format!(r#"{{"type":"signal","topic":"{}","data":1,"echo":true}}"#, Name(topic)));
        self.walk();
        for (number, heard) in self.signals.iter().enumerate() {
            let seat = self.core.seat_of(self.clients[number].index, topic);
            let form = seat.map(|(_, seat)| self.core.registry.live(seat.slot).members[seat.place as usize].form);
            let is_owed = form.is_some_and(|form| form != Form::HELD);
            assert_eq!(*heard, u64::from(is_owed), "client {number}, who has {form:?}");
        }
        *self.counts.entry("signal").or_default() += 1;
    }

    /// What was asked of the desk: everybody's rights are read when they are judged.
    fn gather(&mut self) {
        let errands = std::mem::take(&mut *self.errands.lock().unwrap());
        for errand in errands {
            let mark = match &errand {
                Errand::Judge { user, topic, .. } => self.withdrawals().mark(*user, *topic),
                _ => crate::domain::rights::Mark::default(),
            };
            self.under_way.push(Errands::Judge(errand, mark));
        }
    }

    fn subscribe(&mut self, client: usize, room: usize) {
        let topic = self.topic(room);
        let is_stalled = self.is_stalled(client);
        let known = &mut self.clients[client].topics[room];
        if known.at.is_some() || known.asked.is_some() || is_stalled {
            return;
        }
        let cursor = known.last.filter(|_| self.random.random_bool(0.8));
        known.asked = Some(cursor);
        let cursor = cursor.map_or("null".into(), |seq| format!("\"1.{seq}\""));
        let text = format!(r#"{{"type":"subscribe","id":1,"topic":"{}","cursor":{cursor}}}"#, Name(topic));
        self.send(client, &text);
    }

    fn unsubscribe(&mut self, client: usize, room: usize) {
        if self.is_stalled(client) {
            return;
        }
        let text = format!(r#"{{"type":"unsubscribe","id":1,"topic":"{}"}}"#, Name(self.topic(room)));
        self.send(client, &text);
    }

    fn come_back(&mut self, client: usize) {
        let index = self.clients[client].index;
        self.core.bounds = Bounds::of_shards(1);
        self.recover(client);
        self.core.end(index, false);
        self.core.over.retain(|(over, _)| *over != index);
        self.core.vacate(index);
        self.sink.0.remove(&index);
        for known in &mut self.clients[client].topics {
            (known.at, known.asked) = (None, None);
        }
        self.connect(client);
        *self.counts.entry("came back").or_default() += 1;
    }

    fn evict(&mut self, client: usize, room: usize) {
        let (topic, user) = (self.topic(room), self.clients[client].account.id);
        self.withdrawals().from_user(user);
        self.core.take(ToShard::Evict { topic, whom: Whom::Only(user), goodbye: reason::REMOVED });
    }

    fn do_an_errand(&mut self) {
        if self.under_way.is_empty() {
            return;
        }
        let place = self.random.random_range(0..self.under_way.len());
        match self.under_way.swap_remove(place) {
            Errands::Judge(Errand::Judge { session, ticket, topic, .. }, mark) => {
                let Topic::Room(room) = topic else { panic!("{topic}") };
                let endpoint = Endpoint::Chat { room, has_presence: false };
                self.core.answered(Answer::Judged { session, ticket, outcome: Ok(Seating { endpoint, mark }) });
            }
            // The rows are read at one moment, and the answer comes at a later one.
            Errands::Judge(Errand::Catch { session, ticket, topic, from, subscribing, .. }, _) => {
                let caught = self.read(topic, from, subscribing.is_some());
                self.under_way.push(Errands::Read(session, ticket, caught));
            }
            Errands::Read(session, ticket, caught) => {
                self.core.answered(Answer::Caught { session, ticket, outcome: Ok(caught) });
            }
            Errands::Judge(errand, _) => panic!("{errand:?}"),
        }
        self.gather();
    }

    fn read(&mut self, topic: Topic, from: From, is_first: bool) -> Caught {
        let room = (0..ROOMS).find(|room| self.topic(*room) == topic).unwrap();
        let (last, forgotten) = (self.logs[room].last, self.logs[room].forgotten);
        let (mut frames, mut events) = (Vec::new(), Vec::new());
        let mut told = BTreeMap::new();
        let (cursor, has_more) = match from {
            From::Cursor(Cursor { seq, .. }) if seq >= forgotten => {
                // A page may have no frames: some events have none.
                let to = last.min(seq + self.random.random_range(0..6));
                if is_first {
                    reply::subscribed(&mut frames, Some("1"), topic, Some(place(seq)), true);
                }
                for seq in seq + 1..=to {
                    let (number, _) = *self.names[room].number(seq % PEOPLE, &mut self.next.0);
                    told.insert(number, named(seq % PEOPLE, number));
                    frame_of(&mut events, topic, seq, number);
                }
                (place(to), to < last)
            }
            _ => {
                if is_first {
                    reply::subscribed(&mut frames, Some("1"), topic, Some(place(last)), false);
                }
                if matches!(from, From::Cursor(_)) {
                    reply::gap(&mut frames, topic, Some(place(last)));
                }
                (place(last), false)
            }
        };
        if !has_more {
            let all = self.names[room].numbers.iter();
            told.extend(all.map(|(person, (number, _))| (*number, named(*person, *number))));
        }
        if !told.is_empty() {
            users(&mut frames, topic, told.values());
        }
        frames.append(&mut events);
        self.next.1 += 1;
        Caught { frames, cursor, has_more, naming: Naming(self.next.1) }
    }

    fn walk(&mut self) {
        let mut outcomes = Vec::new();
        while self.core.walk_a_stretch(&mut self.sink, &mut outcomes) > 0 {}
        for client in 0..self.clients.len() {
            let Some(bytes) = self.sink.0.remove(&self.clients[client].index) else { continue };
            let mut rest = &bytes[..];
            while let Some((payload, whole, after)) = payload_of_first(rest) {
                let is_open = self.core.is_open(self.clients[client].index);
                match payload {
                    Some(text) => self.heard(client, &serde_json::from_slice(text).unwrap()),
                    None if whole[0] == 0x88 => assert!(!is_open, "it was not let go"),
                    None => {
                        let text = self.inflated(client, whole);
                        self.heard(client, &serde_json::from_slice(&text).unwrap());
                    }
                }
                rest = after;
            }
        }
    }

    fn inflated(&mut self, client: usize, frame: &[u8]) -> Vec<u8> {
        assert_eq!(frame[0], 0xc1, "a whole text that is compressed");
        let window_bits = self.clients[client].window_bits.expect("it knows compression");
        *self.counts.entry("compressed").or_default() += 1;
        puff::inflate(&frame[if frame[1] == 126 { 4 } else { 2 }..], window_bits).unwrap()
    }

    /// Everything that is under way comes to its end.
    fn settle(&mut self) {
        self.core.bounds = Bounds::of_shards(1);
        (0..CLIENTS).for_each(|client| self.recover(client));
        for room in 0..ROOMS {
            while self.logs[room].published < self.logs[room].last {
                self.publish(room);
            }
        }
        self.walk();
        while !self.under_way.is_empty() || !self.core.postponed.is_empty() {
            self.do_an_errand();
            self.walk();
            self.core.look_at_subscriptions();
            self.gather();
        }
        for client in &self.clients {
            for (room, known) in client.topics.iter().enumerate() {
                assert!(known.asked.is_none(), "a request was never answered");
                if let Some(at) = known.at {
                    assert_eq!(at, self.logs[room].last, "it missed the last events of room {room}");
                }
            }
        }
        for client in 0..self.clients.len() {
            self.core.end(self.clients[client].index, false);
        }
        for (index, _) in std::mem::take(&mut self.core.over) {
            self.core.vacate(index);
        }
        assert!(self.routes.is_empty() && self.core.many.is_empty(), "something is left behind");
        self.core.check_invariants();
    }
}

#[test]
fn subscriptions_hear_everything_once_and_in_order() {
    let mut all = BTreeMap::<&str, u64>::new();
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = setting("PREGON_SIMULATE_FROM").unwrap_or(0);
    let seeds = setting("PREGON_SIMULATE_SEEDS").unwrap_or(SEEDS);
    for seed in first..first + seeds {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..STEPS).for_each(|_| world.step());
            world.settle();
            world.counts
        });
        let counts = outcome.unwrap_or_else(|_| panic!("seed {seed}"));
        counts.into_iter().for_each(|(what, count)| *all.entry(what).or_default() += count);
    }
    for what in [
        "stalled",
        "relieved",
        "published",
        "came back",
        "resumed",
        "subscribed",
        "gap",
        "event",
        "unsubscribed",
        "error",
        "signal",
        "compressed",
    ] {
        assert!(all.get(what).is_some_and(|count| *count > seeds / 8), "{what} happens too seldom: {all:?}");
    }
}
