//! The monkey: the real server under random clients of all kinds, good and bad, while everything is written and who may hear
//! it changes. It fails on a panic, an end, a frame that is foreign or torn, an acknowledged text that a steady reader or
//! the database lacks or has twice, a gauge below zero, and memory that grows.
//!
//! `PREGON_MONKEY_SECONDS` is how long it plays (30 by default; `make monkey`: 300), `PREGON_MONKEY_SEED` what it does.

mod listeners;
mod socket;
mod world;
mod writers;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::listeners::{Ear, chaos, steady};
use self::world::{Seat, Tag, Topic, World};
use self::writers::{membership, writes};
use crate::support::{Database, PATIENCE, Server, User};
use crate::turn;

/// Who writes posts. The first owns the rooms.
const AUTHORS: Range<usize> = 0..3;
/// Who writes otherwise, and never leaves a room.
const WRITERS: Range<usize> = 0..6;
/// Whose feeds hear all authors for good.
const FOLLOWERS: Range<usize> = 3..6;
/// Who comes and goes.
const FLOATERS: Range<usize> = 6..10;
/// Whose sockets have bad habits; those who come and go are among them.
const CHAOS: Range<usize> = 6..16;
const ROOMS: usize = 3;
const VISITORS: usize = 14;
const REST_WRITERS: u64 = 3;
/// What a rested server may have more than after the first wave: allocator's slack, tables at their high water.
const GROWTH_BYTES: u64 = 48 * 1024 * 1024;
const MEMORY_BYTES_MAX: u64 = 400_000_000;

/// What players do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Play,
    /// Nobody begins to write any more.
    Quiet,
    /// Everything is written; steady readers wait for what they must hear.
    Settle,
    /// The server ends.
    Over,
}

/// What all players share.
struct Stage {
    world: Arc<World>,
    address: String,
    http: reqwest::Client,
    database: Database,
    users: Vec<User>,
    rooms: Vec<String>,
    posts: Vec<String>,
    author_of: Vec<usize>,
    phase: watch::Sender<Phase>,
}

impl Stage {
    fn path(&self, seat: Seat, user: usize) -> String {
        let what = match seat {
            Seat::Room(room) => format!("chat/{}", self.rooms[room]),
            Seat::Feed => "feed".to_owned(),
            Seat::Post(post) => format!("post/{}", self.posts[post]),
            Seat::Notifications => "notifications".to_owned(),
        };
        format!("/ws/{what}/?token={}", self.users[user].token)
    }

    fn in_room(&self, room: usize, rest: &str) -> String {
        format!("/api/messaging/chats/{}/{rest}", self.rooms[room])
    }

    fn on_post(&self, post: usize, rest: &str) -> String {
        format!("/api/posts/{}/{rest}", self.posts[post])
    }

    fn follows_for_good(&self, user: usize, author: usize) -> bool {
        user == author || FOLLOWERS.contains(&user)
    }

    fn fault_unless_ending(&self, text: String) {
        if *self.phase.borrow() != Phase::Over {
            self.world.fault(text);
        }
    }

    async fn say(&self, method: &str, path: &str, user: usize, content: &str) -> Option<Value> {
        self.ask(method, path, user, Some(json!({"content": content}))).await
    }

