//! Who listens: steady readers who must hear everything once and in one order, and others of all bad habits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::socket::{Heard, Socket};
use super::world::{Seat, Tag, Topic, news};
use super::{CHAOS, FLOATERS, Phase, Stage};

/// How long a steady reader waits for what it must hear once nobody writes any more.
const SETTLE: Duration = Duration::from_secs(30);
/// A steady writer pauses up to this long between two messages.
const PAUSE_MS_MAX: u64 = 120;

/// What one socket heard.
pub struct Ear {
    stage: Arc<Stage>,
    seat: Seat,
    user: usize,
    heard: HashMap<u64, u32>,
    /// What is new, in the order in which it came.
    pub order: Vec<u64>,
}

impl Ear {
    fn new(stage: &Arc<Stage>, seat: Seat, user: usize) -> Self {
        Self { stage: stage.clone(), seat, user, heard: HashMap::new(), order: Vec::new() }
    }

    /// Judges a frame; the frame.
    fn hear(&mut self, text: &str) -> Value {
        let world = &self.stage.world;
        world.frames.fetch_add(1, Ordering::Relaxed);
        let Ok(frame) = serde_json::from_str::<Value>(text) else {
            world.fault(format!("{:?} of user {}: no JSON: {text:.200}", self.seat, self.user));
            return Value::Null;
        };
        for tag in Tag::in_text(text) {
            if !world.is_for(self.seat, self.user, tag, &self.stage.author_of) {
                let (seat, user, now) = (self.seat, self.user, world.now());
                world
                    .fault(format!("{seat:?} of user {user} heard {tag:?} at {now}, which is not for it: {text:.300}"));
            }
        }
        if let Some(tag) = news(&frame) {
            let times = self.heard.entry(tag.number).or_default();
            *times += 1;
            if *times > 1 {
                world.fault(format!("{:?} of user {} heard {tag:?} {times} times", self.seat, self.user));
            }
            self.order.push(tag.number);
            world.heard(self.seat, self.user, tag);
        }
        frame
    }

    /// Its room, if it listens to one.
    pub fn room(&self) -> Option<usize> {
        if let Seat::Room(room) = self.seat { Some(room) } else { None }
    }

    fn path(&self) -> String {
        self.stage.path(self.seat, self.user)
    }

    fn is_mine(&self, topic: Topic) -> bool {
        match (self.seat, topic) {
            (Seat::Room(room), Topic::Room(place)) => room == place,
            (Seat::Post(post), Topic::Post(place)) => post == place,
            (Seat::Feed, Topic::Author(author)) => self.stage.follows_for_good(self.user, author),
            _ => false,
        }
    }

    /// What it should have heard since then and has not.
    fn missing(&self, since: u64) -> Vec<u64> {
        let all = self.stage.world.acknowledged(|topic| self.is_mine(topic), since, true);
        all.into_iter().filter(|number| !self.heard.contains_key(number)).collect()
    }
}

