//! `/metrics` shows what has just been done.

use std::time::Instant;

use reqwest::StatusCode;

use crate::support::{PATIENCE, Server, Socket};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

/// The value of the series with this name and these labels in any order.
fn value(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let is_it = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label.as_str()))
    };
    text.lines().find(is_it)?.rsplit(' ').next()?.parse().ok()
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let server = Server::builder().seed(1, 0, 0).start().await;
    let text = async || reqwest::get(server.http("/metrics")).await.unwrap().text().await.unwrap();
    let profile = "/api/users/profile/{name}";
    let user = &server.fixture.users[0];
    let client = reqwest::Client::new();
    for (path, expected) in [(user.username.as_str(), 200), ("user00001", 200), ("nobody", 404), ("nobody", 404)] {
        let request = client.get(server.http(&format!("/api/users/profile/{path}/"))).bearer_auth(&user.token);
        assert_eq!(request.send().await.unwrap().status(), expected);
    }
    let odd = reqwest::Method::from_bytes(b"BREW").unwrap();
    let odd = client.request(odd, server.http("/api/auth/login/")).send().await.unwrap();
    assert_eq!(odd.status(), StatusCode::METHOD_NOT_ALLOWED);
    let text = text().await;
    let requests = |method, route, status| {
        value(&text, "pregon_http_requests_total", &[("method", method), ("route", route), ("status", status)])
    };
    assert_eq!(requests("GET", profile, "200"), Some(2.0), "{text}");
    assert_eq!(requests("GET", profile, "404"), Some(2.0));
    assert_eq!(requests("other", "/api/auth/login", "405"), Some(1.0), "a client cannot make series of its own");
    assert_eq!(value(&text, "pregon_http_request_seconds_count", &[("route", profile)]), Some(4.0));
}

