//! Clients that show forged tokens as fast as they can: the signatures are not checked on a shard's thread.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Server, pregon};
use crate::turn;

/// How long each flood lasts.
const FLOOD: Duration = Duration::from_secs(4);
const CLIENTS: usize = 12;

/// How long the shard's thread has computed.
fn shard_time(server: &Server) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let nanos = tasks.flatten().filter_map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let times = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        name.starts_with("shard-").then(|| times.split(' ').next()?.parse::<u64>().ok())?
    });
    Duration::from_nanos(nanos.sum())
}

/// Shows a token in handshakes, one after the other, until it is over.
fn show(server: &str, token: &str, is_over: &AtomicBool, answered: &AtomicU64) {
    let request = format!(
        "GET /ws/feed/?token={token} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut socket = TcpStream::connect(server).unwrap();
    let mut answer = [0; 4096];
    while !is_over.load(Ordering::Relaxed) {
        socket.write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        while !answer[..length].ends_with(b"\r\n\r\n") {
            let more = socket.read(&mut answer[length..]).unwrap();
            assert!(more > 0, "the connection stays");
            length += more;
        }
        assert!(answer.starts_with(b"HTTP/1.1 403 "), "{}", String::from_utf8_lossy(&answer[..length]));
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a flood with this token does: the shard's time for each handshake, and how long a frame of others takes in the middle and at
/// worst.
async fn flood(server: &Server, token: &str) -> (Duration, [Duration; 2]) {
    let (mut ana, mut beto) = (server.join(0, 0).await, server.join(0, 1).await);
    let (is_over, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let before = shard_time(server);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (address, token) = (server.address().to_owned(), token.to_owned());
            let (is_over, answered) = (is_over.clone(), answered.clone());
            std::thread::spawn(move || show(&address, &token, &is_over, &answered))
        })
        .collect();
    let (began, mut times) = (Instant::now(), Vec::new());
    // As many frames whatever the flood is, so that they cost the same.
    let mut turns = tokio::time::interval(Duration::from_millis(10));
    while began.elapsed() < FLOOD {
        turns.tick().await;
        let sent = Instant::now();
        ana.send(json!({"type": "signal", "data": times.len()})).await;
        beto.expect("signal").await;
        times.push(sent.elapsed());
    }
    is_over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    let answered = answered.load(Ordering::Relaxed).max(1);
    times.sort();
    let place = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    let each = (shard_time(server) - before) / u32::try_from(answered).unwrap();
    eprintln!("{answered} handshakes, {each:?} of the shard each; frames of others: {:?}, {:?}", place(50), place(99));
    (each, [place(50), place(99)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_tokens_of_slow_keys_cost_a_shard_no_more_than_others() {
    let _turn = turn::mine().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    let mut add = pregon(&[], folder.path());
    assert!(
        add.args(["keys", "add"])
            .arg(&file)
            .args(["--kid", "slow", "--algorithm", "ES384"])
            .status()
            .unwrap()
            .success()
    );
    let server =
        Server::builder().seed(3, 1, 3).set("PREGON_SHARDS", 1).set("PREGON_JWT_KEYS", file.display()).start().await;
    let person = json!({"email": "ana.forja@example.com", "username": "ana_forja", "display_name": "Ana",
        "password": "muy-secreta-9", "password_confirm": "muy-secreta-9"});
    let answer = reqwest::Client::new().post(server.http("/api/auth/register/")).json(&person).send().await.unwrap();
    let good = answer.json::<Value>().await.unwrap()["tokens"]["access"].as_str().unwrap().to_owned();
    let (message, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{message}.{}", signature.chars().rev().collect::<String>());
    // The same length, and no key is meant: nothing is computed.
    let unknown = format!("x{}", &forged[1..]);
    let (cheap, _) = flood(&server, &unknown).await;
    let (slow, _) = flood(&server, &forged).await;
    // Handing over costs something, and what a shard does anyway is spread over fewer: 1.5 to 2.1 times. Checked on its thread it was 4.4.
    assert!(slow < cheap * 3, "{slow:?} of the shard for each, and {cheap:?} where nothing is checked");
}
