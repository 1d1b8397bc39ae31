//! Rooms and feeds that are flooded beside readers who stall. The server survives, nobody receives foreign bytes,
//! memory and loop turns stay bounded, and those who read do not notice.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::crowd::Crowd;
use crate::fleet::{Fleet, Seat, Stalled, accepted, faults_of, is_settled};
use crate::support::{PATIENCE, Server};
use crate::turn;
use crate::voice::{Saying, Voice};
use crate::watch::Watch;
use serde_json::{Value, json};

/// The numbers of shards that each load is run with.
const SHARDS: [usize; 2] = [1, 2];
/// Members of a room, unless its load says otherwise.
const MEMBERS: usize = 4;
/// Characters of a message, four bytes each: the longest message.
const LONG_CHARS: usize = 2000;
/// Messages of the loads that use REST: within a user's burst.
const BY_REST: usize = 170;
/// How long signals are flooded.
const FLOOD: Duration = Duration::from_secs(4);

fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Two rooms without common members.
fn two_rooms(shards: usize, members: usize) -> Server {
    let builder = Server::builder().seed(2 * members, 2, members).set("PREGON_SHARDS", shards);
    now(builder.set("PREGON_RATE_LIMITS", "off").start())
}

/// The ids of a seeded room's users.
fn people(server: &Server, room: usize) -> Vec<String> {
    server.fixture.rooms[room].members.iter().map(|user| server.fixture.users[*user].id.clone()).collect()
}

/// A sender's first `count` messages.
fn chats(voice: &Arc<Voice>, sender: usize, count: usize) -> impl Iterator<Item = Saying> + 'static {
    let voice = voice.clone();
    (0..count).map(move |number| voice.chat(sender, number))
}

/// Messages and signals alternating.
fn mixed(voice: &Arc<Voice>, sender: usize, count: usize) -> impl Iterator<Item = Saying> + 'static {
    let voice = voice.clone();
    (0..count).flat_map(move |number| [voice.chat(sender, number), voice.signal(sender, number)])
}

/// Texts that a user sends one after the other by REST during the load.
fn by_rest(server: &Server, user: usize, path: &str, voice: &Arc<Voice>) -> JoinHandle<Result<(), String>> {
    let url = server.http(path);
    let token = server.fixture.users[user].token.clone();
    let voice = voice.clone();
    let send = async move {
        let client = reqwest::Client::new();
        for number in 0..BY_REST {
            let request = client.post(&url).bearer_auth(&token).json(&json!({"content": voice.text(0, number)}));
            let answer =
                request.timeout(PATIENCE).send().await.map_err(|error| format!("request {number}: {error:?}"))?;
            if answer.status() != 201 {
                return Err(format!("request {number}: {}", answer.status()));
            }
        }
        Ok(())
    };
    std::thread::spawn(move || now(send))
}

/// Ends a load, and reports all its faults at once.
fn conclude(name: &str, mut server: Server, watch: Watch, seats: usize, mut faults: Vec<String>) {
    faults.extend(watch.end(name, &mut server));
    faults.truncate(12);
    assert!(faults.is_empty(), "{name}:\n{}", faults.join("\n"));
    // The stalled readers were disconnected, and nobody else was.
    now(server.wait_for_metric("pregon_sessions", |sessions| sessions == seats as f64));
}

/// Lets stalled readers read. Each has a room with a voice of its own; their durable frames must have no gap.
fn read_all_at_last(stalled: &mut [Stalled]) -> Vec<String> {
    let mut faults = Vec::new();
    for reader in stalled {
        faults.extend(reader.read_at_last().err());
        if reader.ear.gaps > 0 {
            faults.push(format!("a stalled reader missed {} of {}", reader.ear.gaps, reader.ear.durable));
        }
    }
    faults
}

#[test]
fn one_who_does_not_read_and_one_who_floods_do_not_end_the_server() {
    let _turn = turn::mine_blocking();
    // Once as fast as the socket takes them, and once each only after the last one came back, so that each turn of the
    // shard brings one.
    for (shards, window) in [(1, Some(1)), (1, None), (2, Some(1)), (2, None)] {
        let server = two_rooms(shards, 2);
        let [voice, elsewhere] = [Voice::new(0, 100), Voice::new(1, 100)];
        let mut stalled = [Stalled::open(&server, &server.chat_path(0, 0), &voice)];
        let mut fleet = Fleet::new();
        fleet.add(&server, &server.chat_path(0, 1), &voice);
        for user in [2, 3] {
            fleet.add(&server, &server.chat_path(1, user), &elsewhere);
        }
        fleet.greet();
        let watch = Watch::begin(&server, &server.chat_path(1, 3));
        let began = Instant::now();
        let signals = (0..).take_while(move |_| began.elapsed() < FLOOD).map(move |number| voice.signal(0, number));
        fleet.say(0, 0, signals);
        fleet.seats[0].window = window;
        fleet.say(1, 0, chats(&elsewhere, 0, 500));
        let ran = fleet.run(&watch.alarm, |seats| accepted(&seats[..1]).is_some() && is_settled(&seats[1..]));
        let mut faults: Vec<String> = ran.err().into_iter().collect();
        faults.append(&mut fleet.faults);
        faults.extend(faults_of(&fleet.seats[..1], 0));
        faults.extend(faults_of(&fleet.seats[1..], 500));
        faults.extend(read_all_at_last(&mut stalled));
        let heard = (fleet.seats[0].ear.ephemeral, stalled[0].ear.ephemeral);
        eprintln!("signals heard by the sender, by the stalled: {heard:?}");
        drop(stalled);
        conclude(&format!("a flood of signals, {shards} shards, window {window:?}"), server, watch, 3, faults);
    }
}

