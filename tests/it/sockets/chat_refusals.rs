//! Who does not come in, and how each learns of it.

use crate::support::{SECRET, Server, Socket};
use pregon::access::token::Tokens;
use pregon::clock::Timestamp;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn server() -> Server {
    Server::builder().seed(4, 2, 2).set("PREGON_SHARDS", 2).start().await
}

/// The one error frame a refused socket hears, and its close code.
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
    // They come by the room's home shard, in their own time: the first of each is the only one.
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
    for path in ["/ws/chat/", "/ws/", "/ws/chat/xyz/", "/ws/chat/../", "/ws/other/"] {
        let refused = Socket::try_open(&server, &format!("{path}?token={token}"), &[]).await;
        assert_eq!(refused.err(), Some(404), "{path}");
    }
    let client = reqwest::Client::new();
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
    let (room, token) = (&server.fixture.rooms[0].id, &server.fixture.users[1].token);
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
    let mut beto = tokio::net::TcpStream::connect(server.address()).await.unwrap();
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
    // And the beginning of one more, whose end comes later.
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
    let answer = reqwest::Client::new().post(server.http("/api/auth/login/")).json(&login).send().await.unwrap();
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
