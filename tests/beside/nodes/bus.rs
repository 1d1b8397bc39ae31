//! The bus itself, on one Redis, a Redis Cluster and behind a Sentinel: it has deadlines of its own where the client library
//! waits for ever.

use std::time::{Duration, Instant};

use bytes::Bytes;
use fred::types::Value as Word;
use pregon::cluster::bus::{Bus, Reader};
use pregon::cluster::redis::Address;
use pregon::cluster::streams::Streams;
use pregon::ids::PARTITIONS;
use pregon::limits::{BELLS_WAITING_MAX, BUS_ANSWER_TIMEOUT, BUS_BLOCK, NODE_BEAT_EVERY};

use crate::nodes::cluster::{Cluster, say, text_of};
use crate::nodes::many_redis::{RedisCluster, Watched};
use crate::nodes::oracle::Talk;
use crate::nodes::proxy::Proxy;
use crate::redis::Redis;
use crate::support::PATIENCE;

/// What a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(2);

fn streams(url: &str) -> Streams {
    Streams::new(Address::parse(url).unwrap(), "test")
}

/// One entry for each partition.
fn entries(text: &str) -> Vec<(usize, Bytes)> {
    (0..PARTITIONS).map(|partition| (partition, Bytes::from(format!("{text} {partition}")))).collect()
}

/// Reads until so many entries have come.
async fn read(reader: &mut dyn Reader, positions: &mut pregon::cluster::bus::Positions, count: usize) -> Vec<String> {
    let (began, mut all) = (Instant::now(), Vec::new());
    while all.len() < count {
        assert!(began.elapsed() < PATIENCE, "{all:?}");
        let some = reader.read_after(positions).await.unwrap();
        all.extend(some.into_iter().map(|entry| String::from_utf8(entry.to_vec()).unwrap()));
    }
    all.sort_unstable();
    all
}

/// fred issue 351: the answer to SUBSCRIBE may not come on a server that is idle otherwise. A bell may be lost by that, as
/// any may; whoever rings again, as nodes do, is heard, if need be by a new connection.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_listens_on_an_idle_server_hears() {
    let redis = Redis::start();
    let bus = streams(&redis.url());
    let (mut late, mut anew) = (0, 0);
    for round in 0..100 {
        let mut writer = bus.writer().await.unwrap();
        let bell = Bytes::from(format!("bell {round}"));
        let began = Instant::now();
        'connections: loop {
            assert!(began.elapsed() < PATIENCE, "nothing is heard");
            let connecting = Instant::now();
            let mut listener = bus.listener().await.unwrap();
            assert!(connecting.elapsed() < BUS_ANSWER_TIMEOUT + SLACK, "{:?}", connecting.elapsed());
            for _ in 0..4 {
                writer.ring(std::slice::from_ref(&bell)).await.unwrap();
                match tokio::time::timeout(NODE_BEAT_EVERY, listener.heard()).await {
                    Ok(heard) => {
                        assert_eq!(heard.unwrap(), bell);
                        break 'connections;
                    }
                    Err(_) => late += 1,
                }
            }
            anew += 1;
        }
    }
    eprintln!("of 100 listeners {late} beats were not heard, and {anew} connections were made anew");
}

/// The client library passes over connections that wait inside a server, so it never notices that such a server is dead.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_and_a_writer_notice_a_server_that_answers_no_more() {
    let redis = Redis::start();
    let proxy = Proxy::to(redis.port()).await;
    let bus = streams(&proxy.url());
    let (mut writer, mut reader) = (bus.writer().await.unwrap(), bus.reader().await.unwrap());
    let mut positions = reader.ends().await.unwrap();
    writer.append(&entries("one")).await.unwrap();
    assert_eq!(read(&mut *reader, &mut positions, PARTITIONS).await.len(), PARTITIONS);
    proxy.fall_silent();
    let began = Instant::now();
    assert!(reader.read_after(&mut positions).await.is_err());
    assert!(began.elapsed() < BUS_BLOCK + BUS_ANSWER_TIMEOUT + SLACK, "{:?}", began.elapsed());
    let began = Instant::now();
    assert!(writer.append(&entries("two")).await.is_err());
    assert!(writer.ring(&[Bytes::from_static(b"bell")]).await.is_err());
    assert!(began.elapsed() < 2 * BUS_ANSWER_TIMEOUT + SLACK, "{:?}", began.elapsed());
    proxy.heal();
    let mut reader = bus.reader().await.unwrap();
    bus.writer().await.unwrap().append(&entries("three")).await.unwrap();
    let all = read(&mut *reader, &mut positions, PARTITIONS).await;
    assert!(all.iter().any(|entry| entry == "three 0"), "{all:?}");
}

