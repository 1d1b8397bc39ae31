//! Sockets of `pregon.v1` that subscribe, unsubscribe, drop and resume at random on two nodes, under bursts of traffic in rooms, on a
//! post and in notifications.
//!
//! Steady sockets and wandering ones note every stay in a topic: from which place to which, and which events came. Whatever somebody
//! heard within a stay of somebody else, that one has heard, too, once and in order; and what was acknowledged was heard.
//!
//! `PREGON_WANDER_SECONDS` is how long it lasts (6 by default; `make wander`: 300), `PREGON_WANDER_SEED` what the sockets do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::nodes::cluster::Cluster;
use crate::support::{PATIENCE, Socket};

/// Sockets that wander; one more on each node stays.
const WANDERERS: u64 = 5;
/// How long a wanderer listens at most before it does something else.
const LISTEN: Duration = Duration::from_millis(30);

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number")))
}

/// What everybody knows.
struct Stage {
    addresses: Vec<String>,
    tokens: Vec<String>,
    topics: Vec<String>,
    post: String,
    /// What is acknowledged: each topic's places, and ids of what has no place in its answer.
    places: Mutex<Vec<BTreeSet<u64>>>,
    ids: Mutex<BTreeSet<String>>,
    /// The last place of each topic that was acknowledged, or heard by anybody.
    newest: Vec<AtomicU64>,
    /// Where the topics are in the end.
    wanted: Mutex<Vec<u64>>,
}

/// The time in which a socket heard everything of a topic.
#[derive(Debug, Default)]
struct Stay {
    from: u64,
    heard: BTreeMap<u64, Value>,
}

impl Stay {
    fn to(&self) -> u64 {
        self.heard.keys().next_back().copied().unwrap_or(self.from)
    }
}

#[derive(Default)]
struct Known {
    stay: Option<Stay>,
    over: Vec<Stay>,
    last: Option<u64>,
    /// The request that was not answered.
    asked: Option<u64>,
    /// What requests said was heard last.
    cursors: BTreeMap<u64, Option<u64>>,
}

struct Client {
    stage: Arc<Stage>,
    name: String,
    user: usize,
    socket: Socket,
    next: u64,
    topics: Vec<Known>,
    counts: BTreeMap<&'static str, usize>,
}

async fn welcomed(stage: &Stage, node: usize, user: usize) -> Socket {
    let offer = format!("pregon.v1, token.{}", stage.tokens[user]);
    let headers = [("sec-websocket-protocol", &*offer)];
    let mut socket = Socket::try_open_at(&stage.addresses[node], "/ws/", &headers).await.unwrap();
    assert_eq!(socket.next_json().await["type"], "welcome");
    socket
}

fn place_of(frame: &Value) -> Option<u64> {
    let (epoch, seq) = frame["cursor"].as_str()?.split_once('.')?;
    assert_eq!(epoch, "1", "{frame}");
    seq.parse().ok()
}

