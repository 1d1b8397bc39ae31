//! permessage-deflate on real sockets: what is negotiated, who hears what, and what is refused.

use crate::support::deflate::{Deflating, deflated};
use crate::support::{Server, Socket};
use serde_json::{Value, json};

const ANA: usize = 0;
const BETO: usize = 1;
const CHROME: &str = "permessage-deflate; client_max_window_bits";
const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

async fn server(compression: Option<&str>) -> Server {
    let builder = Server::builder().seed(4, 1, 4).set("PREGON_SHARDS", 2);
    match compression {
        Some(which) => builder.set("PREGON_COMPRESSION", which).start().await,
        None => builder.start().await,
    }
}

async fn in_room(server: &Server, user: usize, offer: &str) -> Deflating {
    let mut socket = Deflating::open(server, &server.chat_path(0, user), Some(offer), None).await;
    let (is_compressed, _) = socket.expect("connection_success").await;
    assert!(!is_compressed, "a greeting is short");
    socket
}

async fn v1(server: &Server, user: usize) -> Deflating {
    let protocols = format!("pregon.v1, token.{}", server.fixture.users[user].token);
    let mut socket = Deflating::open(server, "/ws/", Some(CHROME), Some(&protocols)).await;
    let (is_compressed, _) = socket.expect("welcome").await;
    assert!(!is_compressed, "what answers a token is never compressed");
    socket
}

fn topic(server: &Server) -> String {
    format!("room:{}", server.fixture.rooms[0].id.replace('-', ""))
}

/// Clients of every kind in one room: those with compression hear the same as the one without.
#[tokio::test]
async fn a_room_hears_the_same_whatever_was_negotiated() {
    let server = server(Some("all")).await;
    let mut plain = server.join(0, ANA).await;
    let mut ana = in_room(&server, ANA, CHROME).await;
    let mut small = in_room(&server, BETO, "permessage-deflate; server_max_window_bits=10").await;
    let mut least = in_room(&server, BETO, "permessage-deflate; server_max_window_bits=8").await;
    assert_eq!(ana.extension, ANSWER);
    assert_eq!(small.extension, format!("{ANSWER}; server_max_window_bits=9"));
    assert_eq!(least.extension, format!("{ANSWER}; server_max_window_bits=8"));
    let mut many = v1(&server, 2).await;
    assert_eq!(many.extension, ANSWER);
    many.send(json!({"type": "subscribe", "id": 1, "topic": topic(&server)})).await;
    many.expect("subscribed").await;

    let content = "¿Viste el partido? ".repeat(40);
    ana.send(json!({"type": "chat_message", "content": content})).await;
    let heard = plain.expect("chat_message").await;
    assert_eq!(heard["message"]["content"], content.trim());
    for (socket, is_long_for_it) in [(&mut ana, false), (&mut small, false), (&mut least, true)] {
        assert_eq!(socket.expect("chat_message").await, (!is_long_for_it, heard.clone()));
    }
    let (is_compressed, event) = many.expect("event").await;
    assert!(is_compressed && event.to_string().contains(content.trim()), "{event}");

    // What is short comes plain, although it was sent compressed.
    ana.send(json!({"type": "signal", "data": 7})).await;
    assert!(!small.expect("signal").await.0);
}

