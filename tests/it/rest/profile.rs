//! The user's own profile over real HTTP: edited, with uploaded pictures, and with the operator's default pictures.

use crate::support::Server;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

/// The smallest picture: one black pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\xdac`\0\0\0\x02\0\x01\xe5'\xde\xfc\0\0\0\0IEND\xaeB`\x82";
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\0\0\0;";
const PROFILE: &str = "/api/auth/profile/";

const ANA: usize = 0;
const BETO: usize = 1;

async fn server() -> Server {
    Server::builder().seed(3, 1, 3).start().await
}

async fn edit(server: &Server, body: Value) -> (u16, Value) {
    server.rest("PATCH", PROFILE, ANA, Some(body)).await
}

async fn send(server: &Server, method: reqwest::Method, path: &str, form: Form) -> (u16, Value) {
    let request = reqwest::Client::new().request(method, server.http(path)).multipart(form);
    let response = request.bearer_auth(&server.fixture.users[ANA].token).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
}

fn file(bytes: impl Into<Vec<u8>>) -> Part {
    Part::bytes(bytes.into()).file_name("../foto.svg").mime_str("image/svg+xml").unwrap()
}

async fn upload(server: &Server, what: &str, field: &'static str, bytes: impl Into<Vec<u8>>) -> (u16, Value) {
    let path = format!("/api/auth/upload-{what}/");
    send(server, reqwest::Method::POST, &path, Form::new().part(field, file(bytes))).await
}

fn files(server: &Server, folder: &str) -> usize {
    let entries = std::fs::read_dir(server.media().join(folder)).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_file()).count()
}

#[tokio::test]
async fn a_profile_is_edited_and_frames_carry_the_new_one() {
    let server = server().await;
    // Everybody's caches hold the old profile.
    let mut room = server.join(0, BETO).await;
    let chat = format!("/api/messaging/chats/{}/send_message/", server.fixture.rooms[0].id);
    server.done("POST", &chat, ANA, Some(json!({"content": "antes"}))).await;
    assert_eq!(room.expect("chat_message").await["message"]["sender"]["display_name"], "User 1");
    let (_, before) = server.rest("GET", PROFILE, ANA, None).await;

    let body = json!({
        "display_name": " Ana Pérez ", "first_name": "Ana", "last_name": "Pérez Díaz", "bio": "hola", "position": "Delantera",
        "team": "Tigres", "contact_number": "123", "interests": ["fútbol", "música"],
        "social_links": [{"platform": "x", "url": "https://x.com/ana"}], "is_private": true, "show_email": true,
        "show_phone": "true", "account_type": "enterprise", "company_name": "Ana S. A.", "industry": "Deporte",
        "website": "https://ana.example",
    });
    let (status, after) = edit(&server, body.clone()).await;
    assert_eq!(status, 200, "{after}");
    for (key, value) in body.as_object().unwrap() {
        let expected = match key.as_str() {
            "display_name" => &json!("Ana Pérez"),
            "show_phone" => &json!(true),
            _ => value,
        };
        assert_eq!(&after[key], expected, "{key}");
    }
    assert_eq!((&after["full_name"], &after["email"]), (&json!("Ana Pérez Díaz"), &before["email"]));
    assert!(after["last_active"].as_str() > before["last_active"].as_str());
    assert_eq!(server.rest("GET", PROFILE, ANA, None).await.1, after);

    server.done("POST", &chat, ANA, Some(json!({"content": "después"}))).await;
    let sender = room.expect("chat_message").await["message"]["sender"].clone();
    assert_eq!((&sender["display_name"], &sender["team"]), (&json!("Ana Pérez"), &json!("Tigres")));
    assert_eq!((&sender["email"], &sender["contact_number"]), (&before["email"], &json!("123")), "shown from now on");
    let path = format!("/api/users/profile/{}/", server.fixture.users[ANA].username);
    let (_, seen) = server.rest("GET", &path, BETO, None).await;
    assert_eq!((&seen["first_name"], &seen["interests"]), (&json!("Ana"), &body["interests"]));

    let (_, emptied) = server.rest("PUT", PROFILE, ANA, Some(json!({"bio": "", "interests": [], "website": ""}))).await;
    assert_eq!((&emptied["bio"], &emptied["interests"], &emptied["website"]), (&json!(""), &json!([]), &json!("")));
    assert_eq!(emptied["team"], "Tigres", "what is not named stays");
    let (status, same) = server.rest("PUT", PROFILE, ANA, Some(emptied.clone())).await;
    assert_eq!((status, &same["display_name"]), (200, &emptied["display_name"]), "sent back as it came: {same}");
}