#[test]
fn two_rooms_flooded_at_once_never_hear_each_other() {
    const SAYINGS: usize = 400;
    let _turn = turn::mine_blocking();
    for shards in SHARDS {
        let server = two_rooms(shards, MEMBERS);
        // Watched from a room of its own, which has no part in the load.
        let opened = now(server.done("POST", &chat_with(&server, MEMBERS), 0, None));
        let watch = Watch::begin(&server, &private_path(&server, &opened, 0));
        for round in 0..3 {
            let mut fleet = Fleet::new();
            let mut stalled = Vec::new();
            let mut sayings = Vec::new();
            for room in 0..2 {
                let voice = Voice::new(room, 300);
                let path = |place: usize| server.chat_path(room, server.fixture.rooms[room].members[place]);
                stalled.extend((0..6).map(|number| Stalled::open(&server, &path(number % MEMBERS), &voice)));
                for number in 0..6 {
                    let seat = fleet.add(&server, &path(number % MEMBERS), &voice);
                    sayings.extend((number < 2).then(|| (seat, number, mixed(&voice, number, SAYINGS))));
                }
                let people = people(&server, room);
                fleet.seats[room * 6..].iter_mut().for_each(|seat| seat.ear.be_strict(&people));
                stalled[room * 6..].iter_mut().for_each(|reader| reader.ear.be_strict(&people));
            }
            fleet.greet();
            for (seat, sender, sayings) in sayings {
                fleet.say(seat, sender, sayings);
            }
            let ran = fleet.run(&watch.alarm, |seats| is_settled(&seats[..6]) && is_settled(&seats[6..]));
            let mut faults: Vec<String> = ran.err().into_iter().collect();
            faults.append(&mut fleet.faults);
            faults.extend(faults_of(&fleet.seats[..6], 2 * SAYINGS));
            faults.extend(faults_of(&fleet.seats[6..], 2 * SAYINGS));
            faults.extend(read_all_at_last(&mut stalled));
            let name = format!("two rooms, {shards} shards, round {round}");
            if round == 2 || !faults.is_empty() {
                drop(stalled);
                conclude(&name, server, watch, fleet.seats.len(), faults);
                break;
            }
        }
    }
}

/// The path at which a user opens a private room with another.
fn chat_with(server: &Server, other: usize) -> String {
    format!("/api/users/chat/{}/", server.fixture.users[other].username)
}

/// The path of a user's socket in a private room that was just opened.
fn private_path(server: &Server, opened: &Value, user: usize) -> String {
    format!("/ws/chat/{}/?token={}", opened["chat"]["id"].as_str().unwrap(), server.fixture.users[user].token)
}

#[test]
fn messages_by_rest_beside_stuck_sockets_of_their_author_reach_the_others() {
    let _turn = turn::mine_blocking();
    for shards in SHARDS {
        let server = two_rooms(shards, MEMBERS);
        let opened = now(server.done("POST", &chat_with(&server, MEMBERS), 0, None));
        let load = ByRest {
            listeners: [0, 1].map(|room| server.chat_path(room, room * MEMBERS)),
            targets: [0, 1].map(|room| send_path(&server, room)),
            watched: private_path(&server, &opened, 0),
        };
        load.run(&format!("messages by REST, {shards} shards"), server);
    }
}

#[test]
fn posts_beside_stuck_feeds_reach_the_others() {
    let _turn = turn::mine_blocking();
    for shards in SHARDS {
        let server = two_rooms(shards, MEMBERS);
        // The first user of each room is an author, and the others follow.
        for author in [0, MEMBERS] {
            now(server.seed_follows((author + 1..author + MEMBERS).map(|user| (user, author))));
        }
        let load = ByRest {
            listeners: [0, 1].map(|room| server.socket_path("feed", room * MEMBERS + 1)),
            targets: [0, 1].map(|_| "/api/posts/".to_owned()),
            watched: server.chat_path(0, 2),
        };
        load.run(&format!("posts by REST, {shards} shards"), server);
    }
}

