//! What sockets of `pregon.v1` can ask about a room of any size, and what they are told of who is there.

use crate::support::Server;
use crate::support::v1::Client;
use serde_json::{Value, json};

fn topic(server: &Server) -> String {
    format!("room:{}", server.fixture.rooms[0].id.replace('-', ""))
}

/// Three people are enough to be too many.
async fn crowded(people: usize) -> Server {
    let builder = Server::builder().seed(people + 1, 1, people).set("PREGON_SHARDS", 2);
    builder.set("PREGON_PRESENCE_ROOM_MAX", 2).start().await
}

/// The next news of this kind in a topic, whatever else comes before it.
async fn next_of(client: &mut Client, kind: &str) -> Value {
    loop {
        let frame = client.next().await;
        if frame["event"]["type"] == kind {
            return frame["event"].clone();
        }
    }
}

#[tokio::test]
async fn a_room_says_how_many_there_are_and_who_page_by_page() {
    let server = crowded(7).await;
    let topic = topic(&server);
    let mut ana = Client::open(&server, 0).await;
    let mut beto = Client::open(&server, 1).await;
    let info = ana.asked(json!({"type": "room_info", "topic": topic})).await;
    assert_eq!((&info["type"], &info["topic"]), (&json!("room_info"), &json!(topic)), "{info}");
    assert_eq!((&info["participants"], &info["present"]), (&json!(7), &json!(0)));
    beto.subscribed(&topic, None).await;
    let _old = server.join(0, 2).await;
    // The home of the room hears of both by mail.
    let info = loop {
        let info = ana.asked(json!({"type": "room_info", "topic": topic})).await;
        if info["present"] == 2 {
            break info;
        }
    };
    assert_eq!(info["participants"], 7);

    let (mut members, mut after, mut pages) = (Vec::new(), Value::Null, 0);
    loop {
        let page = ana.asked(json!({"type": "roster", "topic": topic, "limit": 3, "after": after})).await;
        assert_eq!((&page["type"], &page["participants"], &page["present"]), (&json!("roster"), &json!(7), &json!(2)));
        members.extend(page["members"].as_array().unwrap().iter().cloned());
        pages += 1;
        if page["next"].is_null() {
            break;
        }
        after = page["next"].clone();
    }
    assert_eq!((members.len(), pages), (7, 3));
    for user in 0..7 {
        let member = members.iter().find(|member| member["id"] == server.id(user)).unwrap();
        assert_eq!(member["username"], server.fixture.users[user].username);
        assert_eq!(member["present"], user == 1 || user == 2, "{member}");
        assert!(["owner", "member"].contains(&member["role"].as_str().unwrap()), "{member}");
    }
    let mut stranger = Client::open(&server, 7).await;
    for request in ["room_info", "roster", "unread"] {
        let refused = stranger.asked(json!({"type": request, "topic": topic})).await;
        assert_eq!((&refused["type"], &refused["code"]), (&json!("error"), &json!("not_participant")), "{refused}");
    }
    let elsewhere = ana.asked(json!({"type": "room_info", "topic": "feed"})).await;
    assert_eq!(elsewhere["code"], "bad_topic");
}

#[tokio::test]
async fn a_large_room_is_told_how_many_are_there_and_a_small_one_who() {
    let server = crowded(4).await;
    let topic = topic(&server);
    let mut ana = Client::open(&server, 0).await;
    ana.subscribed(&topic, None).await;
    assert_eq!(next_of(&mut ana, "presence_count").await["present"], 1, "she is told at once");
    let mut old = server.join(0, 1).await;
    let mut beto = Client::open(&server, 2).await;
    beto.subscribed(&topic, None).await;
    assert_eq!(next_of(&mut beto, "presence_count").await["present"], 3);
    // In one word or in two: at most one in two seconds.
    while next_of(&mut ana, "presence_count").await["present"] != 3 {}
    beto.socket.close().await;
    assert_eq!(next_of(&mut ana, "presence_count").await["present"], 2, "behind the grace");
    old.send(json!({"type": "chat_message", "content": "hola"})).await;
    assert_eq!(old.next_json().await["type"], "chat_message", "old clients hear nothing of it");

    let small = Server::builder().seed(3, 1, 3).start().await;
    let topic = self::topic(&small);
    let mut ana = Client::open(&small, 0).await;
    ana.subscribed(&topic, None).await;
    let mut beto = Client::open(&small, 1).await;
    beto.subscribed(&topic, None).await;
    let there = next_of(&mut beto, "user_status").await;
    assert_eq!((&there["user_id"], &there["status"]), (&small.id(0), &json!("online")), "the snapshot");
    let came = next_of(&mut ana, "user_status").await;
    assert_eq!((&came["user_id"], &came["status"]), (&small.id(1), &json!("online")));
    beto.socket.close().await;
    let went = next_of(&mut ana, "user_status").await;
    assert_eq!((&went["user_id"], &went["status"]), (&small.id(1), &json!("offline")));
}

