//! A soak: two nodes under clients that come, go and misbehave, while their ways to Redis fail, round after round. After each round
//! everybody leaves, and what the nodes and Redis hold at rest is written down: it must not grow.
//!
//! `PREGON_SOAK_SECONDS` is how long it lasts (4 by default; `make soak`: 600), `PREGON_SOAK_SEED` what clients do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fred::types::Value as Word;
use pregon::ids::PARTITIONS;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::multipart::{Form, Part};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::nodes::cluster::Cluster;
use crate::nodes::oracle::Talk;
use crate::nodes::proxy::Proxy;
use crate::support::{PATIENCE, Server, Socket};

/// Who speaks and listens all the time; the others come and go.
const TALKERS: usize = 3;
const USERS: usize = 12;
const CHURNERS: u64 = 8;
/// How long a round lasts, if there is time for many.
const ROUND: Duration = Duration::from_secs(12);
/// Rounds at least, however short.
const ROUNDS_MIN: u32 = 4;
/// What a node's memory may grow by from the middle of the first third to the end: pages that the allocator keeps, tables that
/// reach their high water, rows that are remembered up to their bound.
const MEMORY_GROWTH_MIB: f64 = 16.0;
/// What is counted may differ by a connection that comes or goes.
const COUNT_GROWTH: f64 = 2.0;