#[tokio::test]
async fn a_bad_edit_is_refused_as_a_whole() {
    let server = server().await;
    let (_, before) = server.rest("GET", PROFILE, ANA, None).await;
    let body = json!({"bio": "x".repeat(501), "display_name": "\u{200b}\u{200b}", "team": "Tigres", "is_private": "quizás",
        "username": "otra", "social_links": [{"url": "javascript:alert(1)"}]});
    let faults = json!({
        "bio": ["Asegúrese de que este campo no tenga más de 500 caracteres."],
        "display_name": ["Este campo no puede estar en blanco."],
        "is_private": ["Debe ser un booleano válido."],
        "username": ["Este campo no se puede cambiar."],
        "social_links": ["Algún elemento de la lista no es válido."],
    });
    assert_eq!(edit(&server, body).await, (400, faults));
    assert_eq!(server.rest("GET", PROFILE, ANA, None).await.1, before);
    let long = edit(&server, json!({"bio": "x".repeat(300_000)})).await;
    assert_eq!(long, (413, json!({"error": "La solicitud es demasiado grande."})));
    let form = Form::new().part("foto", file(PNG));
    let refused = json!({"foto": ["Este campo no admite archivos."]});
    assert_eq!(send(&server, reqwest::Method::PATCH, PROFILE, form).await, (400, refused));
    // The file of one field is not kept if another field is wrong.
    let form = Form::new().part("avatar", file(PNG)).text("bio", "x".repeat(501));
    assert_eq!(send(&server, reqwest::Method::PATCH, PROFILE, form).await.0, 400);
    assert_eq!(files(&server, "avatars") + files(&server, ".incoming"), 0);
}

#[tokio::test]
async fn pictures_are_taken_shown_and_taken_away() {
    let server = server().await;
    let (status, answer) = upload(&server, "avatar", "avatar", PNG).await;
    assert_eq!((status, &answer["message"]), (200, &json!("Avatar actualizado exitosamente")));
    let address = answer["avatar_url"].as_str().unwrap();
    assert!(address.starts_with(&server.http("/media/avatars/")) && address.ends_with(".png"), "{address}");
    assert_eq!((&answer["user"]["avatar"], answer["user"].as_object().unwrap().len()), (&answer["avatar_url"], 28));
    assert_eq!(reqwest::get(address).await.unwrap().bytes().await.unwrap(), PNG);
    let (status, cover) = upload(&server, "cover", "cover_photo", PNG).await;
    assert_eq!((status, &cover["message"]), (200, &json!("Foto de portada actualizada exitosamente")));
    assert_eq!(cover["user"]["cover_photo"], cover["cover_photo_url"]);
    assert_eq!(cover["user"]["avatar"], answer["avatar_url"], "the other one stays");

    let form = Form::new().part("avatar", file(PNG)).text("bio", "con foto");
    let (status, edited) = send(&server, reqwest::Method::PATCH, PROFILE, form).await;
    assert_eq!((status, &edited["bio"]), (200, &json!("con foto")));
    assert_ne!(edited["avatar"], answer["avatar_url"]);
    let path = format!("/api/users/profile/{}/", server.fixture.users[ANA].username);
    assert_eq!(server.rest("GET", &path, BETO, None).await.1["avatar"], edited["avatar"]);
    let (status, bare) = edit(&server, json!({"avatar": null, "cover_photo": ""})).await;
    assert_eq!((status, &bare["cover_photo"]), (200, &json!(null)));
    assert!(bare["avatar"].as_str().unwrap().starts_with("https://ui-avatars.com/"), "{bare}");
}

#[tokio::test]
async fn a_bad_picture_is_refused_in_one_text_and_leaves_nothing() {
    let server = server().await;
    let error = |text: &str| (400, json!({"error": text}));
    let kind = "Tipo de archivo no permitido. Usa JPG, PNG o WebP.";
    for bad in [GIF, b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"hola", b""] {
        assert_eq!(upload(&server, "avatar", "avatar", bad).await, error(kind));
        assert_eq!(upload(&server, "cover", "cover_photo", bad).await, error(kind));
    }
    let mut large = PNG.to_vec();
    large.resize(5 * 1024 * 1024, 0);
    assert_eq!(upload(&server, "avatar", "avatar", large.clone()).await.0, 200, "just as large as it may be");
    large.push(0);
    assert_eq!(upload(&server, "avatar", "avatar", large.clone()).await, error("El archivo supera el máximo de 5 MB."));
    assert_eq!(upload(&server, "cover", "cover_photo", large.clone()).await.0, 200);
    large.resize(10 * 1024 * 1024 + 1, 0);
    let too_large = error("El archivo supera el máximo de 10 MB.");
    assert_eq!(upload(&server, "cover", "cover_photo", large).await, too_large);
    let none = error("No se envió ningún archivo en el campo avatar.");
    assert_eq!(server.rest("POST", "/api/auth/upload-avatar/", ANA, None).await, none);
    assert_eq!(server.rest("POST", "/api/auth/upload-avatar/", ANA, Some(json!({"avatar": "x"}))).await, none);
    assert_eq!(upload(&server, "avatar", "foto", PNG).await, error("Este campo no admite archivos."));
    assert_eq!((files(&server, "avatars"), files(&server, "covers"), files(&server, ".incoming")), (1, 1, 0));
}

