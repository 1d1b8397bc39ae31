//! Refused feed, post and notification sockets, and when open ones must end.

use crate::support::{SECRET, Server, Socket};
use pregon::access::token::Tokens;
use pregon::clock::Timestamp;
use pregon::ids::UserId;
use serde_json::{Value, json};

const ANA: usize = 0;
const BETO: usize = 1;

async fn server() -> Server {
    Server::builder().seed(3, 1, 2).set("PREGON_SHARDS", 2).start().await
}

async fn private_post(server: &Server) -> Value {
    let body = json!({"content": "para mí", "is_public": false});
    server.done("POST", "/api/posts/", ANA, Some(body)).await
}

/// The whole answer to a handshake: its head and all that follows.
async fn raw_answer(server: &Server, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = server.wire().await;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.address()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(crate::support::PATIENCE, socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn a_token_that_is_wrong_in_any_way_is_403_before_the_socket() {
    let server = server().await;
    let tokens = Tokens::new(SECRET.as_bytes());
    let now = Timestamp::now();
    let ana = server.fixture.users[ANA].id.parse().unwrap();
    let expired = tokens.issue_access(ana, now.plus_seconds(-4000));
    let foreign = Tokens::new(b"some other secret, as long as it is").issue_access(ana, now);
    let unknown = tokens.issue_access(UserId::fresh(), now);
    let refresh = tokens.issue_pair(ana, now).refresh;
    let post = server.publish(ANA, "hola").await["id"].as_str().unwrap().to_owned();
    for what in ["feed".to_owned(), "notifications".to_owned(), format!("post/{post}")] {
        for token in [expired.as_str(), &foreign, &unknown, &refresh, "nonsense", "mock_access_token_17"] {
            let path = format!("/ws/{what}/?token={token}");
            assert_eq!(Socket::try_open(&server, &path, &[]).await.err(), Some(403), "{what} {token:.20}");
        }
        for path in [format!("/ws/{what}/"), format!("/ws/{what}/?token="), format!("/ws/{what}/?xtoken=a")] {
            assert_eq!(Socket::try_open(&server, &path, &[]).await.err(), Some(403), "{path}");
        }
        let answer = raw_answer(&server, &format!("/ws/{what}/?token=nonsense")).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "the body is empty: {answer}");
    }
}

/// Nobody is refused for good because the database did not answer.
#[tokio::test]
async fn a_handshake_without_a_database_is_503_and_says_when_to_come_again() {
    let server = server().await;
    let post = server.publish(ANA, "hola").await;
    server.execute("ALTER TABLE users RENAME TO away", &[]).await;
    // Users in no cache, because they were not seen before.
    for what in ["feed".to_owned(), "notifications".to_owned(), format!("post/{}", post["id"].as_str().unwrap())] {
        let path = server.socket_path(&what, BETO);
        let answer = raw_answer(&server, &path).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{what}: {answer}");
        assert!(answer.to_lowercase().contains("\r\nretry-after: 1\r\n"), "{what}: {answer}");
        assert!(answer.ends_with("\r\n\r\n"), "the body is empty: {answer}");
    }
    server.execute("ALTER TABLE away RENAME TO users", &[]).await;
    server.feed(BETO).await;
    server.notifications(BETO).await;
    server.on_post(&post, BETO).await;
}

#[tokio::test]
async fn the_inactive_are_refused() {
    let server = server().await;
    let post = server.publish(ANA, "hola").await;
    let id = server.fixture.users[BETO].id.replace('-', "");
    assert_eq!(server.execute("UPDATE users SET is_active = 0 WHERE id = ?", &[&id]).await, 1);
    for what in ["feed".to_owned(), "notifications".to_owned(), format!("post/{}", post["id"].as_str().unwrap())] {
        let refused = Socket::try_open(&server, &server.socket_path(&what, BETO), &[]).await;
        assert_eq!(refused.err(), Some(403), "{what}");
    }
}

#[tokio::test]
async fn a_post_that_is_not_there_or_not_ones_own_is_403() {
    let server = server().await;
    let private = private_post(&server).await;
    let unknown = uuid::Uuid::new_v4().to_string();
    for id in [private["id"].as_str().unwrap(), &unknown, "abc", "0a0b-12"] {
        let path = server.socket_path(&format!("post/{id}"), BETO);
        assert_eq!(Socket::try_open(&server, &path, &[]).await.err(), Some(403), "{id}");
    }
    server.on_post(&private, ANA).await;
}

#[tokio::test]
async fn every_spelling_of_a_path_is_the_same_socket() {
    let server = server().await;
    server.follow(BETO, ANA).await;
    let post = server.publish(ANA, "hola").await;
    let id = post["id"].as_str().unwrap();
    let token = &server.fixture.users[BETO].token;
    let mut sockets = Vec::new();
    for spelling in [id.to_owned(), id.to_uppercase(), id.replace('-', "")] {
        for end in ["/", ""] {
            let path = format!("/ws/post/{spelling}{end}?token={token}");
            let mut socket = Socket::open(&server, &path).await;
            assert_eq!(socket.until_pong().await, [Value::Null; 0]);
            sockets.push(socket);
        }
    }
    let path = format!("/api/posts/{id}/comments/");
    server.done("POST", &path, ANA, Some(json!({"content": "bien"}))).await;
    for socket in &mut sockets {
        assert_eq!(socket.expect("new_comment").await["comment"]["content"], "bien");
    }
    for what in ["feed", "notifications"] {
        let mut socket = Socket::open(&server, &format!("/ws/{what}?token={token}")).await;
        assert_eq!(socket.next_json().await["type"], "connection_established");
    }
    for path in ["/ws/post/", "/ws/post/xyz/", "/ws/post/0a/0b/", "/ws/feed/x/", "/ws/notifications/0a/", "/ws/feeds/"]
    {
        let refused = Socket::try_open(&server, &format!("{path}?token={token}"), &[]).await;
        assert_eq!(refused.err(), Some(404), "{path}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let server = server().await;
    let post = server.publish(ANA, "hola").await;
    for what in ["feed".to_owned(), "notifications".to_owned(), format!("post/{}", post["id"].as_str().unwrap())] {
        let path = server.socket_path(&what, ANA);
        for origin in ["http://evil.example", "null"] {
            let refused = Socket::try_open(&server, &path, &[("Origin", origin)]).await;
            assert_eq!(refused.err(), Some(403), "{what} {origin}");
        }
        assert!(Socket::try_open(&server, &path, &[("Origin", "http://localhost:3000")]).await.is_ok(), "{what}");
    }
}

/// Without grace, sockets on posts end a few seconds after their token. Feeds and notifications, whose pages cannot get
/// a fresh one, live on unless a setting ends them, too.
#[tokio::test]
async fn an_expired_token_ends_sockets_on_posts_alone() {
    for strict in ["off", "on"] {
        let server = Server::builder()
            .seed(2, 0, 0)
            .set("PREGON_TOKEN_GRACE_SECONDS", 0)
            .set("PREGON_STRICT_TOKENS", strict)
            .start()
            .await;
        let post = server.publish(ANA, "hola").await;
        let tokens = Tokens::new(SECRET.as_bytes());
        let user = server.fixture.users[ANA].id.parse().unwrap();
        let now = Timestamp::now();
        let token = tokens.issue_access_for(user, now, 3);
        let open = |what: String| {
            let path = format!("/ws/{what}/?token={token}");
            let server = &server;
            async move { Socket::open(server, &path).await }
        };
        let mut feed = open("feed".into()).await;
        assert_eq!(feed.next_json().await["type"], "connection_established");
        let mut notifications = open("notifications".into()).await;
        assert_eq!(notifications.next_json().await["type"], "connection_established");
        let mut on_post = open(format!("post/{}", post["id"].as_str().unwrap())).await;
        assert_eq!(on_post.closed().await, 4001);
        let passed = Timestamp::now().seconds() - now.seconds();
        assert!((3..=8).contains(&passed), "after {passed} s");
        if strict == "on" {
            assert_eq!(feed.closed().await, 4001);
            assert_eq!(notifications.closed().await, 4001);
        } else {
            assert_eq!(notifications.until_pong().await, [serde_json::Value::Null; 0]);
            let post = server.publish(ANA, "y sigue").await;
            assert_eq!(feed.expect("new_post").await["post"]["id"], post["id"]);
        }
    }
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let mut server = server().await;
    let post = server.publish(ANA, "hola").await;
    let mut sockets = [server.feed(ANA).await, server.notifications(ANA).await, server.on_post(&post, ANA).await];
    server.signal("TERM");
    for socket in &mut sockets {
        assert_eq!(socket.closed().await, 1012);
    }
    drop(sockets);
    assert_eq!(server.terminate(), Some(0));
}
