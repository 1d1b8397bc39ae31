//! Refused chat sockets, and how each learns of it.

use crate::support::{SECRET, Server, Socket};
use pregon::access::token::Tokens;
use pregon::clock::Timestamp;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn server() -> Server {
    Server::builder().seed(4, 2, 2).set("PREGON_SHARDS", 2).start().await
}

/// The only frame of a refused socket, an error, and its close code.
async fn refusal(server: &Server, path: &str) -> (String, u16) {
    let mut socket = Socket::open(server, path).await;
    let error = socket.next_json().await;
    assert_eq!(error["type"], "error");
    assert_eq!(error["message"], error["error"]);
    (error["message"].as_str().unwrap().to_owned(), socket.closed().await)
}

fn chat(server: &Server, token: &str) -> String {
    format!("/ws/chat/{}/?token={token}", server.fixture.rooms[0].id)
}

#[tokio::test]
async fn a_refusal_is_told_inside_the_socket_with_1000() {
    let server = server().await;
    let tokens = Tokens::new(SECRET.as_bytes());
    let now = Timestamp::now();
    let ana = server.fixture.users[0].id.parse().unwrap();
    let room = &server.fixture.rooms[0].id;
    let expired = tokens.issue_access(ana, now.plus_seconds(-4000));
    let foreign = Tokens::new(b"some other secret, as long as it is").issue_access(ana, now);
    let unknown_user = tokens.issue_access(pregon::ids::UserId::fresh(), now);
    let refresh = tokens.issue_pair(ana, now).refresh;
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJ1c2VyX2lkIjoiMSJ9.";
    for token in [expired.as_str(), &foreign, &unknown_user, &refresh, unsigned, "nonsense", "mock_access_token_17"] {
        assert_eq!(refusal(&server, &chat(&server, token)).await, ("Token inválido".into(), 1000), "{token:.20}");
    }
    for path in [format!("/ws/chat/{room}/"), format!("/ws/chat/{room}/?token="), format!("/ws/chat/{room}/?xtoken=a")]
    {
        assert_eq!(refusal(&server, &path).await, ("Token no proporcionado".into(), 1000), "{path}");
    }
    let outsider = &server.fixture.users[3].token;
    let nowhere = format!("/ws/chat/{}/?token={}", uuid::Uuid::new_v4(), server.fixture.users[0].token);
    for path in [chat(&server, outsider), nowhere] {
        assert_eq!(refusal(&server, &path).await, ("No eres participante de este chat".into(), 1000));
    }
    let (text, code) = refusal(&server, "/ws/chat/abc-123/?token=x").await;
    assert!(text.starts_with("Error de autenticación: "), "{text}");
    assert_eq!(code, 1000);
}

#[tokio::test]
async fn an_outsider_leaves_no_trace_of_presence() {
    let server = server().await;
    let mut ana = server.join(0, 0).await;
    refusal(&server, &chat(&server, &server.fixture.users[3].token)).await;
    let mut beto = server.join(0, 1).await;
    // They arrive through the room's home shard at any time; the first of each kind is the only one.
    for (socket, other) in [(&mut ana, 1), (&mut beto, 0)] {
        assert_eq!(socket.expect("user_status").await["user_id"], server.fixture.users[other].id);
        assert_eq!(socket.until_pong().await, [serde_json::Value::Null; 0]);
    }
}