fn send_path(server: &Server, room: usize) -> String {
    format!("/api/messaging/chats/{}/send_message/", server.fixture.rooms[room].id)
}

/// The first users of both rooms send by REST at the same time, beside four stuck and four reading sockets for each
/// account.
struct ByRest {
    listeners: [String; 2],
    targets: [String; 2],
    watched: String,
}

impl ByRest {
    fn run(&self, name: &str, server: Server) {
        let mut fleet = Fleet::new();
        let mut stalled = Vec::new();
        let voices = [0, 1].map(|room| Voice::new(room, LONG_CHARS));
        for (room, voice) in voices.iter().enumerate() {
            let people = people(&server, room);
            for _ in 0..4 {
                let mut reader = Stalled::open(&server, &self.listeners[room], voice);
                reader.ear.be_strict(&people);
                stalled.push(reader);
                let seat = fleet.add(&server, &self.listeners[room], voice);
                fleet.seats[seat].ear.be_strict(&people);
            }
        }
        fleet.greet();
        let watch = Watch::begin(&server, &self.watched);
        let sending = [0, 1].map(|room| by_rest(&server, room * MEMBERS, &self.targets[room], &voices[room]));
        let is_done = |seats: &[Seat]| seats.iter().all(|seat| seat.ended.is_some() || seat.ear.durable >= BY_REST);
        let ran = fleet.run(&watch.alarm, is_done);
        let mut faults: Vec<String> = ran.err().into_iter().collect();
        faults.extend(sending.into_iter().filter_map(|sending| sending.join().unwrap().err()));
        faults.append(&mut fleet.faults);
        faults.extend([&fleet.seats[..4], &fleet.seats[4..]].into_iter().flat_map(|seats| faults_of(seats, BY_REST)));
        faults.extend(read_all_at_last(&mut stalled));
        drop(stalled);
        conclude(name, server, watch, fleet.seats.len(), faults);
    }
}

/// The load on one room while another is watched.
struct Crowded {
    shards: usize,
    /// Sockets that never read.
    stalled: usize,
    /// Sockets that read.
    readers: usize,
    /// How many of the readers also send.
    senders: usize,
    messages: usize,
    /// Whether a signal follows each message.
    with_signals: bool,
}

impl Crowded {
    /// Runs it in an existing room, at the paths of its accounts.
    fn run(&self, name: &str, server: Server, paths: &[String], watched: &str) {
        let voice = Voice::new(0, LONG_CHARS);
        let mut fleet = Fleet::new();
        let stalled: Vec<_> =
            (0..self.stalled).map(|number| Stalled::open(&server, &paths[number % paths.len()], &voice)).collect();
        for number in 0..self.readers {
            fleet.add(&server, &paths[number % paths.len()], &voice);
        }
        fleet.greet();
        let watch = Watch::begin(&server, watched);
        for sender in 0..self.senders {
            match self.with_signals {
                true => fleet.say(sender, sender, mixed(&voice, sender, self.messages)),
                false => fleet.say(sender, sender, chats(&voice, sender, self.messages)),
            }
        }
        let ran = fleet.run(&watch.alarm, is_settled);
        let mut faults: Vec<String> = ran.err().into_iter().collect();
        faults.append(&mut fleet.faults);
        let all = accepted(&fleet.seats).unwrap_or(self.senders * self.messages);
        let refused = self.senders * self.messages - all;
        faults.extend(faults_of(&fleet.seats, all));
        let name = format!("{name}, {} shards ({refused} of {} refused)", self.shards, self.senders * self.messages);
        conclude(&name, server, watch, fleet.seats.len(), faults);
        drop(stalled);
    }

    /// Runs it in a new group of some accounts.
    fn run_in_a_group(&self, name: &str) {
        let server = two_rooms(self.shards, MEMBERS);
        let paths: Vec<_> = (0..MEMBERS).map(|user| server.chat_path(0, user)).collect();
        let watched = server.chat_path(1, MEMBERS);
        self.run(name, server, &paths, &watched);
    }
}

#[test]
fn a_hundred_and_fifty_stalled_readers_beside_three_floods_cost_little() {
    let _turn = turn::mine_blocking();
    for shards in SHARDS {
        let load = Crowded { shards, stalled: 150, readers: 53, senders: 3, messages: 800, with_signals: true };
        load.run_in_a_group("150 stalled, 3 flood, 50 read");
    }
}

