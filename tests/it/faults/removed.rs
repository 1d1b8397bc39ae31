//! Participants who are removed while they listen: by themselves, by an owner, by another program.

use std::time::{Duration, Instant};

use crate::support::ledger::Ledger;
use crate::support::{Server, Socket};
use pregon::limits::ADMISSION_CACHE_SECONDS;
use serde_json::json;

async fn server() -> Server {
    Server::builder().seed(4, 1, 3).set("PREGON_SHARDS", 2).start().await
}

/// Sooner than the sweep, which would find the row as well: its first round is at the server's start, the next one five
/// seconds later.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The room goes on without the removed user, who receives nothing of it and cannot come back in.
async fn assert_gone(server: &Server, room: &str, ana: &mut Socket, is_by_others: bool) {
    let gone = 1;
    ana.until_pong().await;
    ana.send(json!({"type": "chat_message", "content": "sin ti"})).await;
    ana.expect("chat_message").await;
    let path = format!("/ws/chat/{room}/?token={}", server.fixture.users[gone].token);
    let began = Instant::now();
    loop {
        let mut again = Socket::open(server, &path).await;
        let answer = again.next_json().await;
        if answer["message"] == "No eres participante de este chat" {
            assert_eq!(again.closed().await, 1000);
            break;
        }
        // After another program deleted the row, the gate may use its cache a little longer.
        let believed = Duration::from_secs(ADMISSION_CACHE_SECONDS.unsigned_abs() + 1);
        assert!(is_by_others && began.elapsed() < believed, "{answer}");
    }
    let path = format!("/api/messaging/chats/{room}/messages/");
    assert_eq!(server.rest("GET", &path, gone, None).await.0, 404);
    Ledger::open(server).assert_whole();
}

#[tokio::test]
async fn a_message_before_the_leaving_is_heard_and_none_after() {
    let server = server().await;
    let room = server.fixture.rooms[0].id.clone();
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    ana.send(json!({"type": "chat_message", "content": "adiós"})).await;
    beto.expect("chat_message").await;
    let began = Instant::now();
    assert_eq!(server.rest("POST", &format!("/api/messaging/chats/{room}/leave/"), 1, None).await.0, 200);
    assert_eq!(beto.closed().await, 4003);
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    ana.expect("chat_message").await;
    assert_gone(&server, &room, &mut ana, false).await;
}

#[tokio::test]
async fn an_owner_removes_a_member_of_a_group_from_all_devices() {
    let server = server().await;
    let users: Vec<_> = server.fixture.users.iter().map(|user| user.id.clone()).collect();
    let body = json!({"chat_type": "group", "name": "x", "participant_ids": [users[1], users[2]]});
    let (status, made) = server.rest("POST", "/api/messaging/chats/", 0, Some(body)).await;
    assert_eq!(status, 201, "{made}");
    let room = made["id"].as_str().unwrap().to_owned();
    let mut sockets = Vec::new();
    for user in [0, 1, 1, 2] {
        let path = format!("/ws/chat/{room}/?token={}", server.fixture.users[user].token);
        let mut socket = Socket::open(&server, &path).await;
        socket.expect("connection_success").await;
        sockets.push(socket);
    }
    let path = format!("/api/messaging/chats/{room}/remove_participant/");
    let beto = || Some(json!({"user_id": users[1]}));
    assert_eq!(server.rest("POST", &path, 2, beto()).await.0, 403, "a member may not");
    let began = Instant::now();
    assert_eq!(server.rest("POST", &path, 0, beto()).await.0, 200);
    assert_eq!((sockets[1].closed().await, sockets[2].closed().await), (4003, 4003));
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    let mut ana = sockets.swap_remove(0);
    assert_gone(&server, &room, &mut ana, false).await;
    let mut caro = sockets.swap_remove(0);
    assert_eq!(caro.expect("chat_message").await["message"]["content"], "sin ti");
}

/// Nothing that the removed user does reads the row: the server looks on its own.
#[tokio::test]
async fn a_row_that_another_program_deletes_is_found_by_the_sweep() {
    let server = server().await;
    let room = server.fixture.rooms[0].id.clone();
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    let ledger = Ledger::open(&server);
    let id = server.fixture.users[1].id.replace('-', "");
    assert_eq!(ledger.0.execute("DELETE FROM chat_participants WHERE user_id = ?", [id]).unwrap(), 1);
    let began = Instant::now();
    assert_eq!(beto.closed().await, 4003);
    // Five seconds between two rounds, a second for rounding, the rest for a slow machine.
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    assert_gone(&server, &room, &mut ana, true).await;
}
