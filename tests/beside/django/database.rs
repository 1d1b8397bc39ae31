//! A database made by real Django migrations: pregon changes none of its tables, and each program reads what the other
//! writes.

use std::collections::BTreeMap;

use crate::backend::{Django, user_of};
use crate::support::private::MariaDb;
use crate::support::{Server, Socket};
use mysql_async::prelude::Queryable;
use serde_json::{Value, json};

/// The definition of every table.
async fn tables(django: &Django) -> BTreeMap<String, String> {
    let mut connection = MariaDb::shared().connect(&django.database).await;
    let names: Vec<String> = connection.query("SHOW TABLES").await.unwrap();
    let mut found = BTreeMap::new();
    for name in names {
        let row: Option<(String, String)> =
            connection.query_first(format!("SHOW CREATE TABLE `{name}`")).await.unwrap();
        // The next row's number is not part of a table's definition.
        let form = row.unwrap().1;
        let form = form.split(" AUTO_INCREMENT=").map(|part| part.trim_start_matches(char::is_numeric)).collect();
        found.insert(name, form);
    }
    connection.disconnect().await.unwrap();
    found
}

async fn both_forms() -> [Django; 2] {
    [Django::start().await, Django::start_with_char_ids().await]
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_adds_pregons_tables_and_changes_none_of_djangos() {
    for django in both_forms().await {
        let before = tables(&django).await;
        assert!(before.contains_key("django_migrations") && before.contains_key("notifications"));
        let plan = django.pregon(&["migrate", "--dry-run"]);
        assert_eq!(tables(&django).await, before, "a dry run changes nothing:\n{plan}");
        let to_do: Vec<&str> = plan.lines().filter(|line| line.contains("to do")).collect();
        assert!(!to_do.is_empty() && plan.contains("left alone"), "{plan}");
        django.pregon(&["migrate"]);
        let after = tables(&django).await;
        for (name, form) in &before {
            assert_eq!(after.get(name), Some(form), "{name}");
        }
        let added: Vec<&String> = after.keys().filter(|name| !before.contains_key(*name)).collect();
        assert!(!added.is_empty() && added.iter().all(|name| name.starts_with("pregon_")), "{added:?}");
        django.pregon(&["migrate"]);
        assert_eq!(tables(&django).await, after, "a second time nothing is left to do");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_of_one_are_the_others() {
    let django = Django::start().await;
    django.pregon(&["migrate"]);
    let ana = django.act("make_user", json!({"username": "ana", "password": "una clave larga"})).await;
    let server = django.pregon_server(&[&ana]).await;
    let login = |name: &'static str, password: &'static str| {
        let url = server.http("/api/auth/login/");
        async move {
            let body = json!({"login": name, "password": password});
            let response = reqwest::Client::new().post(url).json(&body).send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        }
    };
    assert_eq!(login("ana", "otra clave").await.0, 400);
    let (status, answer) = login("ana", "una clave larga").await;
    assert_eq!((status, &answer["user"]["id"]), (200, &ana["id"]), "{answer}");
    // Django accepts pregon's token, and pregon accepts Django's (the fixture's tokens are Django's).
    let profile = reqwest::Client::new()
        .get(format!("http://{}/api/auth/profile/", django.address()))
        .bearer_auth(answer["access"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(profile.json::<Value>().await.unwrap()["id"], ana["id"]);

    let new = json!({"email": "beto@example.com", "username": "beto", "display_name": "Beto Díaz",
        "password": "Otra.clave-larga9", "password_confirm": "Otra.clave-larga9"});
    let made = reqwest::Client::new().post(server.http("/api/auth/register/")).json(&new).send().await.unwrap();
    assert_eq!(made.status().as_u16(), 201);
    let found = django.act("checks_password", json!({"username": "beto", "password": "Otra.clave-larga9"})).await;
    assert_eq!(found["is_right"], true, "{found}");
    let found = django.act("checks_password", json!({"username": "beto", "password": "otra.clave-larga9"})).await;
    assert_eq!(found["is_right"], false);
}

/// `2026-02-01T10:30:00.000000Z` as wall time in Bogotá: five hours less, and without a zone.
fn in_bogota(moment: &Value) -> String {
    let moment: chrono::DateTime<chrono::Utc> = moment.as_str().unwrap().parse().unwrap();
    (moment.naive_utc() - chrono::Duration::hours(5)).format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

async fn greeted(server: &Server, path: &str) -> Socket {
    let mut socket = Socket::open(server, path).await;
    socket.expect("connection_success").await;
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_pregons_is_the_same_to_djangos_orm() {
    for django in both_forms().await {
        django.pregon(&["migrate"]);
        let ana = django.user("ana").await;
        let beto = django.user("beto").await;
        let room = django.act("room", json!({"members": ["ana", "beto"]})).await;
        let server = django.pregon_server(&[&ana, &beto]).await;
        let room_id = room["id"].as_str().unwrap();
        let path = format!("/ws/chat/{room_id}/?token={}", user_of(&ana).token);
        let mut socket = greeted(&server, &path).await;
        socket.send(json!({"type": "chat_message", "content": "¡Hola, señor! 🎉"})).await;
        let message = socket.expect("chat_message").await["message"].clone();
        socket.send(json!({"type": "react_message", "message_id": message["id"], "reaction_type": "fire"})).await;
        socket.expect("message_reaction").await;
        let rows = django.act("rows", json!({"table": "Message", "chat_room_id": room_id})).await;
        assert_eq!(rows.as_array().unwrap().len(), 1);
        let row = &rows[0];
        assert_eq!((&row["id"], &row["sender_id"]), (&message["id"], &ana["id"]));
        assert_eq!((&row["content"], &row["message_type"]), (&json!("¡Hola, señor! 🎉"), &json!("text")));
        assert_eq!(row["created_at"], json!(in_bogota(&message["created_at"])));
        assert_eq!(row["updated_at"], json!(in_bogota(&message["updated_at"])));
        let reactions = django.act("rows", json!({"table": "MessageReaction", "message_id": message["id"]})).await;
        assert_eq!((&reactions[0]["user_id"], &reactions[0]["reaction_type"]), (&ana["id"], &json!("fire")));
        let rooms = django.act("rows", json!({"table": "ChatRoom", "id": room_id})).await;
        assert_eq!(rooms[0]["last_activity"], row["created_at"], "the room moved with it");
        // The other direction: Django's row in pregon's list, at the same moment.
        let row = django.act("message", json!({"room": room_id, "sender": "beto", "content": "ñandú"})).await;
        let frame = socket.expect("chat_message").await;
        assert_eq!(row["created_at"], json!(in_bogota(&frame["message"]["created_at"])));
        let list = server.done("GET", &format!("/api/messaging/chats/{room_id}/messages/"), 0, None).await;
        assert_eq!(list["results"][0]["id"], row["id"]);
        assert_eq!(list["results"][0]["created_at"], frame["message"]["created_at"]);
    }
}
