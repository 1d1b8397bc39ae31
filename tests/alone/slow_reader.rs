//! One member of a thousand stops reading: it is disconnected after whole frames, and the others and the memory do not
//! notice.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::crowd::{Crowd, Frames, upgrade};
use crate::support::Server;
use crate::turn;
use pregon::limits::{CHUNK_BYTES, CLOSE_TIMEOUT, OUTBOX_OWED_BYTES_MAX, OUTBOX_SHARED_BYTES_MAX, READER_PATIENCE};
use serde_json::{Value, json};

const MEMBERS: usize = 1000;
/// Pairs of rounds: one without and one with a stalled reader.
const PAIRS: usize = 5;
/// Messages of a round. With some 8 KB each they exceed a debt of [`OUTBOX_OWED_BYTES_MAX`] and the kernel's buffers.
const MESSAGES: usize = 150;
/// Allowance for a noisy machine beside the quarter: the medians differ by as much between two equal rounds.
const NOISE: Duration = Duration::from_millis(2);
/// From the last message until the stalled reader is let go: its patience in whole seconds, and the server's and this test's looks.
const LET_GO_WITHIN: Duration = READER_PATIENCE.saturating_add(Duration::from_secs(2));
/// Memory that the allocator and SQLite may take in addition.
const ELSEWHERE_BYTES: usize = 4 * 1024 * 1024;

/// Sends a round's messages. Returns the 99th percentile of every member's waits.
fn round(crowd: &mut Crowd, first: usize) -> Duration {
    let filler = "😀".repeat(1900);
    let mut latencies = Vec::with_capacity(MESSAGES * MEMBERS);
    for number in first..first + MESSAGES {
        let content = format!("{number} {filler}");
        crowd.say(&json!({"type": "chat_message", "content": content}).to_string(), &mut latencies);
    }
    latencies.sort_unstable();
    latencies[latencies.len() * 99 / 100]
}

fn median(mut values: Vec<Duration>) -> Duration {
    values.sort_unstable();
    values[values.len() / 2]
}

/// A socket that is greeted and then not read, with the buffers of a small distant machine, so that little more than
/// the debt must be sent before it is disconnected.
fn stall(server: &Server, user: usize) -> (TcpStream, Frames) {
    let mut socket = upgrade(server, &server.chat_path(0, user), |socket| {
        socket.set_recv_buffer_size(2048).unwrap();
        socket.set_tcp_mss(536).unwrap();
    });
    let mut frames = Frames::default();
    let mut byte = [0];
    while frames.next().is_none() {
        assert_eq!(socket.read(&mut byte).unwrap(), 1);
        frames.feed(&byte);
    }
    (socket, frames)
}

/// What the stalled reader finds when it reads at last: whole messages without a gap, starting with the round's first;
/// then 4008, or a reset if it read the goodbye too late, which was sent after `stalled_at`.
fn assert_whole(mut socket: TcpStream, mut frames: Frames, first: usize, stalled_at: Instant) {
    // The kernels' buffers must be read before the reset arrives.
    socket2::SockRef::from(&socket).set_recv_buffer_size(4 * 1024 * 1024).unwrap();
    let is_in_time = stalled_at.elapsed() + Duration::from_secs(2) < CLOSE_TIMEOUT;
    let mut next = first;
    let mut code = None;
    let mut buffer = [0; 16 * 1024];
    let was_reset = loop {
        match socket.read(&mut buffer) {
            Ok(0) => break false,
            Ok(count) => frames.feed(&buffer[..count]),
            Err(_) => break true,
        }
        while let Some((opcode, payload)) = frames.next() {
            assert_eq!(code, None, "nothing comes after the close frame");
            if opcode == 8 {
                code = Some(u16::from_be_bytes([payload[0], payload[1]]));
                continue;
            }
            let frame: Value = serde_json::from_slice(payload).expect("a frame is whole");
            let content = frame["message"]["content"].as_str().unwrap();
            assert_eq!(content.split(' ').next(), Some(next.to_string().as_str()), "in order, without a gap");
            next += 1;
        }
        // Like a real client, it answers the goodbye by closing.
        if code.is_some() {
            break false;
        }
    };
    assert!(was_reset || frames.is_at_a_boundary(), "a torn frame");
    // After a torn frame the goodbye would be read as the rest of that frame, and only the reset would end the wait.
    assert!(code == Some(4008) || (was_reset && !is_in_time), "{code:?} after {:?}", stalled_at.elapsed());
    assert!(next < first + MESSAGES, "it was let go before the end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stalled_reader_among_a_thousand_is_let_go_and_nobody_notices() {
    let _turn = turn::mine().await;
    let server = Server::builder().seed(MEMBERS, 1, MEMBERS).set("PREGON_SHARDS", 1).start().await;
    let mut crowd = Crowd::join(&server, 0..MEMBERS - 1);
    let mut said = 0;
    let mut next_round = |crowd: &mut Crowd| {
        said += MESSAGES;
        (round(crowd, said - MESSAGES), said - MESSAGES)
    };
    let mut without = Vec::new();
    let mut with = Vec::new();
    next_round(&mut crowd);
    for pair in 1..=PAIRS {
        server.forget_peak();
        without.push(next_round(&mut crowd).0);
        let quiet = server.peak_bytes();
        let (socket, frames) = stall(&server, MEMBERS - 1);
        let stalled_at = Instant::now();
        server.forget_peak();
        let (p99, first) = next_round(&mut crowd);
        with.push(p99);
        let peak = server.peak_bytes();
        let said = Instant::now();
        server.wait_for_metric("pregon_sessions_too_slow_total", |count| count >= pair as f64).await;
        // On a fast machine its patience begins when all is said. Not only at the next ping: debts are checked and written to the
        // metrics several times a second.
        assert!(said.elapsed() < LET_GO_WITHIN, "let go {:?} after the last message", said.elapsed());
        // The debt's buffer doubles: while it is copied, the old and the new one exist.
        let allowed = 3 * OUTBOX_OWED_BYTES_MAX + OUTBOX_SHARED_BYTES_MAX + CHUNK_BYTES + ELSEWHERE_BYTES;
        assert!(peak <= quiet + allowed as u64, "{quiet} bytes without, {peak} with a stalled reader");
        assert_whole(socket, frames, first, stalled_at);
    }
    assert_eq!(server.metric("pregon_sessions_let_go_total").await, PAIRS as f64);
    eprintln!("p99 without {without:?}, with {with:?}");
    let without = median(without);
    let with = median(with);
    assert!(with <= without.mul_f64(1.25) + NOISE, "p99 {without:?} without, {with:?} with a stalled reader");
    server.wait_for_metric("pregon_sessions", |sessions| sessions == (MEMBERS - 1) as f64).await;
}
