//! Every frame of a chat socket in both directions, on one shard and on several.

use crate::support::{Server, Socket};
use serde_json::{Value, json};

/// The behaviour is the same whatever the number of shards.
async fn servers() -> Vec<Server> {
    let mut servers = Vec::new();
    for shards in [1, 4] {
        servers.push(Server::builder().seed(4, 2, 3).set("PREGON_SHARDS", shards).start().await);
    }
    servers
}

/// Ana and Beto in room 0, after each has received the other's arrival.
async fn two(server: &Server) -> (Socket, Socket) {
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    let came = ana.expect("user_status").await;
    assert_eq!((&came["user_id"], &came["status"]), (&json!(server.fixture.users[1].id), &json!("online")));
    let there = beto.expect("user_status").await;
    assert_eq!((&there["user_id"], &there["status"]), (&json!(server.fixture.users[0].id), &json!("online")));
    (ana, beto)
}

async fn say(socket: &mut Socket, content: &str) -> Value {
    socket.send(json!({"type": "chat_message", "content": content})).await;
    let echo = socket.expect("chat_message").await["message"].clone();
    assert_eq!(echo["content"], content.trim());
    echo
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_message_reaches_everybody_with_all_its_keys() {
    for server in servers().await {
        let (mut ana, mut beto) = two(&server).await;
        let echo = say(&mut ana, "  hola, ¿qué tal? 😀 \"'<b>\\ ").await;
        assert_eq!(beto.expect("chat_message").await["message"], echo);
        let mut expected = vec![
            "id",
            "chat_room",
            "sender",
            "content",
            "message_type",
            "image",
            "video",
            "audio",
            "file_url",
            "file_name",
            "file_size",
            "reply_to",
            "is_edited",
            "is_deleted",
            "created_at",
            "updated_at",
            "reactions",
            "reaction_counts",
            "user_reaction",
            "is_read",
            "read_by_count",
            "is_reply",
            "story_id",
            "story_preview",
        ];
        let mut found = keys(&echo);
        expected.sort_unstable();
        found.sort_unstable();
        assert_eq!(found, expected);
        assert_eq!(keys(&echo["sender"]).len(), 28);
        assert_eq!(echo["chat_room"], server.fixture.rooms[0].id);
        assert_eq!(echo["sender"]["username"], server.fixture.users[0].username);
        assert_eq!(echo["sender"]["email"], "", "contacts are masked");
        assert_eq!(echo["created_at"], echo["updated_at"]);
        assert!(echo["created_at"].as_str().unwrap().ends_with('Z'));
        let (status, stored) = server
            .rest("GET", &format!("/api/messaging/chats/{}/messages/", server.fixture.rooms[0].id), 1, None)
            .await;
        assert_eq!((status, &stored["results"][0]["id"]), (200, &echo["id"]));
    }
}

#[tokio::test]
async fn replies_show_what_they_answer_and_bad_ones_are_no_replies() {
    for server in servers().await {
        let (mut ana, mut beto) = two(&server).await;
        let long = "é".repeat(150);
        let first = say(&mut ana, &long).await;
        beto.expect("chat_message").await;
        beto.send(json!({"type": "chat_message", "content": "sí", "reply_to": first["id"]})).await;
        let reply = beto.expect("chat_message").await["message"].clone();
        assert_eq!(reply["is_reply"], true);
        assert_eq!(reply["reply_to"]["id"], first["id"]);
        assert_eq!(reply["reply_to"]["content"], format!("{}...", "é".repeat(100)));
        assert_eq!(reply["reply_to"]["sender"]["username"], server.fixture.users[0].username);
        // A message of another room, an unknown one, and an invalid id.
        let mut elsewhere = server.join(1, 1).await;
        let foreign = say(&mut elsewhere, "elsewhere").await;
        for bad in [foreign["id"].clone(), json!(uuid::Uuid::new_v4()), json!("nonsense"), json!(5)] {
            beto.send(json!({"type": "chat_message", "content": format!("no {bad}"), "reply_to": bad})).await;
            let message = beto.expect("chat_message").await["message"].clone();
            assert_eq!((&message["reply_to"], &message["is_reply"]), (&Value::Null, &json!(false)), "{bad}");
        }
    }
}

#[tokio::test]
async fn content_is_limited_by_characters() {
    for server in servers().await {
        let (mut ana, mut beto) = two(&server).await;
        let longest = "😀".repeat(2000);
        say(&mut ana, &longest).await;
        assert_eq!(beto.expect("chat_message").await["message"]["content"], longest);
        ana.send(json!({"type": "chat_message", "content": format!("{longest}!")})).await;
        let error = ana.expect("error").await;
        assert!(error["message"].as_str().unwrap().contains("2000"));
        assert_eq!(error["message"], error["error"]);
        assert!(beto.until_pong().await.is_empty(), "nobody hears of a refused message");
    }
}

#[tokio::test]
async fn typing_is_told_to_the_other_users_only() {
    for server in servers().await {
        let (mut ana, mut beto) = two(&server).await;
        let mut second_tab = server.join(0, 0).await;
        second_tab.expect("user_status").await;
        for (sent, told) in
            [(json!(true), Some(true)), (json!("yes"), None), (Value::Null, Some(false)), (json!(false), Some(false))]
        {
            ana.send(json!({"type": "typing", "is_typing": sent})).await;
            assert!(ana.until_pong().await.is_empty());
            if let Some(told) = told {
                let frame = beto.expect("typing_status").await;
                let user = &server.fixture.users[0];
                assert_eq!(
                    frame,
                    json!({"type": "typing_status", "user_id": user.id, "username": user.username, "is_typing": told})
                );
            }
        }
        assert!(beto.until_pong().await.is_empty(), "what is no boolean is not relayed");
        assert!(second_tab.until_pong().await.is_empty(), "one's own tabs do not hear it");
    }
}

#[tokio::test]
async fn a_signal_is_passed_on_as_it_came() {
    for server in servers().await {
        let (mut ana, mut beto) = two(&server).await;
        let mut second_tab = server.join(0, 0).await;
        second_tab.expect("user_status").await;
        let data = json!({"x": [1, 2.5, null, "é"], "deep": {"a": {}}});
        ana.send(json!({"type": "signal", "data": data})).await;
        let user = &server.fixture.users[0];
        let expected = json!({"type": "signal", "user_id": user.id, "username": user.username, "data": data});
        assert_eq!(beto.expect("signal").await, expected);
        assert_eq!(second_tab.expect("signal").await, expected, "other sockets of the sender hear it");
        assert!(ana.until_pong().await.is_empty());
        ana.send(json!({"type": "signal", "data": data, "echo": true})).await;
        assert_eq!(ana.expect("signal").await, expected);
        ana.send(json!({"type": "signal", "data": "x".repeat(4095)})).await;
        assert_eq!(ana.expect("error").await["message"], "El campo data de signal no puede superar 4 KiB");
    }
}

#[tokio::test]
async fn a_read_is_told_once_and_only_if_it_is_real() {
    for server in servers().await {
        let (mut ana, mut beto) = two(&server).await;
        let message = say(&mut ana, "léeme").await;
        beto.expect("chat_message").await;
        let user = &server.fixture.users[1];
        let expected = json!({
            "type": "message_read", "message_id": message["id"], "user_id": user.id, "username": user.username
        });
        beto.send(json!({"type": "read_message", "message_id": message["id"]})).await;
        assert_eq!(ana.expect("message_read").await, expected);
        assert_eq!(beto.expect("message_read").await, expected, "the reader hears it, too");
        beto.send(json!({"type": "read_message", "message_id": message["id"]})).await;
        // The next durable event proves that the second read made no frame.
        say(&mut beto, "mark").await;
        assert_eq!(ana.expect("chat_message").await["message"]["content"], "mark");
        beto.send(json!({"type": "read_message"})).await;
        assert!(beto.until_pong().await.is_empty());
    }
}

#[tokio::test]
async fn a_reaction_toggles_for_everybody() {
    for server in servers().await {
        let (mut ana, mut beto) = two(&server).await;
        let message = say(&mut ana, "¿te gusta?").await;
        beto.expect("chat_message").await;
        let user = &server.fixture.users[1];
        for (kind, added) in [("like", true), ("like", false), ("love", true), ("fire", true), ("love", false)] {
            beto.send(json!({"type": "react_message", "message_id": message["id"], "reaction_type": kind})).await;
            let expected = json!({
                "type": "message_reaction", "message_id": message["id"], "user_id": user.id, "username": user.username,
                "reaction_type": kind, "added": added
            });
            assert_eq!(ana.expect("message_reaction").await, expected);
            assert_eq!(beto.expect("message_reaction").await, expected);
        }
        beto.send(json!({"type": "react_message", "message_id": message["id"], "reaction_type": "bogus"})).await;
        assert_eq!(beto.expect("error").await["message"], "Tipo de reacción inválido");
        assert!(ana.until_pong().await.is_empty(), "a refused reaction is told to nobody");
    }
}

#[tokio::test]
async fn of_a_message_that_is_not_there_only_a_reaction_is_answered() {
    let server = Server::builder().seed(4, 2, 3).start().await;
    let mut ana = server.join(0, 0).await;
    let unknown = uuid::Uuid::new_v4();
    for kind in ["read_message", "edit_message", "delete_message"] {
        ana.send(json!({"type": kind, "message_id": unknown, "content": "x"})).await;
    }
    ana.send(json!({"type": "react_message", "message_id": unknown, "reaction_type": "like"})).await;
    assert_eq!(ana.expect("error").await["message"], "El mensaje no existe en este chat");
    // The echo arrives after all answers of the lane.
    ana.send(json!({"type": "chat_message", "content": "mark"})).await;
    assert_eq!(ana.expect("chat_message").await["message"]["content"], "mark");
    assert!(ana.until_pong().await.is_empty(), "one error, and no more");
}

#[tokio::test]
async fn edits_and_deletions_are_the_authors_own() {
    for server in servers().await {
        let (mut ana, mut beto) = two(&server).await;
        let message = say(&mut ana, "uno").await;
        beto.expect("chat_message").await;
        // Somebody else's message: no answer, and nothing changes.
        beto.send(json!({"type": "edit_message", "message_id": message["id"], "content": "mío"})).await;
        beto.send(json!({"type": "delete_message", "message_id": message["id"]})).await;
        ana.send(json!({"type": "edit_message", "message_id": message["id"], "content": " dos "})).await;
        for socket in [&mut ana, &mut beto] {
            let edited = socket.expect("message_edited").await["message"].clone();
            assert_eq!((&edited["id"], &edited["content"]), (&message["id"], &json!("dos")));
            assert_eq!(edited["is_edited"], true);
            assert!(edited["updated_at"].as_str() > message["updated_at"].as_str());
        }
        ana.send(json!({"type": "delete_message", "message_id": message["id"]})).await;
        let expected = json!({
            "type": "message_deleted", "message_id": message["id"], "user_id": server.fixture.users[0].id
        });
        assert_eq!(ana.expect("message_deleted").await, expected);
        assert_eq!(beto.expect("message_deleted").await, expected);
        ana.send(json!({"type": "delete_message", "message_id": message["id"]})).await;
        ana.send(json!({"type": "edit_message", "message_id": message["id"], "content": "tres"})).await;
        say(&mut ana, "mark").await;
        assert_eq!(beto.expect("chat_message").await["message"]["content"], "mark", "deleted once, not edited after");
    }
}

#[tokio::test]
async fn presence_counts_users_and_not_sockets() {
    for server in servers().await {
        let (mut ana, beto) = two(&server).await;
        let second_tab = server.join(0, 1).await;
        beto.close().await;
        assert!(ana.until_pong().await.is_empty(), "the second tab came and the first went in silence");
        second_tab.close().await;
        let gone = ana.expect("user_status").await;
        assert_eq!((&gone["user_id"], &gone["status"]), (&json!(server.fixture.users[1].id), &json!("offline")));
        let _back = server.join(0, 1).await;
        assert_eq!(ana.expect("user_status").await["status"], "online");
    }
}

#[tokio::test]
async fn what_makes_no_sense_gets_an_error_and_the_socket_lives() {
    use tokio_tungstenite::tungstenite::Message;
    for server in servers().await {
        let (mut ana, mut beto) = two(&server).await;
        let nested = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
        for text in ["", "nope", "[]", "5", "null", "{\"type\":", nested.as_str()] {
            ana.send_raw(Message::text(text)).await;
            assert_eq!(ana.expect("error").await["message"], "Formato JSON inválido", "{text:.20}");
        }
        ana.send_raw(Message::binary(vec![0, 1, 2])).await;
        assert_eq!(ana.expect("error").await["message"], "Formato JSON inválido");
        ana.send(json!({"type": "chat_message", "content": {"a": 1}})).await;
        assert_eq!(ana.expect("error").await["message"], "Un campo del mensaje tiene un tipo incorrecto");
        for silent in [json!({}), json!({"type": "unknown"}), json!({"type": "chat_message", "content": "   "})] {
            ana.send(silent).await;
        }
        assert_eq!(ana.until_pong().await, [Value::Null; 0]);
        assert_eq!(beto.until_pong().await, [Value::Null; 0]);
        ana.send(json!({"type": "chat_message", "content": "x", "message_type": "image"})).await;
        assert!(ana.expect("error").await["message"].as_str().unwrap().contains("REST"));
        // The largest message is accepted; a larger one ends the session with 1009.
        let padding = "x".repeat(64 * 1024 - 30);
        ana.send_raw(Message::text(format!("{{\"type\":\"ping\",\"x\":\"{padding}\"}}"))).await;
        assert_eq!(ana.expect("pong").await["timestamp"], Value::Null);
        ana.send_raw(Message::text("x".repeat(64 * 1024 + 1))).await;
        assert_eq!(ana.closed().await, 1009);
        say(&mut beto, "still here").await;
    }
}

#[tokio::test]
async fn sixty_four_shards_are_one_room() {
    let server = Server::builder().seed(3, 1, 3).set("PREGON_SHARDS", 64).start().await;
    let mut sockets = Vec::new();
    for number in 0..12 {
        sockets.push(server.join(0, number % 3).await);
    }
    for speaker in 0..sockets.len() {
        let text = format!("from socket {speaker}");
        sockets[speaker].send(json!({"type": "chat_message", "content": text})).await;
        for socket in &mut sockets {
            assert_eq!(socket.expect("chat_message").await["message"]["content"], text);
        }
    }
    sockets[0].send(json!({"type": "signal", "data": 1, "echo": true})).await;
    for socket in &mut sockets {
        assert_eq!(socket.expect("signal").await["data"], 1);
    }
}

#[tokio::test]
async fn both_devices_of_a_user_hear_what_one_says() {
    for server in servers().await {
        let (mut ana, mut beto) = two(&server).await;
        let mut phone = server.join(0, 0).await;
        phone.expect("user_status").await;
        let said = say(&mut phone, "desde el teléfono").await;
        assert_eq!(ana.expect("chat_message").await["message"], said);
        assert_eq!(beto.expect("chat_message").await["message"], said);
    }
}
