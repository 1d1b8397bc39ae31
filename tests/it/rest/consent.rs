//! What one account cannot do to others in rooms, over real HTTP: their lists stay small, their settings are theirs,
//! those who left are not added again and again, and deleted messages are gone.

use std::time::Instant;

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{PATIENCE, Server};

/// The smallest picture: one black pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\xdac`\0\0\0\x02\0\x01\xe5'\xde\xfc\0\0\0\0IEND\xaeB`\x82";

const CHATS: &str = "/api/messaging/chats/";

/// A group that the first user creates.
async fn group(server: &Server, users: &[usize]) -> Value {
    let others: Vec<Value> = users[1..].iter().map(|user| server.id(*user)).collect();
    let body = json!({"chat_type": "group", "name": "Equipo", "participant_ids": others});
    server.done("POST", CHATS, users[0], Some(body)).await["id"].clone()
}

fn at(room: &Value, rest: &str) -> String {
    format!("{CHATS}{}/{rest}", room.as_str().unwrap())
}

fn ids(room: &Value) -> Vec<Value> {
    room["participants"].as_array().unwrap().iter().map(|one| one["user"]["id"].clone()).collect()
}

#[tokio::test]
async fn a_list_shows_a_few_of_many_and_a_room_shows_them_by_pages() {
    let server = Server::builder().seed(260, 0, 0).start().await;
    let everybody: Vec<usize> = (0..260).collect();
    let large = group(&server, &everybody).await;
    let small = group(&server, &[5, 6, 7]).await;
    let list = server.done("GET", CHATS, 5, None).await;
    let of = |room: &Value| list["results"].as_array().unwrap().iter().find(|one| one["id"] == *room).unwrap().clone();
    let listed = of(&large);
    let few = of(&small);
    assert_eq!((ids(&listed).len(), &listed["participants_count"]), (9, &json!(260)));
    assert!(ids(&listed).contains(&server.id(5)), "the viewer is one");
    assert_eq!((ids(&few).len(), &few["participants_count"]), (3, &json!(3)));

    let first = server.done("GET", &at(&large, ""), 259, None).await;
    let second = server.done("GET", &at(&large, "?participants_page=2"), 259, None).await;
    assert_eq!(first["participants_count"], 260);
    let mut seen = [ids(&first), ids(&second)].concat();
    assert!(ids(&first).contains(&server.id(259)) && ids(&second).contains(&server.id(259)), "the viewer is on each");
    assert!(ids(&first).len() <= 201 && ids(&second).len() <= 61, "{} {}", ids(&first).len(), ids(&second).len());
    seen.sort_by_key(ToString::to_string);
    seen.dedup();
    assert_eq!(seen.len(), 260, "everybody is on one of them");
    for bad in ["0", "x", "-1", "99999999999"] {
        let page = server.rest("GET", &at(&large, &format!("?participants_page={bad}")), 0, None).await;
        assert_eq!(page, (404, json!({"detail": "Página inválida."})), "{bad}");
    }
}

#[tokio::test]
async fn what_others_call_one_and_have_read_is_theirs() {
    let server = Server::builder().seed(3, 0, 0).start().await;
    let room = group(&server, &[0, 1, 2]).await;
    let patch =
        json!({"other_user_nickname": "la pesada", "is_muted": true, "chat_color": "red", "sound_enabled": false});
    server.done("PATCH", &at(&room, "settings/"), 1, Some(patch)).await;
    server.done("POST", &at(&room, "send_message/"), 0, Some(json!({"content": "hola"}))).await;
    for path in [at(&room, ""), CHATS.to_owned()] {
        let answer = server.done("GET", &path, 0, None).await;
        let shown = answer.get("results").map_or(&answer, |results| &results[0]);
        let other =
            shown["participants"].as_array().unwrap().iter().find(|one| one["user"]["id"] == server.id(1)).unwrap();
        for (key, value) in [
            ("other_user_nickname", json!("")),
            ("is_muted", json!(false)),
            ("chat_color", json!("")),
            ("sound_enabled", json!(true)),
            ("last_read_at", json!(null)),
            ("unread_count", json!(0)),
        ] {
            assert_eq!(other[key], value, "{path} {key}");
        }
    }
    let own = server.done("GET", &at(&room, ""), 1, None).await;
    let own =
        own["participants"].as_array().unwrap().iter().find(|one| one["user"]["id"] == server.id(1)).unwrap().clone();
    assert_eq!((&own["other_user_nickname"], &own["unread_count"]), (&json!("la pesada"), &json!(1)));
}

