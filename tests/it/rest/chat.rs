//! `/api/messaging/` and `/api/users/` over real HTTP: rooms, messages, files and people.

use crate::support::Server;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

/// The smallest picture: one black pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\xdac`\0\0\0\x02\0\x01\xe5'\xde\xfc\0\0\0\0IEND\xaeB`\x82";

async fn server() -> Server {
    Server::builder().seed(6, 2, 3).start().await
}

fn room(server: &Server, number: usize, rest: &str) -> String {
    format!("/api/messaging/chats/{}/{rest}", server.fixture.rooms[number].id)
}

/// The first two members of a room, and a third user.
fn people(server: &Server, number: usize) -> (usize, usize, usize) {
    let members = &server.fixture.rooms[number].members;
    let outsider = (0..6).find(|user| !members.contains(user)).unwrap();
    (members[0], members[1], outsider)
}

async fn send_text(server: &Server, user: usize, text: &str) -> Value {
    let (status, message) =
        server.rest("POST", &room(server, 0, "send_message/"), user, Some(json!({"content": text}))).await;
    assert_eq!(status, 201, "{message}");
    message
}

#[tokio::test]
async fn a_chat_is_opened_once_for_a_pair() {
    let server = server().await;
    let [ana, beto] = [0, 1].map(|user| server.fixture.users[user].username.clone());
    let (status, opened) = server.rest("POST", &format!("/api/users/chat/{beto}/"), 0, None).await;
    assert_eq!((status, &opened["created"]), (201, &json!(true)), "{opened}");
    let other = &opened["chat"]["other_user"];
    let name = other["display_name"].as_str().unwrap();
    assert_eq!(opened["message"], format!("Chat creado con {name}"));
    assert_eq!((&other["username"], opened["chat"].as_object().unwrap().len()), (&json!(beto), 16));
    let (status, again) = server.rest("POST", &format!("/api/users/chat/{}", ana.to_uppercase()), 1, None).await;
    assert_eq!((status, &again["created"], again.get("message")), (200, &json!(false), None));
    assert_eq!(again["chat"]["id"], opened["chat"]["id"]);
    let own = server.rest("POST", &format!("/api/users/chat/{ana}/"), 0, None).await;
    assert_eq!(own, (400, json!({"error": "No puedes crear un chat contigo mismo"})));
    let nobody = server.rest("POST", "/api/users/chat/nadie/", 0, None).await;
    assert_eq!(nobody, (404, json!({"error": "Usuario no encontrado"})));

    let ids = json!({"participant_ids": [server.fixture.users[1].id]});
    let (status, made) = server.rest("POST", "/api/messaging/chats/", 0, Some(ids)).await;
    assert_eq!((status, &made["id"]), (201, &opened["chat"]["id"]), "the same room by the other way");
    assert_eq!((&made["chat_type"], &made["avatar"]), (&json!("private"), &json!(null)));
}

