//! How sessions end: by the peer, by the server, by a lost right, because of a silent or slow reader.

use std::time::Instant;

use crate::support::{PATIENCE, Server, Wire};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

async fn server() -> Server {
    Server::builder().seed(4, 1, 3).set("PREGON_SHARDS", 2).start().await
}

#[tokio::test]
async fn a_close_is_answered_with_its_own_code() {
    let server = server().await;
    for code in [1000_u16, 1001, 3000, 4001] {
        let mut ana = server.join(0, 0).await;
        ana.send_raw(Message::Close(Some(CloseFrame { code: code.into(), reason: "adiós".into() }))).await;
        assert_eq!(ana.closed().await, code);
        assert!(ana.next_raw().await.is_none(), "the server closes the connection");
    }
    server.wait_for_metric("pregon_sessions", |sessions| sessions == 0.0).await;
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_with_its_code() {
    let server = server().await;
    for (bytes, code) in [
        (vec![0x81, 0x01, b'x'], 1002_u16),                           // not masked
        (vec![0xC1, 0x80, 0, 0, 0, 0], 1002),                         // a reserved bit
        (vec![0x83, 0x80, 0, 0, 0, 0], 1002),                         // a reserved opcode
        (vec![0x81, 0x81, 0, 0, 0, 0, 0xFF], 1007),                   // no UTF-8
        (vec![0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0], 1009), // announces 65,537 bytes
    ] {
        let mut ana = server.join(0, 0).await;
        ana.wire().write_all(&bytes).await.unwrap();
        assert_eq!(ana.closed().await, code, "{bytes:x?}");
        let said = tokio::time::Instant::now();
        // The client answers when it reads on. It finds the end of the stream, not a reset.
        assert!(ana.next_raw().await.is_none(), "{bytes:x?}");
        assert!(said.elapsed() < pregon::limits::CLOSE_TIMEOUT / 2, "{bytes:x?}: {:?}", said.elapsed());
    }
    server.wait_for_metric("pregon_sessions", |sessions| sessions == 0.0).await;
}

#[tokio::test]
async fn who_leaves_is_shown_out_on_every_device() {
    let server = server().await;
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    let mut phone = server.join(0, 1).await;
    let path = format!("/api/messaging/chats/{}/leave/", server.fixture.rooms[0].id);
    let (status, body) = server.rest("POST", &path, 1, Some(json!({}))).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(beto.closed().await, 4003);
    assert_eq!(phone.closed().await, 4003);
    let mut again = server.connect(0, 1).await;
    assert_eq!(again.next_json().await["message"], "No eres participante de este chat");
    ana.send(json!({"type": "chat_message", "content": "alone"})).await;
    ana.expect("chat_message").await;
}

#[tokio::test]
async fn a_participant_row_that_others_delete_ends_the_session() {
    let server = server().await;
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    let id = server.fixture.users[1].id.replace('-', "");
    assert_eq!(server.execute("DELETE FROM chat_participants WHERE user_id = ?", &[&id]).await, 1);
    // Later writes of the removed user are refused, whatever the caches hold.
    beto.send(json!({"type": "chat_message", "content": "still me?"})).await;
    assert_eq!(beto.expect("error").await["message"], "No eres participante de este chat");
    assert_eq!(beto.closed().await, 4003);
    let heard = ana.until_pong().await;
    assert!(heard.iter().all(|frame| frame["type"] == "user_status"), "{heard:?}");
}

#[tokio::test]
async fn a_session_ends_when_its_token_has() {
    let server = Server::builder().seed(2, 1, 2).set("PREGON_TOKEN_GRACE_SECONDS", 1).start().await;
    let tokens = pregon::access::token::Tokens::new(crate::support::SECRET.as_bytes());
    let user = server.fixture.users[0].id.parse().unwrap();
    let token = tokens.issue_access_for(user, pregon::clock::Timestamp::now(), 2);
    let path = format!("/ws/chat/{}/?token={token}", server.fixture.rooms[0].id);
    let mut ana = crate::support::Socket::open(&server, &path).await;
    ana.expect("connection_success").await;
    assert_eq!(ana.closed().await, 4001);
}

#[tokio::test]
async fn sigterm_tells_everybody_to_come_back_and_loses_nothing() {
    let mut server = server().await;
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    for number in 0..50 {
        ana.send(json!({"type": "chat_message", "content": format!("message {number}")})).await;
    }
    ana.expect("chat_message").await;
    server.signal("TERM");
    let mut heard = 1;
    let code = loop {
        match ana.next().await {
            Message::Text(text) if text.contains("chat_message") => heard += 1,
            Message::Text(_) => {}
            Message::Close(frame) => break u16::from(frame.unwrap().code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 1012);
    loop {
        if let Message::Close(frame) = beto.next().await {
            assert_eq!(u16::from(frame.unwrap().code), 1012);
            break;
        }
    }
    drop((ana, beto));
    assert_eq!(server.terminate(), Some(0));
    let stored = server.number("SELECT count(*) FROM messages").await;
    assert!(stored >= heard, "heard {heard}, stored {stored}");
}

#[tokio::test]
async fn requests_under_way_are_answered_before_the_server_stops() {
    let mut server = Server::builder().seed(2, 1, 2).set("PREGON_SHARDS", 1).start().await;
    // Checking a password takes long enough for the signal to arrive meanwhile.
    let body = json!({"login": server.fixture.users[0].username, "password": "pregon-demo"}).to_string();
    let request = format!(
        "POST /api/auth/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connections = Vec::new();
    // Two are checked at a time, one waits.
    for _ in 0..3 {
        let mut connection = server.wire().await;
        connection.write_all(request.as_bytes()).await.unwrap();
        connections.push(connection);
    }
    // Connections are accepted in order: when this one is answered, those are all being served.
    server.client().get(server.http("/healthz")).send().await.unwrap();
    server.signal("TERM");
    for mut connection in connections {
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    }
    assert_eq!(server.terminate(), Some(0));
}

/// Sends a request on a connection. Returns what arrives until the answer's head and body are complete, or until it
/// ends.
async fn ask(connection: &mut Wire, head: &str) -> String {
    let mut answer = Vec::new();
    if connection.write_all(head.as_bytes()).await.is_ok() {
        while !String::from_utf8_lossy(&answer).contains("\r\n\r\n") {
            if connection.read_buf(&mut answer).await.unwrap_or(0) == 0 {
                break;
            }
        }
    }
    String::from_utf8(answer).unwrap()
}

/// While the last sessions end, every request is told to come again: on new connections, on open ones without a
/// request, and on used ones.
#[tokio::test]
async fn until_the_listeners_close_every_request_is_answered() {
    let mut server =
        Server::builder().seed(4, 1, 3).set("PREGON_SHARDS", 2).set("PREGON_DRAIN_SECONDS", 2).start().await;
    let mut sockets = Vec::new();
    for number in 0..12 {
        sockets.push(server.join(0, number % 3).await);
    }
    let ready = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let chat = server.chat_path(0, 0);
    let upgrade = format!(
        "GET {chat} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let rest = "GET /api/messaging/chats/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let connect = || server.try_wire();
    let mut opened = [connect().await.unwrap(), connect().await.unwrap()];
    let mut idle = connect().await.unwrap();
    assert!(ask(&mut idle, ready).await.starts_with("HTTP/1.1 200"));
    server.signal("TERM");
    server.wait_for_status("/readyz", 503).await;
    let mut is_first = true;
    let mut asked = 0;
    while let Ok(mut fresh) = connect().await {
        for (head, status) in [(ready, "503"), (&upgrade, "503"), (rest, "401")] {
            let answer = ask(&mut fresh, head).await;
            if answer.is_empty() && connect().await.is_err() {
                // It came between the last check of the listener and its end.
                break;
            }
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "after {asked}: {answer:?}");
            assert!(answer.contains("connection: close"), "{answer:?}");
            asked += 1;
            let Ok(next) = connect().await else { break };
            fresh = next;
        }
        if std::mem::take(&mut is_first) {
            assert!(ask(&mut opened[0], ready).await.starts_with("HTTP/1.1 503"), "opened before the signal");
            assert!(ask(&mut opened[1], &upgrade).await.starts_with("HTTP/1.1 503"), "opened before the signal");
            assert!(ask(&mut idle, ready).await.starts_with("HTTP/1.1 503"), "between two requests at the signal");
        }
    }
    assert!(asked > 20, "{asked}");
    assert_eq!(server.exit_code(), Some(0));
}

/// A request that takes longer than peers have to read their data: everything it needs is there until its end.
#[tokio::test]
async fn an_answer_that_takes_long_is_made_before_what_it_needs_ends() {
    let mut server = Server::builder().seed(1, 0, 0).set("PREGON_SHARDS", 1).start().await;
    let body = json!({"login": server.fixture.users[0].username, "password": "pregon-demo"}).to_string();
    let head = format!(
        "POST /api/auth/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = server.wire().await;
    connection.write_all(format!("{head}{}", &body[..10]).as_bytes()).await.unwrap();
    // Connections are accepted in order: when this one is answered, that one is being served.
    server.client().get(server.http("/healthz")).send().await.unwrap();
    server.signal("TERM");
    server.wait_for_log("requests are still being answered").await;
    let answer = ask(&mut connection, &body[10..]).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    assert_eq!(server.exit_code(), Some(0));
}

#[tokio::test]
async fn other_signals_are_ignored_and_quit_drains() {
    let mut server = server().await;
    let mut ana = server.join(0, 0).await;
    for (name, text) in
        [("HUP", ": files of keys and certificates are read again"), ("USR1", " is ignored"), ("USR2", " is ignored")]
    {
        server.signal(name);
        server.wait_for_log(&format!("SIG{name}{text}")).await;
    }
    assert!(ana.until_pong().await.is_empty());
    server.signal("QUIT");
    assert_eq!(ana.closed().await, 1012);
    drop(ana);
    assert_eq!(server.exit_code(), Some(0));
}

/// A proxy keeps its connections for a minute: between two requests the server waits longer than within one.
#[tokio::test]
async fn an_idle_connection_outlives_one_with_half_a_request() {
    let server = server().await;
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut idle = server.wire().await;
    assert!(ask(&mut idle, request).await.starts_with("HTTP/1.1 200"));
    let mut half = server.wire().await;
    assert!(ask(&mut half, request).await.starts_with("HTTP/1.1 200"));
    half.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, half.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "half a request is waited for without an end");
    assert!(ask(&mut idle, request).await.starts_with("HTTP/1.1 200"), "closed while it was idle");
}

/// A member who stops reading while durable messages pour in is disconnected; nobody else notices.
#[tokio::test]
async fn a_reader_that_stalls_is_let_go_with_whole_frames() {
    let server = server().await;
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    // Beto takes little and then nothing: the smallest window that the system allows.
    let socket = socket2::SockRef::from(&*beto.tcp()).set_recv_buffer_size(4096);
    socket.unwrap();
    let long = "x".repeat(2000);
    let (began, mut sent) = (Instant::now(), 0_u32);
    while server.metric("pregon_sessions_too_slow_total").await < 1.0 {
        for _ in 0..200 {
            ana.send(json!({"type": "chat_message", "content": format!("{sent} {}", &long[..1900])})).await;
            sent += 1;
        }
        for _ in 0..200 {
            ana.expect("chat_message").await;
        }
        // However much a fast machine says in that time.
        assert!(began.elapsed() < PATIENCE, "a reader that takes nothing is never let go: {sent} messages");
    }
    // Beto receives whole frames in order, then 4008 or a reset.
    let mut next = None;
    loop {
        match beto.next_raw().await {
            Some(Ok(Message::Text(text))) => {
                let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
                if frame["type"] == "chat_message" {
                    let content = frame["message"]["content"].as_str().unwrap().to_owned();
                    let number: u32 = content.split(' ').next().unwrap().parse().unwrap();
                    assert_eq!(number, next.unwrap_or(0), "in order, without a gap");
                    next = Some(number + 1);
                }
            }
            Some(Ok(Message::Close(frame))) => {
                assert_eq!(u16::from(frame.unwrap().code), 4008);
                break;
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => break,
        }
    }
    assert!(next.is_some_and(|next| next < sent));
    ana.send(json!({"type": "chat_message", "content": "after"})).await;
    assert_eq!(ana.expect("chat_message").await["message"]["content"], "after");
}

/// A connection that never finishes its request is closed; a half-open one costs a ping and then ends.
#[tokio::test]
async fn a_request_that_never_ends_is_given_up() {
    let server = server().await;
    let mut slow = server.wire().await;
    slow.write_all(b"GET /ws/chat/0/ HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, slow.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn silence_is_asked_about_and_then_ends() {
    let server = server().await;
    let mut ana = server.join(0, 0).await;
    let began = std::time::Instant::now();
    let ping = tokio::time::timeout(std::time::Duration::from_secs(30), ana.next_raw()).await;
    assert!(matches!(ping, Ok(Some(Ok(Message::Ping(_))))), "{ping:?}");
    assert!(began.elapsed().as_secs() >= 19, "asked after {:?}", began.elapsed());
}