#[tokio::test]
async fn the_process_its_version_and_its_files_are_measured() {
    let server = Server::builder().on_file().seed(1, 0, 0).start().await;
    server.wait_for_metric("pregon_database_bytes", |bytes| bytes > 4096.0).await;
    let text = reqwest::get(server.http("/metrics")).await.unwrap().text().await.unwrap();
    assert_eq!(value(&text, "pregon_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert!(value(&text, "pregon_wal_bytes", &[]).is_some());
    let resident = value(&text, "process_resident_memory_bytes", &[]).unwrap();
    assert!((5e6..5e9).contains(&resident), "{resident}");
    assert!(value(&text, "process_open_fds", &[]).unwrap() > 5.0);
    assert!(value(&text, "process_threads", &[]).unwrap() > 3.0);
}

/// Waits until a series has a value.
async fn wait_for(server: &Server, name: &str, labels: &[(&str, &str)], wanted: f64) {
    let began = Instant::now();
    loop {
        let text = reqwest::get(server.http("/metrics")).await.unwrap().text().await.unwrap();
        let found = value(&text, name, labels);
        if found == Some(wanted) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{name}{labels:?} stays at {found:?}, not {wanted}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn sessions_are_counted_by_kind_and_by_how_they_end() {
    let server = Server::builder().seed(3, 1, 3).set("PREGON_SHARDS", 1).start().await;
    let post = server.publish(0, "hola").await;
    let mut chat = server.join(0, 0).await;
    let (other, feed) = (server.join(0, 1).await, server.feed(1).await);
    let (_on_post, _notifications) = (server.on_post(&post, 2).await, server.notifications(1).await);
    let of_kind = async |kind, count| wait_for(&server, "pregon_sessions_by_kind", &[("kind", kind)], count).await;
    for (kind, count) in [("chat", 2.0), ("feed", 1.0), ("post", 1.0), ("notifications", 1.0)] {
        of_kind(kind, count).await;
    }
    let closes = async |code, by| wait_for(&server, "pregon_closes_total", &[("code", code), ("by", by)], 1.0).await;
    other.close().await;
    closes("1005", "client").await;
    drop(feed);
    closes("1006", "client").await;
    chat.send_raw(Message::text("x".repeat(70_000))).await;
    assert_eq!(chat.closed().await, 1009);
    closes("1009", "server").await;
    let mut refused = Socket::open(&server, &format!("/ws/chat/{}/", server.fixture.rooms[0].id)).await;
    refused.expect("error").await;
    assert_eq!(refused.closed().await, 1000);
    closes("1000", "server").await;
    for (kind, count) in [("chat", 0.0), ("feed", 0.0), ("post", 1.0), ("notifications", 1.0)] {
        of_kind(kind, count).await;
    }
}

#[tokio::test]
async fn deliveries_are_timed_from_the_commit_or_their_cause_to_the_sockets() {
    let server = Server::builder().seed(2, 1, 2).set("PREGON_SHARDS", 1).start().await;
    let (mut one, mut other) = (server.join(0, 0).await, server.join(0, 1).await);
    for _ in 0..5 {
        one.send(json!({"type": "chat_message", "content": "hola"})).await;
        other.expect("chat_message").await;
        other.send(json!({"type": "signal", "data": 1})).await;
        one.expect("chat_message").await;
        one.expect("signal").await;
    }
    let text = reqwest::get(server.http("/metrics")).await.unwrap().text().await.unwrap();
    for class in ["durable", "ephemeral"] {
        let of = |what: &str| value(&text, &format!("pregon_delivery_seconds_{what}"), &[("class", class)]);
        assert!(of("count").is_some_and(|count| count >= 5.0), "{class}: {text}");
        // Each was heard before the next one was said.
        assert!(of("sum").is_some_and(|seconds| (0.0..PATIENCE.as_secs_f64()).contains(&seconds) && seconds > 0.0));
    }
}

#[tokio::test]
async fn a_limit_that_is_hit_is_counted_and_logged_and_so_is_who_goes_for_it() {
    let server = Server::builder().seed(1, 0, 0).set("PREGON_SHARDS", 1).set("PREGON_RATE_LIMITS", "on").start().await;
    let mut sockets = Vec::new();
    for _ in 0..=pregon::limits::SOCKETS_PER_LISTENER_MAX {
        sockets.push(server.notifications(0).await);
    }
    assert_eq!(sockets[0].closed().await, 1013);
    wait_for(&server, "pregon_limits_hit_total", &[("limit", "sockets of one kind")], 1.0).await;
    wait_for(&server, "pregon_sessions_let_go_total", &[("reason", "crowded")], 1.0).await;
    wait_for(&server, "pregon_closes_total", &[("code", "1013"), ("by", "server")], 1.0).await;
    let log = server.log();
    assert!(log.contains("a limit was hit") && log.contains("a session was let go"), "{log}");
}

#[tokio::test]
async fn what_sockets_with_many_topics_show_in_vain_is_counted_and_logged_with_their_address() {
    let server = Server::builder().seed(1, 0, 0).set("PREGON_TRUSTED_PROXIES", "127.0.0.1").start().await;
    let open = async |offer: &str, client| {
        let headers = [("sec-websocket-protocol", offer), ("x-forwarded-for", client)];
        Socket::try_open(&server, "/ws/", &headers).await.unwrap()
    };
    for (offer, client, code, reason) in
        [("token.a.b.c", "203.0.113.9", "bad_token", "token"), ("ticket.a.b.c", "2001:db8::9", "used_ticket", "ticket")]
    {
        let mut socket = open(&format!("pregon.v1, {offer}"), client).await;
        assert_eq!(socket.next_json().await["code"], code);
        wait_for(&server, "pregon_handshakes_refused_total", &[("reason", reason)], 1.0).await;
        server.wait_for_log(&format!("a handshake was refused reason=\"{reason}\" client={client}")).await;
    }
    // And in a frame: before it is known whose the socket is, and afterwards.
    let mut socket = open("pregon.v1", "203.0.113.10").await;
    socket.send(json!({"type": "auth", "token": "a.b.c"})).await;
    assert_eq!(socket.next_json().await["code"], "bad_token");
    server.wait_for_log("reason=\"token\" client=203.0.113.10").await;
    socket.send(json!({"type": "auth", "token": server.fixture.users[0].token})).await;
    assert_eq!(socket.next_json().await["type"], "welcome");
    socket.send(json!({"type": "auth", "token": "a.b.c"})).await;
    assert_eq!(socket.next_json().await["code"], "bad_token");
    server.wait_for_log(&format!("reason=\"token\" client=user {}", server.fixture.users[0].id)).await;
    assert!(!server.log().contains("a.b.c"));
}

#[tokio::test]
async fn refused_handshakes_are_counted_and_logged_with_their_address_a_few_a_second() {
    const TRIES: usize = 30;
    let server = Server::builder().seed(1, 0, 0).set("PREGON_TRUSTED_PROXIES", "127.0.0.1").start().await;
    let feed = server.socket_path("feed", 0);
    let other_page = [("origin", "http://elsewhere.example"), ("x-forwarded-for", "203.0.113.9")];
    assert_eq!(Socket::try_open(&server, &feed, &other_page).await.err(), Some(403));
    assert_eq!(Socket::try_open(&server, "/ws/feed/?token=x", &[]).await.err(), Some(403));
    assert_eq!(Socket::try_open(&server, "/ws/nowhere/", &[]).await.err(), Some(404));
    for _ in 0..TRIES {
        assert_eq!(Socket::try_open(&server, "/ws/feed/", &[]).await.err(), Some(403));
    }
    for (reason, count) in [("origin", 1.0), ("token", 1.0), ("path", 1.0), ("no token", TRIES as f64)] {
        wait_for(&server, "pregon_handshakes_refused_total", &[("reason", reason)], count).await;
    }
    server.wait_for_log("more handshakes that were refused").await;
    let log = server.log();
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).collect::<Vec<_>>();
    assert_eq!(lines("203.0.113.9").len(), 1, "{log}");
    let (written, rest) = (lines("a handshake was refused reason=\"no token\""), lines("more handshakes"));
    let counts = rest.iter().filter_map(|line| line.rsplit("count=").next()?.trim().parse::<usize>().ok());
    assert_eq!(written.len() + counts.sum::<usize>(), TRIES, "{log}");
    assert!(written.iter().all(|line| line.contains("client=127.0.0.1") && !line.contains("token=")), "{log}");
}