#[tokio::test]
async fn a_new_room_must_add_up() {
    let server = server().await;
    let users = server.fixture.users.iter().map(|user| user.id.clone()).collect::<Vec<_>>();
    let others = |text: &str| json!({"participant_ids": [text]});
    let nobody = pregon::ids::UserId::fresh().to_string();
    for (body, expected) in [
        (json!({}), others("Los chats privados requieren exactamente 1 participante adicional.")),
        (
            json!({"participant_ids": [users[1], users[2]]}),
            others("Los chats privados requieren exactamente 1 participante adicional."),
        ),
        (
            json!({"participant_ids": [users[0]]}),
            others("Los chats privados requieren exactamente 1 participante adicional."),
        ),
        (
            json!({"chat_type": "group", "name": "x", "participant_ids": [users[1]]}),
            others("Los chats grupales requieren al menos 2 participantes adicionales."),
        ),
        (
            json!({"chat_type": "group", "participant_ids": [users[1], users[2]]}),
            json!({"name": ["Los chats grupales requieren un nombre."]}),
        ),
        (
            json!({"chat_type": "zz", "participant_ids": [users[1]]}),
            json!({"chat_type": ["\"zz\" no es una elección válida."]}),
        ),
        (json!({"participant_ids": ["xx"]}), json!({"participant_ids": ["“xx” no es un UUID válido."]})),
        (
            json!({"participant_ids": 7}),
            json!({"participant_ids": ["Se esperaba una lista de elementos, pero se recibió el tipo \"int\"."]}),
        ),
        (json!({"participant_ids": [nobody]}), json!({"participant_ids": ["Algunos usuarios no existen."]})),
        (
            json!({"chat_type": "group", "name": "x", "participant_ids": [users[1], nobody]}),
            json!({"participant_ids": ["Algunos usuarios no existen."]}),
        ),
    ] {
        let answer = server.rest("POST", "/api/messaging/chats/", 0, Some(body.clone())).await;
        assert_eq!(answer, (400, expected), "{body}");
    }
    let body = json!({"chat_type": "group", "name": " Equipo ", "participant_ids": [users[1], users[2], users[1]]});
    let (status, made) = server.rest("POST", "/api/messaging/chats/", 0, Some(body)).await;
    assert_eq!((status, &made["name"]), (201, &json!("Equipo")));
    let path = format!("/api/messaging/chats/{}/", made["id"].as_str().unwrap());
    let (_, shown) = server.rest("GET", &path, 1, None).await;
    assert_eq!((&shown["display_name"], shown["participants"].as_array().unwrap().len()), (&json!("Equipo"), 3));
    let roles: Vec<_> = shown["participants"].as_array().unwrap().iter().map(|one| one["role"].clone()).collect();
    assert_eq!(roles.iter().filter(|role| **role == "owner").count(), 1);
    assert_eq!(server.rest("GET", &path, 5, None).await, (404, json!({"detail": "No encontrado."})));
}

#[tokio::test]
async fn history_comes_by_pages_newest_first() {
    let server = server().await;
    let (ana, beto, outsider) = people(&server, 0);
    let mut sent = Vec::new();
    for number in 0..23 {
        sent.push(send_text(&server, ana, &format!("mensaje {number}")).await);
    }
    assert_eq!((sent[0].as_object().unwrap().len(), &sent[0]["is_read"]), (24, &json!(false)));
    let path = room(&server, 0, "messages/");
    let (_, first) = server.rest("GET", &path, beto, None).await;
    assert_eq!((&first["count"], &first["previous"]), (&json!(23), &json!(null)));
    let next = first["next"].as_str().unwrap();
    assert!(next.starts_with(&server.http(&format!("{path}?page=2&after="))), "{next}");
    let rows = first["results"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["id"], &rows[19]["id"]), (20, &sent[22]["id"], &sent[3]["id"]));
    let (_, second) = server.rest("GET", &format!("{path}?page=2"), beto, None).await;
    assert_eq!((&second["next"], &second["previous"]), (&json!(null), &json!(server.http(&path))));
    assert_eq!(second["results"].as_array().unwrap().len(), 3);
    for page in ["3", "0", "x"] {
        let answer = server.rest("GET", &format!("{path}?page={page}"), beto, None).await;
        assert_eq!(answer, (404, json!({"detail": "Página inválida."})));
    }
    let since = sent[20]["created_at"].as_str().unwrap();
    let (_, later) = server.rest("GET", &format!("{path}?since={since}"), beto, None).await;
    assert_eq!((&later["count"], &later["results"][1]["id"]), (&json!(2), &sent[21]["id"]));
    assert_eq!(server.rest("GET", &format!("{path}?since=ayer"), beto, None).await.0, 400);
    let hidden = (404, json!({"detail": "No encontrado."}));
    assert_eq!(server.rest("GET", &path, outsider, None).await, hidden);
    assert_eq!(server.rest("GET", "/api/messaging/chats/xx/messages/", ana, None).await, hidden);
    assert_eq!(server.rest("POST", &path, ana, None).await, (405, json!({"detail": "Método \"POST\" no permitido."})));
}

