//! Clients that send as fast as they can: those that read no answer are disconnected, memory stays bounded, others can
//! still talk.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::crowd::{masked, upgrade};
use crate::support::{Server, Socket};
use crate::turn;
use pregon::limits::{MESSAGE_BYTES_MAX, OUTBOX_OWED_BYTES_MAX};
use serde_json::json;

/// Memory beyond the debts: chunks kept for reuse, the allocator, and answers to one read of each socket.
const ELSEWHERE_BYTES: usize = 12 * 1024 * 1024;
/// How long another user may wait for a frame during the flood, in an unoptimised build on a machine that the floods
/// keep busy, too.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// The bytes that each kind of flood repeats.
fn floods() -> [(&'static str, Vec<u8>); 3] {
    let stamp = "x".repeat(MESSAGE_BYTES_MAX - 100);
    let ping = json!({"type": "ping", "timestamp": stamp}).to_string();
    [
        ("pings", masked(9, &[b'p'; 125]).repeat(500)),
        ("64 KiB answered by as much", masked(1, ping.as_bytes())),
        ("seven bytes answered by a hundred", masked(1, b"x").repeat(9000)),
    ]
}

/// Sends until the server disconnects it.
fn flood(mut socket: TcpStream, name: &str, bytes: &[u8]) {
    let began = Instant::now();
    while socket.write_all(bytes).is_ok() {
        assert!(began.elapsed() < crate::support::PATIENCE, "{name}: never let go");
    }
    eprintln!("{name}: ended after {:?}", began.elapsed());
}

/// Two members talk until the floods are over. Returns the longest time that a frame took.
async fn talk_meanwhile(ana: &mut Socket, beto: &mut Socket, floods: &[JoinHandle<()>]) -> Duration {
    let mut longest = Duration::ZERO;
    let mut number = 0;
    while floods.iter().any(|flood| !flood.is_finished()) {
        let began = Instant::now();
        ana.send(json!({"type": "signal", "data": number})).await;
        assert_eq!(beto.expect("signal").await["data"], number);
        longest = longest.max(began.elapsed());
        number += 1;
    }
    eprintln!("{number} signals, the longest took {longest:?}");
    longest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_floods_costs_little_and_without_reading_is_let_go() {
    let _turn = turn::mine().await;
    let server = Server::builder().seed(6, 1, 6).set("PREGON_SHARDS", 1).start().await;
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    ana.until_pong().await;
    beto.until_pong().await;
    server.forget_peak();
    let before = server.peak_bytes();
    // One client reads everything as fast as it can. It does nothing wrong, and costs no more memory.
    let reader = upgrade(&server, &server.chat_path(0, 5), |_| {});
    let mut ear = reader.try_clone().unwrap();
    let hand = reader.try_clone().unwrap();
    let listening = std::thread::spawn(move || {
        let mut buffer = vec![0; 1024 * 1024];
        while ear.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    let sending = std::thread::spawn(move || flood(hand, "who reads", &floods()[2].1));
    let silent = floods().into_iter().enumerate().map(|(number, (name, bytes))| {
        let socket = upgrade(&server, &server.chat_path(0, 2 + number), |_| {});
        std::thread::spawn(move || flood(socket, name, &bytes))
    });
    let silent: Vec<_> = silent.collect();
    let longest = talk_meanwhile(&mut ana, &mut beto, &silent).await;
    silent.into_iter().for_each(|flood| flood.join().unwrap());
    assert!(longest < WAIT_MAX, "{longest:?}");
    let peak = server.peak_bytes();
    eprintln!("{} bytes more", peak - before);
    let allowed = 3 * 3 * OUTBOX_OWED_BYTES_MAX + ELSEWHERE_BYTES;
    assert!(peak <= before + allowed as u64, "{before} bytes before, {peak} in the flood");
    assert!(!sending.is_finished(), "who reads is not let go");
    reader.shutdown(Shutdown::Both).unwrap();
    sending.join().unwrap();
    listening.join().unwrap();
    server.wait_for_metric("pregon_sessions", |sessions| sessions == 2.0).await;
    assert_eq!(server.metric("pregon_sessions_too_slow_total").await, 3.0);
    ana.until_pong().await;
    beto.until_pong().await;
    ana.send(json!({"type": "chat_message", "content": "sigue"})).await;
    beto.expect("chat_message").await;
}
