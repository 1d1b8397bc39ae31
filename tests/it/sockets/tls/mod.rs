//! TLS in the server itself: all kinds of sockets and REST behind it, by both ways of sending.
//!
//! With `PREGON_TEST_TLS=on` all other tests of sockets run behind it, too.

mod certificates;
mod handshakes;
mod readers;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use crate::support::v1::Client;
use crate::support::{PATIENCE, Server, Socket, Wire};

/// A server with TLS, and a room of three.
async fn encrypted() -> Server {
    Server::builder().seed(4, 1, 3).encrypted().start().await
}

#[tokio::test]
async fn all_kinds_of_sockets_and_rest_work_by_both_ways_of_sending() {
    for io in ["epoll", "auto"] {
        let server = Server::builder().seed(3, 1, 3).set("PREGON_IO", io).set("PREGON_COMPRESSION", "all").encrypted();
        let server = server.start().await;
        assert!(server.http("/").starts_with("https://"));
        let topic = format!("room:{}", server.fixture.rooms[0].id.replace('-', ""));
        let (mut ana, mut beto) = (server.join(0, 0).await, server.join(0, 1).await);
        let mut carla = Client::open(&server, 2).await;
        carla.subscribed(&topic, None).await;
        server.follow(1, 0).await;
        let (mut feed, mut bell) = (server.feed(1).await, server.notifications(0).await);
        // Short ones, and one that is longer than a record.
        for length in [1, 200, 1999] {
            let content = "ñ".repeat(length);
            ana.send(json!({"type": "chat_message", "content": content})).await;
            for socket in [&mut ana, &mut beto] {
                assert_eq!(socket.expect("chat_message").await["message"]["content"], content, "{io}");
            }
            assert_eq!(carla.event(&topic).await["event"]["content"], content, "{io}");
        }
        let data = "x".repeat(4000);
        beto.send(json!({"type": "signal", "data": {"x": data}})).await;
        assert_eq!(ana.expect("signal").await["data"]["x"], data);
        let post = server.publish(0, "hola").await;
        assert_eq!(feed.next_json().await["type"], "new_post");
        let mut watcher = server.on_post(&post, 2).await;
        let comment = json!({"content": "¡qué bien!"});
        let path = format!("/api/posts/{}/comments/", post["id"].as_str().unwrap());
        server.done("POST", &path, 1, Some(comment)).await;
        assert_eq!(watcher.next_json().await["type"], "new_comment");
        assert_eq!(bell.next_json().await["type"], "notification");
        assert!(post["author"]["avatar"].is_null() || post["author"]["avatar"].as_str().unwrap().contains("https://"));
        for mut socket in [ana, beto, feed, bell, watcher] {
            socket.send_raw(Message::Close(None)).await;
            while let Some(Ok(_)) = socket.next_raw().await {}
        }
        drop(carla);
        server.wait_for_metric("pregon_sessions", |sessions| sessions == 0.0).await;
        let full = server.metric("pregon_tls_handshakes_total{result=\"full\"").await;
        let resumed = server.metric("pregon_tls_handshakes_total{result=\"resumed\"").await;
        assert!(full >= 1.0 && full + resumed >= 6.0, "{full} + {resumed}");
    }
}

/// A socket's close frame, then the end of TLS, then that of TCP: whoever cuts the connection off cannot look like the server.
#[tokio::test]
async fn both_sides_say_goodbye_by_tls() {
    let server = encrypted().await;
    // The client closes first.
    let mut ana = server.join(0, 0).await;
    ana.send_raw(Message::Close(None)).await;
    while let Some(Ok(_)) = ana.next_raw().await {}
    assert_eq!(end_of(ana.wire()).await, Ok(()));
    // The client says goodbye by TLS alone, in the middle of everything.
    let mut beto = server.join(0, 1).await;
    beto.wire().shutdown().await.unwrap();
    assert_eq!(end_of(beto.wire()).await, Ok(()));
    // The server closes first: the request is answered, and no other may follow.
    let mut wire = server.wire().await;
    wire.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    wire.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // A client breaks the protocol of sockets: it is told why, and FIN follows the goodbye of TLS.
    let mut carla = server.join(0, 2).await;
    carla.wire().write_all(&[0x81, 0x01, b'x']).await.unwrap();
    assert_eq!(carla.closed().await, 1002);
    assert_eq!(end_of(carla.wire()).await, Ok(()));
    server.wait_for_metric("pregon_sessions", |sessions| sessions == 0.0).await;
}

