//! A message with hundreds of reactions is edited again and again: its frames stay small, and no reader is
//! disconnected.

use crate::support::{Server, Socket};
use pregon::limits::MESSAGE_REACTIONS_SHOWN;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const MEMBERS: usize = 240;
const READERS: usize = 30;
const EDITS: usize = 100;
/// Each member has two reactions, of which ten are shown; a profile with 2 KB of text has ten times six keys.
const FRAME_BYTES_MAX: usize = 12 * 1024;

/// Inserts two reactions of each member without the server: everybody's first one, then everybody's second one.
async fn react(server: &Server, message: &Value) {
    let message = message["id"].as_str().unwrap().replace('-', "");
    let mut rows = Vec::new();
    for (round, kind) in ["like", "golazo"].into_iter().enumerate() {
        for (place, user) in server.fixture.users.iter().enumerate() {
            let id = uuid::Uuid::new_v4().simple();
            let user = user.id.replace('-', "");
            rows.push(format!("('{id}', '{kind}', '2026-02-01 10:30:0{round}.{place:06}', '{message}', '{user}')"));
        }
    }
    let columns = "id, reaction_type, created_at, message_id, user_id";
    let sql = format!("INSERT INTO message_reactions ({columns}) VALUES {}", rows.join(", "));
    assert_eq!(server.execute(&sql, &[]).await, rows.len() as u64);
}

/// Reads up to the frame of the last edit. Returns the longest frame's size and the last frame.
async fn read_all(mut socket: Socket) -> (usize, Value) {
    let mut longest = 0;
    loop {
        let Message::Text(text) = socket.next().await else { panic!("a reader was let go") };
        longest = longest.max(text.len());
        if text.contains(&format!("\"content\":\"edit {}\"", EDITS - 1)) {
            return (longest, serde_json::from_str(&text).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_with_hundreds_of_reactions_is_edited_and_no_reader_is_let_go() {
    let server = Server::builder().seed(MEMBERS, 1, MEMBERS).start().await;
    server.execute("UPDATE users SET bio = ?", &[&"😀".repeat(500)]).await;
    let mut author = server.join(0, 0).await;
    author.send(json!({"type": "chat_message", "content": "gol"})).await;
    let message = author.expect("chat_message").await["message"].clone();
    react(&server, &message).await;
    let mut readers = Vec::new();
    for reader in 1..=READERS {
        readers.push(tokio::spawn(read_all(server.join(0, reader).await)));
    }
    for edit in 0..EDITS {
        let content = format!("edit {edit}");
        author.send(json!({"type": "edit_message", "message_id": message["id"], "content": content})).await;
    }
    let counts = json!({"like": MEMBERS, "golazo": MEMBERS});
    for reader in readers {
        let (longest, last) = reader.await.unwrap();
        assert!((1000..FRAME_BYTES_MAX).contains(&longest), "{longest} bytes");
        assert_eq!(last["message"]["reaction_counts"], counts);
        let shown = last["message"]["reactions"].as_array().unwrap();
        assert_eq!(shown.len(), MESSAGE_REACTIONS_SHOWN);
        let newest = &server.fixture.users[MEMBERS - MESSAGE_REACTIONS_SHOWN..];
        for (reaction, user) in shown.iter().zip(newest) {
            assert_eq!((&reaction["user"]["id"], &reaction["reaction_type"]), (&json!(user.id), &json!("golazo")));
            assert_eq!(reaction["user"].as_object().unwrap().len(), 6);
        }
    }
    assert_eq!(server.metric("pregon_sessions_too_slow_total").await, 0.0);

    // Users whose reactions are not among the newest still see their own.
    let path = format!("/api/messaging/chats/{}/messages/", server.fixture.rooms[0].id);
    let listed = server.done("GET", &path, 3, None).await["results"][0].clone();
    assert_eq!((&listed["user_reaction"], &listed["reaction_counts"]), (&json!("golazo"), &counts));
    assert_eq!(listed["reactions"].as_array().unwrap().len(), MESSAGE_REACTIONS_SHOWN);
}
