//! Which texts and names a message may have, by socket and by REST, and what remains of a deleted one.

use crate::support::{Server, Socket};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

async fn server() -> Server {
    Server::builder().seed(2, 1, 2).start().await
}

fn path(server: &Server, rest: &str) -> String {
    format!("/api/messaging/chats/{}/{rest}", server.fixture.rooms[0].id)
}

async fn say(socket: &mut Socket, frame: Value) -> Value {
    socket.send(frame).await;
    socket.expect("chat_message").await["message"].clone()
}

#[tokio::test]
async fn an_answer_keeps_nothing_of_a_message_that_was_deleted() {
    let server = server().await;
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    let secret = say(&mut ana, json!({"type": "chat_message", "content": "secreto"})).await;
    beto.expect("chat_message").await;
    let answer = say(&mut beto, json!({"type": "chat_message", "content": "sí", "reply_to": secret["id"]})).await;
    assert_eq!(answer["reply_to"]["content"], "secreto");
    assert!(answer["reply_to"].get("is_deleted").is_none());
    ana.expect("chat_message").await;

    ana.send(json!({"type": "delete_message", "message_id": secret["id"]})).await;
    ana.expect("message_deleted").await;
    beto.expect("message_deleted").await;
    let one = path(&server, &format!("messages/{}/", answer["id"].as_str().unwrap()));
    let list = server.done("GET", &path(&server, "messages/"), 0, None).await;
    let shown = [server.done("GET", &one, 0, None).await, list["results"][0].clone()];
    beto.send(json!({"type": "edit_message", "message_id": answer["id"], "content": "no"})).await;
    let live =
        [beto.expect("message_edited").await["message"].clone(), ana.expect("message_edited").await["message"].clone()];
    for seen in shown.into_iter().chain(live) {
        let quote = json!({"id": secret["id"], "sender": answer["reply_to"]["sender"], "content": "",
            "message_type": "text", "is_deleted": true});
        assert_eq!((&seen["id"], &seen["is_reply"], &seen["reply_to"]), (&answer["id"], &json!(true), &quote));
    }
}

#[tokio::test]
async fn a_message_is_told_with_the_name_its_sender_gave_it() {
    let server = server().await;
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    let named = |content: &str| json!({"type": "chat_message", "content": content, "client_id": "c-\"1\""});
    ana.send(named("uno")).await;
    let echo = ana.expect("chat_message").await;
    assert_eq!(echo["client_id"], "c-\"1\"");
    assert_eq!(beto.expect("chat_message").await, echo, "one frame for all");
    // Sent again: only its sender is told, with the name.
    ana.send(named("uno")).await;
    let again = ana.expect("chat_message").await;
    assert_eq!((&again["client_id"], &again["message"]["id"]), (&json!("c-\"1\""), &echo["message"]["id"]));
    assert_eq!(beto.until_pong().await, [Value::Null; 0]);
    ana.send(json!({"type": "chat_message", "content": "dos"})).await;
    assert!(ana.expect("chat_message").await.get("client_id").is_none());
    assert!(beto.expect("chat_message").await.get("client_id").is_none());
    // By REST, too.
    let body = json!({"content": "tres", "client_id": "c-3"});
    server.done("POST", &path(&server, "send_message/"), 1, Some(body)).await;
    assert_eq!(ana.expect("chat_message").await["client_id"], "c-3");
}