#[tokio::test]
async fn a_message_is_answered_edited_reacted_to_read_and_deleted() {
    let server = server().await;
    let (ana, beto, outsider) = people(&server, 0);
    let message = send_text(&server, ana, "  hola 🎉 ").await;
    assert_eq!(message["content"], "hola 🎉");
    let id = message["id"].as_str().unwrap();
    let one = room(&server, 0, &format!("messages/{id}/"));

    let (status, reply) = server
        .rest("POST", &room(&server, 0, "send_message/"), beto, Some(json!({"content": "sí", "reply_to": id})))
        .await;
    assert_eq!((status, &reply["is_reply"], &reply["reply_to"]["id"]), (201, &json!(true), &json!(id)));

    let text = Some(json!({"content": "hola de nuevo"}));
    let (status, edited) = server.rest("PATCH", &one, ana, text.clone()).await;
    assert_eq!((status, &edited["content"], &edited["is_edited"]), (200, &json!("hola de nuevo"), &json!(true)));
    assert_eq!(server.rest("PUT", &one, ana, text.clone()).await.0, 200);
    let not_yours = json!({"error": "Solo puedes editar tus propios mensajes"});
    assert_eq!(server.rest("PATCH", &one, beto, text.clone()).await, (403, not_yours));
    let forbidden = (403, json!({"detail": "Usted no tiene permiso para realizar esta acción."}));
    assert_eq!(server.rest("PATCH", &one, outsider, text).await, forbidden);
    let required = json!({"content": ["Este campo es requerido."]});
    assert_eq!(server.rest("PUT", &one, ana, Some(json!({}))).await, (400, required));

    let react = format!("{one}react/");
    let fire = Some(json!({"reaction_type": "fire"}));
    let added = json!({"message": "Reacción agregada", "reacted": true, "reaction_type": "fire"});
    assert_eq!(server.rest("POST", &react, beto, fire.clone()).await, (200, added));
    let (_, seen) = server.rest("GET", &one, beto, None).await;
    assert_eq!((&seen["user_reaction"], &seen["reactions"][0]["reaction_type"]), (&json!("fire"), &json!("fire")));
    assert_eq!(server.rest("GET", &one, ana, None).await.1["user_reaction"], json!(null));
    let removed = json!({"message": "Reacción eliminada", "reacted": false});
    assert_eq!(server.rest("POST", &react, beto, fire).await, (200, removed));
    let missing = json!({"error": "reaction_type es requerido"});
    assert_eq!(server.rest("POST", &react, beto, Some(json!({}))).await, (400, missing));
    let unknown = json!({"error": "Tipo de reacción inválido"});
    assert_eq!(server.rest("POST", &react, beto, Some(json!({"reaction_type": "x"}))).await, (400, unknown));

    let read = room(&server, 0, "mark_as_read/");
    let done = |count: u32| (200, json!({"message": "Mensajes marcados como leídos", "count": count}));
    assert_eq!(server.rest("POST", &read, beto, None).await, done(1));
    assert_eq!(server.rest("POST", &read, beto, None).await, done(0));
    let (_, seen) = server.rest("GET", &one, beto, None).await;
    assert_eq!((&seen["is_read"], &seen["read_by_count"]), (&json!(true), &json!(1)));
    assert_eq!(server.rest("POST", &read, outsider, None).await, forbidden);

    let not_yours = json!({"error": "Solo puedes eliminar tus propios mensajes"});
    assert_eq!(server.rest("DELETE", &one, beto, None).await, (403, not_yours));
    assert_eq!(server.rest("DELETE", &one, ana, None).await, (200, json!({"message": "Mensaje eliminado"})));
    let gone = (404, json!({"detail": "No encontrado."}));
    assert_eq!(server.rest("DELETE", &one, ana, None).await, gone);
    assert_eq!(server.rest("GET", &one, ana, None).await, gone);
}