const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\0IEND\xaeB`\x82";

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number")))
}

/// What clients share.
struct Stage {
    addresses: Vec<String>,
    tokens: Vec<String>,
    room: String,
    http: reqwest::Client,
}

/// One measure at rest after each round.
type Samples = BTreeMap<String, Vec<f64>>;

#[tokio::test(flavor = "multi_thread")]
async fn what_two_nodes_hold_at_rest_does_not_grow() {
    let seconds = setting("PREGON_SOAK_SECONDS", 4);
    let seed = setting("PREGON_SOAK_SEED", rand::random::<u32>().into());
    eprintln!("PREGON_SOAK_SEED={seed}");
    let cluster = Cluster::with_ways(2, USERS).await;
    let stage = Arc::new(Stage {
        addresses: cluster.nodes.iter().map(|node| node.address().to_owned()).collect(),
        tokens: cluster.nodes[0].fixture.users.iter().map(|user| user.token.clone()).collect(),
        room: cluster.nodes[0].fixture.rooms[1].id.clone(),
        http: reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap(),
    });
    let whole = Duration::from_secs(seconds);
    let rounds = u32::try_from(whole.as_secs() / ROUND.as_secs()).unwrap().max(ROUNDS_MIN);
    let (began, mut samples, mut done) = (Instant::now(), Samples::new(), 0);
    for round in 0..rounds {
        done += play(&cluster, &stage, whole / rounds, seed.wrapping_add(u64::from(round) * 1000), round).await;
        at_rest(&cluster, &mut samples).await;
    }
    for node in &cluster.nodes {
        assert!(!node.log().contains("panicked"), "a panic: {}", node.log());
    }
    eprintln!("{rounds} rounds, {:.0?}, {done} things done by clients that come and go", began.elapsed());
    judge(&samples, rounds, began.elapsed());
}

/// A round: some talk, others come and go, and in its middle a way to Redis fails.
async fn play(cluster: &Cluster, stage: &Arc<Stage>, lasts: Duration, seed: u64, round: u32) -> usize {
    let talk = Talk::begin(cluster, [0, 1]).await;
    let (over, is_over) = watch::channel(false);
    let churning: Vec<_> = (0..CHURNERS)
        .map(|number| tokio::spawn(churn(Arc::clone(stage), StdRng::seed_from_u64(seed + number), is_over.clone())))
        .collect();
    // The round's three parts; nothing is waited for.
    tokio::time::sleep(lasts / 3).await;
    let way = &cluster.ways[round as usize / 4 % 2];
    match round % 4 {
        0 => way.cut(),
        1 => way.fall_silent(),
        2 => cluster.ways.iter().for_each(|way| way.delay(Duration::from_millis(30))),
        _ => cluster.ways.iter().for_each(Proxy::cut),
    }
    tokio::time::sleep(lasts / 3).await;
    cluster.ways.iter().for_each(Proxy::heal);
    cluster.wait_for_peers().await;
    tokio::time::sleep(lasts / 3).await;
    over.send_replace(true);
    let mut done = 0;
    for task in churning {
        done += task.await.unwrap();
    }
    talk.end().await.check_of_stayers(&format!("round {round}"), Duration::from_secs(5));
    done
}

/// Comes, does something, and leaves in one of many ways, until the round is over. Returns how often it did something.
async fn churn(stage: Arc<Stage>, mut random: StdRng, over: watch::Receiver<bool>) -> usize {
    let mut done = 0;
    while !*over.borrow() {
        let user = random.random_range(TALKERS..USERS);
        let node = random.random_range(0..stage.addresses.len());
        match random.random_range(0..100) {
            0..45 => listen(&stage, &mut random, node, user).await,
            45..65 => many(&stage, &mut random, node, user).await,
            65..85 => ask(&stage, &mut random, node, user).await,
            85..95 => half(&stage, &mut random, node).await,
            _ => storm(&stage, node, user).await,
        }
        done += 1;
    }
    done
}

async fn open(stage: &Stage, node: usize, path: &str, headers: &[(&'static str, &str)]) -> Option<Socket> {
    Socket::try_open_at(&stage.addresses[node], path, headers).await.ok()
}

/// A socket of the old kind.
async fn listen(stage: &Stage, random: &mut StdRng, node: usize, user: usize) {
    let token = &stage.tokens[user];
    let place = match random.random_range(0..4) {
        0 => "feed".to_owned(),
        1 => "notifications".to_owned(),
        _ => format!("chat/{}", stage.room),
    };
    let Some(mut socket) = open(stage, node, &format!("/ws/{place}/?token={token}"), &[]).await else { return };
    for number in 0..random.random_range(0..12) {
        let frame = match random.random_range(0..6) {
            0 => json!({"type": "chat_message", "content": format!("{user} dice {number}")}),
            1 => json!({"type": "typing", "is_typing": number % 2 == 0}),
            2 => json!({"type": "signal", "data": {"n": number}, "echo": true}),
            3 => json!({"type": "ping", "timestamp": number}),
            4 => json!({"type": "no such thing"}),
            _ => json!([]),
        };
        if !socket.try_send(frame).await {
            return;
        }
        let _ = tokio::time::timeout(Duration::from_millis(10), socket.try_next_json()).await;
    }
    leave(socket, random).await;
}

/// A socket of `pregon.v1`.
async fn many(stage: &Stage, random: &mut StdRng, node: usize, user: usize) {
    let offer = format!("pregon.v1, token.{}", stage.tokens[user]);
    let Some(mut socket) = open(stage, node, "/ws/", &[("sec-websocket-protocol", &*offer)]).await else { return };
    let room = format!("room:{}", stage.room.replace('-', ""));
    for (id, topic) in (1..).zip([&*room, "feed", "notifications", "post:00000000000000000000000000000001"]) {
        if !socket.try_send(json!({"id": id, "type": "subscribe", "topic": topic})).await {
            return;
        }
    }
    for id in 10..10 + random.random_range(0..8) {
        let frame = match random.random_range(0..4) {
            0 => json!({"id": id, "type": "chat_message", "topic": room, "content": format!("{user} says {id}")}),
            1 => json!({"id": id, "type": "room_info", "topic": room}),
            2 => json!({"id": id, "type": "unsubscribe", "topic": room}),
            _ => json!({"id": id, "type": "subscribe", "topic": room, "cursor": "1.1"}),
        };
        if !socket.try_send(frame).await {
            return;
        }
        let _ = tokio::time::timeout(Duration::from_millis(10), socket.try_next_json()).await;
    }
    leave(socket, random).await;
}

/// In order, in the middle of a frame, without a word, or by a fault.
async fn leave(mut socket: Socket, random: &mut StdRng) {
    match random.random_range(0..5) {
        0 => {
            let _ = socket.tcp().write_all(&[0x81, 0xfe, 0xff, 0xff, 1, 2, 3]).await;
        }
        1 => {
            let _ = socket.tcp().write_all(&[0xff, 0xff, 0xff]).await;
            while socket.try_next_json().await.is_some() {}
        }
        // Does not read what comes for a while.
        2 => tokio::time::sleep(Duration::from_millis(300)).await,
        3 => {}
        _ => socket.close().await,
    }
}

/// Requests, right and wrong.
async fn ask(stage: &Stage, random: &mut StdRng, node: usize, user: usize) {
    let at = |path: &str| format!("http://{}{path}", stage.addresses[node]);
    let token = &stage.tokens[user];
    let http = &stage.http;
    let request = match random.random_range(0..7) {
        0 => http.get(at("/api/messaging/chats/")),
        1 => http.get(at("/api/posts/?page=2")),
        2 => http.get(at("/api/users/search/?q=user")),
        3 => http.post(at("/api/auth/login/")).json(&json!({"login": "nobody", "password": "wrong"})),
        4 => http.post(at("/api/auth/ticket/")),
        5 => http.post(at(&format!("/api/messaging/chats/{}/send_message/", stage.room))).body("{\"content\": "),
        _ => return publish(stage, random, node, user).await,
    };
    let _ = request.bearer_auth(token).timeout(PATIENCE).send().await;
}

/// A post with a picture, a comment, and away with them.
async fn publish(stage: &Stage, random: &mut StdRng, node: usize, user: usize) {
    let at = |path: &str| format!("http://{}{path}", stage.addresses[node]);
    let token = &stage.tokens[user];
    let form = Form::new().text("content", "un gol").part("image", Part::bytes(PNG).file_name("a.png"));
    let made = stage.http.post(at("/api/posts/")).bearer_auth(token).multipart(form).send().await;
    let Ok(made) = made else { return };
    let Ok(post) = made.json::<serde_json::Value>().await else { return };
    let Some(id) = post["id"].as_str() else { return };
    if random.random_bool(0.5) {
        let comment = json!({"content": "qué bueno"});
        let path = at(&format!("/api/posts/{id}/comments/"));
        let _ = stage.http.post(path).bearer_auth(token).json(&comment).send().await;
    }
    let _ = stage.http.delete(at(&format!("/api/posts/{id}/"))).bearer_auth(token).send().await;
}

/// Half of something, and away.
async fn half(stage: &Stage, random: &mut StdRng, node: usize) {
    let Ok(mut stream) = TcpStream::connect(&stage.addresses[node]).await else { return };
    let whole: &[u8] = match random.random_range(0..4) {
        0 => b"GET /ws/feed/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n",
        1 => b"POST /api/posts/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{\"con",
        2 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        _ => b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
    };
    let _ = stream.write_all(&whole[..random.random_range(0..=whole.len())]).await;
}

/// Many frames at once, not all of them heard.
async fn storm(stage: &Stage, node: usize, user: usize) {
    let path = format!("/ws/chat/{}/?token={}", stage.room, stage.tokens[user]);
    let Some(mut socket) = open(stage, node, &path, &[]).await else { return };
    for number in 0..100 {
        let frame = json!({"type": "signal", "data": {"n": number, "filling": "x".repeat(500)}});
        if !socket.try_send(frame).await {
            return;
        }
    }
    let _ = tokio::time::timeout(Duration::from_millis(200), socket.next_raw()).await;
}

/// Waits until nobody is there any more, and notes what is still held.
async fn at_rest(cluster: &Cluster, samples: &mut Samples) {
    for node in &cluster.nodes {
        for gauge in [
            "pregon_sessions",
            "pregon_rooms",
            "pregon_feeds",
            "pregon_chunk_bytes",
            "pregon_debt_bytes",
            "pregon_lane_queue",
        ] {
            node.wait_for_metric(gauge, |value| value == 0.0).await;
        }
    }
    let of_nodes = steady(|| cluster.nodes.iter().flat_map(held).collect()).await;
    let names = ["descriptors", "threads", "memory in MiB"];
    for (place, value) in of_nodes.into_iter().enumerate() {
        let name = format!("{}, node {}", names[place % names.len()], place / names.len());
        samples.entry(name).or_default().push(value);
    }
    let keys: Vec<String> = cluster.redis.command(["KEYS", "*"].map(Word::from)).await;
    // A partition's stream is made with its first event, and stays.
    let (streams, others): (Vec<&String>, Vec<_>) = keys.iter().partition(|key| key.contains(":events:"));
    assert!(streams.len() <= PARTITIONS, "{streams:?}");
    let channels: Vec<String> = cluster.redis.command(["PUBSUB", "CHANNELS"].map(Word::from)).await;
    for (what, count) in [("keys of Redis beside its streams", others.len()), ("channels of Redis", channels.len())] {
        samples.entry(what.to_owned()).or_default().push(f64::from(u32::try_from(count).unwrap()));
    }
}

/// The least of each that is measured during two seconds: connections of this program are still being ended, and the allocator
/// returns what is free after a second.
async fn steady(measure: impl Fn() -> Vec<f64>) -> Vec<f64> {
    let mut least = measure();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        least.iter_mut().zip(measure()).for_each(|(least, now)| *least = least.min(now));
    }
    least
}

/// What a node holds.
fn held(node: &Server) -> [f64; 3] {
    [entries(node, "fd"), entries(node, "task"), resident(node)]
}

fn entries(node: &Server, what: &str) -> f64 {
    let count = std::fs::read_dir(format!("/proc/{}/{what}", node.pid())).unwrap().count();
    f64::from(u32::try_from(count).unwrap())
}

fn resident(node: &Server) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

/// The growth from the middle of the first third to the end, by the median of the slopes between all pairs of samples (Theil and
/// Sen), which single outliers do not move. The first third is for what is made once.
fn growth(samples: &[f64]) -> f64 {
    let rest = &samples[samples.len() / 3..];
    let place = |place: usize| f64::from(u32::try_from(place).unwrap());
    let mut slopes = Vec::new();
    for (first, before) in rest.iter().enumerate() {
        slopes.extend(
            rest.iter().enumerate().skip(first + 1).map(|(last, after)| (after - before) / place(last - first)),
        );
    }
    slopes.sort_by(f64::total_cmp);
    let median = slopes.get(slopes.len() / 2).copied().unwrap_or(0.0);
    median * place(rest.len().saturating_sub(1))
}

fn judge(samples: &Samples, rounds: u32, took: Duration) {
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    for (what, values) in samples {
        let (first, last) = (values[values.len() / 3], values[values.len() - 1]);
        let grown = growth(values);
        let limit = if what.starts_with("memory") { MEMORY_GROWTH_MIB } else { COUNT_GROWTH };
        let an_hour = grown / (2.0 / 3.0 * took.as_secs_f64()) * 3600.0;
        lines.push(format!("| {what} | {first:.1} | {last:.1} | {grown:.1} | {an_hour:.0} |"));
        if grown > limit {
            faults.push(format!("{what} grows by {grown}: {values:?}"));
        }
    }
    eprintln!(
        "| at rest | after a third of {rounds} rounds | at the end | grown by the trend | an hour |\n| --- | --- | --- | --- | --- |"
    );
    eprintln!("{}", lines.join("\n"));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn what_grows_is_told_from_what_only_varies() {
    let noise = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0, 5.0, 8.0];
    let samples =
        |slope: f64| (0_u32..).zip(noise).map(|(n, noise)| 100.0 + noise + slope * f64::from(n)).collect::<Vec<_>>();
    assert!(growth(&samples(0.0)) <= COUNT_GROWTH, "{}", growth(&samples(0.0)));
    assert!(growth(&samples(1.0)) > COUNT_GROWTH);
    // A table that is made in the first rounds, and one outlier.
    let made_once = [10.0, 50.0, 90.0, 100.0, 100.0, 100.0, 700.0, 100.0, 100.0, 100.0, 100.0, 100.0];
    assert!(growth(&made_once).abs() < 1.0);
    let leak = [10.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0];
    assert!(growth(&leak) > COUNT_GROWTH);
}
