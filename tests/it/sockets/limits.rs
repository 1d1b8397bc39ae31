//! Clients who want more than they may: each limit of sockets is passed, and what is beyond it ends as the table "Limits" in
//! docs/operations.md says.

use std::time::{Duration, Instant};

use crate::support::v1::Client;
use crate::support::{Builder, PATIENCE, SECRET, Server, Socket, pregon};
use pregon::access::jwk;
use pregon::access::keys::Keys;
use pregon::access::token::{Parties, Tokens};
use pregon::clock::Timestamp;
use pregon::limits::{BAD_TOKENS_MAX, EXCESS_FRAMES_MAX, REQUEST_BURST_MIN, SUBSCRIPTIONS_AT_ONCE, USER_FRAMES_FACTOR};
use pregon::protocol::ws::message::MESSAGE_FRAGMENTS_MAX;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

/// A server with limits, on one shard, and two members of room 0.
fn limited() -> Builder {
    Server::builder().seed(2, 2, 2).set("PREGON_SHARDS", 1).set("PREGON_RATE_LIMITS", "on")
}

fn limit(name: &str) -> String {
    format!("pregon_limits_hit_total{{limit=\"{name}\"}}")
}

fn room(server: &Server) -> String {
    format!("room:{}", server.fixture.rooms[0].id.replace('-', ""))
}

/// Everything up to the answer of a ping, by type.
fn of_type<'a>(frames: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    frames.iter().filter(move |frame| frame["type"] == kind)
}

#[tokio::test]
async fn what_passes_beyond_the_rate_is_dropped_quietly_and_what_is_stored_is_answered() {
    let server =
        limited().set("PREGON_EPHEMERAL_FRAMES_PER_SECOND", 5).set("PREGON_DURABLE_FRAMES_PER_SECOND", 2).start().await;
    let (mut ana, mut beto) = (server.join(0, 0).await, server.join(0, 1).await);
    for number in 0..60 {
        ana.send(json!({"type": "signal", "data": number})).await;
    }
    assert_eq!(of_type(&ana.until_pong().await, "error").count(), 0, "quietly");
    let heard = beto.until_pong().await;
    let signals = of_type(&heard, "signal").count();
    assert!((10..=20).contains(&signals), "two seconds' worth, and a few more: {signals}");

    let began = Instant::now();
    for number in 0..40 {
        let client_id = format!("number-{number}");
        ana.send(json!({"type": "chat_message", "content": number.to_string(), "client_id": client_id})).await;
    }
    let mut answers = Vec::new();
    while answers.len() < 40 {
        answers.push(ana.expect_any_of(&["chat_message", "error"]).await);
    }
    let stored = of_type(&answers, "chat_message").count();
    let slack = 2 * began.elapsed().as_secs() as usize + 1;
    assert!((20..=20 + slack).contains(&stored), "ten seconds' worth: {stored}");
    let refused: Vec<&Value> = of_type(&answers, "error").collect();
    for error in &refused {
        let wait = error["retry_after_ms"].as_u64().unwrap();
        assert!((1..=501).contains(&wait), "{error}");
        assert!(error["client_id"].as_str().unwrap().starts_with("number-") && error["message"] == error["error"]);
    }
    // Whoever does as it is told is served.
    tokio::time::sleep(Duration::from_millis(refused[0]["retry_after_ms"].as_u64().unwrap())).await;
    ana.send(json!({"type": "chat_message", "content": "sigue", "client_id": refused[0]["client_id"]})).await;
    assert_eq!(ana.expect("chat_message").await["message"]["content"], "sigue");
    server
        .wait_for_metric("pregon_frames_refused_total{kind=\"durable\"}", |count| count == refused.len() as f64)
        .await;
    server.wait_for_metric("pregon_frames_refused_total{kind=\"ephemeral\"}", |count| count >= 40.0).await;
}