/// The sockets of each kind, and whether the server agrees to compress what travels on them.
#[tokio::test]
async fn the_setting_says_which_sockets_are_compressed() {
    for (setting, chat, feeds) in
        [(None, false, true), (Some("off"), false, false), (Some("feeds"), false, true), (Some("all"), true, true)]
    {
        let server = server(setting).await;
        let post = server.publish(ANA, "hola").await["id"].as_str().unwrap().to_owned();
        let protocols = format!("pregon.v1, token.{}", server.fixture.users[ANA].token);
        for (path, protocols, is_wanted) in [
            (server.chat_path(0, ANA), None, chat),
            ("/ws/".to_owned(), Some(&*protocols), chat),
            (server.socket_path("feed", ANA), None, feeds),
            (server.socket_path("notifications", ANA), None, feeds),
            (server.socket_path(&format!("post/{post}"), ANA), None, feeds),
        ] {
            let socket = Deflating::open(&server, &path, Some(CHROME), protocols).await;
            assert_eq!(socket.extension, if is_wanted { ANSWER } else { "" }, "{setting:?} {path}");
            let socket = Deflating::open(&server, &path, None, protocols).await;
            assert_eq!(socket.extension, "", "nobody asked");
            let bad = "permessage-deflate; server_max_window_bits=7, permessage-deflate; unknown";
            let socket = Deflating::open(&server, &path, Some(bad), protocols).await;
            assert_eq!(socket.extension, "", "{bad}");
            let second = format!("{bad}, permessage-deflate; client_max_window_bits=9");
            let socket = Deflating::open(&server, &path, Some(&second), protocols).await;
            assert_eq!(socket.extension, if is_wanted { ANSWER } else { "" }, "{second}");
        }
    }
}

/// Feeds, posts and notifications are compressed by default, each for all who listen with one compression.
#[tokio::test]
async fn posts_and_notifications_are_compressed_once_for_all_who_hear_them() {
    let server = server(None).await;
    let post = server.publish(ANA, "hola").await;
    let path = format!("post/{}", post["id"].as_str().unwrap());
    let mut listeners = Vec::new();
    for user in 0..4 {
        for _ in 0..5 {
            let mut socket = Deflating::open(&server, &server.socket_path(&path, user), Some(CHROME), None).await;
            socket.send(json!({"type": "ping", "timestamp": 1})).await;
            socket.expect("pong").await;
            listeners.push(socket);
        }
    }
    let mut plain = server.on_post(&post, BETO).await;
    let compressed = "pregon_deflate_texts_total{outcome=\"compressed\"}";
    let before = server.labelled(compressed).await;
    let body = json!({"content": "Qué partido. ".repeat(30)});
    server.done("POST", &format!("/api/posts/{}/comments/", post["id"].as_str().unwrap()), BETO, Some(body)).await;
    let heard = loop {
        let frame = plain.next_json().await;
        if frame["type"] == "new_comment" {
            break frame;
        }
    };
    for socket in &mut listeners {
        assert_eq!(socket.expect("new_comment").await, (true, heard.clone()));
    }
    // The post's counters are told, too, and others may hear of it.
    let texts = server.labelled(compressed).await - before;
    assert!((1.0..=4.0).contains(&texts), "{texts} texts for {} listeners", listeners.len());
    assert!(server.metric("pregon_inflate_messages_total").await >= 20.0, "the pings came compressed");
}

#[tokio::test]
async fn a_message_may_come_in_pieces_and_empty() {
    let server = server(Some("all")).await;
    let (mut ana, mut beto) = (in_room(&server, ANA, CHROME).await, in_room(&server, BETO, CHROME).await);
    let payload = deflated(json!({"type": "signal", "data": "x".repeat(900)}).to_string().as_bytes());
    let (first, rest) = payload.split_at(5);
    let (second, third) = rest.split_at(rest.len() / 2);
    ana.send_frame(0x41, first).await;
    ana.send_frame(0x89, b"in between").await;
    ana.send_frame(0x00, second).await;
    ana.send_frame(0x80, third).await;
    let (is_compressed, heard) = beto.expect("signal").await;
    assert!(is_compressed && heard["data"] == "x".repeat(900), "{heard}");
    // Empty, and no JSON.
    ana.send_frame(0xc1, &[0x00]).await;
    assert!(!ana.expect("error").await.0);
    // A block that says that it is the last one, and one behind it.
    let text = json!({"type": "signal", "data": 8}).to_string();
    let mut stored = vec![0x01, u8::try_from(text.len()).unwrap(), 0, !u8::try_from(text.len()).unwrap(), 0xff];
    stored.extend_from_slice(text.as_bytes());
    stored.extend_from_slice(&[0x02, 0x00]);
    ana.send_frame(0xc1, &stored).await;
    assert_eq!(beto.expect("signal").await.1["data"], 8);
}

