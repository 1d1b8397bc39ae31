//! Sockets of `pregon.v1`: who comes in and how, requests and replies, subscriptions, and what was missed.

use crate::support::v1::Client;
use crate::support::{Server, Socket};
use serde_json::{Value, json};

#[path = "../../../examples/v1.rs"]
#[allow(dead_code, reason = "its main is not called here")]
mod example;

fn room(server: &Server, number: usize) -> String {
    format!("room:{}", server.fixture.rooms[number].id.to_string().replace('-', ""))
}

async fn server() -> Server {
    Server::builder().seed(4, 3, 4).set("PREGON_SHARDS", 2).start().await
}

#[tokio::test]
async fn a_token_comes_as_a_subprotocol_in_a_first_frame_or_as_a_ticket() {
    let server = server().await;
    let mut ana = Client::open(&server, 0).await;
    assert_eq!(ana.rest().await, [Value::Null; 0]);

    let mut beto = Client::opened(&server, "pregon.v1").await;
    let early = beto.asked(json!({"type": "subscribe", "topic": "feed"})).await;
    assert_eq!((&early["type"], &early["code"]), (&json!("error"), &json!("not_authenticated")));
    let bad = beto.asked(json!({"type": "auth", "token": "a.b.c"})).await;
    assert_eq!((&bad["code"], &bad["retry"]), (&json!("bad_token"), &json!("fix")));
    let welcome = beto.asked(json!({"type": "auth", "token": server.fixture.users[1].token})).await;
    assert_eq!((&welcome["type"], &welcome["user"]["id"]), (&json!("welcome"), &server.id(1)));
    let newer = beto.asked(json!({"type": "auth", "token": server.fixture.users[1].token})).await;
    assert_eq!(newer["type"], "refreshed");
    let other = beto.asked(json!({"type": "auth", "token": server.fixture.users[0].token})).await;
    assert_eq!(other["code"], "other_user");

    let ticket = server.done("POST", "/api/auth/ticket/", 2, None).await;
    assert_eq!(ticket["expires_in"], 30);
    let offer = format!("pregon.v1, ticket.{}", ticket["ticket"].as_str().unwrap());
    let mut caro = Client::opened(&server, &offer).await;
    assert_eq!(caro.next().await["user"]["id"], server.id(2));
    let mut again = Client::opened(&server, &offer).await;
    assert_eq!(again.next().await["code"], "used_ticket");
}

#[tokio::test]
async fn only_its_own_path_speaks_it_and_only_if_it_is_offered() {
    let server = server().await;
    for offer in ["pregon.v0", "token.a.b.c"] {
        let refused = Socket::try_open(&server, "/ws/", &[("sec-websocket-protocol", offer)]).await;
        assert_eq!(refused.err(), Some(400), "{offer}");
    }
    // A client that offers it elsewhere is told nothing of it, which its library takes for a failure: the plain one goes on.
    let mut plain = server.join(0, 0).await;
    plain.send(json!({"type": "chat_message", "content": "hola"})).await;
    assert_eq!(plain.expect("chat_message").await["message"]["content"], "hola");
}