#[tokio::test]
async fn whoever_goes_on_sending_too_much_is_closed_with_4029() {
    let server = limited().set("PREGON_EPHEMERAL_FRAMES_PER_SECOND", 5).start().await;
    let (mut ana, mut beto) = (server.join(0, 0).await, server.join(0, 1).await);
    for number in 0..EXCESS_FRAMES_MAX * 2 {
        if !ana.try_send(json!({"type": "typing", "is_typing": number % 2 == 0})).await {
            break;
        }
    }
    assert_eq!(ana.closed().await, 4029);
    for (name, value) in [
        ("pregon_closes_total{code=\"4029\"", 1.0),
        ("pregon_sessions_let_go_total{reason=\"flood\"}", 1.0),
        (&limit("frames"), 1.0),
    ] {
        server.wait_for_metric(name, |count| count == value).await;
    }
    assert!(server.log().contains(&format!("a limit was hit limit=\"frames\" whose={}", server.fixture.users[0].id)));
    assert!(beto.until_pong().await.iter().all(|frame| frame["type"] != "error"), "others go on");
}

#[tokio::test]
async fn requests_and_writes_of_v1_beyond_the_rate_say_when_to_come_again() {
    let server =
        limited().set("PREGON_DURABLE_FRAMES_PER_SECOND", 2).set("PREGON_REQUEST_FRAMES_PER_SECOND", 1).start().await;
    let (topic, mut ana) = (room(&server), Client::open(&server, 0).await);
    ana.subscribed(&topic, None).await;
    let mut wait = 0;
    for number in 0..40 {
        let reply = ana.asked(json!({"type": "chat_message", "topic": topic, "content": number.to_string()})).await;
        if reply["type"] == "error" {
            assert_eq!((&reply["code"], &reply["retry"]), (&json!("rate_limited"), &json!("later")), "{reply}");
            wait = reply["retry_after_ms"].as_u64().unwrap();
        } else {
            assert_eq!(reply["type"], "ack", "{reply}");
        }
    }
    assert!((1..=501).contains(&wait), "{wait}");
    tokio::time::sleep(Duration::from_millis(wait)).await;
    ana.say(&topic, "sigue").await;
    let pings = REQUEST_BURST_MIN + 20;
    let mut ids: Vec<u64> = Vec::new();
    for _ in 0..pings {
        ids.push(ana.ask(json!({"type": "ping"})).await);
    }
    let (mut pongs, mut refused) = (0, 0);
    while pongs + refused < pings {
        let frame = ana.arrived().await;
        if ids.iter().any(|id| frame["id"] == *id) {
            pongs += u32::from(frame["type"] == "pong");
            refused += u32::from(frame["code"] == "rate_limited");
        }
    }
    assert!(pongs >= REQUEST_BURST_MIN - 5 && refused > 5, "{pongs} {refused}");
    server.wait_for_metric("pregon_frames_refused_total{kind=\"request\"}", |count| count == f64::from(refused)).await;
}

#[tokio::test]
async fn the_sockets_of_a_user_have_a_rate_together_on_all_shards() {
    const EACH: usize = 30;
    let server = limited().set("PREGON_SHARDS", 2).set("PREGON_DURABLE_FRAMES_PER_SECOND", 3).start().await;
    let topic = room(&server);
    let (mut stored, mut refused) = (0, 0);
    let began = Instant::now();
    for _ in 0..8 {
        // Each has a socket's allowance left for this.
        let mut ana = Client::open(&server, 0).await;
        for _ in 0..EACH {
            let reply = ana.asked(json!({"type": "chat_message", "topic": topic, "content": "hola"})).await;
            stored += usize::from(reply["type"] == "ack");
            refused += usize::from(reply["code"] == "rate_limited");
        }
    }
    let burst = EACH * USER_FRAMES_FACTOR as usize;
    let slack = 12 * (began.elapsed().as_secs() as usize + 1);
    assert!((burst..=burst + slack).contains(&stored) && stored + refused == 8 * EACH, "{stored} and {refused}");
    let mut beto = Client::open(&server, 1).await;
    beto.say(&topic, "yo no").await;
}

#[tokio::test]
async fn of_all_sockets_of_a_user_the_newest_stay() {
    let server = limited().set("PREGON_SOCKETS_PER_USER", 10).start().await;
    let mut first = server.feed(0).await;
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(server.notifications(0).await);
    }
    assert_eq!(first.closed().await, 1013);
    for other in &mut others {
        assert!(other.until_pong().await.is_empty());
    }
    server.wait_for_metric(&limit("sockets of a user"), |count| count == 1.0).await;
    server.feed(1).await;
}