    /// A request; its answer if it was done. A server may refuse and may shed, but not fail.
    async fn ask(&self, method: &str, path: &str, user: usize, body: Option<Value>) -> Option<Value> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).ok()?;
        let request = self.http.request(method.clone(), format!("http://{}{path}", self.address));
        let request = request.bearer_auth(&self.users[user].token).timeout(PATIENCE);
        let sent = match &body {
            Some(body) => request.json(body).send().await,
            None => request.send().await,
        };
        let response = match sent {
            Ok(response) => response,
            Err(error) => {
                self.fault_unless_ending(format!("{method} {path}: {error}"));
                return None;
            }
        };
        let status = response.status().as_u16();
        if status >= 500 && status != 503 {
            self.fault_unless_ending(format!("{method} {path}: {status}"));
        }
        let answer = response.json().await.unwrap_or(Value::Null);
        (200..300).contains(&status).then_some(answer)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_monkey_finds_nothing() {
    let _turn = turn::mine().await;
    let seconds = number("PREGON_MONKEY_SECONDS", 30);
    let seed = number("PREGON_MONKEY_SEED", rand::random::<u32>().into());
    eprintln!("PREGON_MONKEY_SEED={seed}");
    let wave = Duration::from_secs(seconds) / 16;
    for (number, (shards, on_mariadb)) in [(1, false), (3, false), (1, true), (3, true)].into_iter().enumerate() {
        play(shards, on_mariadb, wave, seed.wrapping_add(1_000_000 * number as u64)).await;
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number")))
}

/// Two waves to the end, one into which SIGTERM comes, and one after it.
async fn play(shards: usize, on_mariadb: bool, wave: Duration, seed: u64) {
    let builder = Server::builder().seed(CHAOS.end, 0, 0).set("PREGON_SHARDS", shards);
    let builder = builder.set("PREGON_ACTIVE_CHECK_SECONDS", 1);
    let builder = if on_mariadb { builder.on_mariadb() } else { builder.on_file() };
    let mut server = builder.start().await;
    let mut stage = prepare(&server).await;
    let began = Instant::now();
    let mut rested = Vec::new();
    for number in 0..4_u64 {
        let is_stopped = number == 2;
        stage.phase.send_replace(Phase::Play);
        one_wave(&stage, &mut server, wave, is_stopped, seed.wrapping_add(1000 * number)).await;
        if is_stopped {
            server.restart_in_place();
            stage = Arc::new(again(&stage, &server));
            rested.clear();
        } else {
            rested.push(at_rest(&stage, &server).await);
            let (first, last) = (rested[0], rested[rested.len() - 1]);
            assert!(last < first + GROWTH_BYTES, "memory grows: {rested:?}");
        }
        compare_with_the_database(&stage).await;
        let faults = stage.world.take_faults();
        assert!(faults.is_empty(), "{shards} shards, MariaDB: {on_mariadb}, seed {seed}: {faults:#?}");
        assert!(server.child.try_wait().unwrap().is_none(), "the server has ended");
        assert!(!server.log().contains("panicked"), "a panic");
    }
    let peak = server.peak_bytes();
    assert!(peak < MEMORY_BYTES_MAX, "{peak} bytes were resident");
    eprintln!(
        "{shards} shards, {}: {:.1?}, {} actions, {} frames heard, {} MB at most",
        if on_mariadb { "MariaDB" } else { "SQLite" },
        began.elapsed(),
        stage.world.actions.load(Ordering::Relaxed),
        stage.world.frames.load(Ordering::Relaxed),
        peak / 1_000_000
    );
    assert_eq!(server.terminate(), Some(0));
}

/// The same world on a server that was started again.
fn again(stage: &Stage, server: &Server) -> Stage {
    Stage {
        world: stage.world.clone(),
        address: server.address().to_owned(),
        http: stage.http.clone(),
        database: stage.database.clone(),
        users: stage.users.clone(),
        rooms: stage.rooms.clone(),
        posts: stage.posts.clone(),
        author_of: stage.author_of.clone(),
        phase: watch::Sender::new(Phase::Play),
    }
}

/// Rooms in which everybody is, posts to comment on, and who follows whom.
async fn prepare(server: &Server) -> Arc<Stage> {
    let world = Arc::new(World::new());
    let others: Vec<Value> = (1..CHAOS.end).map(|user| server.id(user)).collect();
    let mut rooms = Vec::new();
    for room in 0..ROOMS {
        let body = json!({"chat_type": "group", "name": format!("Sala {room}"), "participant_ids": others});
        let made = server.done("POST", "/api/messaging/chats/", 0, Some(body)).await;
        rooms.push(made["id"].as_str().unwrap().to_owned());
        (0..CHAOS.end).for_each(|user| world.grant(Topic::Room(room), user));
    }
    for author in AUTHORS {
        for follower in FOLLOWERS.chain(FLOATERS) {
            world.grant(Topic::Author(author), follower);
            server.follow(follower, author).await;
        }
    }
    let mut posts = Vec::new();
    for author in AUTHORS {
        let (_, content) = world.say(Topic::Author(author), 10);
        posts.push(server.publish(author, &content).await["id"].as_str().unwrap().to_owned());
    }
    Arc::new(Stage {
        world,
        address: server.address().to_owned(),
        http: reqwest::Client::new(),
        database: server.database.clone(),
        users: server.fixture.users.clone(),
        rooms,
        posts,
        author_of: AUTHORS.collect(),
        phase: watch::Sender::new(Phase::Play),
    })
}

/// Everybody plays for so long; then the server is stopped, or all settle.
async fn one_wave(stage: &Arc<Stage>, server: &mut Server, wave: Duration, is_stopped: bool, seed: u64) {
    let mut readers = JoinSet::new();
    let rooms = (0..ROOMS).flat_map(|room| WRITERS.map(move |user| (Seat::Room(room), user)));
    let feeds = FOLLOWERS.chain(AUTHORS).map(|user| (Seat::Feed, user));
    let posts = (0..AUTHORS.end).flat_map(|post| FOLLOWERS.map(move |user| (Seat::Post(post), user)));
    let bells = AUTHORS.map(|user| (Seat::Notifications, user));
    for (place, (seat, user)) in rooms.chain(feeds).chain(posts).chain(bells).enumerate() {
        readers.spawn(steady(stage.clone(), seat, user, seed + place as u64));
    }
    let mut players = JoinSet::new();
    for place in 0..REST_WRITERS {
        players.spawn(writes(stage.clone(), seed + 200 + place));
    }
    for user in FLOATERS {
        players.spawn(membership(stage.clone(), user, seed + 300 + user as u64));
    }
    for place in 0..VISITORS as u64 {
        players.spawn(chaos(stage.clone(), seed + 400 + place));
    }
    let over = tokio::time::Instant::now() + wave;
    while tokio::time::Instant::now() < over {
        look_at_gauges(stage).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    if is_stopped {
        // In the midst of it.
        stage.phase.send_replace(Phase::Over);
        server.signal("TERM");
        while let Some(player) = players.join_next().await {
            player.unwrap();
        }
        while let Some(reader) = readers.join_next().await {
            reader.unwrap();
        }
        assert_eq!(server.exit_code(), Some(0), "SIGTERM ends it well");
        return;
    }
    stage.phase.send_replace(Phase::Quiet);
    while let Some(player) = players.join_next().await {
        player.unwrap();
    }
    stage.phase.send_replace(Phase::Settle);
    let mut ears = Vec::new();
    while let Some(ear) = readers.join_next().await {
        ears.extend(ear.unwrap());
    }
    same_order(stage, &ears);
    stage.world.judge();
}

/// Readers of a room hear what both heard in one order.
fn same_order(stage: &Stage, ears: &[Ear]) {
    let mut first: HashMap<usize, HashMap<u64, usize>> = HashMap::new();
    for ear in ears {
        let Some(room) = ear.room() else { continue };
        let places = first
            .entry(room)
            .or_insert_with(|| ear.order.iter().enumerate().map(|(place, number)| (*number, place)).collect());
        let seen: Vec<usize> = ear.order.iter().filter_map(|number| places.get(number).copied()).collect();
        if !seen.is_sorted() {
            stage.world.fault(format!("two readers heard room {room} in different orders"));
        }
    }
}

/// No gauge is below zero.
async fn look_at_gauges(stage: &Stage) {
    let Ok(answer) = stage.http.get(format!("http://{}/metrics", stage.address)).send().await else { return };
    for line in answer.text().await.unwrap_or_default().lines().filter(|line| line.starts_with("pregon_")) {
        if line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).is_none_or(|value| value < 0.0) {
            stage.world.fault(format!("a metric: {line}"));
        }
    }
}

/// With all sockets gone nothing is held for any; the memory that is resident then.
async fn at_rest(stage: &Stage, server: &Server) -> u64 {
    for gauge in
        ["pregon_sessions", "pregon_feed_sessions", "pregon_feeds", "pregon_feed_subscriptions", "pregon_rooms"]
    {
        server.wait_for_metric(gauge, |value| value == 0.0).await;
    }
    for gauge in ["pregon_chunk_bytes", "pregon_debt_bytes", "pregon_inbox_depth", "pregon_lane_queue"] {
        server.wait_for_metric(gauge, |value| value == 0.0).await;
    }
    look_at_gauges(stage).await;
    server.resident_bytes()
}

/// What was acknowledged is stored once.
async fn compare_with_the_database(stage: &Stage) {
    for room in 0..ROOMS {
        let stored = stored(stage, &stage.in_room(room, "messages/"), 0).await;
        check(stage, &stored, |topic| topic == Topic::Room(room));
    }
    for author in AUTHORS {
        let path = format!("/api/users/{}/posts/", stage.users[author].username);
        let stored = stored(stage, &path, author).await;
        check(stage, &stored, |topic| topic == Topic::Author(author));
    }
}

fn check(stage: &Stage, stored: &HashMap<u64, usize>, topic: impl Fn(Topic) -> bool) {
    let wanted = stage.world.acknowledged(topic, 0, false);
    let lost: Vec<&u64> = wanted.iter().filter(|number| !stored.contains_key(number)).collect();
    let doubled: Vec<&u64> = stored.iter().filter(|(_, times)| **times > 1).map(|(number, _)| number).collect();
    if !lost.is_empty() || !doubled.is_empty() {
        stage.world.fault(format!("acknowledged and not stored: {lost:?}; stored twice: {doubled:?}"));
    }
}

/// The numbers of all texts of a list, page by page.
async fn stored(stage: &Stage, path: &str, user: usize) -> HashMap<u64, usize> {
    let mut numbers = HashMap::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let Some(page) = stage.ask("GET", &path, user, None).await else {
            stage.world.fault(format!("{path} does not answer"));
            break;
        };
        for row in page["results"].as_array().map_or(&[][..], Vec::as_slice) {
            if let Some(tag) = row["content"].as_str().and_then(|text| Tag::in_text(text).next()) {
                *numbers.entry(tag.number).or_default() += 1;
            }
        }
        next = page["next"].as_str().and_then(|address| Some(format!("/api/{}", address.split_once("/api/")?.1)));
    }
    numbers
}