#[tokio::test]
async fn one_socket_hears_rooms_posts_the_feed_and_notifications() {
    let server = server().await;
    server.follow(0, 1).await;
    let post = server.publish(1, "un gol").await;
    let on_post = format!("post:{}", post["id"].as_str().unwrap().replace('-', ""));
    let mut ana = Client::open(&server, 0).await;
    let mut beto = Client::open(&server, 1).await;
    let (first, second) = (room(&server, 0), room(&server, 1));
    for topic in [&*first, &*second, &*on_post, "feed", "notifications"] {
        let reply = ana.subscribed(topic, None).await;
        assert_eq!(reply["resumed"], false);
        assert_eq!(reply["cursor"].is_null(), topic == "feed", "{reply}");
    }
    let twice = ana.asked(json!({"type": "subscribe", "topic": "feed"})).await;
    assert_eq!(twice["code"], "already_subscribed");
    ana.rest().await;

    let ack = beto.say(&first, "hola").await;
    let heard = ana.event(&first).await;
    assert_eq!(heard["cursor"], ack["cursor"]);
    assert_eq!((&heard["event"]["type"], &heard["event"]["id"]), (&json!("message"), &ack["message_id"]));
    assert_eq!(heard["event"]["content"], "hola");
    let number = heard["event"]["user"].as_u64().unwrap();
    assert_eq!(ana.users[&number]["id"], server.id(1), "she was told whose number it is");
    beto.say(&second, "dos").await;
    assert_eq!(ana.event(&second).await["event"]["content"], "dos");

    server.publish(1, "otro").await;
    let frame = ana.event("feed").await;
    assert_eq!((&frame["event"]["type"], &frame["event"]["post"]["content"]), (&json!("new_post"), &json!("otro")));
    let path = format!("/api/posts/{}/comments/", post["id"].as_str().unwrap());
    server.done("POST", &path, 2, Some(json!({"content": "¡vaya!"}))).await;
    let commented = ana.event(&on_post).await;
    assert_eq!(commented["event"]["type"], "new_comment");
    assert!(commented["cursor"].is_string());
    server.follow(2, 0).await;
    let rung = ana.event("notifications").await;
    assert_eq!(rung["event"]["type"], "notification", "{rung}");
    assert!(rung["cursor"].is_string());

    let gone = ana.asked(json!({"type": "unsubscribe", "topic": first})).await;
    assert_eq!((&gone["type"], gone.get("code")), (&json!("unsubscribed"), None));
    ana.rest().await;
    beto.say(&first, "nadie").await;
    beto.say(&second, "ella").await;
    assert_eq!(ana.event(&second).await["event"]["content"], "ella");
    let twice = ana.asked(json!({"type": "unsubscribe", "topic": first})).await;
    assert_eq!(twice["code"], "not_subscribed");
}

#[tokio::test]
async fn what_passes_reaches_the_others_of_the_room_and_old_clients_hear_the_same_as_ever() {
    let server = server().await;
    let topic = room(&server, 0);
    let mut old = server.join(0, 2).await;
    let mut ana = Client::open(&server, 0).await;
    let mut beto = Client::open(&server, 1).await;
    for client in [&mut ana, &mut beto] {
        client.subscribed(&topic, None).await;
    }
    ana.ask(json!({"type": "typing", "topic": topic, "is_typing": true})).await;
    let typing = beto.event(&topic).await;
    assert_eq!((&typing["event"]["type"], &typing["event"]["user_id"]), (&json!("typing_status"), &server.id(0)));
    assert_eq!(old.expect("typing_status").await["is_typing"], true);
    beto.ask(json!({"type": "signal", "topic": topic, "data": {"x": 1}, "echo": false})).await;
    assert_eq!(ana.event(&topic).await["event"]["data"], json!({"x": 1}));
    assert_eq!(old.expect("signal").await["data"], json!({"x": 1}));
    old.send(json!({"type": "chat_message", "content": "de antes"})).await;
    assert_eq!(old.expect("chat_message").await["message"]["content"], "de antes");
    assert_eq!(ana.event(&topic).await["event"]["content"], "de antes");
    assert_eq!(beto.event(&topic).await["event"]["content"], "de antes");
    let elsewhere = ana.asked(json!({"type": "typing", "topic": room(&server, 1), "is_typing": true})).await;
    assert_eq!(elsewhere["code"], "not_subscribed");
}

#[tokio::test]
async fn who_writes_a_comment_is_told_to_the_others_at_the_post_and_nothing_else_is() {
    let server = server().await;
    let post = server.publish(0, "hola").await;
    let topic = format!("post:{}", post["id"].as_str().unwrap().replace('-', ""));
    let mut old = server.on_post(&post, 2).await;
    let mut ana = Client::open(&server, 0).await;
    let mut beto = Client::open(&server, 1).await;
    for client in [&mut ana, &mut beto] {
        client.subscribed(&topic, None).await;
    }
    ana.ask(json!({"type": "typing", "topic": topic, "is_typing": true})).await;
    let typing = beto.event(&topic).await;
    assert_eq!((&typing["event"]["type"], &typing["event"]["user_id"]), (&json!("typing_status"), &server.id(0)));
    assert_eq!(typing.get("cursor"), None, "it is not stored");
    assert_eq!(old.expect("typing_status").await["is_typing"], true);
    old.send(json!({"type": "typing", "is_typing": true})).await;
    for client in [&mut ana, &mut beto] {
        assert_eq!(client.event(&topic).await["event"]["user_id"], json!(server.id(2)));
    }
    let signal = ana.asked(json!({"type": "signal", "topic": topic, "data": 1})).await;
    assert_eq!(signal["code"], "bad_topic");
    let feed = ana.asked(json!({"type": "typing", "topic": "feed", "is_typing": true})).await;
    assert_eq!(feed["code"], "bad_topic");
    let other = server.publish(1, "otra").await;
    let topic = format!("post:{}", other["id"].as_str().unwrap().replace('-', ""));
    let elsewhere = ana.asked(json!({"type": "typing", "topic": topic, "is_typing": true})).await;
    assert_eq!(elsewhere["code"], "not_subscribed");
}

