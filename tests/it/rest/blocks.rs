//! Blocking: what ends with it, what the two cannot do to each other any more, and what comes back without it.

use serde_json::{Value, json};

use crate::support::{Server, Socket};

const REFUSED: &str = "No puedes hacer esto: uno de los dos ha bloqueado al otro";

/// Ana (0), who blocks, Beto (1), who is blocked, and Caro (2).
async fn server() -> Server {
    Server::builder().seed(3, 0, 0).start().await
}

fn name(server: &Server, user: usize) -> String {
    server.fixture.users[user].username.clone()
}

async fn block(server: &Server, user: usize, other: usize) -> (u16, Value) {
    server.rest("POST", &format!("/api/users/block/{}/", name(server, other)), user, None).await
}

async fn unblock(server: &Server, user: usize, other: usize) -> (u16, Value) {
    server.rest("DELETE", &format!("/api/users/block/{}/", name(server, other)), user, None).await
}

async fn private_room(server: &Server, user: usize, other: usize) -> String {
    let made = server.done("POST", &format!("/api/users/chat/{}/", name(server, other)), user, None).await;
    made["chat"]["id"].as_str().unwrap().to_owned()
}

async fn profile(server: &Server, user: usize, of: usize) -> Value {
    server.done("GET", &format!("/api/users/profile/{}/", name(server, of)), user, None).await
}

async fn listen(server: &Server, room: &str, user: usize) -> Socket {
    Socket::open(server, &format!("/ws/chat/{room}/?token={}", server.fixture.users[user].token)).await
}

/// The status of an answer, if it is the refusal.
fn is_refused((status, body): &(u16, Value)) -> bool {
    (*status, &body["error"]) == (403, &json!(REFUSED))
}

#[tokio::test]
async fn what_two_were_to_each_other_ends_and_stays_ended() {
    let server = server().await;
    for (one, other) in [(0, 1), (1, 0)] {
        server.follow(one, other).await;
    }
    let request = format!("/api/users/friend-requests/send/{}/", name(&server, 0));
    server.done("POST", &request, 1, None).await;
    let requests = server.done("GET", "/api/users/friend-requests/", 0, None).await;
    let answer = format!("/api/users/friend-requests/{}/respond/", requests[0]["id"].as_str().unwrap());
    server.done("POST", &answer, 0, Some(json!({"action": "accept"}))).await;
    let mut feed = server.feed(1).await;
    server.publish(0, "antes").await;
    assert_eq!(feed.expect("new_post").await["post"]["content"], "antes");

    assert_eq!(block(&server, 0, 1).await.0, 201);
    assert_eq!(block(&server, 0, 1).await.0, 200, "again it changes nothing");
    let seen = profile(&server, 0, 1).await;
    assert_eq!(
        [&seen["is_blocked"], &seen["is_following"], &seen["is_friend"], &seen["followers_count"]],
        [&json!(true), &json!(false), &json!(false), &json!(0)]
    );
    assert_eq!(profile(&server, 1, 0).await["is_blocked"], false, "the other is not told");
    let blocked = server.done("GET", "/api/users/blocked/", 0, None).await;
    assert_eq!(blocked.as_array().unwrap().len(), 1);
    assert_eq!(blocked[0]["username"], name(&server, 1));
    assert_eq!(server.done("GET", "/api/users/blocked/", 1, None).await, json!([]));
    for (viewer, gone) in [(0, 1), (1, 0)] {
        let suggested = server.done("GET", "/api/users/suggested/", viewer, None).await;
        let suggested = suggested["results"].as_array().unwrap();
        assert!(!suggested.is_empty() && suggested.iter().all(|one| one["username"] != name(&server, gone)));
    }
    // What comes next in the feed is of its owner: nothing came of who blocked.
    server.publish(0, "después").await;
    server.publish(1, "mío").await;
    assert_eq!(feed.expect("new_post").await["post"]["content"], "mío");

    assert_eq!(unblock(&server, 0, 1).await.0, 200);
    assert_eq!(unblock(&server, 0, 1).await, (400, json!({"error": "No has bloqueado a este usuario"})));
    let seen = profile(&server, 0, 1).await;
    assert_eq!([&seen["is_blocked"], &seen["is_following"]], [&json!(false), &json!(false)]);
    server.follow(1, 0).await;
}

