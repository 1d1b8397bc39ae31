//! Clients that send as fast as they can and read nothing: they are let go, the memory is bounded, others talk on.

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use pregon::limits::{MESSAGE_BYTES_MAX, OUTBOX_OWED_BYTES_MAX};
use serde_json::json;
use support::Server;
use support::crowd::{masked, upgrade};

/// Beyond the debts: chunks kept for reuse, the allocator, answers to what one look takes from each socket.
const ELSEWHERE_BYTES: usize = 12 * 1024 * 1024;
/// How long somebody else may wait for a frame meanwhile, in a build without optimisation on a machine that the floods
/// keep busy as well.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// What each kind of flood sends again and again.
fn floods() -> [(&'static str, Vec<u8>); 3] {
    let stamp = "x".repeat(MESSAGE_BYTES_MAX - 100);
    let ping = json!({"type": "ping", "timestamp": stamp}).to_string();
    [
        ("pings", masked(9, &[b'p'; 125]).repeat(500)),
        ("64 KiB answered by as much", masked(1, ping.as_bytes())),
        ("seven bytes answered by a hundred", masked(1, b"x").repeat(9000)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_floods_and_never_reads_is_let_go_and_costs_little() {
    let server = Server::builder().seed(5, 1, 5).set("PREGON_SHARDS", 1).start().await;
    let (mut ana, mut beto) = (server.join(0, 0).await, server.join(0, 1).await);
    ana.until_pong().await;
    beto.until_pong().await;
    server.forget_peak();
    let before = server.peak_bytes();
    let floods: Vec<_> = floods()
        .into_iter()
        .enumerate()
        .map(|(number, (name, bytes))| {
            let mut socket = upgrade(&server, &server.chat_path(0, 2 + number), |_| {});
            std::thread::spawn(move || {
                let began = Instant::now();
                while socket.write_all(&bytes).is_ok() {
                    assert!(began.elapsed() < support::PATIENCE, "{name}: never let go");
                }
                println!("{name}: let go after {:?}", began.elapsed());
            })
        })
        .collect();
    let mut longest = Duration::ZERO;
    let mut number = 0;
    while floods.iter().any(|flood| !flood.is_finished()) {
        let began = Instant::now();
        ana.send(json!({"type": "signal", "data": number})).await;
        assert_eq!(beto.expect("signal").await["data"], number);
        longest = longest.max(began.elapsed());
        number += 1;
    }
    floods.into_iter().for_each(|flood| flood.join().unwrap());
    println!("{number} signals, the longest took {longest:?}; {} bytes more", server.peak_bytes() - before);
    assert!(longest < WAIT_MAX, "{longest:?}");
    let allowed = 3 * 3 * OUTBOX_OWED_BYTES_MAX + ELSEWHERE_BYTES;
    let peak = server.peak_bytes();
    assert!(peak <= before + allowed as u64, "{before} bytes before, {peak} in the flood");
    assert_eq!(server.metric("pregon_sessions_too_slow_total").await, 3.0);
    server.wait_for_metric("pregon_sessions", |sessions| sessions == 2.0).await;
    ana.send(json!({"type": "chat_message", "content": "sigue"})).await;
    beto.expect("chat_message").await;
}