#[tokio::test]
async fn every_request_is_answered_and_faults_have_a_code_a_text_and_advice() {
    let server = server().await;
    let topic = room(&server, 0);
    let mut ana = Client::open(&server, 0).await;
    let mut beto = Client::open(&server, 1).await;
    let mine = ana.say(&topic, "hola").await["message_id"].clone();
    for (request, code) in [
        (json!({"type": "nonsense"}), "unknown_type"),
        (json!({"type": "subscribe"}), "bad_topic"),
        (json!({"type": "subscribe", "topic": "room:1"}), "bad_topic"),
        (json!({"type": "subscribe", "topic": "feed", "cursor": "x"}), "bad_cursor"),
        (json!({"type": "chat_message", "topic": topic, "content": ""}), "bad_fields"),
        (json!({"type": "edit_message", "topic": topic, "message_id": mine, "content": "x"}), "not_author"),
        (json!({"type": "mark_read", "notification_id": uuid::Uuid::nil()}), "no_such_notification"),
    ] {
        let answer = beto.asked(request.clone()).await;
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!(code)), "{request} {answer}");
        assert!(!answer["text"].as_str().unwrap().is_empty() && answer["retry"].is_string());
    }
    let stranger = format!("room:{}", uuid::Uuid::new_v4().simple());
    let refused = beto.asked(json!({"type": "subscribe", "topic": stranger})).await;
    assert_eq!((&refused["code"], &refused["retry"]), (&json!("not_participant"), &json!("never")));
    for request in [
        json!({"type": "edit_message", "topic": topic, "message_id": mine, "content": "adiós"}),
        json!({"type": "react_message", "topic": topic, "message_id": mine, "reaction_type": "fire"}),
        json!({"type": "delete_message", "topic": topic, "message_id": mine}),
    ] {
        let ack = ana.asked(request).await;
        assert_eq!((&ack["type"], &ack["message_id"]), (&json!("ack"), &mine), "{ack}");
    }
}

#[tokio::test]
async fn a_client_id_names_one_message_whatever_happens_to_the_connection() {
    let server = server().await;
    let topic = room(&server, 0);
    let mut ana = Client::open(&server, 0).await;
    let request = json!({"type": "chat_message", "topic": topic, "content": "una vez", "client_id": "c-1"});
    let first = ana.asked(request.clone()).await;
    assert_eq!((&first["client_id"], &first["repeated"]), (&json!("c-1"), &json!(false)));
    ana.socket.close().await;
    let mut ana = Client::open(&server, 0).await;
    let second = ana.asked(request).await;
    assert_eq!((&second["message_id"], &second["repeated"]), (&first["message_id"], &json!(true)));
    assert!(first["cursor"].is_string());
    assert_eq!(second["cursor"], first["cursor"]);
}

#[tokio::test]
async fn whoever_loses_a_room_keeps_the_socket_and_is_told() {
    let server = server().await;
    let (lost, kept) = (room(&server, 0), room(&server, 1));
    let mut beto = Client::open(&server, 1).await;
    beto.subscribed(&lost, None).await;
    beto.subscribed(&kept, None).await;
    let path = format!("/api/messaging/chats/{}/leave/", server.fixture.rooms[0].id);
    server.done("POST", &path, 1, None).await;
    let told = loop {
        let frame = beto.next().await;
        if frame["type"] == "unsubscribed" {
            break frame;
        }
    };
    assert_eq!((&told["topic"], &told["code"]), (&json!(lost), &json!("removed")));
    let mut ana = Client::open(&server, 0).await;
    ana.say(&kept, "sigues").await;
    assert_eq!(beto.event(&kept).await["event"]["content"], "sigues");
    let refused = beto.asked(json!({"type": "subscribe", "topic": lost})).await;
    assert_eq!(refused["code"], "not_participant");
}