#[tokio::test]
async fn whoever_left_is_added_again_once_a_day() {
    let server = Server::builder().seed(4, 0, 0).start().await;
    let room = group(&server, &[0, 1, 2]).await;
    let add = async |user: usize| {
        let body = json!({"user_id": server.id(user)});
        server.rest("POST", &at(&room, "add_participant/"), 0, Some(body)).await.0
    };
    server.done("POST", &at(&room, "leave/"), 1, None).await;
    assert_eq!(add(1).await, 200, "perhaps by mistake");
    assert_eq!(add(1).await, 400, "the retry of a lost answer is told that it is so already");
    server.done("POST", &at(&room, "leave/"), 1, None).await;
    assert_eq!(add(1).await, 409);
    assert_eq!(server.rest("GET", &at(&room, ""), 1, None).await.0, 404);
    // A user whom an admin removed did not leave.
    for _ in 0..2 {
        server.done("POST", &at(&room, "remove_participant/"), 0, Some(json!({"user_id": server.id(2)}))).await;
        assert_eq!(add(2).await, 200);
    }
    assert_eq!(add(3).await, 200);
}

#[tokio::test]
async fn an_owner_who_leaves_hands_over() {
    let server = Server::builder().seed(4, 0, 0).start().await;
    let room = group(&server, &[0, 1, 2, 3]).await;
    let admin = server.fixture.users[3].id.replace('-', "");
    let sql = "UPDATE chat_participants SET role = 'admin' WHERE user_id = ?";
    assert_eq!(server.execute(sql, &[&admin]).await, 1);
    let owner = async |viewer: usize| {
        let room = server.done("GET", &at(&room, ""), viewer, None).await;
        let owners: Vec<Value> =
            room["participants"].as_array().unwrap().iter().filter(|one| one["role"] == "owner").cloned().collect();
        assert_eq!(owners.len(), 1, "{room}");
        owners[0]["user"]["id"].clone()
    };
    assert_eq!(owner(1).await, server.id(0));
    server.done("POST", &at(&room, "leave/"), 0, None).await;
    assert_eq!(owner(1).await, server.id(3), "the admin");
    // With a participant's rights.
    server.done("POST", &at(&room, "add_participant/"), 3, Some(json!({"user_id": server.id(0)}))).await;
    server.done("POST", &at(&room, "leave/"), 3, None).await;
    let heir = owner(1).await;
    assert!(heir == server.id(1) || heir == server.id(2), "the oldest member, not the one who came back");
    let (status, _) =
        server.rest("POST", &at(&room, "add_participant/"), 0, Some(json!({"user_id": server.id(3)}))).await;
    assert_eq!(status, 403, "who was owner once is a member");
}

#[tokio::test]
async fn groups_cost_their_maker_by_the_head() {
    let server = Server::builder().seed(4, 0, 0).set("PREGON_RATE_LIMITS", "on").start().await;
    let others: Vec<Value> = (1..4).map(|user| server.id(user)).collect();
    let body = json!({"chat_type": "group", "name": "Equipo", "participant_ids": others});
    let mut made = 0;
    let wait = loop {
        let (status, answer) = server.rest("POST", CHATS, 0, Some(body.clone())).await;
        match status {
            201 => made += 1,
            429 => break answer,
            other => panic!("{other} {answer}"),
        }
    };
    assert!((66..=80).contains(&made), "{made}: {wait}");
    let (_, list) = server.rest("GET", CHATS, 0, None).await;
    assert_eq!(list["count"], made, "what is refused is not made");
}

/// Sent by socket, deleted, sent again by REST: the second one is a new message.
#[tokio::test]
async fn a_deleted_message_is_nobodys_twin() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    let room = json!(server.fixture.rooms[0].id);
    let mut ana = server.join(0, 0).await;
    ana.send(json!({"type": "chat_message", "content": "otra vez"})).await;
    let first = ana.expect("chat_message").await["message"]["id"].clone();
    ana.send(json!({"type": "delete_message", "message_id": first})).await;
    ana.expect("message_deleted").await;
    let second = server.done("POST", &at(&room, "send_message/"), 0, Some(json!({"content": "otra vez"}))).await;
    assert_ne!(second["id"], first);
    assert_eq!(ana.expect("chat_message").await["message"]["id"], second["id"]);
    let history = server.done("GET", &at(&room, "messages/"), 1, None).await;
    assert_eq!((&history["count"], &history["results"][0]["id"]), (&json!(1), &second["id"]));
}

