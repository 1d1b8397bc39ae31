//! Readers who stall: what is passing goes first, nothing that is stored goes without a word, and beyond a budget they go.

use crate::support::v1::Client;
use crate::support::{Builder, PATIENCE, Server, Socket};
use pregon::limits::OUTBOX_OWED_BYTES_MAX;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Message;

/// Characters of a message that make it some 8 KB long.
const LONG: usize = 1900;

fn builder() -> Builder {
    Server::builder().seed(2, 1, 2).set("PREGON_SHARDS", 1)
}

fn room(server: &Server) -> String {
    format!("room:{}", server.fixture.rooms[0].id.replace('-', ""))
}

/// A socket with the buffers of a small distant machine, so that the kernels hold little of what it does not read.
async fn small(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> Socket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket2::SockRef::from(&socket).set_tcp_mss(536).unwrap();
    let stream = socket.connect(server.address().parse().unwrap()).await.unwrap();
    Socket::open_over(server.wire_over(stream).await.unwrap(), server.address(), path, headers).await.unwrap()
}

/// What somebody says while another one does not read.
#[derive(Default)]
struct Said {
    messages: usize,
    signals: usize,
}

impl Said {
    async fn message(&mut self, ana: &mut Socket) {
        let content = format!("{} {}", self.messages, "😀".repeat(LONG));
        ana.send(json!({"type": "chat_message", "content": content})).await;
        ana.expect_any("chat_message").await;
        self.messages += 1;
    }

    async fn signal(&mut self, ana: &mut Socket) {
        ana.send(json!({"type": "signal", "data": self.signals})).await;
        self.signals += 1;
    }
}

/// The most that one session owed a moment ago.
async fn owed(server: &Server) -> usize {
    server.metric("pregon_outbox_high_water_bytes").await as usize
}

/// Talks until the reader is behind, but not by too much. Then it says something passing, and something more that is stored.
/// Returns how many signals came before the reader was behind.
async fn leave_behind(server: &Server, ana: &mut Socket, said: &mut Said) -> usize {
    while owed(server).await < 100 * 1024 {
        for _ in 0..4 {
            said.signal(ana).await;
            said.message(ana).await;
        }
        assert!(said.messages < 2000, "it is never behind");
    }
    let before = said.signals;
    for _ in 0..30 {
        said.signal(ana).await;
        ana.send(json!({"type": "typing", "is_typing": true})).await;
    }
    for _ in 0..5 {
        said.message(ana).await;
    }
    assert!(owed(server).await < OUTBOX_OWED_BYTES_MAX, "it is behind by too much");
    before
}

/// The number at the beginning of a message.
fn number(frame: &Value) -> usize {
    frame.as_str().unwrap().split(' ').next().unwrap().parse().unwrap()
}

/// A socket of the older kinds.
#[tokio::test]
async fn a_stalled_reader_misses_what_is_passing_and_nothing_that_is_stored() {
    let server = builder().start().await;
    let (mut ana, mut said) = (server.join(0, 0).await, Said::default());
    let mut beto = small(&server, &server.chat_path(0, 1), &[]).await;
    beto.expect("connection_success").await;
    let before = leave_behind(&server, &mut ana, &mut said).await;
    server.wait_for_metric("pregon_frames_skipped_total", |count| count >= 60.0).await;
    // What waits already is older than its use, too: soon there is nothing passing left.
    let skipped = server.metric("pregon_frames_skipped_total").await;
    beto.send(json!({"type": "ping", "timestamp": 1})).await;
    let (mut messages, mut signals) = (0, 0);
    loop {
        let frame = beto.next_json().await;
        match frame["type"].as_str().unwrap() {
            "chat_message" => {
                assert_eq!(number(&frame["message"]["content"]), messages, "in order, without a gap");
                messages += 1;
            }
            "signal" => {
                assert!(frame["data"].as_u64().unwrap() < before as u64, "{frame}");
                signals += 1;
            }
            "pong" => break,
            "typing_status" => panic!("it is old"),
            _ => {}
        }
    }
    assert_eq!(messages, said.messages);
    assert!(signals + 30 <= said.signals && skipped >= 60.0, "{signals} of {} signals", said.signals);
    // It has lost nothing but that.
    said.message(&mut ana).await;
    said.signal(&mut ana).await;
    assert_eq!(number(&beto.expect("chat_message").await["message"]["content"]), messages);
    assert_eq!(beto.expect("signal").await["data"], json!(said.signals - 1));
    assert_eq!(server.metric("pregon_sessions_too_slow_total").await, 0.0);
}