#[tokio::test]
async fn an_address_has_so_many_sockets_by_the_word_of_trusted_proxies_alone() {
    let server =
        limited().set("PREGON_SOCKETS_PER_ADDRESS", 3).set("PREGON_TRUSTED_PROXIES", "127.0.0.1").start().await;
    let path = server.socket_path("feed", 0);
    let open = async |server: &Server, client: &str| {
        let path = server.socket_path("feed", 0);
        Socket::try_open(server, &path, &[("x-forwarded-for", client)])
            .await
            .map_err(|status| (status, client.to_owned()))
    };
    for [first, others @ ..] in [
        ["203.0.113.7", "203.0.113.7", "203.0.113.7", "203.0.113.7"],
        ["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2::3", "2001:db8:1:2::4"],
    ] {
        let mut held = vec![open(&server, first).await.unwrap()];
        for other in &others[..2] {
            held.push(open(&server, other).await.unwrap());
        }
        assert_eq!(open(&server, others[2]).await.err(), Some((429, others[2].to_owned())));
        assert!(open(&server, "198.51.100.1").await.is_ok(), "others have their own");
        held.pop().unwrap().close().await;
        server.wait_for_metric("pregon_sessions", |open| open == 2.0).await;
        assert!(open(&server, others[2]).await.is_ok(), "one has left");
        drop(held);
        server.wait_for_metric("pregon_sessions", |open| open == 0.0).await;
    }
    server.wait_for_metric(&limit("sockets of an address"), |count| count == 2.0).await;
    server.wait_for_metric("pregon_handshakes_refused_total{reason=\"address\"}", |count| count == 2.0).await;
    assert!(server.log().contains("limit=\"sockets of an address\" whose=203.0.113.7"));
    // A refused handshake leaves nothing behind, whatever it is refused for.
    for _ in 0..5 {
        let refused = Socket::try_open(&server, "/ws/feed/?token=x", &[("x-forwarded-for", "203.0.113.9")]).await;
        assert_eq!(refused.err(), Some(403));
    }
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(open(&server, "203.0.113.9").await.unwrap());
    }
    // Where no proxy is named, nobody is believed, and this machine has as many as it likes.
    let alone = limited().set("PREGON_SOCKETS_PER_ADDRESS", 3).start().await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(open(&alone, "203.0.113.7").await.unwrap());
    }
    assert!(Socket::try_open(&server, &path, &[]).await.is_ok());
}

/// Reads until the end of a connection. `None` while it is open.
async fn end(connection: &mut (impl AsyncRead + Unpin), patience: Duration) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let ended = tokio::time::timeout(patience, connection.read_to_end(&mut bytes)).await;
    ended.ok().map(|_| bytes)
}

#[tokio::test]
async fn those_of_nobody_are_few_and_have_little_time() {
    let server = limited().set("PREGON_UNAUTHENTICATED_SOCKETS", 4).set("PREGON_HANDSHAKE_SECONDS", 2).start().await;
    let known = server.join(0, 0).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(server.address()).await.unwrap());
    }
    let began = Instant::now();
    // From this machine, where a proxy may be, as many may be silent as like to: but not for long.
    let mut one_more = TcpStream::connect(server.address()).await.unwrap();
    for connection in silent.iter_mut().chain([&mut one_more]) {
        assert_eq!(end(connection, PATIENCE).await, Some(Vec::new()), "closed without a word");
    }
    assert!((1..6).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    server.wait_for_metric(&limit("handshake's time"), |count| count == 5.0).await;
    // Those of `pregon.v1` count until they say whose they are.
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(Client::opened(&server, "pregon.v1").await);
    }
    assert_eq!(Client::opened(&server, "pregon.v1").await.socket.closed().await, 1013);
    server.wait_for_metric(&limit("unauthenticated sockets"), |count| count == 1.0).await;
    let welcome = open[0].asked(json!({"type": "auth", "token": server.fixture.users[1].token})).await;
    assert_eq!(welcome["type"], "welcome");
    assert_eq!(server.status("/healthz").await, 200);
    drop((open, known));
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let server = limited().start().await;
    let mut connection = server.wire().await;
    let head = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "x".repeat(20 * 1024));
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let length = connection.read(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer[..length]).starts_with("HTTP/1.1 431 "), "{answer:?}");
    server.wait_for_metric(&limit("request's head"), |count| count == 1.0).await;
}