#[tokio::test]
async fn a_client_id_of_a_deleted_message_says_so() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    let room = json!(server.fixture.rooms[0].id);
    let text = "El mensaje con este client_id ya se envió y fue eliminado: usa otro client_id para enviarlo de nuevo";
    let mut ana = server.join(0, 0).await;
    let frame = json!({"type": "chat_message", "content": "hola", "client_id": "uno"});
    ana.send(frame.clone()).await;
    let first = ana.expect("chat_message").await["message"]["id"].clone();
    ana.send(json!({"type": "delete_message", "message_id": first})).await;
    ana.expect("message_deleted").await;
    ana.send(frame).await;
    assert_eq!(ana.expect("error").await["message"], text);
    let body = json!({"content": "hola", "client_id": "uno"});
    let (status, answer) = server.rest("POST", &at(&room, "send_message/"), 0, Some(body)).await;
    assert_eq!((status, &answer["error"]), (409, &json!(text)));
    let body = json!({"content": "hola", "client_id": "dos"});
    server.done("POST", &at(&room, "send_message/"), 0, Some(body)).await;
}

/// A picture is deleted with its message, whichever way the message is deleted.
#[tokio::test]
async fn a_deleted_messages_picture_is_served_no_more() {
    let server = Server::builder().on_file().seed(2, 1, 2).start().await;
    let room = json!(server.fixture.rooms[0].id);
    let send = async || {
        let file = Part::bytes(PNG).file_name("foto.png").mime_str("image/png").unwrap();
        let request = reqwest::Client::new().post(server.http(&at(&room, "send_message/")));
        let request = request.multipart(Form::new().part("image", file)).bearer_auth(&server.fixture.users[0].token);
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let by_rest = send().await;
    let by_socket = send().await;
    let kept = send().await;
    let status =
        async |message: &Value| reqwest::get(message["image"].as_str().unwrap()).await.unwrap().status().as_u16();
    assert_eq!((status(&by_rest).await, status(&by_socket).await), (200, 200));
    server.done("DELETE", &at(&room, &format!("messages/{}/", by_rest["id"].as_str().unwrap())), 0, None).await;
    let mut ana = server.join(0, 0).await;
    ana.send(json!({"type": "delete_message", "message_id": by_socket["id"]})).await;
    let began = Instant::now();
    while (status(&by_rest).await, status(&by_socket).await) != (404, 404) {
        assert!(began.elapsed() < PATIENCE, "it is still there");
        tokio::task::yield_now().await;
    }
    assert_eq!(status(&kept).await, 200);
}

/// A header of 70 bytes can claim a picture that would take a browser gigabytes.
#[tokio::test]
async fn a_picture_of_absurd_size_is_refused() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    let room = json!(server.fixture.rooms[0].id);
    let sized = |width: u32, height: u32| {
        let mut png = PNG.to_vec();
        png[16..20].copy_from_slice(&width.to_be_bytes());
        png[20..24].copy_from_slice(&height.to_be_bytes());
        png
    };
    let gif = [b"GIF89a", &[0xff, 0xff, 0xff, 0xff][..], &[0; 16]].concat();
    for (bytes, expected) in
        [(sized(30_000, 30_000), 400), (sized(u32::MAX, 1), 400), (gif, 400), (sized(4_000, 3_000), 201)]
    {
        let file = Part::bytes(bytes).file_name("foto.png").mime_str("image/png").unwrap();
        let request = reqwest::Client::new().post(server.http(&at(&room, "send_message/")));
        let request = request.multipart(Form::new().part("image", file)).bearer_auth(&server.fixture.users[0].token);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected);
        if expected == 400 {
            let text = "La imagen tiene demasiados píxeles: redúcela y vuelve a subirla.";
            assert_eq!(answer.json::<Value>().await.unwrap(), json!({"image": [text]}));
        }
    }
}

#[tokio::test]
async fn one_user_uploads_a_days_worth() {
    let server = Server::builder().seed(2, 1, 2).set("PREGON_UPLOAD_QUOTA_MB", 1).start().await;
    let room = json!(server.fixture.rooms[0].id);
    let send = async |user: usize| {
        let mut picture = PNG.to_vec();
        picture.resize(400 * 1024, 0);
        let file = Part::bytes(picture).file_name("foto.png").mime_str("image/png").unwrap();
        let request = reqwest::Client::new().post(server.http(&at(&room, "send_message/")));
        let request = request.multipart(Form::new().part("image", file)).bearer_auth(&server.fixture.users[user].token);
        request.send().await.unwrap()
    };
    assert_eq!((send(0).await.status().as_u16(), send(0).await.status().as_u16()), (201, 201));
    let refused = send(0).await;
    assert_eq!(refused.status().as_u16(), 429);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=24 * 3600).contains(&wait), "{wait}");
    assert_eq!(send(1).await.status().as_u16(), 201, "everybody has a quota of their own");
    let body = json!({"content": "sin foto"});
    assert_eq!(server.rest("POST", &at(&room, "send_message/"), 0, Some(body)).await.0, 201);
}