#[test]
fn a_private_room_of_hundreds_of_sockets_that_never_read_costs_little() {
    let _turn = turn::mine_blocking();
    for (shards, stalled) in [(1, 200), (2, 200), (1, 500)] {
        let server = two_rooms(shards, MEMBERS);
        let opened = now(server.done("POST", &chat_with(&server, 1), 0, None));
        let paths = [0, 1].map(|user| private_path(&server, &opened, user));
        let watched = server.chat_path(1, MEMBERS);
        let load = Crowded { shards, stalled, readers: 20, senders: 20, messages: 100, with_signals: false };
        load.run(&format!("{stalled} stalled in a private room, 20 send"), server, &paths, &watched);
    }
}

#[test]
fn a_group_of_three_hundred_readers_is_served_in_turns() {
    let _turn = turn::mine_blocking();
    for shards in SHARDS {
        let load = Crowded { shards, stalled: 0, readers: 300, senders: 20, messages: 100, with_signals: false };
        load.run_in_a_group("300 read, 20 of them send");
    }
}

#[test]
fn edits_of_a_message_with_many_reactions_make_nobody_too_slow() {
    const READERS: usize = 60;
    const EDITS: usize = 300;
    const KINDS: [&str; 8] = ["like", "love", "laugh", "wow", "sad", "angry", "fire", "golazo"];
    let _turn = turn::mine_blocking();
    for shards in SHARDS {
        let server = two_rooms(shards, READERS);
        // Each edit is a hundred bytes, but its frame is 30 KB.
        let voice = Voice::new(0, 40);
        let message = now(server.done("POST", &send_path(&server, 0), 0, Some(json!({"content": "¿te gusta?"}))));
        let id = message["id"].as_str().unwrap().to_owned();
        let mut fleet = Fleet::new();
        for user in 0..READERS {
            fleet.add(&server, &server.chat_path(0, user), &voice);
        }
        fleet.greet();
        for user in 0..READERS {
            let id = id.clone();
            fleet.say(user, user, KINDS.iter().map(move |kind| Voice::reaction(&id, kind)));
        }
        let calm = Arc::new(false.into());
        fleet.run(&calm, |seats| seats.iter().all(|seat| seat.ear.reactions == READERS * KINDS.len())).unwrap();
        let watch = Watch::begin(&server, &server.chat_path(1, READERS));
        fleet.say(0, 0, (0..EDITS).map(move |number| voice.edit(&id, 0, number)));
        let ran = fleet.run(&watch.alarm, is_settled);
        let mut faults: Vec<String> = ran.err().into_iter().collect();
        faults.append(&mut fleet.faults);
        faults.extend(faults_of(&fleet.seats, EDITS));
        conclude(&format!("edits of a loved message, {shards} shards"), server, watch, READERS, faults);
    }
}

/// Sends a round's messages. Returns the 99th percentile of every member's waits.
fn round(crowd: &mut Crowd, first: usize) -> Duration {
    const MESSAGES: usize = 150;
    let filler = "😀".repeat(1900);
    let mut latencies = Vec::new();
    for number in 0..MESSAGES {
        let content = format!("{} {filler}", first * MESSAGES + number);
        crowd.say(&json!({"type": "chat_message", "content": content}).to_string(), &mut latencies);
    }
    latencies.sort_unstable();
    latencies[latencies.len() * 99 / 100]
}

#[test]
fn fifty_who_read_hardly_notice_a_hundred_and_fifty_who_do_not() {
    const READERS: usize = 50;
    const STALLED: usize = 150;
    const PAIRS: usize = 8;
    /// Allowance for a noisy machine beside the factor.
    const NOISE: Duration = Duration::from_millis(3);
    let _turn = turn::mine_blocking();
    // Too many for presence frames, which would otherwise be counted.
    let members = READERS + STALLED + 1;
    let server = now(Server::builder().seed(members, 1, members).set("PREGON_SHARDS", 1).start());
    let voice = Voice::new(0, LONG_CHARS);
    let mut crowd = Crowd::join(&server, 0..READERS);
    let mut without = Vec::new();
    let mut with = Vec::new();
    round(&mut crowd, 0);
    for pair in 0..PAIRS {
        without.push(round(&mut crowd, 2 * pair + 1));
        let users = READERS..READERS + STALLED;
        let stalled: Vec<_> = users.map(|user| Stalled::open(&server, &server.chat_path(0, user), &voice)).collect();
        with.push(round(&mut crowd, 2 * pair + 2));
        drop(stalled);
        now(server.wait_for_metric("pregon_sessions", |sessions| sessions == READERS as f64));
    }
    eprintln!("p99 without {without:?}, with {with:?}");
    for times in [&mut without, &mut with] {
        times.sort_unstable();
    }
    // The machine's other work makes rounds slower, never faster, so the faster quarter is compared.
    let without = without[PAIRS / 4];
    let with = with[PAIRS / 4];
    assert!(with <= without * 2 + NOISE, "p99 {without:?} without, {with:?} with {STALLED} stalled readers");
}