#[tokio::test]
async fn an_inactive_user_and_an_inactive_room_are_refused() {
    let server = server().await;
    let id = server.fixture.users[1].id.replace('-', "");
    assert_eq!(server.execute("UPDATE users SET is_active = 0 WHERE id = ?", &[&id]).await, 1);
    let path = chat(&server, &server.fixture.users[1].token);
    assert_eq!(refusal(&server, &path).await, ("Token inválido".into(), 1000));
    let room = server.fixture.rooms[0].id.replace('-', "");
    assert_eq!(server.execute("UPDATE chat_rooms SET is_active = 0 WHERE id = ?", &[&room]).await, 1);
    let path = chat(&server, &server.fixture.users[0].token);
    assert_eq!(refusal(&server, &path).await, ("No eres participante de este chat".into(), 1000));
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_before_the_socket() {
    let server = server().await;
    let path = server.chat_path(0, 0);
    for origin in ["http://evil.example", "null", "nonsense"] {
        let refused = Socket::try_open(&server, &path, &[("Origin", origin)]).await;
        assert_eq!(refused.err(), Some(403), "{origin}");
    }
    for origin in [
        "http://localhost:3000",
        "https://localhost",
        "capacitor://localhost",
        "http://127.0.0.1:4000",
        "http://[::1]:3000",
    ] {
        let socket = Socket::try_open(&server, &path, &[("Origin", origin)]).await;
        assert!(socket.is_ok(), "{origin}");
    }
}

#[tokio::test]
async fn an_origin_can_be_demanded() {
    let server = Server::builder().seed(2, 1, 2).set("PREGON_REQUIRE_ORIGIN", "on").start().await;
    let path = server.chat_path(0, 0);
    assert_eq!(Socket::try_open(&server, &path, &[]).await.err(), Some(403));
    assert!(Socket::try_open(&server, &path, &[("Origin", "http://localhost")]).await.is_ok());
}

#[tokio::test]
async fn paths_and_requests_that_are_no_chat_socket() {
    let server = server().await;
    let token = &server.fixture.users[0].token;
    for path in ["/ws/chat/", "/ws/chat/xyz/", "/ws/chat/../", "/ws/other/"] {
        let refused = Socket::try_open(&server, &format!("{path}?token={token}"), &[]).await;
        assert_eq!(refused.err(), Some(404), "{path}");
    }
    // The socket for many topics is spoken in a language of its own, which has to be asked for.
    assert_eq!(Socket::try_open(&server, &format!("/ws/?token={token}"), &[]).await.err(), Some(400));
    let client = server.client();
    let url = server.http(&server.chat_path(0, 0));
    assert_eq!(client.get(&url).send().await.unwrap().status(), 426);
    assert_eq!(client.post(&url).send().await.unwrap().status(), 405);
    let old = client.get(&url).header("Connection", "Upgrade").header("Upgrade", "websocket");
    let old = old.header("Sec-WebSocket-Version", "8").header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let response = old.send().await.unwrap();
    assert_eq!(response.status(), 426);
    assert_eq!(response.headers()["Sec-WebSocket-Version"], "13");
}

#[tokio::test]
async fn every_spelling_of_a_room_is_the_same_room() {
    let server = server().await;
    let room = &server.fixture.rooms[0].id;
    let token = &server.fixture.users[1].token;
    let mut ana = server.join(0, 0).await;
    for spelling in [room.clone(), room.to_uppercase(), room.replace('-', "")] {
        for end in ["/", ""] {
            let mut beto = Socket::open(&server, &format!("/ws/chat/{spelling}{end}?token={token}")).await;
            beto.expect("connection_success").await;
            let text = format!("by {spelling}{end}");
            beto.send(json!({"type": "chat_message", "content": text})).await;
            assert_eq!(ana.expect("chat_message").await["message"]["content"], text);
        }
    }
}

#[tokio::test]
async fn frames_in_the_handshakes_packet_are_heard() {
    let server = server().await;
    let mut ana = server.join(0, 0).await;
    let mut beto = server.wire().await;
    let mut packet = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.chat_path(0, 1),
        server.address()
    )
    .into_bytes();
    let frame = br#"{"type":"chat_message","content":"early"}"#;
    packet.extend_from_slice(&[0x81, 0x80 | u8::try_from(frame.len()).unwrap(), 0, 0, 0, 0]);
    packet.extend_from_slice(frame);
    // And the start of one more frame, which is finished later.
    let late = br#"{"type":"chat_message","content":"late"}"#;
    packet.extend_from_slice(&[0x81, 0x80 | u8::try_from(late.len()).unwrap(), 0, 0, 0, 0]);
    packet.extend_from_slice(&late[..20]);
    beto.write_all(&packet).await.unwrap();
    assert_eq!(ana.expect("chat_message").await["message"]["content"], "early");
    beto.write_all(&late[20..]).await.unwrap();
    assert_eq!(ana.expect("chat_message").await["message"]["content"], "late");
    let mut head = [0; 12];
    beto.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
}

#[tokio::test]
async fn tokens_never_reach_the_log() {
    let server =
        Server::builder().seed(2, 1, 2).set("PREGON_LOG_LEVEL", "trace").set("PREGON_LOG_FORMAT", "json").start().await;
    let mut ana = server.join(0, 0).await;
    ana.send(json!({"type": "chat_message", "content": "a secret of mine"})).await;
    ana.expect("chat_message").await;
    refusal(&server, &chat(&server, "wrong.token.here")).await;
    let login = json!({"login": "nobody", "password": "my password"});
    let answer = server.client().post(server.http("/api/auth/login/")).json(&login).send().await.unwrap();
    assert_eq!(answer.status(), 400);
    let (status, _) = server.rest("GET", "/api/messaging/chats/?secret=query", 0, None).await;
    assert_eq!(status, 200);
    let log = server.log();
    assert!(log.contains("serving"), "there is a log");
    for secret in [
        server.fixture.users[0].token.as_str(),
        "wrong.token",
        "my password",
        "a secret of mine",
        "secret=query",
        SECRET,
    ] {
        assert!(!log.contains(secret), "the log tells {secret}");
    }
}