/// One segment with a request for a socket, a ping and the end of TLS: no event comes behind it.
#[tokio::test]
async fn a_goodbye_that_comes_with_the_request_is_heard() {
    let server = encrypted().await;
    let mut wire = server.wire().await;
    // While hyper has the ping, it reads nothing more.
    let request = "GET /ws/ HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: pregon.v1\r\n\r\n";
    let sent = [request.as_bytes(), &[0x89, 0x80, 0, 0, 0, 0]].concat();
    std::io::Write::write_all(&mut wire.tls().writer(), &sent).unwrap();
    wire.tls().send_close_notify();
    let mut sealed = Vec::new();
    while wire.tls().wants_write() {
        wire.tls().write_tls(&mut sealed).unwrap();
    }
    let began = std::time::Instant::now();
    wire.tcp().write_all(&sealed).await.unwrap();
    let mut told = Vec::new();
    let read = tokio::time::timeout(PATIENCE, wire.read_to_end(&mut told)).await.expect("it stays open");
    assert!(read.is_ok(), "{read:?} behind {:?}", String::from_utf8_lossy(&told));
    assert!(told.starts_with(b"HTTP/1.1 101 "), "{:?}", String::from_utf8_lossy(&told));
    assert!(began.elapsed() < pregon::limits::HANDSHAKE_TIMEOUT / 2, "{:?}", began.elapsed());
    server.wait_for_metric("pregon_sessions", |sessions| sessions == 0.0).await;
}

/// What the end of a connection looks like: an end without `close_notify` is an error.
async fn end_of(wire: &mut Wire) -> Result<(), String> {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, wire.read_to_end(&mut rest)).await.expect("it stays open");
    read.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_client_that_goes_without_a_word_is_noticed() {
    let server = encrypted().await;
    let mut ana = server.join(0, 0).await;
    let beto = server.join(0, 1).await;
    // FIN without `close_notify`, and a reset.
    ana.tcp().shutdown().await.unwrap();
    drop(ana);
    let mut beto = beto;
    socket2::SockRef::from(&*beto.tcp()).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(beto);
    server.wait_for_metric("pregon_sessions", |sessions| sessions == 0.0).await;
    assert_eq!(server.metric("pregon_closes_total{code=\"1006\"").await, 2.0);
}

#[tokio::test]
async fn a_client_may_change_its_keys_while_frames_come_and_go() {
    let server = encrypted().await;
    let (mut ana, mut beto) = (server.join(0, 0).await, server.join(0, 1).await);
    for number in 0..20 {
        ana.wire().tls().refresh_traffic_keys().unwrap();
        ana.send(json!({"type": "chat_message", "content": format!("{number}")})).await;
        for socket in [&mut ana, &mut beto] {
            assert_eq!(socket.expect("chat_message").await["message"]["content"], format!("{number}"));
        }
    }
}

#[tokio::test]
async fn garbage_behind_the_handshake_ends_its_own_socket_alone() {
    let server = encrypted().await;
    let (mut ana, mut beto) = (server.join(0, 0).await, server.join(0, 1).await);
    beto.tcp().write_all(&[23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0]).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, async { while let Some(Ok(_)) = beto.next_raw().await {} }).await;
    assert!(ended.is_ok(), "it stays open");
    server.wait_for_metric("pregon_sessions", |sessions| sessions == 1.0).await;
    assert!(ana.until_pong().await.iter().all(|frame| frame["type"] == "user_status"));
}

#[tokio::test]
async fn a_stop_says_goodbye_to_encrypted_sockets() {
    let mut server = encrypted().await;
    let mut ana = server.join(0, 0).await;
    server.signal("TERM");
    assert_eq!(ana.closed().await, 1012);
    while let Some(Ok(_)) = ana.next_raw().await {}
    assert_eq!(end_of(ana.wire()).await, Ok(()));
    assert_eq!(server.exit_code(), Some(0));
}

/// Pages of the same host may open sockets, by https as by http.
#[tokio::test]
async fn pages_of_the_same_host_may_call_and_others_may_not() {
    let server = encrypted().await;
    let path = server.chat_path(0, 0);
    for (origin, may) in
        [("https://localhost:3000", true), ("https://127.0.0.1", true), ("https://evil.example", false)]
    {
        let opened = Socket::try_open(&server, &path, &[("origin", origin)]).await;
        assert_eq!(opened.map(drop).err(), (!may).then_some(403), "{origin}");
    }
}

#[tokio::test]
async fn browsers_are_told_to_use_tls_where_the_operator_says_so() {
    let said = async |server: &Server| {
        let answer = server.client().get(server.http("/healthz")).send().await.unwrap();
        answer.headers().get("strict-transport-security").map(|line| line.to_str().unwrap().to_owned())
    };
    assert_eq!(said(&encrypted().await).await, None);
    let server = Server::builder().encrypted().set("PREGON_HSTS_SECONDS", 300).start().await;
    assert_eq!(said(&server).await.as_deref(), Some("max-age=300"));
}