#[tokio::test]
async fn a_cursor_brings_what_was_missed_once_and_in_order() {
    let server = server().await;
    let topic = room(&server, 0);
    let mut ana = Client::open(&server, 0).await;
    let mut beto = Client::open(&server, 1).await;
    let cursor = beto.subscribed(&topic, None).await["cursor"].as_str().unwrap().to_owned();
    beto.socket.close().await;
    let mut said = Vec::new();
    for number in 0..450 {
        said.push(format!("{number}"));
        ana.ask(json!({"type": "chat_message", "topic": topic, "content": said[number]})).await;
    }
    // The rest is said while it is read.
    let mut beto = Client::open(&server, 1).await;
    let reply = beto.subscribed(&topic, Some(&cursor)).await;
    assert_eq!((&reply["resumed"], &reply["cursor"]), (&json!(true), &json!(cursor)));
    for number in 450..500 {
        said.push(format!("{number}"));
        ana.ask(json!({"type": "chat_message", "topic": topic, "content": said[number]})).await;
    }
    let mut heard = Vec::new();
    let mut last = cursor;
    while heard.len() < said.len() {
        let frame = beto.event(&topic).await;
        assert_eq!(next(&last), frame["cursor"], "without a hole and without a double");
        frame["cursor"].as_str().unwrap().clone_into(&mut last);
        let number = frame["event"]["user"].as_u64().unwrap();
        assert_eq!(beto.users[&number]["id"], server.id(0));
        heard.push(frame["event"]["content"].as_str().unwrap().to_owned());
    }
    assert_eq!(heard, said);
    assert_eq!(beto.rest().await, [Value::Null; 0]);
}

fn next(cursor: &str) -> String {
    let (epoch, seq) = cursor.split_once('.').unwrap();
    format!("{epoch}.{}", seq.parse::<u64>().unwrap() + 1)
}

#[tokio::test]
async fn what_is_not_kept_is_a_gap_and_what_was_deleted_since_is_told_as_deleted() {
    let server = server().await;
    let topic = room(&server, 0);
    let mut ana = Client::open(&server, 0).await;
    let cursor = ana.subscribed(&topic, None).await["cursor"].as_str().unwrap().to_owned();
    let secret = ana.say(&topic, "secreto").await["message_id"].clone();
    ana.asked(json!({"type": "delete_message", "topic": topic, "message_id": secret})).await;
    let now = ana.say(&topic, "después").await["cursor"].clone();
    let mut beto = Client::open(&server, 1).await;
    beto.subscribed(&topic, Some(&cursor)).await;
    for kind in ["message_deleted", "message_deleted", "message"] {
        let frame = beto.event(&topic).await;
        assert_eq!(frame["event"]["type"], kind);
        assert!(!frame.to_string().contains("secreto"));
    }
    beto.asked(json!({"type": "unsubscribe", "topic": topic})).await;
    beto.rest().await;
    for lost in ["7.1", "1.999999"] {
        let reply = beto.subscribed(&topic, Some(lost)).await;
        assert_eq!((&reply["resumed"], &reply["cursor"]), (&json!(false), &now));
        let gap = beto.next().await;
        assert_eq!((&gap["type"], &gap["cursor"]), (&json!("gap"), &now));
        let (status, _) = server.rest("GET", gap["refetch"].as_str().unwrap(), 1, None).await;
        assert_eq!(status, 200, "{gap}");
        beto.asked(json!({"type": "unsubscribe", "topic": topic})).await;
        beto.rest().await;
    }
    let reply = beto.subscribed("feed", Some("1.1")).await;
    assert!(reply["cursor"].is_null());
    assert_eq!(beto.next().await["type"], "gap", "a feed has no order of its own");
}