#[tokio::test]
async fn a_stalled_reader_of_v1_is_told_that_it_missed_what_is_passing() {
    let server = builder().start().await;
    let (mut ana, mut said) = (server.join(0, 0).await, Said::default());
    let offer = format!("pregon.v1, token.{}", server.fixture.users[1].token);
    let mut beto = Client::over(small(&server, "/ws/", &[("sec-websocket-protocol", &offer)]).await);
    assert_eq!(beto.next().await["type"], "welcome");
    beto.subscribed(&room(&server), None).await;
    let before = leave_behind(&server, &mut ana, &mut said).await;
    server.wait_for_metric("pregon_frames_skipped_total", |count| count >= 60.0).await;
    let (mut messages, mut is_told) = (0, false);
    while messages < said.messages || !is_told {
        let frame = beto.next().await;
        match (frame["type"].as_str().unwrap(), frame["event"]["type"].as_str()) {
            ("event", Some("message")) => {
                assert_eq!(number(&frame["event"]["content"]), messages, "in order, without a gap");
                messages += 1;
            }
            ("event", Some("signal")) => assert!(frame["event"]["data"].as_u64().unwrap() < before as u64, "{frame}"),
            ("event", Some("typing_status")) => panic!("it is old"),
            ("skipped", _) => is_told = true,
            ("event", _) => {}
            other => panic!("{other:?}"),
        }
    }
    said.message(&mut ana).await;
    said.signal(&mut ana).await;
    assert_eq!(beto.event(&room(&server)).await["event"]["type"], "message");
    assert_eq!(beto.event(&room(&server)).await["event"]["data"], json!(said.signals - 1));
}

/// Beyond its budget it is told so, behind whole messages without a gap.
#[tokio::test]
async fn a_stalled_reader_has_a_budget_which_operators_may_raise() {
    for (outbox_kb, is_kept) in [(1024, false), (4096, true)] {
        let server = builder().set("PREGON_OUTBOX_KB", outbox_kb).start().await;
        let (mut ana, mut said) = (server.join(0, 0).await, Said::default());
        let mut beto = small(&server, &server.chat_path(0, 1), &[]).await;
        beto.expect("connection_success").await;
        let is_enough = |owed: usize, too_slow: f64| too_slow > 0.0 || owed > OUTBOX_OWED_BYTES_MAX * 3 / 2;
        while !is_enough(owed(&server).await, server.metric("pregon_sessions_too_slow_total").await) {
            for _ in 0..10 {
                said.message(&mut ana).await;
            }
            assert!(said.messages < 4000, "it is never behind");
        }
        if is_kept {
            // Longer than a reader may take nothing that owes too much.
            tokio::time::sleep(pregon::limits::READER_PATIENCE + std::time::Duration::from_secs(2)).await;
            assert_eq!(server.metric("pregon_sessions_too_slow_total").await, 0.0);
        } else {
            server.wait_for_metric("pregon_sessions_too_slow_total", |count| count == 1.0).await;
        }
        let (mut messages, mut code) = (0, None);
        while messages < said.messages {
            match tokio::time::timeout(PATIENCE, beto.next_raw()).await.expect("nothing comes") {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if frame["type"] == "chat_message" {
                        assert_eq!(number(&frame["message"]["content"]), messages, "in order, without a gap");
                        messages += 1;
                    }
                }
                Some(Ok(Message::Close(frame))) => {
                    code = Some(u16::from(frame.unwrap().code));
                    break;
                }
                Some(Ok(_)) => {}
                // It read the goodbye too late.
                Some(Err(_)) | None => break,
            }
        }
        assert_eq!(messages == said.messages, is_kept, "{messages} of {}", said.messages);
        assert!(is_kept || code.is_none_or(|code| code == 4008), "{code:?}");
    }
}
