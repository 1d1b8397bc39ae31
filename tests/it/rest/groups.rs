//! Groups: who changes their name, picture and roles, and who hears of it.

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{Server, Socket};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\xdac`\0\0\0\x02\0\x01\xe5'\xde\xfc\0\0\0\0IEND\xaeB`\x82";

/// A group of the first, who owns it, and two more; the fourth is a stranger.
async fn group() -> (Server, String) {
    let server = Server::builder().seed(4, 0, 0).start().await;
    let body = json!({"chat_type": "group", "name": "Equipo", "participant_ids": [server.id(1), server.id(2)]});
    let made = server.done("POST", "/api/messaging/chats/", 0, Some(body)).await;
    let path = format!("/api/messaging/chats/{}/", made["id"].as_str().unwrap());
    (server, path)
}

async fn roles(server: &Server, path: &str) -> Vec<String> {
    let room = server.done("GET", path, 0, None).await;
    let all = room["participants"].as_array().unwrap();
    let role = |user: usize| all.iter().find(|one| one["user"]["id"] == server.id(user)).unwrap()["role"].clone();
    (0..3).map(|user| role(user).as_str().unwrap().to_owned()).collect()
}

async fn set_role(server: &Server, path: &str, (user, other): (usize, usize), role: &str) -> (u16, Value) {
    let body = json!({"user_id": server.id(other), "role": role});
    server.rest("POST", &format!("{path}set_role/"), user, Some(body)).await
}

#[tokio::test]
async fn owners_give_roles_and_hand_over() {
    let (server, path) = group().await;
    assert_eq!(roles(&server, &path).await, ["owner", "member", "member"]);
    assert_eq!(set_role(&server, &path, (1, 2), "admin").await.0, 403, "a member");
    assert_eq!(set_role(&server, &path, (0, 1), "admin").await.0, 200);
    assert_eq!(set_role(&server, &path, (0, 1), "admin").await.0, 200, "again");
    assert_eq!(roles(&server, &path).await, ["owner", "admin", "member"]);
    assert_eq!(set_role(&server, &path, (1, 2), "admin").await.0, 403, "admins give no roles");
    let add = json!({"user_id": server.id(3)});
    server.done("POST", &format!("{path}add_participant/"), 1, Some(add)).await;
    for (role, status) in [("king", 400), ("", 400)] {
        assert_eq!(set_role(&server, &path, (0, 1), role).await.0, status, "{role}");
    }
    let own = set_role(&server, &path, (0, 0), "member").await;
    assert_eq!((own.0, own.1["error"].as_str().unwrap().contains("propietario")), (400, true));
    assert_eq!(set_role(&server, &path, (0, 2), "owner").await.0, 200);
    assert_eq!(roles(&server, &path).await, ["admin", "admin", "owner"], "there is one owner");
    assert_eq!(set_role(&server, &path, (0, 1), "member").await.0, 403, "not any more");
    assert_eq!(set_role(&server, &path, (2, 1), "member").await.0, 200);
    let remove = json!({"user_id": server.id(3)});
    let refused = server.rest("POST", &format!("{path}remove_participant/"), 1, Some(remove)).await;
    assert_eq!(refused.0, 403, "whose role is gone");
}