impl Client {
    async fn open(stage: &Arc<Stage>, name: String, node: usize, user: usize) -> Self {
        let socket = welcomed(stage, node, user).await;
        let topics = stage.topics.iter().map(|_| Known::default()).collect();
        Self { stage: Arc::clone(stage), name, user, socket, next: 0, topics, counts: BTreeMap::new() }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    async fn drop_and_come_back(&mut self, node: usize) {
        self.socket = welcomed(&self.stage, node, self.user).await;
        for known in &mut self.topics {
            known.asked = None;
            known.over.extend(known.stay.take());
        }
        self.count("came back");
    }

    async fn subscribe(&mut self, topic: usize, with_cursor: bool) {
        if self.topics[topic].stay.is_some() || self.topics[topic].asked.is_some() {
            return;
        }
        self.next += 1;
        let last = self.topics[topic].last.filter(|_| with_cursor);
        let cursor = last.map(|seq| format!("1.{seq}"));
        self.topics[topic].asked = Some(self.next);
        self.topics[topic].cursors.insert(self.next, last);
        let name = &self.stage.topics[topic];
        self.socket.send(json!({"type": "subscribe", "id": self.next, "topic": name, "cursor": cursor})).await;
    }

    async fn unsubscribe(&mut self, topic: usize) {
        self.next += 1;
        // Whatever was asked before is over with this.
        self.topics[topic].asked = None;
        let name = &self.stage.topics[topic];
        self.socket.send(json!({"type": "unsubscribe", "id": self.next, "topic": name})).await;
    }

    /// Listens for a while, or until so many frames have come.
    async fn listen(&mut self, frames: usize) {
        let until = tokio::time::Instant::now() + LISTEN;
        for _ in 0..frames {
            let Ok(frame) = tokio::time::timeout_at(until, self.socket.next_json()).await else { return };
            self.heard(&frame);
        }
    }

    fn heard(&mut self, frame: &Value) {
        let kind = frame["type"].as_str().unwrap_or_default();
        // What passes has no place.
        if matches!(kind, "users" | "pong") || (kind == "event" && frame["cursor"].is_null()) {
            return;
        }
        let place = place_of(frame);
        let topic = self.stage.topics.iter().position(|name| frame["topic"] == **name);
        let known = &mut self.topics[topic.unwrap_or_else(|| panic!("{}: {frame}", self.name))];
        let what = match kind {
            "error" if frame["code"] == "not_subscribed" => "error",
            // It was taken back before it was answered.
            "error" if frame["code"] == "cancelled" => {
                let asked = frame["id"].as_u64().and_then(|id| known.cursors.remove(&id));
                assert!(asked.is_some(), "{}: it has not asked: {frame}", self.name);
                "cancelled"
            }
            "subscribed" => {
                assert!(known.stay.is_none(), "{}: twice: {frame}", self.name);
                if known.asked == frame["id"].as_u64() {
                    known.asked = None;
                }
                let is_resumed = frame["resumed"] == true;
                // An earlier subscription may have been answered after this one was asked for.
                let asked = frame["id"].as_u64().and_then(|id| known.cursors.remove(&id)).expect("it has asked");
                assert!(!is_resumed || place == asked, "{}: from {asked:?}: {frame}", self.name);
                known.stay = Some(Stay { from: place.unwrap(), heard: BTreeMap::new() });
                known.last = place;
                if is_resumed { "resumed" } else { "subscribed" }
            }
            "gap" => {
                let before = known.stay.replace(Stay { from: place.unwrap(), heard: BTreeMap::new() });
                assert!(before.as_ref().is_some_and(|stay| Some(stay.to()) <= place), "{}: {frame}", self.name);
                known.over.extend(before);
                known.last = place;
                "gap"
            }
            "unsubscribed" => {
                assert!(frame["code"].is_null(), "{}: {frame}", self.name);
                known.over.extend(known.stay.take());
                "unsubscribed"
            }
            "event" => {
                let stay = known.stay.as_mut().unwrap_or_else(|| panic!("{}: not subscribed: {frame}", self.name));
                assert!(place > Some(stay.to()), "{}: it is at {}: {frame}", self.name, stay.to());
                let event = &frame["event"];
                let id = if event["id"].is_null() { &event["comment"]["id"] } else { &event["id"] };
                stay.heard.insert(place.unwrap(), id.clone());
                self.stage.newest[topic.unwrap()].fetch_max(place.unwrap(), Ordering::Relaxed);
                known.last = place;
                "event"
            }
            _ => panic!("{}: {frame}", self.name),
        };
        self.count(what);
    }

    /// Where all topics are now.
    async fn places(&mut self) -> Vec<u64> {
        let began = Instant::now();
        while self.topics.iter().any(|known| known.stay.is_none()) {
            for topic in 0..self.topics.len() {
                self.subscribe(topic, false).await;
            }
            self.listen(100).await;
            assert!(began.elapsed() < PATIENCE, "a request is not answered");
        }
        self.topics.iter().flat_map(|known| &known.stay).map(|stay| stay.from).collect()
    }

    /// Subscribes, and listens until the stay has heard what anybody has by now, or is over. So a stay that goes deaf is found out.
    async fn catch_up(&mut self, topic: usize) {
        let (began, newest) = (Instant::now(), self.stage.newest[topic].load(Ordering::Relaxed));
        self.subscribe(topic, true).await;
        let is_behind = |known: &Known| match &known.stay {
            Some(stay) => stay.to() < newest,
            None => known.asked.is_some(),
        };
        while is_behind(&self.topics[topic]) {
            self.listen(100).await;
            assert!(began.elapsed() < PATIENCE, "{} is deaf: topic {topic} is at {newest}", self.name);
        }
        if self.topics[topic].stay.is_some() {
            self.count("caught up");
        }
    }

    /// Subscribes to everything, and listens until it has heard what was acknowledged.
    async fn hear_all(&mut self) {
        let began = Instant::now();
        let wanted = self.stage.wanted.lock().unwrap().clone();
        loop {
            for topic in 0..self.topics.len() {
                self.subscribe(topic, true).await;
            }
            self.listen(100).await;
            let is_there =
                |(known, wanted): (&Known, &u64)| known.stay.as_ref().is_some_and(|stay| stay.to() >= *wanted);
            if self.topics.iter().zip(&wanted).all(is_there) {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{} does not hear what was acknowledged: {wanted:?}", self.name);
        }
        for known in &mut self.topics {
            known.over.extend(known.stay.take());
        }
    }
}

async fn wander(mut client: Client, seed: u64, over: watch::Receiver<bool>) -> Client {
    let mut random = StdRng::seed_from_u64(seed);
    while !*over.borrow() {
        let topic = random.random_range(0..client.topics.len());
        let with_cursor = random.random_bool(0.9);
        match random.random_range(0..100) {
            0..40 => client.listen(random.random_range(1..60)).await,
            40..70 => client.subscribe(topic, with_cursor).await,
            70..78 => client.unsubscribe(topic).await,
            78..82 => {
                client.catch_up(topic).await;
                client.unsubscribe(topic).await;
            }
            82..92 => {
                // Without listening in between.
                for _ in 0..random.random_range(1..4) {
                    client.unsubscribe(topic).await;
                    if client.topics[topic].stay.is_none() {
                        client.subscribe(topic, with_cursor).await;
                    }
                }
            }
            92..96 => client.drop_and_come_back(random.random_range(0..client.stage.addresses.len())).await,
            _ => {
                for topic in 0..client.topics.len() {
                    client.subscribe(topic, with_cursor).await;
                }
            }
        }
    }
    client.hear_all().await;
    client
}

async fn stay(mut client: Client, over: watch::Receiver<bool>) -> Client {
    for topic in 0..client.topics.len() {
        client.subscribe(topic, false).await;
    }
    while !*over.borrow() {
        client.listen(100).await;
    }
    client.hear_all().await;
    client
}

/// Says something in rooms in bursts, and notes what is acknowledged.
async fn speak(stage: Arc<Stage>, node: usize, user: usize, seed: u64, over: watch::Receiver<bool>) {
    let (mut random, mut number) = (StdRng::seed_from_u64(seed), 0_u64);
    let mut socket = welcomed(&stage, node, user).await;
    while !*over.borrow() {
        let burst = if random.random_bool(0.1) { random.random_range(50..150) } else { random.random_range(1..8) };
        let mut topics = BTreeMap::new();
        for _ in 0..burst {
            number += 1;
            let topic = random.random_range(0..2);
            topics.insert(number, topic);
            let (name, text) = (&stage.topics[topic], format!("{user} says {number}"));
            socket.send(json!({"type": "chat_message", "id": number, "topic": name, "content": text})).await;
        }
        for _ in 0..burst {
            let frame = socket.next_json().await;
            let topic = frame["id"].as_u64().and_then(|id| topics.remove(&id));
            match (frame["type"].as_str(), topic, place_of(&frame)) {
                (Some("ack"), Some(topic), Some(place)) => {
                    stage.places.lock().unwrap()[topic].insert(place);
                    stage.newest[topic].fetch_max(place, Ordering::Relaxed);
                }
                (Some("error"), ..) => assert_eq!(frame["retry"], "later", "{frame}"),
                _ => panic!("{frame}"),
            }
        }
    }
}

/// Comments on the listeners' post, which is a notification of them, too.
async fn comment(stage: Arc<Stage>, node: usize, user: usize, over: watch::Receiver<bool>) {
    let (http, mut number) = (reqwest::Client::new(), 0);
    let url = format!("http://{}/api/posts/{}/comments/", stage.addresses[node], stage.post);
    while !*over.borrow() {
        number += 1;
        let content = json!({"content": format!("{user} comments {number}")});
        let sent = http.post(&url).bearer_auth(&stage.tokens[user]).json(&content).send().await.unwrap();
        if sent.status().is_success() {
            let made: Value = sent.json().await.unwrap();
            stage.ids.lock().unwrap().insert(made["id"].as_str().unwrap().to_owned());
        } else {
            // It is asked to come later.
            tokio::time::sleep(LISTEN).await;
        }
    }
}

/// Everybody heard within their stays what anybody heard, and all that was acknowledged was heard.
fn agree(clients: &[Client], stage: &Stage) -> usize {
    let (places, mut all_ids, mut all) = (stage.places.lock().unwrap(), BTreeSet::new(), 0);
    for topic in 0..stage.topics.len() {
        let stays =
            || clients.iter().flat_map(|client| client.topics[topic].over.iter().map(|stay| (&client.name, stay)));
        let mut events: BTreeMap<u64, &Value> = BTreeMap::new();
        for (name, stay) in stays() {
            for (place, id) in &stay.heard {
                let known = events.entry(*place).or_insert(id);
                assert_eq!(*known, id, "{name}: topic {topic}, place {place}");
            }
        }
        for (name, stay) in stays() {
            let expected: Vec<_> = events.range(stay.from + 1..stay.to() + 1).map(|(place, _)| place).collect();
            let heard: Vec<_> = stay.heard.keys().collect();
            assert_eq!(heard, expected, "{name}: topic {topic}, from {}", stay.from);
        }
        for place in &places[topic] {
            assert!(events.contains_key(place), "topic {topic}: nobody heard {place}, which was acknowledged");
        }
        all += events.len();
        all_ids.extend(events.values().filter_map(|id| id.as_str()));
    }
    for id in stage.ids.lock().unwrap().iter() {
        assert!(all_ids.contains(&**id), "nobody heard of the comment {id}");
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_wander_between_topics_and_nodes_hear_everything_once_and_in_order() {
    let seconds = setting("PREGON_WANDER_SECONDS", 6);
    let seed = setting("PREGON_WANDER_SEED", rand::random::<u32>().into());
    eprintln!("PREGON_WANDER_SEED={seed}");
    let cluster = Cluster::start(2, 3).await;
    let second = cluster.group(&[0, 1, 2]).await;
    let post = cluster.nodes[0].publish(0, "un gol").await["id"].as_str().unwrap().to_owned();
    let first = cluster.nodes[0].fixture.rooms[0].id.to_string();
    let named = |kind: &str, id: &str| format!("{kind}:{}", id.replace('-', ""));
    let topics = vec![named("room", &first), named("room", &second), named("post", &post), "notifications".to_owned()];
    let stage = Arc::new(Stage {
        addresses: cluster.nodes.iter().map(|node| node.address().to_owned()).collect(),
        tokens: cluster.nodes[0].fixture.users.iter().map(|user| user.token.clone()).collect(),
        places: Mutex::new(topics.iter().map(|_| BTreeSet::new()).collect()),
        ids: Mutex::default(),
        newest: topics.iter().map(|_| AtomicU64::new(0)).collect(),
        wanted: Mutex::default(),
        topics,
        post,
    });
    let (end_writing, no_writing) = watch::channel(false);
    let (end, over) = watch::channel(false);
    let mut listening = Vec::new();
    for node in 0..2 {
        let client = Client::open(&stage, format!("steady {node}"), node, 0).await;
        listening.push(tokio::spawn(stay(client, over.clone())));
    }
    for number in 0..WANDERERS {
        let node = usize::try_from(number).unwrap() % 2;
        let client = Client::open(&stage, format!("wanderer {number}"), node, 0).await;
        listening.push(tokio::spawn(wander(client, seed.wrapping_add(number), over.clone())));
    }
    let mut writing = Vec::new();
    for (node, user) in [(0, 1), (1, 2)] {
        let (ours, theirs) = (seed.wrapping_add(100 + node), Arc::clone(&stage));
        let node = usize::try_from(node).unwrap();
        writing.push(tokio::spawn(speak(theirs, node, user, ours, no_writing.clone())));
        writing.push(tokio::spawn(comment(Arc::clone(&stage), 1 - node, user, no_writing.clone())));
    }
    // How long they wander; nothing is waited for.
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    end_writing.send_replace(true);
    for task in writing {
        task.await.unwrap();
    }
    let mut last = Client::open(&stage, "the last".into(), 0, 0).await;
    *stage.wanted.lock().unwrap() = last.places().await;
    end.send_replace(true);
    let mut clients = Vec::new();
    for task in listening {
        clients.push(task.await.unwrap());
    }
    let events = agree(&clients, &stage);
    let mut counts = BTreeMap::<&str, usize>::new();
    for client in &clients {
        client.counts.iter().for_each(|(what, count)| *counts.entry(what).or_default() += count);
    }
    eprintln!("seed {seed}, {seconds} s: {events} events in {} topics; frames: {counts:?}", stage.topics.len());
    for what in ["event", "subscribed", "resumed", "unsubscribed", "came back", "caught up"] {
        assert!(counts.get(what).is_some_and(|count| *count > 0), "{what} never happens: {counts:?}");
    }
}