#[tokio::test]
async fn neither_follows_befriends_nor_adds_the_other_and_the_blocked_one_notifies_nobody() {
    let server = server().await;
    let post = server.publish(0, "un gol").await;
    let post = post["id"].as_str().unwrap();
    let comment = format!("/api/posts/{post}/comments/");
    let first = server.done("POST", &comment, 0, Some(json!({"content": "mío"}))).await;
    let mut bell = server.notifications(0).await;
    block(&server, 0, 1).await;
    for (user, other) in [(1, 0), (0, 1)] {
        let follow = format!("/api/users/follow/{}/", name(&server, other));
        assert!(is_refused(&server.rest("POST", &follow, user, None).await));
        let request = format!("/api/users/friend-requests/send/{}/", name(&server, other));
        assert!(is_refused(&server.rest("POST", &request, user, None).await));
        let chat = format!("/api/users/chat/{}/", name(&server, other));
        assert!(is_refused(&server.rest("POST", &chat, user, None).await));
        let others = json!([server.id(other), server.id(2)]);
        let group = json!({"chat_type": "group", "name": "Equipo", "participant_ids": others});
        assert!(is_refused(&server.rest("POST", "/api/messaging/chats/", user, Some(group)).await));
        let private = json!({"chat_type": "private", "participant_ids": [server.id(other)]});
        assert!(is_refused(&server.rest("POST", "/api/messaging/chats/", user, Some(private)).await));
    }
    let react = format!("/api/posts/{post}/react/");
    let like = format!("/api/posts/comments/{}/like/", first["id"].as_str().unwrap());
    let share = format!("/api/posts/{post}/share/");
    for (path, body) in [
        (&react, json!({"reaction_type": "like"})),
        (&comment, json!({"content": "hola"})),
        (&like, json!({})),
        (&share, json!({})),
    ] {
        let refused = server.rest("POST", path, 1, Some(body)).await;
        assert!(is_refused(&refused), "{path}: {refused:?}");
    }
    server.done("POST", &react, 2, Some(json!({"reaction_type": "like"}))).await;
    let told = bell.expect("notification").await;
    assert_eq!(told["notification"]["sender"]["username"], name(&server, 2), "and nothing before it");
    // In a group of another's making nobody is told to be blocked, but nobody is added by who is.
    let others = json!([server.id(1), server.id(2)]);
    let group = json!({"chat_type": "group", "name": "Equipo", "participant_ids": others});
    assert!(is_refused(&server.rest("POST", "/api/messaging/chats/", 0, Some(group)).await));
}

#[tokio::test]
async fn their_private_room_closes_for_both_at_once_and_opens_again() {
    let server = server().await;
    let room = private_room(&server, 0, 1).await;
    let at = |rest: &str| format!("/api/messaging/chats/{room}/{rest}");
    server.done("POST", &at("send_message/"), 1, Some(json!({"content": "hola"}))).await;
    let (mut ana, mut beto) = (listen(&server, &room, 0).await, listen(&server, &room, 1).await);
    for socket in [&mut ana, &mut beto] {
        socket.expect_any("connection_success").await;
    }
    block(&server, 0, 1).await;
    assert_eq!((ana.closed().await, beto.closed().await), (4003, 4003));
    for user in [0, 1] {
        // The page takes an opened socket for success, so the refusal comes inside.
        let mut again = listen(&server, &room, user).await;
        assert_eq!(again.expect_any("error").await["message"], REFUSED);
        assert_eq!(again.closed().await, 1000);
        let sent = server.rest("POST", &at("send_message/"), user, Some(json!({"content": "no"}))).await;
        assert!(is_refused(&sent), "{sent:?}");
        let history = server.done("GET", &at("messages/"), user, None).await;
        assert_eq!(history["results"][0]["content"], "hola", "what was said can be read");
        assert_eq!(private_room(&server, user, 1 - user).await, room, "and found");
    }
    let message = server.done("GET", &at("messages/"), 1, None).await["results"][0]["id"].as_str().unwrap().to_owned();
    let edit = server.rest("PATCH", &at(&format!("messages/{message}/")), 1, Some(json!({"content": "x"}))).await;
    assert!(is_refused(&edit), "{edit:?}");
    let delete = server.rest("DELETE", &at(&format!("messages/{message}/")), 1, None).await;
    assert_eq!(delete.0, 200, "one's own words can be taken back");

    // Both have blocked: one block taken back opens nothing.
    assert_eq!(block(&server, 1, 0).await.0, 201);
    assert_eq!(unblock(&server, 0, 1).await.0, 200);
    let sent = server.rest("POST", &at("send_message/"), 0, Some(json!({"content": "no"}))).await;
    assert!(is_refused(&sent), "{sent:?}");
    assert_eq!(unblock(&server, 1, 0).await.0, 200);
    let mut beto = listen(&server, &room, 1).await;
    beto.expect_any("connection_success").await;
    server.done("POST", &at("send_message/"), 0, Some(json!({"content": "paz"}))).await;
    assert_eq!(beto.expect_any("chat_message").await["message"]["content"], "paz");
}