#[tokio::test]
async fn admins_change_name_description_and_picture_and_listeners_hear_of_it() {
    let (server, path) = group().await;
    let offer = format!("pregon.v1, token.{}", server.fixture.users[2].token);
    let mut caro = Socket::try_open(&server, "/ws/", &[("sec-websocket-protocol", &*offer)]).await.unwrap();
    caro.expect_any("welcome").await;
    let topic = format!("room:{}", path.trim_matches('/').rsplit('/').next().unwrap().replace('-', ""));
    caro.send(json!({"id": 1, "type": "subscribe", "topic": topic})).await;
    caro.expect_any("subscribed").await;

    let named = server.done("PATCH", &path, 0, Some(json!({"name": " Los Leones ", "description": "martes"}))).await;
    assert_eq!((&named["name"], &named["description"]), (&json!("Los Leones"), &json!("martes")));
    let heard = caro.expect_any("event").await;
    assert_eq!(heard["event"], json!({"type": "room_changed", "user_id": server.id(0)}));
    for (user, body, status) in [
        (1, json!({"name": "x"}), 403),
        (3, json!({"name": "x"}), 403),
        (0, json!({"name": " "}), 400),
        (0, json!({"name": "x".repeat(101)}), 400),
        (0, json!({"avatar": 7}), 400),
        (0, json!({}), 200),
    ] {
        let (got, answer) = server.rest("PATCH", &path, user, Some(body.clone())).await;
        assert_eq!(got, status, "{user} {body}: {answer}");
    }

    let http = reqwest::Client::new();
    let send = async |user: usize, name: &'static str, bytes: &'static [u8]| {
        let form = Form::new().part("avatar", Part::bytes(bytes).file_name(name));
        let token = &server.fixture.users[user].token;
        let sent = http.patch(server.http(&path)).bearer_auth(token).multipart(form).send().await.unwrap();
        (sent.status().as_u16(), sent.json::<Value>().await.unwrap())
    };
    let (status, pictured) = send(0, "leones.png", PNG).await;
    assert_eq!((status, &pictured["name"]), (200, &json!("Los Leones")), "{pictured}");
    let address = pictured["avatar"].as_str().unwrap();
    let shown = http.get(address).send().await.unwrap();
    assert_eq!((shown.status().as_u16(), shown.bytes().await.unwrap().as_ref()), (200, PNG));
    caro.expect_any("event").await;
    assert_eq!(send(1, "leones.png", PNG).await.0, 403, "a member");
    assert_eq!(send(0, "leones.png", b"<svg onload=alert(1)>").await.0, 400);
    let bare = server.done("PATCH", &path, 0, Some(json!({"avatar": null}))).await;
    assert_eq!((&bare["avatar"], &bare["description"]), (&json!(null), &json!("martes")));
    let stored = std::fs::read_dir(server.media().join("chats/avatars")).unwrap().count();
    assert_eq!(stored, 1, "refused pictures leave nothing; the old one goes with the next sweep");
}

#[tokio::test]
async fn a_private_room_has_no_name_and_no_roles() {
    let server = Server::builder().seed(2, 0, 0).start().await;
    let path = format!("/api/users/chat/{}/", server.fixture.users[1].username);
    let room = server.done("POST", &path, 0, None).await["chat"]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/messaging/chats/{room}/");
    assert_eq!(server.rest("PATCH", &path, 0, Some(json!({"name": "x"}))).await.0, 403);
    assert_eq!(set_role(&server, &path, (0, 1), "admin").await.0, 403);
}

#[tokio::test]
async fn messages_are_found_by_their_words_page_by_page() {
    let (server, path) = group().await;
    let send = format!("{path}send_message/");
    for number in 0..25 {
        let content = format!("GOLAZO número {number}");
        server.done("POST", &send, number % 3, Some(json!({"content": content}))).await;
        server.done("POST", &send, number % 3, Some(json!({"content": format!("otra cosa {number}")}))).await;
    }
    let gone = server.done("POST", &send, 0, Some(json!({"content": "golazo anulado"}))).await;
    let gone = format!("{path}messages/{}/", gone["id"].as_str().unwrap());
    assert_eq!(server.rest("DELETE", &gone, 0, None).await.0, 200);
    let first = server.done("GET", &format!("{path}search/?q=numero%20golazo"), 2, None).await;
    let texts = |answer: &Value| -> Vec<String> {
        let all = answer["results"].as_array().unwrap().iter();
        all.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
    };
    let newest: Vec<String> = (5..25).rev().map(|number| format!("GOLAZO número {number}")).collect();
    assert_eq!(texts(&first), newest);
    let next = first["next"].as_str().unwrap();
    let rest = server.done("GET", &next[next.find("/api/").unwrap()..], 2, None).await;
    let oldest: Vec<String> = (0..5).rev().map(|number| format!("GOLAZO número {number}")).collect();
    assert_eq!((texts(&rest), &rest["next"]), (oldest, &json!(null)));
    assert_eq!(server.done("GET", &format!("{path}search/?q=%25"), 2, None).await["results"], json!([]));
    assert_eq!(server.rest("GET", &format!("{path}search/?q=%20"), 2, None).await.0, 400);
    assert_eq!(server.rest("GET", &format!("{path}search/?q=golazo"), 3, None).await.0, 404, "a stranger");
}