/// A page that opens sockets in a loop gets one per second and keeps the newest eight; nobody else waits for it.
#[tokio::test]
async fn sockets_that_are_opened_in_a_loop_are_held_back_and_the_oldest_go() {
    let server = Server::builder().seed(3, 1, 2).set("PREGON_SHARDS", 2).set("PREGON_RATE_LIMITS", "on").start().await;
    let [loops, other] = [server.fixture.rooms[0].members[0], server.fixture.rooms[0].members[1]];
    let began = std::time::Instant::now();
    let mut sockets = Vec::new();
    for _ in 0..9 {
        sockets.push(server.join(0, loops).await);
    }
    let took = began.elapsed();
    assert!(took.as_secs_f64() > 7.9, "{took:?}");
    let began = std::time::Instant::now();
    let _other = server.join(0, other).await;
    assert!(began.elapsed() < took / 4, "{:?}", began.elapsed());
    assert_eq!(sockets[0].closed().await, 1013);
    for socket in &mut sockets[1..] {
        assert!(socket.until_pong().await.iter().all(|frame| frame["type"] == "user_status"));
    }
}

#[tokio::test]
async fn of_feeds_and_sockets_for_notifications_the_newest_32_stay() {
    let server = Server::builder().seed(1, 0, 0).set("PREGON_SHARDS", 2).set("PREGON_RATE_LIMITS", "on").start().await;
    let mut feeds = Vec::new();
    let mut bells = Vec::new();
    for _ in 0..33 {
        feeds.push(server.feed(0).await);
        bells.push(server.notifications(0).await);
    }
    for sockets in [&mut feeds, &mut bells] {
        assert_eq!(sockets[0].closed().await, 1013);
        for socket in &mut sockets[1..] {
            assert!(socket.until_pong().await.is_empty());
        }
    }
}

#[tokio::test]
async fn a_bounded_number_of_handshakes_is_held_and_none_when_the_server_stops() {
    let mut server =
        Server::builder().seed(2, 1, 2).set("PREGON_SHARDS", 1).set("PREGON_RATE_LIMITS", "on").start().await;
    let path = server.chat_path(0, server.fixture.rooms[0].members[0]);
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let open = || async {
        let mut connection = server.wire().await;
        connection.write_all(request.as_bytes()).await.unwrap();
        connection
    };
    let began = std::time::Instant::now();
    let mut held = Vec::new();
    let mut answer = vec![0; 4096];
    // The first one passes, and one more for each second that this takes.
    let length = loop {
        let is_one_more = held.len() > 33;
        held.push(open().await);
        assert!(held.len() < 50, "all are held");
        let said = held.last_mut().unwrap().read(&mut answer);
        if is_one_more && let Ok(length) = tokio::time::timeout(std::time::Duration::from_secs(1), said).await {
            held.pop();
            break length.unwrap();
        }
    };
    let text = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(text.starts_with("HTTP/1.1 503") && text.contains("retry-after: "), "{text}");
    assert!(began.elapsed().as_secs() < 14, "too late to say anything: {:?}", began.elapsed());
    let mut last = held.pop().unwrap();
    server.signal("TERM");
    let length = last.read(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(text.starts_with("HTTP/1.1 503"), "held until the end: {text}");
    drop(held);
    assert_eq!(server.exit_code(), Some(0));
}

/// A page from another name that points at this machine is not one of this server's pages.
#[tokio::test]
async fn a_server_on_this_machine_answers_to_its_own_names() {
    let server = server().await;
    let proxied = Server::builder().set("PREGON_TRUSTED_PROXIES", "127.0.0.1").start().await;
    let chat = server.chat_path(0, 0);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let status = async |server: &Server, path: &str, lines: &str| {
        let mut connection = server.wire().await;
        connection.write_all(format!("GET {path} HTTP/1.1\r\n{lines}\r\n").as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = connection.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[9..length.max(12)])[..3].to_owned()
    };
    for (host, expected) in [("evil.example", "403"), ("localhost:8000", "200"), ("[::1]", "200"), ("127.0.0.1", "200")]
    {
        assert_eq!(status(&server, "/metrics", &format!("Host: {host}\r\n")).await, expected, "{host}");
    }
    let evil = format!("Host: evil.example\r\nOrigin: http://evil.example\r\n{upgrade}");
    assert_eq!(status(&server, &chat, &evil).await, "403");
    assert_eq!(status(&server, "/healthz", "Host: localhost\r\nHost: localhost\r\n").await, "400");
    assert_eq!(status(&proxied, "/healthz", "Host: chat.example.com\r\n").await, "200");
    assert_eq!(status(&proxied, "/healthz", "Host: a\r\nHost: a\r\n").await, "400");
}
