//! Rows that a real Django writes without any announcement: they are still noticed, in time, and once.

use std::time::{Duration, Instant};

use crate::backend::Django;
use crate::support::{Server, Socket};
use serde_json::{Value, json};

/// Rows that Django adds are announced within this time.
const SOON: Duration = Duration::from_secs(1);
/// Rows that Django changes silently take effect within this time.
const LATER: Duration = Duration::from_secs(5);

async fn people(django: &Django) -> Vec<Value> {
    django.pregon(&["migrate"]);
    let mut users = Vec::new();
    for name in ["ana", "beto"] {
        users.push(django.user(name).await);
    }
    users
}

async fn notify(django: &Django, message: &str, more: Value) -> Value {
    let mut arguments = json!({"recipient": "ana", "sender": "beto", "message": message});
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    django.act("notification", arguments).await
}

async fn in_room(server: &Server, room: &Value, user: usize) -> Socket {
    let room = room["id"].as_str().unwrap();
    let token = &server.fixture.users[user].token;
    let mut socket = Socket::open(server, &format!("/ws/chat/{room}/?token={token}")).await;
    socket.expect("connection_success").await;
    socket
}

/// Waits until every look that could find a row again has run, including the far one. A row with an old time is found
/// only by a far look; once it is heard, a later look must find the row after it. The looks take turns, and announce
/// what they find in order.
async fn after_a_far_look(django: &Django, bells: &mut [Socket]) {
    for (text, late_seconds) in [("de hace un rato", 40), ("de ahora", 0)] {
        let row = notify(django, text, json!({"late_seconds": late_seconds})).await;
        for bell in &mut *bells {
            let frame = bell.next_json().await;
            assert_eq!(frame["notification"]["id"], row["id"], "nothing is told again: {frame}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_and_messages_of_the_orm_are_heard_once_on_two_nodes() {
    let django = Django::start().await;
    let users = people(&django).await;
    let users: Vec<&Value> = users.iter().collect();
    let room = django.act("room", json!({"members": ["ana", "beto"]})).await;
    notify(&django, "antes", json!({})).await;
    let one = django.pregon_server(&users).await;
    let other = django.pregon_server(&users).await;
    let mut bells = [one.notifications(0).await, one.notifications(0).await, other.notifications(0).await];
    let mut chats = [in_room(&one, &room, 0).await, in_room(&other, &room, 1).await];
    for number in 0..5 {
        let text = format!("aviso {number}");
        let began = Instant::now();
        let row = notify(&django, &text, json!({})).await;
        for bell in &mut bells {
            let frame = bell.next_json().await;
            assert_eq!((&frame["type"], &frame["notification"]["id"]), (&json!("notification"), &row["id"]), "{frame}");
            assert_eq!(frame["notification"]["message"], json!(text));
        }
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        let began = Instant::now();
        let row = django.act("message", json!({"room": room["id"], "sender": "beto", "content": text})).await;
        for chat in &mut chats {
            let frame = chat.expect("chat_message").await;
            assert_eq!(frame["message"]["id"], row["id"], "{frame}");
            assert_eq!(frame["message"]["content"], json!(text));
        }
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
    after_a_far_look(&django, &mut bells).await;
    for bell in &mut bells {
        assert_eq!(bell.until_pong().await, [Value::Null; 0]);
    }
    for chat in &mut chats {
        let later = chat.until_pong().await;
        assert!(later.iter().all(|frame| frame["type"] == "user_status"), "{later:?}");
    }
    // One node gives a row its place, and the other finds it there, perhaps after it has heard of it by Redis.
    for node in [&one, &other] {
        node.wait_for_metric("pregon_django_adopted_total", |rows| rows >= 12.0).await;
        assert_eq!(node.metric("pregon_django_adopted_total").await, 12.0, "twelve rows, each found by two nodes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_long_transactions_are_found_and_pregons_own_are_not_told_twice() {
    let django = Django::start_with_char_ids().await;
    let users = people(&django).await;
    let room = django.act("room", json!({"members": ["ana", "beto"]})).await;
    let server = django.pregon_server(&users.iter().collect::<Vec<_>>()).await;
    let mut bell = server.notifications(0).await;
    let mut ana = in_room(&server, &room, 0).await;
    let mut beto = in_room(&server, &room, 1).await;
    // The first look only learns which rows are old.
    notify(&django, "primero", json!({})).await;
    assert_eq!(bell.next_json().await["notification"]["message"], "primero");
    let row = notify(&django, "tarde", json!({"late_seconds": 40, "open_seconds": 1})).await;
    assert_eq!(bell.next_json().await["notification"]["id"], row["id"], "its time was forty seconds ago");
    ana.send(json!({"type": "chat_message", "content": "hola"})).await;
    let frame = ana.expect("chat_message").await;
    assert_eq!(beto.expect("chat_message").await, frame);
    let mut bells = [bell];
    after_a_far_look(&django, &mut bells).await;
    for socket in [&mut bells[0], &mut ana, &mut beto] {
        let later = socket.until_pong().await;
        assert!(later.iter().all(|frame| frame["type"] == "user_status"), "{later:?}");
    }
    let rows = django.act("rows", json!({"table": "Message"})).await;
    assert_eq!((rows.as_array().unwrap().len(), &rows[0]["id"]), (1, &frame["message"]["id"]));
}

/// Django publishes posts until ana's feed receives one, or stops receiving. Returns how long that took. The author
/// receives each of them, and on one shard all sockets receive at once.
async fn until_heard(django: &Django, author: &mut Socket, feed: &mut Socket, is_heard: bool) -> Duration {
    let began = Instant::now();
    loop {
        let post = django.act("post", json!({"author": "beto", "content": "¿me oyes?"})).await;
        while author.next_json().await["post"]["id"] != post["id"] {}
        let heard = feed.until_pong().await;
        if heard.is_empty() != is_heard {
            return began.elapsed();
        }
        assert!(began.elapsed() < LATER + Duration::from_secs(5), "the change is not seen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn follows_friendships_and_deactivations_take_effect_on_open_sockets() {
    let django = Django::start().await;
    let users = people(&django).await;
    let room = django.act("room", json!({"members": ["ana", "beto"]})).await;
    let server = django.pregon_server_with(&users.iter().collect::<Vec<_>>(), &[("PREGON_SHARDS", "1")]).await;
    let mut feed = server.feed(0).await;
    let mut beto = server.feed(1).await;
    django.wait_for_group(&format!("feed_{}", users[1]["id"].as_str().unwrap()), 1).await;
    assert!(until_heard(&django, &mut beto, &mut feed, false).await < LATER);
    let following = json!({"follower": "ana", "following": "beto"});
    let friends = json!({"one": "ana", "other": "beto"});
    for (action, arguments, is_heard) in [
        ("follow", &following, true),
        ("unfollow", &following, false),
        ("befriend", &friends, true),
        ("unfriend", &friends, false),
    ] {
        django.act(action, arguments.clone()).await;
        let took = until_heard(&django, &mut beto, &mut feed, is_heard).await;
        assert!(took < LATER, "{action}: {took:?}");
    }
    let mut bell = server.notifications(0).await;
    let post = django.act("post", json!({"author": "beto", "content": "adiós"})).await;
    let mut on_post = server.on_post(&post, 0).await;
    let mut chat = in_room(&server, &room, 0).await;
    let mut others = in_room(&server, &room, 1).await;
    // A socket less than a second old is left to the next look. These must be older, and only time makes them so.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let began = Instant::now();
    django.act("set_active", json!({"username": "ana", "is_active": false})).await;
    assert_eq!(feed.closed().await, 4001);
    assert_eq!(bell.closed().await, 4001);
    assert_eq!(on_post.closed().await, 4001);
    assert_eq!(chat.closed().await, 4003);
    assert!(began.elapsed() < LATER, "{:?}", began.elapsed());
    let began = Instant::now();
    django.act("leave", json!({"room": room["id"], "member": "beto"})).await;
    assert_eq!(others.closed().await, 4003);
    assert!(began.elapsed() < LATER, "{:?}", began.elapsed());
}