#[tokio::test]
async fn a_post_that_becomes_private_and_a_login_that_ends_are_told() {
    let server = server().await;
    let post = server.publish(1, "un gol").await;
    let id = post["id"].as_str().unwrap();
    let topic = format!("post:{}", id.replace('-', ""));
    let mut ana = Client::open(&server, 0).await;
    let mut beto = Client::open(&server, 1).await;
    ana.subscribed(&topic, None).await;
    beto.subscribed(&topic, None).await;
    server.done("PATCH", &format!("/api/posts/{id}/"), 1, Some(json!({"is_public": false}))).await;
    let told = ana.next().await;
    assert_eq!(
        (&told["type"], &told["topic"], &told["code"]),
        (&json!("unsubscribed"), &json!(topic), &json!("hidden"))
    );
    assert_eq!(beto.event(&topic).await["event"]["type"], "post_updated", "its author hears of it");
    server.done("POST", &format!("/api/posts/{id}/comments/"), 1, Some(json!({"content": "solo"}))).await;
    assert_eq!(beto.event(&topic).await["event"]["type"], "new_comment");
    assert_eq!(ana.rest().await, [Value::Null; 0]);
    let refused = ana.asked(json!({"type": "subscribe", "topic": topic})).await;
    assert_eq!(refused["code"], "hidden");
    server.done("POST", "/api/auth/logout/", 0, Some(json!({}))).await;
    assert_eq!(ana.socket.closed().await, 4001);
}

#[tokio::test]
async fn a_topic_too_many_is_refused_and_the_others_stay() {
    let server = Server::builder().seed(4, 3, 4).set("PREGON_RATE_LIMITS", "off").start().await;
    let mut ana = Client::open(&server, 0).await;
    let mut topics = vec![room(&server, 0)];
    for number in 0..256 {
        let post = server.publish(0, &format!("{number}")).await;
        topics.push(format!("post:{}", post["id"].as_str().unwrap().replace('-', "")));
    }
    for topic in &topics[..256] {
        ana.subscribed(topic, None).await;
    }
    let refused = ana.asked(json!({"type": "subscribe", "topic": topics[256]})).await;
    assert_eq!(refused["code"], "too_many_topics");
    // From the middle, so that others move.
    for topic in topics[1..256].iter().step_by(2) {
        let reply = ana.asked(json!({"type": "unsubscribe", "topic": topic})).await;
        assert_eq!(reply["type"], "unsubscribed");
    }
    ana.subscribed(&topics[256], None).await;
    ana.say(&topics[0], "hola").await;
    assert_eq!(ana.event(&topics[0]).await["event"]["content"], "hola");
}

#[tokio::test]
async fn before_the_server_stops_each_client_is_told_when_to_move() {
    let mut server = Server::builder().seed(4, 3, 4).set("PREGON_DRAIN_SECONDS", 2).start().await;
    let mut ana = Client::open(&server, 0).await;
    ana.rest().await;
    server.signal("TERM");
    let drain = ana.next().await;
    assert_eq!(drain["type"], "drain", "{drain}");
    assert!(drain["move_within_ms"].as_u64().unwrap() <= 2000);
    assert_eq!(ana.socket.closed().await, 1012);
    assert_eq!(server.exit_code(), Some(0));
}