#[tokio::test]
async fn connections_come_in_at_a_rate_and_none_is_lost() {
    let server = limited().set("PREGON_ACCEPTS_PER_SECOND", 5).start().await;
    let began = Instant::now();
    let mut asked = Vec::new();
    for _ in 0..20 {
        let mut connection = server.wire().await;
        connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
        asked.push(connection);
    }
    for connection in &mut asked {
        let answer = end(connection, PATIENCE).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
    server.wait_for_metric(&limit("connections' pace"), |count| count > 0.0).await;
}

/// Their signatures are not checked on the shard, and they are barred like others.
#[tokio::test]
async fn forged_tokens_of_every_kind_of_key_are_barred() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    for algorithm in ["ES384", "EdDSA"] {
        let mut add = pregon(&[], folder.path());
        add.args(["keys", "add"]).arg(&file).args(["--kid", algorithm, "--algorithm", algorithm]);
        assert!(add.status().unwrap().success());
    }
    let server = limited().set("PREGON_JWT_KEYS", file.display()).start().await;
    let ana = server.fixture.users[0].id.parse().unwrap();
    for (number, kid) in [(1, "ES384"), (2, "EdDSA")] {
        let mut json: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let all = json["keys"].as_array_mut().unwrap();
        all.retain(|one| one["kid"] == kid);
        let alone = jwk::read(json.to_string().as_bytes()).unwrap().keys;
        let good = Tokens::of(Keys::of(alone).unwrap(), Parties::default()).issue_access(ana, Timestamp::now());
        let (message, signature) = good.rsplit_once('.').unwrap();
        let forged = format!("{message}.{}", signature.chars().rev().collect::<String>());
        let feed = |token: &str| format!("/ws/feed/?token={token}");
        for _ in 0..=BAD_TOKENS_MAX {
            assert_eq!(Socket::try_open(&server, &feed(&forged), &[]).await.err(), Some(403), "{kid}");
        }
        let refused = |why: &str| format!("pregon_handshakes_refused_total{{reason=\"{why}\"}}");
        let judged = f64::from(number * u32::from(BAD_TOKENS_MAX));
        server.wait_for_metric(&refused("token"), |count| count == judged).await;
        server.wait_for_metric(&refused("barred"), |count| count == f64::from(number)).await;
        assert!(Socket::try_open(&server, &feed(&good), &[]).await.is_ok(), "{kid}");
    }
}

/// The app's page takes an opened socket for success, and would come again for ever.
#[tokio::test]
async fn a_token_that_was_refused_three_times_is_refused_at_the_handshake() {
    let server = limited().start().await;
    let ana = server.fixture.users[0].id.parse().unwrap();
    let expired = Tokens::new(SECRET.as_bytes()).issue_access(ana, Timestamp::now().plus_seconds(-4000));
    let chat = |token: &str| format!("/ws/chat/{}/?token={token}", server.fixture.rooms[0].id);
    for _ in 0..BAD_TOKENS_MAX {
        let mut socket = Socket::open(&server, &chat(&expired)).await;
        socket.expect("error").await;
        assert_eq!(socket.closed().await, 1000);
    }
    for _ in 0..2 {
        assert_eq!(Socket::try_open(&server, &chat(&expired), &[]).await.err(), Some(403));
    }
    server.wait_for_metric("pregon_handshakes_refused_total{reason=\"barred\"}", |count| count == 2.0).await;
    let mut other = Socket::open(&server, &chat("another.bad.token")).await;
    other.expect("error").await;
    server.join(0, 0).await;
    // The same for those who show it as a subprotocol.
    let open =
        async |offer: &'static str| Socket::try_open(&server, "/ws/", &[("sec-websocket-protocol", offer)]).await;
    for _ in 0..BAD_TOKENS_MAX {
        assert_eq!(open("pregon.v1, token.bad.bad.bad").await.unwrap().next_json().await["code"], "bad_token");
    }
    assert_eq!(open("pregon.v1, token.bad.bad.bad").await.err(), Some(403));
    assert_eq!(open("pregon.v1, token.bad.bad.other").await.unwrap().next_json().await["code"], "bad_token");
}