/// fred issue 363: a Cluster client goes on dialling a master that failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_master_of_a_redis_cluster_dies_and_the_bus_goes_on_with_its_replica() {
    let redis = RedisCluster::start().await;
    let bus = streams(&redis.url());
    let (mut writer, mut reader) = (bus.writer().await.unwrap(), bus.reader().await.unwrap());
    let mut listener = bus.listener().await.unwrap();
    let mut positions = reader.ends().await.unwrap();
    writer.append(&entries("one")).await.unwrap();
    assert_eq!(read(&mut *reader, &mut positions, PARTITIONS).await.len(), PARTITIONS);
    writer.ring(&[Bytes::from_static(b"bell")]).await.unwrap();
    assert_eq!(listener.heard().await.unwrap(), "bell");
    redis.kill_a_master().await;
    let began = Instant::now();
    assert!(writer.append(&entries("two")).await.is_err());
    assert!(began.elapsed() < BUS_ANSWER_TIMEOUT + SLACK, "{:?}", began.elapsed());
    let began = Instant::now();
    while reader.read_after(&mut positions).await.is_ok() {
        assert!(began.elapsed() < BUS_BLOCK + BUS_ANSWER_TIMEOUT + SLACK, "the reader does not notice");
    }
    redis.wait_for_the_replica().await;
    let (began, mut appended) = (Instant::now(), false);
    while !appended {
        assert!(began.elapsed() < PATIENCE, "the bus does not find the new master");
        let Ok(mut writer) = bus.writer().await else { continue };
        appended = writer.append(&entries("three")).await.is_ok();
    }
    let mut reader = bus.reader().await.unwrap();
    let wanted: Vec<_> = (0..PARTITIONS).map(|partition| format!("three {partition}")).collect();
    let mut all = Vec::new();
    while !wanted.iter().all(|entry| all.contains(entry)) {
        all.extend(read(&mut *reader, &mut positions, 1).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_talk_over_a_redis_cluster_that_loses_a_master() {
    let redis = RedisCluster::start().await;
    let cluster = Cluster::at(Redis::start(), &redis.url(), 2, 3).await;
    let talk = Talk::begin(&cluster, [0, 1]).await;
    talk.go_on(60).await;
    redis.kill_a_master().await;
    talk.go_on(60).await;
    redis.wait_for_the_replica().await;
    cluster.wait_for_peers().await;
    talk.end().await.check_of_stayers("a master of Redis Cluster killed", Duration::from_secs(4));
}

/// The master dies while everybody talks, and its replica takes over.
async fn fail_over(redis: Watched, what: &str) {
    let cluster = Cluster::at(Redis::start(), &redis.url(), 2, 3).await;
    let talk = Talk::begin(&cluster, [0, 1]).await;
    talk.go_on(60).await;
    redis.master.kill();
    talk.go_on(60).await;
    redis.wait_for_the_replica().await;
    cluster.wait_for_peers().await;
    talk.end().await.check_of_stayers(what, Duration::from_secs(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_talk_while_a_sentinel_fails_over() {
    fail_over(Watched::start().await, "a master killed, Sentinel promotes its replica").await;
}

/// The slots of all streams change their masters, twice, while everybody talks.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_talk_while_a_redis_cluster_moves_their_streams() {
    let redis = RedisCluster::start().await;
    let cluster = Cluster::at(Redis::start(), &redis.url(), 2, 3).await;
    let talk = Talk::begin(&cluster, [0, 1]).await;
    talk.go_on(60).await;
    for _ in 0..2 {
        let moved = redis.move_the_streams().await;
        assert!(moved > 0, "there are no streams");
        talk.go_on(60).await;
    }
    cluster.wait_for_peers().await;
    talk.end()
        .await
        .check_of_stayers("streams of a Redis Cluster moved to other masters, twice", Duration::from_secs(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_talk_while_a_sentinel_with_passwords_fails_over() {
    fail_over(Watched::with_passwords("hunter2", "sentry3").await, "the same with passwords").await;
}

/// A listener that takes bells more slowly than they come loses the oldest: that is counted, and the connection goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_bells_that_is_longer_than_may_wait_loses_the_oldest_and_is_counted() {
    let registry = pregon::telemetry::install();
    let redis = Redis::start();
    let bus = streams(&redis.url());
    let (mut writer, mut listener) = (bus.writer().await.unwrap(), bus.listener().await.unwrap());
    // The answer to SUBSCRIBE may be late: what is heard shows that it is done.
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < PATIENCE, "nothing is heard");
        writer.ring(&[Bytes::from_static(b"first")]).await.unwrap();
        if tokio::time::timeout(NODE_BEAT_EVERY, listener.heard()).await.is_ok() {
            break;
        }
    }
    let rung = 2 * BELLS_WAITING_MAX;
    for number in 0..rung {
        writer.ring(&[Bytes::from(number.to_string())]).await.unwrap();
    }
    let mut heard = Vec::new();
    let last = (rung - 1).to_string();
    while heard.last().is_none_or(|bell| *bell != last) {
        let bell = tokio::time::timeout(PATIENCE, listener.heard()).await.expect("the last one comes").unwrap();
        heard.push(String::from_utf8(bell.to_vec()).unwrap());
    }
    heard.retain(|bell| bell != "first");
    // The last ones may still have been on the way when hearing began.
    let kept = BELLS_WAITING_MAX.next_power_of_two();
    assert!(heard.len() <= kept + kept / 16, "{} were kept", heard.len());
    let expected: Vec<_> = (rung - heard.len()..rung).map(|number| number.to_string()).collect();
    assert_eq!(heard, expected, "the newest ones, in order");
    writer.ring(&[Bytes::from_static(b"later")]).await.unwrap();
    assert_eq!(listener.heard().await.unwrap(), "later");
    let text = registry.render();
    let unheard = text.lines().find(|line| line.starts_with("pregon_bus_dropped_total") && line.contains("unheard"));
    let count: usize = unheard.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0);
    assert!(count >= rung - heard.len(), "{unheard:?}");
}

/// Whoever can write to Redis may say anything: what is no whole text is not sent on, and nobody's connection suffers.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_node_rang_breaks_no_connection() {
    let cluster = Cluster::start(2, 3).await;
    let mut ears = [cluster.join(0, 0).await, cluster.join(1, 1).await];
    let channels: Vec<String> = cluster.redis.command(["PUBSUB", "CHANNELS"].map(Word::from)).await;
    let room = cluster.nodes[0].fixture.rooms[0].id.replace('-', "");
    let node = uuid::Uuid::now_v7();
    let rung = |bell: &str, tail: &[u8]| {
        let head = format!("{{\"node\":\"{node}\",\"bell\":{bell}}}\n");
        Bytes::from([head.as_bytes(), tail].concat())
    };
    let passing = format!("{{\"ephemeral\":{{\"topic\":\"room:{room}\",\"except\":null}}}}");
    let ring = async |bell: Bytes| {
        for channel in &channels {
            let _: i64 =
                cluster.redis.command([Word::from("PUBLISH"), Word::from(channel), Word::from(bell.clone())]).await;
        }
    };
    let long = [&[0x81, 0x7f, 0, 0, 0, 0, 0, 4, 0, 1][..], &[b'x'; 0x4_0001]].concat();
    let tails: [&[u8]; 7] = [
        b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x81\x85abcdhello",
        b"\xc1\x05hello",
        b"\x81\x05hell",
        b"\x88\x02\x03\xe8",
        b"\x81\x02\xff\xff",
        &long,
    ];
    for tail in tails {
        ring(rung(&passing, tail)).await;
    }
    for nonsense in ["{}", "\"no such bell\"", "[[[[[[[[", "{\"roster\":{\"round\":18446744073709551616}}"] {
        ring(rung(nonsense, b"")).await;
    }
    for node in &cluster.nodes {
        node.wait_for_metric("pregon_bus_unreadable_total", |count| count >= 11.0).await;
    }
    ring(rung(&passing, b"\x81\x0f{\"type\":\"good\"}")).await;
    for ear in &mut ears {
        ear.expect_any("good").await;
    }
    say(&mut ears[0], "todavía aquí").await;
    for ear in &mut ears {
        assert_eq!(text_of(&ear.expect_any("chat_message").await), "todavía aquí");
    }
}