#[tokio::test]
async fn a_topic_of_pregon_v1_ends_and_says_why() {
    let server = server().await;
    let room = private_room(&server, 0, 1).await;
    let topic = format!("room:{}", room.replace('-', ""));
    let offer = format!("pregon.v1, token.{}", server.fixture.users[1].token);
    let mut beto = Socket::try_open(&server, "/ws/", &[("sec-websocket-protocol", &*offer)]).await.unwrap();
    beto.expect_any("welcome").await;
    beto.send(json!({"id": 1, "type": "subscribe", "topic": topic})).await;
    beto.expect_any("subscribed").await;
    block(&server, 0, 1).await;
    assert_eq!(beto.expect_any("unsubscribed").await["topic"], topic);
    beto.send(json!({"id": 2, "type": "chat_message", "topic": topic, "content": "no", "client_id": "a"})).await;
    assert_eq!(beto.expect_any("error").await["id"], 2);
    beto.send(json!({"id": 3, "type": "subscribe", "topic": topic})).await;
    let refused = beto.expect_any("error").await;
    assert_eq!((&refused["code"], &refused["retry"]), (&json!("blocked"), &json!("never")), "{refused}");
}

/// Who came or went, as far as the socket heard before this message.
async fn seen_before(socket: &mut Socket, content: &str) -> Vec<(Value, Value)> {
    let mut seen = Vec::new();
    loop {
        let frame = socket.next_json().await;
        match frame["type"].as_str().unwrap() {
            "user_status" => seen.push((frame["user_id"].clone(), frame["status"].clone())),
            "chat_message" if frame["message"]["content"] == content => return seen,
            _ => {}
        }
    }
}

/// In a group they go on reading each other, but neither is told whether the other is there.
#[tokio::test]
async fn in_groups_neither_sees_the_other_come_and_go() {
    let server = Server::builder().seed(4, 1, 4).set("PREGON_SHARDS", 4).start().await;
    let id = |user: usize| server.id(user);
    block(&server, 0, 1).await;
    let mut dora = server.join(0, 3).await;
    let mut ana = server.join(0, 0).await;
    assert_eq!(dora.expect("user_status").await["user_id"], id(0));
    let mut beto = server.join(0, 1).await;
    assert_eq!(dora.expect("user_status").await["user_id"], id(1));
    let mut caro = server.join(0, 2).await;
    assert_eq!(dora.expect("user_status").await["user_id"], id(2));
    let online = |user: usize| (json!(id(user)), json!("online"));
    let said = |content: &str| json!({"type": "chat_message", "content": content});
    beto.send(said("hola")).await;
    let mut seen = seen_before(&mut caro, "hola").await;
    seen.sort_by_key(|(user, _)| (0..4).position(|number| *user == id(number)));
    assert_eq!(seen, [online(0), online(1), online(3)], "others see both");
    for (socket, unseen) in [(&mut ana, 1), (&mut beto, 0)] {
        let seen = seen_before(socket, "hola").await;
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!(seen.iter().all(|(user, _)| *user != id(unseen)), "{seen:?}");
    }
    let topic = format!("room:{}", server.fixture.rooms[0].id.replace('-', ""));
    let mut asking = crate::support::v1::Client::open(&server, 0).await;
    let page = asking.asked(json!({"type": "roster", "topic": topic, "limit": 10})).await;
    let present = page["members"].as_array().unwrap().iter().filter(|member| member["present"] == true);
    let present: Vec<&Value> = present.map(|member| &member["id"]).collect();
    assert!(present.len() == 3 && !present.contains(&&json!(id(1))), "{page}");

    // And from a block on that is made while both are there.
    assert_eq!(block(&server, 2, 0).await.0, 201);
    caro.close().await;
    let offline = (json!(id(2)), json!("offline"));
    let gone = dora.expect_any("user_status").await;
    assert_eq!((&gone["user_id"], &gone["status"]), (&offline.0, &offline.1));
    dora.send(said("adiós")).await;
    assert_eq!(seen_before(&mut beto, "adiós").await, [offline]);
    assert_eq!(seen_before(&mut ana, "adiós").await, []);
    // Both hear it again from the sockets that they open when the block is taken back.
    unblock(&server, 0, 1).await;
    let mut again = server.join(0, 0).await;
    beto.send(said("paz")).await;
    let seen = seen_before(&mut again, "paz").await;
    assert!(seen.contains(&online(1)), "{seen:?}");
}

#[tokio::test]
async fn blocks_of_nobody_and_of_oneself_are_refused() {
    let server = server().await;
    assert_eq!(block(&server, 0, 0).await, (400, json!({"error": "No puedes bloquearte a ti mismo"})));
    for method in ["POST", "DELETE"] {
        let nobody = server.rest(method, "/api/users/block/nadie/", 0, None).await;
        assert_eq!(nobody, (404, json!({"error": "Usuario no encontrado"})));
    }
}