#[tokio::test]
async fn the_example_says_and_hears_and_comes_back_where_it_was() {
    let mut server = Server::builder().seed(4, 1, 4).on_file().start().await;
    let topic = room(&server, 0);
    let (lines, typed) = tokio::sync::mpsc::channel(1);
    let (heard, mut printed) = tokio::sync::mpsc::unbounded_channel();
    let rooms = [server.fixture.rooms[0].id.clone()];
    let mut example = example::Client::new(server.address(), &server.fixture.users[0].token, &rooms);
    let running = tokio::spawn(async move {
        let hear = |said: &str| heard.send(said.to_owned()).unwrap_or_default();
        example.run(typed, hear).await
    });
    lines.send("hola".into()).await.unwrap();
    let name = server.fixture.users[0].username.clone();
    assert_eq!(printed.recv().await.unwrap(), format!("{name}: hola"));
    server.kill();
    server.restart_in_place();
    let mut beto = Client::open(&server, 1).await;
    beto.say(&topic, "mientras no estabas").await;
    let name = server.fixture.users[1].username.clone();
    assert_eq!(printed.recv().await.unwrap(), format!("{name}: mientras no estabas"));
    lines.send("ya estoy".into()).await.unwrap();
    assert!(printed.recv().await.unwrap().ends_with(": ya estoy"));
    drop(lines);
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_list_names_the_place_that_it_shows() {
    let server = server().await;
    let topic = room(&server, 0);
    let mut ana = Client::open(&server, 0).await;
    ana.say(&topic, "en la lista").await;
    let path = format!("/api/messaging/chats/{}/messages/", server.fixture.rooms[0].id);
    let post = server.publish(0, "un gol").await;
    let post = post["id"].as_str().unwrap().to_owned();
    for (path, topic) in [
        (path, topic.clone()),
        (format!("/api/posts/{post}/"), format!("post:{}", post.replace('-', ""))),
        (format!("/api/posts/{post}/comments/"), format!("post:{}", post.replace('-', ""))),
        ("/api/notifications/".to_owned(), "notifications".to_owned()),
    ] {
        let request = server.client().get(server.http(&path)).bearer_auth(&server.fixture.users[0].token);
        let answer = request.send().await.unwrap();
        let cursor = answer.headers()["x-pregon-cursor"].to_str().unwrap().to_owned();
        let mut beto = Client::open(&server, 0).await;
        let reply = beto.subscribed(&topic, Some(&cursor)).await;
        assert_eq!((&reply["resumed"], &reply["cursor"]), (&json!(true), &json!(cursor)), "{path}");
        assert_eq!(beto.rest().await, [Value::Null; 0], "{path}");
    }
}

/// A client that does not read loses its topics and not its socket, and misses nothing once it reads again.
#[tokio::test]
async fn who_reads_too_slowly_is_told_and_goes_on_from_its_cursor() {
    const MESSAGES: usize = 1200;
    let server = server().await;
    let topic = room(&server, 0);
    let mut ana = Client::open(&server, 0).await;
    let mut beto = Client::open(&server, 1).await;
    let mut last = beto.subscribed(&topic, None).await["cursor"].as_str().unwrap().to_owned();
    let long = "😀".repeat(2000);
    for _ in 0..MESSAGES {
        ana.ask(json!({"type": "chat_message", "topic": topic, "content": long})).await;
        let ack = ana.arrived().await;
        assert_eq!(ack["type"], "ack", "{ack}");
    }
    server.wait_for_metric("pregon_shed_total", |shed| shed >= 1.0).await;
    let mut heard = 0;
    loop {
        let frame = beto.arrived().await;
        match frame["type"].as_str().unwrap() {
            "event" if frame["cursor"].is_null() => {}
            "event" => {
                assert_eq!(next(&last), frame["cursor"]);
                frame["cursor"].as_str().unwrap().clone_into(&mut last);
                heard += 1;
            }
            "unsubscribed" => {
                assert_eq!((&frame["topic"], &frame["code"]), (&json!("*"), &json!("slow")));
                break;
            }
            kind => panic!("{kind}"),
        }
    }
    assert!(heard < MESSAGES, "it was never behind");
    let reply = beto.subscribed(&topic, Some(&last)).await;
    assert_eq!(reply["resumed"], true);
    while heard < MESSAGES {
        let frame = beto.event(&topic).await;
        assert_eq!(next(&last), frame["cursor"]);
        frame["cursor"].as_str().unwrap().clone_into(&mut last);
        heard += 1;
    }
    assert_eq!(beto.rest().await, [Value::Null; 0]);
}

/// More people than have numbers at a time: whoever comes back is told of everybody, also of those who were read about first and
/// heard of later.
#[tokio::test]
async fn whoever_comes_back_knows_everybody_however_many_they_are() {
    let people = 300;
    let server = Server::builder().seed(people, 1, people).set("PREGON_SHARDS", 1).start().await;
    let topic = room(&server, 0);
    let path = format!("/api/messaging/chats/{}", server.fixture.rooms[0].id);
    let mut ana = Client::open(&server, 0).await;
    let cursor = ana.subscribed(&topic, None).await["cursor"].as_str().unwrap().to_owned();
    let first = ana.say(&topic, "hola").await["message_id"].as_str().unwrap().to_owned();
    ana.socket.close().await;
    for user in 1..people {
        let react = format!("{path}/messages/{first}/react/");
        server.done("POST", &react, user, Some(json!({"reaction_type": "like"}))).await;
        server.done("POST", &format!("{path}/send_message/"), user, Some(json!({"content": user.to_string()}))).await;
    }
    let mut ana = Client::open(&server, 0).await;
    ana.subscribed(&topic, Some(&cursor)).await;
    let mut expected: Vec<usize> = vec![0];
    expected.extend((1..people).flat_map(|user| [user, user]));
    for user in expected {
        let event = ana.event(&topic).await;
        let number = event["event"]["user"].as_u64().unwrap();
        let who = ana.users.get(&number).unwrap_or_else(|| panic!("nobody was told who {number} is: {event}"));
        assert_eq!(who["id"], server.id(user), "{event}");
    }
}