/// Reads from the greeting to the end of the wave, and in rooms writes, too. What came, in its order.
pub async fn steady(stage: Arc<Stage>, seat: Seat, user: usize, seed: u64) -> Option<Ear> {
    let mut ear = Ear::new(&stage, seat, user);
    let mut random = StdRng::seed_from_u64(seed);
    let mut phase = stage.phase.subscribe();
    let Some(mut socket) = Socket::open(&stage.address, &ear.path(), false).await else {
        stage.fault_unless_ending(format!("{seat:?} of user {user} was refused"));
        return None;
    };
    // The answer to a ping comes behind the greeting: from here on nothing may be missing.
    socket.say(r#"{"type":"ping","timestamp":0}"#).await;
    let mut since = None;
    let mut under_way: Option<u64> = None;
    let mut settled_at = None;
    let mut write_at = tokio::time::Instant::now();
    loop {
        let now = *phase.borrow_and_update();
        if now == Phase::Over {
            return Some(ear);
        }
        if now == Phase::Settle {
            let began = *settled_at.get_or_insert_with(tokio::time::Instant::now);
            let mut missing = since.map_or(Vec::new(), |since| ear.missing(since));
            missing.extend(under_way);
            if missing.is_empty() {
                socket.close().await;
                return Some(ear);
            }
            if began.elapsed() > SETTLE {
                stage.world.fault(format!("{seat:?} of user {user} never heard {missing:?}"));
                return None;
            }
        }
        let writes = matches!(seat, Seat::Room(_)) && now == Phase::Play && since.is_some() && under_way.is_none();
        tokio::select! {
            heard = socket.next() => match heard {
                Heard::Text(text) => {
                    let frame = ear.hear(&text);
                    if frame["type"] == "pong" {
                        since.get_or_insert_with(|| stage.world.now());
                    }
                    let own = news(&frame).map(|tag| tag.number);
                    if under_way.is_some() && own == under_way {
                        stage.world.acknowledge(under_way.take().unwrap_or_default());
                    }
                    if frame["type"] == "error" {
                        under_way = None;
                    }
                }
                Heard::Broken(what) => {
                    stage.fault_unless_ending(format!("{seat:?} of user {user}: {what}"));
                    return None;
                }
                end => {
                    stage.fault_unless_ending(format!("{seat:?} of user {user}, who reads, was let go: {end:?}"));
                    return None;
                }
            },
            _ = phase.changed() => {}
            () = tokio::time::sleep_until(write_at), if writes => {
                let Seat::Room(room) = seat else { continue };
                let length = if random.random_bool(0.05) { 1900 } else { random.random_range(0..200) };
                let (tag, content) = stage.world.say(Topic::Room(room), length);
                let frame = json!({"type": "chat_message", "content": content, "client_id": tag.number.to_string()});
                socket.say(&frame.to_string()).await;
                stage.world.actions.fetch_add(1, Ordering::Relaxed);
                under_way = Some(tag.number);
                write_at = tokio::time::Instant::now() + Duration::from_millis(random.random_range(0..PAUSE_MS_MAX));
            }
            () = tokio::time::sleep(Duration::from_millis(200)), if matches!(now, Phase::Quiet | Phase::Settle) => {}
        }
    }
}

/// One visitor after the other, each with a habit of its own, to the end of the wave.
pub async fn chaos(stage: Arc<Stage>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut phase = stage.phase.subscribe();
    while *phase.borrow_and_update() == Phase::Play {
        let among = if random.random_bool(0.7) { FLOATERS } else { CHAOS };
        let user = random.random_range(among);
        let seat = match random.random_range(0..10) {
            0..5 => Seat::Room(random.random_range(0..stage.rooms.len())),
            5..8 => Seat::Feed,
            8 => Seat::Post(random.random_range(0..stage.posts.len())),
            _ => Seat::Notifications,
        };
        let mut ear = Ear::new(&stage, seat, user);
        let is_tiny = random.random_bool(0.4);
        stage.world.actions.fetch_add(1, Ordering::Relaxed);
        let Some(mut socket) = Socket::open(&stage.address, &ear.path(), is_tiny).await else {
            // Refused: not in the room, not active, or the server stops.
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        if random.random_bool(0.4) {
            // Stalls, perhaps longer than the server's patience.
            _ = timeout(Duration::from_millis(random.random_range(50..5000)), phase.changed()).await;
        }
        if random.random_bool(0.2) {
            let bytes: Vec<u8> = (0..random.random_range(1..300)).map(|_| random.random()).collect();
            socket.babble(&bytes).await;
        }
        if random.random_bool(0.5) {
            socket.say(r#"{"type":"typing","is_typing":true}"#).await;
            socket.say(r#"{"type":"signal","data":{"x":[1,2,3]},"echo":true}"#).await;
        }
        let reads_for = Duration::from_millis(random.random_range(0..1500));
        let is_slow = random.random_bool(0.2);
        let reading = async {
            loop {
                match socket.next().await {
                    Heard::Text(text) => _ = ear.hear(&text),
                    Heard::Broken(what) => {
                        stage.fault_unless_ending(format!("{seat:?} of user {user}: {what}"));
                        return;
                    }
                    Heard::Close(_) | Heard::End => return,
                }
                if is_slow {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        let is_there = timeout(reads_for, reading).await.is_err();
        match random.random_range(0..3) {
            0 => socket.reset(),
            1 if is_there => _ = timeout(Duration::from_secs(2), socket.close()).await,
            _ => drop(socket),
        }
    }
}