#[tokio::test]
async fn a_bad_message_is_refused_and_nothing_is_written() {
    let server = server().await;
    let (ana, _, outsider) = people(&server, 0);
    let path = room(&server, 0, "send_message/");
    let elsewhere = {
        let member = server.fixture.rooms[1].members[0];
        let body = Some(json!({"content": "x"}));
        server.rest("POST", &room(&server, 1, "send_message/"), member, body).await.1["id"].clone()
    };
    for (body, expected) in [
        (json!({"content": " "}), json!({"content": ["Este campo no puede estar en blanco."]})),
        (
            json!({"content": "🎉".repeat(2001)}),
            json!({"content": ["Asegúrese de que este campo no tenga más de 2000 caracteres."]}),
        ),
        (
            json!({"message_type": "image", "content": "x"}),
            json!({"non_field_errors": ["Los mensajes de imagen requieren un archivo de imagen."]}),
        ),
        (
            json!({"content": "x", "message_type": "system"}),
            json!({"message_type": ["\"system\" no es una elección válida."]}),
        ),
        (
            json!({"content": "x", "reply_to": elsewhere}),
            json!({"reply_to": ["El mensaje de respuesta debe pertenecer al mismo chat."]}),
        ),
    ] {
        assert_eq!(server.rest("POST", &path, ana, Some(body)).await, (400, expected));
    }
    let body = Some(json!({"content": "x"}));
    let forbidden = (403, json!({"detail": "Usted no tiene permiso para realizar esta acción."}));
    assert_eq!(server.rest("POST", &path, outsider, body).await, forbidden);
    assert_eq!(server.rest("GET", &room(&server, 0, "messages/"), ana, None).await.1["count"], 0);
    let too_long = (413, json!({"error": "La solicitud es demasiado grande."}));
    let body = Some(json!({"content": "x".repeat(256 * 1024)}));
    assert_eq!(server.rest("POST", &path, ana, body).await, too_long);
    let longest = json!({"content": "🎉".repeat(2000)});
    assert_eq!(server.rest("POST", &path, ana, Some(longest)).await.0, 201);
}

async fn upload(server: &Server, user: usize, form: Form) -> (u16, Value) {
    let request = reqwest::Client::new().post(server.http(&room(server, 0, "send_message/"))).multipart(form);
    let response = request.bearer_auth(&server.fixture.users[user].token).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn file(bytes: impl Into<Vec<u8>>) -> Part {
    Part::bytes(bytes.into()).file_name("../../etc/foto.svg").mime_str("image/svg+xml").unwrap()
}

fn files(server: &Server) -> usize {
    let folders = [".incoming", "messages/images", "messages/videos", "messages/audios"];
    folders.iter().map(|folder| std::fs::read_dir(server.media().join(folder)).unwrap().count()).sum()
}

#[tokio::test]
async fn a_picture_is_stored_and_served_as_what_it_is() {
    let server = server().await;
    let (ana, ..) = people(&server, 0);
    // Without a caption. The name and type that the client gives are ignored.
    let (status, message) = upload(&server, ana, Form::new().part("image", file(PNG))).await;
    assert_eq!(
        (status, &message["message_type"], &message["content"]),
        (201, &json!("image"), &json!("")),
        "{message}"
    );
    let address = message["image"].as_str().unwrap();
    assert!(address.starts_with(&server.http("/media/messages/images/")) && address.ends_with(".png"), "{address}");
    let client = reqwest::Client::new();
    let response = client.get(address).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &"image/png".parse().unwrap()));
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert!(response.headers()["content-security-policy"].to_str().unwrap().contains("sandbox"));
    assert_eq!(response.bytes().await.unwrap(), PNG);
    let part = client.get(address).header("range", "bytes=1-3").send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.bytes().await.unwrap().as_ref()), (206, &b"PNG"[..]));

    let caption = Form::new().text("message_type", "image").text("content", " mira ").part("image", file(PNG));
    assert_eq!(upload(&server, ana, caption).await.1["content"], "mira");
    assert_eq!(files(&server), 2);
    std::fs::write(server.media().join(".hidden"), "x").unwrap();
    std::fs::write(server.media().join("../beside"), "x").unwrap();
    for path in
        ["", "messages/", "messages/images/", ".hidden", "%2ehidden", "..%2fbeside", "%2e%2e/beside", "nada.png"]
    {
        // Written by hand, because clients normalise paths.
        let status = raw_status(&server, &format!("/media/{path}")).await;
        assert_eq!(status, 404, "{path}");
    }
}