#[tokio::test]
async fn an_error_names_what_it_is_about() {
    let server = server().await;
    let mut ana = server.join(0, 0).await;
    let long = "x".repeat(2001);
    for (name, told) in [(json!("c-1"), json!("c-1")), (Value::Null, Value::Null)] {
        ana.send(json!({"type": "chat_message", "content": long, "client_id": name})).await;
        let error = ana.expect("error").await;
        assert_eq!(error["client_id"], told, "{error}");
        assert_eq!(error.get("client_id").is_some(), !told.is_null());
    }
    // An invalid name is an error and not a message without a name, whose repetition would be stored twice.
    for bad in [json!(5), json!(""), json!("ñ".repeat(33)), json!(["c"]), json!(true)] {
        ana.send(json!({"type": "chat_message", "content": "x", "client_id": bad})).await;
        let error = ana.expect("error").await;
        assert_eq!(error["message"], "client_id debe ser un texto de 1 a 64 bytes", "{bad}");
        let body = Some(json!({"content": "x", "client_id": bad}));
        let (status, answer) = server.rest("POST", &path(&server, "send_message/"), 0, body).await;
        assert_eq!(status, 400, "{bad}: {answer}");
    }
    // A refusal that comes from the database.
    server.execute("DELETE FROM chat_participants", &[]).await;
    ana.send(json!({"type": "chat_message", "content": "x", "client_id": "c-2"})).await;
    assert_eq!(ana.expect("error").await["client_id"], "c-2");
}

#[tokio::test]
async fn half_an_emoji_reaches_nobody() {
    let server = server().await;
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    for frame in [
        r#"{"type":"signal","data":"\ud83d","echo":true}"#,
        r#"{"type":"signal","data":{"\ude00":[1]}}"#,
        r#"{"type":"ping","timestamp":["\ud83d"]}"#,
        r#"{"type":"chat_message","content":"a\ud83d"}"#,
        r#"{"type":"typing","is_typing":true,"other":"\ud83d"}"#,
    ] {
        ana.send_raw(Message::text(frame)).await;
        assert_eq!(ana.expect("error").await["message"], "El mensaje contiene un carácter incompleto", "{frame}");
    }
    ana.send_raw(Message::text(r#"{"type":"signal","data":"\ud83d\ude00"}"#)).await;
    assert_eq!(beto.expect("signal").await["data"], "😀");
    let mut notifications = server.notifications(0).await;
    notifications.send_raw(Message::text(r#"{"type":"ping","timestamp":"\ud83d"}"#)).await;
    assert_eq!(notifications.until_pong().await, [Value::Null; 0]);
}

/// The same texts by socket and by REST.
#[tokio::test]
async fn both_ways_take_the_same_texts() {
    let server = server().await;
    let mut ana = server.join(0, 0).await;
    for (content, is_nul) in [("a\0b", true), ("\0", true), ("\u{200b}\u{feff}", false), (" \u{2800} ", false)] {
        ana.send(json!({"type": "chat_message", "content": content})).await;
        let heard = ana.until_pong().await;
        match is_nul {
            true => assert_eq!(heard[0]["message"], "No se permiten caracteres nulos.", "{content:?}"),
            false => assert_eq!(heard, [Value::Null; 0], "{content:?}"),
        }
        let answer = server.rest("POST", &path(&server, "send_message/"), 0, Some(json!({"content": content}))).await;
        let text = if is_nul { "No se permiten caracteres nulos." } else { "Este campo no puede estar en blanco." };
        assert_eq!(answer, (400, json!({"content": [text]})), "{content:?}");
    }
    let nulls = json!({"content": "x", "message_type": null, "reply_to": null, "client_id": null});
    let mut frame = nulls.clone();
    frame["type"] = json!("chat_message");
    assert_eq!(say(&mut ana, frame).await["message_type"], "text");
    server.done("POST", &path(&server, "send_message/"), 1, Some(nulls)).await;
    ana.expect("chat_message").await;
    // A mark before the text says that it is UTF-8, and nothing else.
    ana.send_raw(Message::text("\u{feff}{\"type\":\"chat_message\",\"content\":\"marca\"}")).await;
    assert_eq!(ana.expect("chat_message").await["message"]["content"], "marca");
    let posted = server
        .client()
        .post(server.http(&path(&server, "send_message/")))
        .bearer_auth(&server.fixture.users[0].token)
        .header("content-type", "application/json")
        .body("\u{feff}{\"content\":\"marca por REST\"}")
        .send();
    assert_eq!(posted.await.unwrap().status(), 201);
}