#[tokio::test]
async fn new_users_get_the_operators_pictures() {
    let server = Server::start().await;
    let http = reqwest::Client::new();
    let register = async |name: &str| {
        let body = json!({"email": format!("{name}@example.com"), "username": name, "display_name": name,
            "password": "muy-secreta-9", "password_confirm": "muy-secreta-9"});
        let response = http.post(server.http("/api/auth/register/")).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 201);
        response.json::<Value>().await.unwrap()["user"].clone()
    };
    let plain = register("ana").await;
    assert!(plain["avatar"].as_str().unwrap().starts_with("https://ui-avatars.com/") && plain["cover_photo"].is_null());

    std::fs::create_dir_all(server.media().join("defaults")).unwrap();
    std::fs::write(server.media().join("defaults/default-avatar.png"), PNG).unwrap();
    let user = register("Beto_1").await;
    assert_eq!(user["avatar"], server.http("/media/avatars/avatars/beto_1_avatar.png"));
    assert_eq!(user["cover_photo"], json!(null), "which is not there");
    std::fs::write(server.media().join("defaults/default-cover.png"), PNG).unwrap();
    let user = register("caro").await;
    assert_eq!(user["cover_photo"], server.http("/media/covers/covers/caro_cover.png"));
    for address in [&user["avatar"], &user["cover_photo"]] {
        assert_eq!(reqwest::get(address.as_str().unwrap()).await.unwrap().bytes().await.unwrap(), PNG);
    }
    assert_eq!(files(&server, ".incoming"), 0);
}

/// Only if pregon alone writes: rows of another program could name the pictures, too.
#[tokio::test]
async fn a_picture_goes_when_nobody_names_it_any_more() {
    let server = Server::builder().seed(3, 0, 0).on_file().start().await;
    let removed = async |count: f64| server.wait_for_metric("pregon_media_removed_total", |now| now >= count).await;
    let (_, first) = upload(&server, "avatar", "avatar", PNG).await;
    let (_, second) = upload(&server, "avatar", "avatar", PNG).await;
    removed(1.0).await;
    assert_eq!(files(&server, "avatars"), 1);
    assert_eq!(reqwest::get(first["avatar_url"].as_str().unwrap()).await.unwrap().status(), 404);
    assert_eq!(reqwest::get(second["avatar_url"].as_str().unwrap()).await.unwrap().status(), 200);
    // A post that shows the picture keeps it.
    server.done("POST", "/api/posts/", BETO, Some(json!({"images": [second["avatar_url"]]}))).await;
    upload(&server, "cover", "cover_photo", PNG).await;
    edit(&server, json!({"avatar": null, "cover_photo": null})).await;
    removed(2.0).await;
    assert_eq!((files(&server, "avatars"), files(&server, "covers")), (1, 0));

    // Copies of the operator's pictures are removed, too, but not other users' copies.
    let copies = server.media().join("covers/covers");
    std::fs::create_dir_all(&copies).unwrap();
    for name in ["ana", "beto"] {
        std::fs::write(copies.join(format!("{name}_cover.png")), PNG).unwrap();
    }
    let give = async |user: usize, name: &str| {
        let id = server.fixture.users[user].id.replace('-', "");
        let path = format!("covers/covers/{name}_cover.png");
        assert_eq!(server.execute("UPDATE users SET cover_photo = ? WHERE id = ?", &[&path, &id]).await, 1);
    };
    give(BETO, "beto").await;
    for name in ["beto", "ana"] {
        give(ANA, name).await;
        edit(&server, json!({"cover_photo": null})).await;
    }
    removed(3.0).await;
    assert!(!copies.join("ana_cover.png").exists() && copies.join("beto_cover.png").exists());
}