async fn raw_status(server: &Server, path: &str) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", server.address());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_is_no_picture_is_refused_and_leaves_nothing() {
    let server = server().await;
    let (ana, _, outsider) = people(&server, 0);
    let wrong = "Cargue una imagen válida. El archivo que ha cargado o no es una imagen o está dañado.";
    for bad in [&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], b"<!doctype html><script>", b"", b"MZ\x90\0"] {
        let answer = upload(&server, ana, Form::new().part("image", file(bad))).await;
        assert_eq!(answer, (400, json!({"image": [wrong]})));
    }
    let answer = upload(&server, ana, Form::new().part("video", file(PNG))).await;
    assert_eq!(answer, (400, json!({"video": ["El archivo no es un video válido."]})));
    let mismatch = Form::new().text("message_type", "audio").part("image", file(PNG));
    let missing = json!({"non_field_errors": ["Los mensajes de audio requieren un archivo de audio."]});
    assert_eq!(upload(&server, ana, mismatch).await, (400, missing));
    // Stored, and then refused in the write.
    let reply = pregon::ids::MessageId::fresh().to_string();
    let refused = Form::new().part("image", file(PNG)).text("reply_to", reply);
    assert_eq!(upload(&server, ana, refused).await.0, 400);
    assert_eq!(upload(&server, outsider, Form::new().part("image", file(PNG))).await.0, 403);
    assert_eq!(files(&server), 0);
}

#[tokio::test]
async fn too_large_a_file_is_refused_and_leaves_nothing() {
    let server = server().await;
    let (ana, ..) = people(&server, 0);
    let mut bytes = PNG.to_vec();
    bytes.resize(25 * 1024 * 1024, 0);
    assert_eq!(upload(&server, ana, Form::new().part("image", file(bytes.clone()))).await.0, 201);
    bytes.push(0);
    let answer = upload(&server, ana, Form::new().part("image", file(bytes))).await;
    assert_eq!(answer, (413, json!({"error": "El archivo supera el máximo de 25 MB."})));
    assert_eq!(files(&server), 1);
}

#[tokio::test]
async fn settings_are_ones_own() {
    let server = server().await;
    let (ana, beto, outsider) = people(&server, 0);
    let patch = Some(json!({"chat_color": "#fff", "is_muted": true}));
    for name in ["settings/", "chat-settings/"] {
        let (status, answer) = server.rest("PATCH", &room(&server, 0, name), ana, patch.clone()).await;
        assert_eq!((status, &answer["message"]), (200, &json!("Configuración actualizada exitosamente")));
        let own = &answer["chat_settings"];
        assert_eq!((&own["chat_color"], &own["is_muted"]), (&json!("#fff"), &json!(true)));
        assert_eq!((own.as_object().unwrap().len(), &own["sound_enabled"]), (7, &json!(true)));
    }
    assert_eq!(server.rest("GET", &room(&server, 0, ""), beto, None).await.1["user_settings"]["is_muted"], false);
    assert_eq!(server.rest("PATCH", &room(&server, 0, "settings/"), outsider, patch).await.0, 404);
    let long = Some(json!({"chat_background": "x".repeat(21), "is_muted": "quizás"}));
    let faults = json!({"chat_background": ["Asegúrese de que este campo no tenga más de 20 caracteres."],
        "is_muted": ["Debe ser un booleano válido."]});
    assert_eq!(server.rest("PATCH", &room(&server, 0, "settings/"), ana, long).await, (400, faults));
}