#[tokio::test]
async fn unread_messages_and_readers_are_those_of_rest() {
    let server = crowded(5).await;
    let topic = topic(&server);
    let path = format!("/api/messaging/chats/{}", server.fixture.rooms[0].id);
    let mut ana = Client::open(&server, 0).await;
    let mut beto = Client::open(&server, 1).await;
    let before = beto.asked(json!({"type": "unread", "topic": topic})).await;
    assert_eq!((&before["count"], &before["more"]), (&json!(0), &json!(false)), "{before}");
    let mut said = Vec::new();
    for text in ["uno", "dos", "tres"] {
        said.push(ana.say(&topic, text).await["message_id"].as_str().unwrap().to_owned());
    }
    beto.say(&topic, "mío").await;
    let gone = ana.say(&topic, "nada").await["message_id"].clone();
    ana.asked(json!({"type": "delete_message", "topic": topic, "message_id": gone})).await;
    let unread = beto.asked(json!({"type": "unread", "topic": topic})).await;
    let shown = server.done("GET", &format!("{path}/"), 1, None).await;
    assert_eq!((&unread["count"], &shown["unread_count"]), (&json!(3), &json!(3)));
    assert_eq!(unread["last_read_at"], before["last_read_at"]);

    let readers = |message: &str| json!({"type": "readers", "topic": topic, "message_id": message, "limit": 2});
    let nobody = ana.asked(readers(&said[0])).await;
    assert_eq!((&nobody["count"], &nobody["readers"], &nobody["next"]), (&json!(0), &json!([]), &Value::Null));
    // By REST, all of it.
    for user in 1..5 {
        server.done("POST", &format!("{path}/mark_as_read/"), user, None).await;
    }
    let unread = beto.asked(json!({"type": "unread", "topic": topic})).await;
    assert_eq!(unread["count"], 0);
    assert!(unread["last_read_at"].as_u64() > before["last_read_at"].as_u64());
    let first = ana.asked(readers(&said[2])).await;
    assert_eq!((&first["count"], first["readers"].as_array().unwrap().len()), (&json!(4), 2), "{first}");
    let mut request = readers(&said[2]);
    request["after"] = first["next"].clone();
    let second = ana.asked(request).await;
    assert_eq!((&second["next"], second["readers"].as_array().unwrap().len()), (&Value::Null, 2));
    let all = first["readers"].as_array().unwrap().iter().chain(second["readers"].as_array().unwrap());
    let mut ids: Vec<_> = all.clone().map(|reader| reader["id"].as_str().unwrap().to_owned()).collect();
    ids.sort_unstable();
    let mut expected: Vec<_> = (1..5).map(|user| server.fixture.users[user].id.clone()).collect();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert!(all.into_iter().all(|reader| reader["at"].as_u64() > before["last_read_at"].as_u64()));
    let shown = server.done("GET", &format!("{path}/messages/{}/", said[2]), 0, None).await;
    assert_eq!(shown["read_by_count"], 4);
    // And by the other client, one message.
    let own = beto.say(&topic, "otro").await["message_id"].as_str().unwrap().to_owned();
    ana.asked(json!({"type": "read_message", "topic": topic, "message_id": own})).await;
    let one = beto.asked(readers(&own)).await;
    assert_eq!((&one["count"], &one["readers"][0]["id"]), (&json!(1), &server.id(0)));
    for message in [gone.as_str().unwrap(), &uuid::Uuid::nil().to_string()] {
        let none = ana.asked(readers(message)).await;
        assert_eq!((&none["type"], &none["code"]), (&json!("error"), &json!("no_such_message")));
    }
}