#[tokio::test]
async fn what_breaks_the_rules_ends_the_socket_with_its_code() {
    let server = server(Some("all")).await;
    let hello = deflated(b"{}");
    let bomb = deflated(&vec![b' '; 10_000_000]);
    let ratio = deflated(&vec![b' '; 60_000]);
    assert!(bomb.len() < 65_536 && ratio.len() < 600);
    for (name, offer, frames, code) in [
        ("not negotiated", None, vec![(0xc1, &hello[..])], 1002),
        ("a ping", Some(CHROME), vec![(0xc9, &b""[..])], 1002),
        ("a close", Some(CHROME), vec![(0xc8, &b"\x03\xe8"[..])], 1002),
        ("a later fragment", Some(CHROME), vec![(0x41, &hello[..1]), (0xc0, &hello[1..])], 1002),
        ("RSV2", Some(CHROME), vec![(0xa1, &hello[..])], 1002),
        ("garbage", Some(CHROME), vec![(0xc1, &b"\xff\xff\xff"[..])], 1007),
        ("a bomb", Some(CHROME), vec![(0xc1, &bomb[..])], 1009),
        ("a ratio", Some(CHROME), vec![(0xc1, &ratio[..])], 1009),
        ("bad UTF-8", Some(CHROME), vec![(0xc1, &[0x00, 0x01, 0x00, 0xfe, 0xff, 0xff, 0x00][..])], 1007),
    ] {
        let mut socket = Deflating::open(&server, &server.chat_path(0, ANA), offer, None).await;
        for (first, payload) in frames {
            socket.send_frame(first, payload).await;
        }
        assert_eq!(socket.closed().await, code, "{name}");
    }
    // The shard serves on.
    let mut ana = in_room(&server, ANA, CHROME).await;
    ana.send(json!({"type": "ping", "timestamp": 3})).await;
    assert_eq!(ana.expect("pong").await.1["timestamp"], 3);
}

/// What answers a token is never compressed, however it came; answers to one socket are, if they are long.
#[tokio::test]
async fn answers_to_one_socket_are_compressed_unless_they_answer_a_secret() {
    let server = server(Some("all")).await;
    let mut many = v1(&server, ANA).await;
    many.send(json!({"type": "auth", "id": 1, "token": server.fixture.users[ANA].token})).await;
    assert!(!many.expect("refreshed").await.0);
    many.send(json!({"type": "roster", "id": 2, "topic": topic(&server)})).await;
    let (_, roster) = many.expect("roster").await;
    assert_eq!(roster["members"].as_array().unwrap().len(), 4, "{roster}");
    let timestamp = "x".repeat(3000);
    let mut ana = in_room(&server, ANA, CHROME).await;
    for (timestamp, is_long) in [(Value::from(&timestamp[..500]), false), (Value::from(timestamp), true)] {
        ana.send(json!({"type": "ping", "timestamp": timestamp})).await;
        let (is_compressed, pong) = ana.expect("pong").await;
        assert_eq!((is_compressed, &pong["timestamp"]), (is_long, &timestamp));
    }
}

/// Clients that know no compression never get any.
#[tokio::test]
async fn a_client_that_offers_nothing_hears_plain_frames() {
    let server = server(Some("all")).await;
    let mut deflating = in_room(&server, ANA, CHROME).await;
    let mut plain: Socket = server.join(0, BETO).await;
    plain.send(json!({"type": "chat_message", "content": "gol ".repeat(300)})).await;
    let heard = plain.expect("chat_message").await;
    assert_eq!(deflating.expect("chat_message").await, (true, heard));
}