#[tokio::test]
async fn participants_come_and_go() {
    let server = server().await;
    let users = server.fixture.users.iter().map(|user| user.id.clone()).collect::<Vec<_>>();
    let body = json!({"chat_type": "group", "name": "x", "participant_ids": [users[1], users[2]]});
    let made = server.rest("POST", "/api/messaging/chats/", 0, Some(body)).await.1;
    let path = |rest: &str| format!("/api/messaging/chats/{}/{rest}", made["id"].as_str().unwrap());
    let user = |number: usize| Some(json!({"user_id": users[number]}));
    assert_eq!(server.rest("POST", &path("add_participant/"), 1, user(3)).await.0, 403);
    assert_eq!(server.rest("POST", &path("add_participant/"), 0, user(3)).await.0, 200);
    let there = json!({"error": "El usuario ya es participante de este chat"});
    assert_eq!(server.rest("POST", &path("add_participant/"), 0, user(3)).await, (400, there));
    assert_eq!(server.rest("GET", &path(""), 3, None).await.0, 200);
    let missing = json!({"error": "user_id es requerido"});
    assert_eq!(server.rest("POST", &path("add_participant/"), 0, Some(json!({}))).await, (400, missing));
    let nobody = Some(json!({"user_id": pregon::ids::UserId::fresh().to_string()}));
    let unknown = json!({"error": "Usuario no encontrado"});
    assert_eq!(server.rest("POST", &path("add_participant/"), 0, nobody).await, (404, unknown));
    assert_eq!(server.rest("POST", &path("remove_participant/"), 0, user(3)).await.0, 200);
    assert_eq!(server.rest("GET", &path(""), 3, None).await.0, 404);
    assert_eq!(server.rest("POST", &path("leave/"), 1, None).await.0, 200);
    let body = Some(json!({"content": "x"}));
    assert_eq!(server.rest("POST", &path("send_message/"), 1, body).await.0, 403);
}