#[tokio::test]
async fn a_topic_is_subscribed_to_at_a_rate_and_whoever_is_refused_is_told_when() {
    let server = limited().start().await;
    let (topic, mut ana) = (room(&server), Client::open(&server, 0).await);
    let subscribe = async |client: &mut Client| {
        let reply = client.asked(json!({"type": "subscribe", "topic": topic})).await;
        if reply["type"] == "subscribed" {
            client.asked(json!({"type": "unsubscribe", "topic": topic})).await;
        }
        reply
    };
    let mut refused = None;
    for number in 0..SUBSCRIPTIONS_AT_ONCE * 3 {
        let reply = subscribe(&mut ana).await;
        if reply["type"] == "error" {
            assert!(number >= SUBSCRIPTIONS_AT_ONCE, "{reply}");
            refused = Some(reply);
        }
    }
    let refused = refused.expect("never refused");
    assert_eq!((&refused["code"], &refused["retry"]), (&json!("rate_limited"), &json!("later")));
    let wait = refused["retry_after_ms"].as_u64().unwrap();
    assert!((1..=1001).contains(&wait), "{wait}");
    ana.subscribed("notifications", None).await;
    let mut beto = Client::open(&server, 1).await;
    assert_eq!(subscribe(&mut beto).await["type"], "subscribed");
    tokio::time::sleep(Duration::from_millis(wait)).await;
    assert_eq!(subscribe(&mut ana).await["type"], "subscribed");
    server.wait_for_metric(&limit("subscriptions' pace"), |count| count > 0.0).await;
}

#[tokio::test]
async fn a_message_of_too_many_pieces_and_json_that_is_too_deep_are_refused() {
    let server = limited().start().await;
    let (mut ana, mut beto) = (server.join(0, 0).await, server.join(0, 1).await);
    let deep = format!("{}{}", "[".repeat(129), "]".repeat(129));
    ana.send_raw(Message::text(format!("{{\"type\":\"signal\",\"data\":{deep}}}"))).await;
    assert_eq!(ana.expect("error").await["message"], "Formato JSON inválido");
    server.wait_for_metric("pregon_frames_faulty_total", |count| count == 1.0).await;
    assert!(ana.until_pong().await.iter().all(|frame| frame["type"] == "user_status"), "the socket stays");
    // An empty text frame that does not end the message, and pieces of nothing behind it; their masks are zero.
    let mut pieces = vec![0x01, 0x80, 0, 0, 0, 0];
    pieces.extend_from_slice(&[0x00, 0x80, 0, 0, 0, 0].repeat(MESSAGE_FRAGMENTS_MAX as usize));
    beto.tcp().write_all(&pieces).await.unwrap();
    assert_eq!(beto.closed().await, 1008);
    server.wait_for_metric("pregon_closes_total{code=\"1008\"", |count| count == 1.0).await;
}

#[tokio::test]
async fn a_socket_that_does_not_say_whose_it_is_ends_and_one_that_asks_too_much_at_once_asks_again() {
    let server = limited().start().await;
    let mut silent = Client::opened(&server, "pregon.v1").await;
    let (topic, mut ana) = (room(&server), Client::open(&server, 0).await);
    let mut ids = Vec::new();
    for _ in 0..300 {
        ids.push(ana.ask(json!({"type": "roster", "topic": topic})).await);
    }
    let (mut told, mut busy) = (0, 0);
    while told + busy < ids.len() {
        let reply = ana.arrived().await;
        told += usize::from(reply["type"] == "roster");
        busy += usize::from(reply["code"] == "busy");
    }
    assert!(told >= 16 && busy > 0, "{told} and {busy}");
    server.wait_for_metric(&limit("questions of a socket"), |count| count == busy as f64).await;
    assert_eq!(silent.socket.closed().await, 4001);
}