#[tokio::test]
async fn nobody_leaves_a_private_room() {
    let server = server().await;
    let name = &server.fixture.users[1].username;
    let opened = server.done("POST", &format!("/api/users/chat/{name}/"), 0, None).await;
    let path = |rest: &str| format!("/api/messaging/chats/{}/{rest}", opened["chat"]["id"].as_str().unwrap());
    let stays = json!({"error": "No puedes salir de un chat privado"});
    assert_eq!(server.rest("POST", &path("leave/"), 0, None).await, (400, stays));
    assert_eq!(server.rest("POST", &path("leave/"), 2, None).await.0, 403, "who is not in it learns nothing of it");
    assert_eq!(server.rest("GET", &path(""), 0, None).await.1["participants"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn rooms_and_people_are_listed() {
    let server = server().await;
    let (ana, beto, _) = people(&server, 0);
    send_text(&server, ana, "hola").await;
    let (_, rooms) = server.rest("GET", "/api/messaging/chats/", beto, None).await;
    assert_eq!(rooms["results"][0]["id"], server.fixture.rooms[0].id);
    assert_eq!(rooms["results"][0]["last_message"]["content"], "hola");
    assert_eq!(rooms["results"][0]["unread_count"], 1);
    let (_, none) = server.rest("GET", "/api/messaging/chats/?is_active=false", beto, None).await;
    assert_eq!(none, json!({"count": 0, "next": null, "previous": null, "results": []}));

    let name = &server.fixture.users[beto].username;
    let (_, found) = server.rest("GET", &format!("/api/users/search/?q={name}"), ana, None).await;
    assert_eq!((&found["count"], &found["results"][0]["username"]), (&json!(1), &json!(name)));
    assert_eq!(found["results"][0].as_object().unwrap().len(), 15);
    for mention in [format!("@{name}"), format!("%20%40{name}"), format!("@@{name}")] {
        let (_, found) = server.rest("GET", &format!("/api/users/search/?q={mention}"), ana, None).await;
        assert_eq!((&found["count"], &found["results"][0]["username"]), (&json!(1), &json!(name)), "{mention}");
        let (_, found) = server.rest("GET", &format!("/api/users/?search={mention}"), ana, None).await;
        assert_eq!(found["count"], 1, "{mention}");
    }
    let (_, all) = server.rest("GET", "/api/users/?page_size=2", ana, None).await;
    assert_eq!((&all["count"], all["results"].as_array().unwrap().len()), (&json!(5), 2));
    let (_, profile) = server.rest("GET", &format!("/api/users/profile/{name}/"), ana, None).await;
    assert_eq!((&profile["username"], &profile["email"]), (&json!(name), &json!("")), "masked");
    assert_eq!((profile.as_object().unwrap().len(), &profile["is_following"]), (34, &json!(false)));
    let gone = (404, json!({"detail": "No encontrado."}));
    assert_eq!(server.rest("GET", "/api/users/profile/nadie/", ana, None).await, gone);
    assert_eq!(server.rest("GET", "/api/users/friends/", ana, None).await, (200, json!([])));
    assert_eq!(server.rest("GET", &format!("/api/users/friends/{name}/"), ana, None).await, (200, json!([])));
    let unknown = json!({"error": "Usuario no encontrado"});
    assert_eq!(server.rest("GET", "/api/users/friends/nadie/", ana, None).await, (404, unknown));
}

#[tokio::test]
async fn pages_of_allowed_origins_may_read() {
    let server = server().await;
    let client = reqwest::Client::new();
    let address = server.http("/api/auth/login/");
    let preflight = async |origin: &str| {
        let request = client.request(reqwest::Method::OPTIONS, &address).header("origin", origin);
        request.header("access-control-request-method", "POST").send().await.unwrap()
    };
    let allowed = preflight("http://localhost:3000").await;
    let header = |name: &str| allowed.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(allowed.status(), 200);
    assert_eq!(header("access-control-allow-origin"), "http://localhost:3000");
    assert_eq!(header("access-control-allow-credentials"), "true");
    assert_eq!(header("access-control-allow-methods"), "DELETE, GET, OPTIONS, PATCH, POST, PUT");
    assert_eq!((header("access-control-max-age").as_str(), header("vary").as_str()), ("86400", "origin"));
    assert!(preflight("https://evil.example").await.headers().get("access-control-allow-origin").is_none());
    let simple = client.get(server.http("/health/")).header("origin", "capacitor://localhost").send().await.unwrap();
    assert_eq!(simple.headers()["access-control-allow-origin"], "capacitor://localhost");
    assert_eq!(simple.json::<Value>().await.unwrap()["status"], "healthy");
}

#[tokio::test]
async fn probes_and_unknown_places_are_answered() {
    let server = server().await;
    let get = async |path: &str| reqwest::get(server.http(path)).await.unwrap();
    let alive = get("/healthz").await;
    assert_eq!(alive.status(), 200);
    assert!(!alive.headers()["x-pregon-node"].is_empty(), "a proxy in front can tell which node answers");
    assert_eq!(get("/readyz").await.status(), 200);
    assert_eq!(get("/metrics").await.status(), 200);
    let proxied = reqwest::Client::new().get(server.http("/metrics")).header("x-forwarded-for", "9.9.9.9");
    assert_eq!(proxied.send().await.unwrap().status(), 403);
    let page = get("/").await;
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'"));
    assert_eq!(page.headers()["referrer-policy"], "no-referrer");
    let tag = page.headers()["etag"].clone();
    let again = reqwest::Client::new().get(server.http("/")).header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    let packed =
        reqwest::Client::new().get(server.http("/")).header("accept-encoding", "gzip, br").send().await.unwrap();
    assert_eq!(
        (&packed.headers()["content-encoding"], &packed.headers()["cache-control"]),
        (&"br".parse().unwrap(), &"no-cache".parse().unwrap())
    );
    assert!(packed.headers().get_all("vary").iter().any(|header| header == "Accept-Encoding"));
    let html = get("/").await.text().await.unwrap();
    let module = html.split('"').find(|part| part.ends_with("/app.js")).expect("the page names its first module");
    let module = get(module).await;
    assert_eq!(module.headers()["cache-control"], "public, max-age=31536000, immutable");
    assert!(module.text().await.unwrap().starts_with("// "));
    for path in ["/api/nada/", "/nada", "/api/messaging/chats/a/b/c/d/"] {
        let nowhere = get(path).await;
        assert_eq!(
            (nowhere.status().as_u16(), &nowhere.headers()["content-type"]),
            (404, &"text/html; charset=utf-8".parse().unwrap())
        );
    }
}
