//! `/api/posts/` over real HTTP: posts, reactions, comments, likes, shares and uploads, and who may not.

mod support;

use std::time::Instant;

use pregon::ids::{CommentId, PostId};
use pregon::limits::USER_UPLOADS_MAX;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use support::{PATIENCE, Server};

/// The smallest picture: one black pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\xdac`\0\0\0\x02\0\x01\xe5'\xde\xfc\0\0\0\0IEND\xaeB`\x82";
/// The beginning of a film.
const MP4: &[u8] = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41\0\0\0\x08free";

const ANA: usize = 0;
const BETO: usize = 1;
const CARO: usize = 2;

async fn server() -> Server {
    Server::builder().seed(4, 0, 0).start().await
}

fn forbidden() -> (u16, Value) {
    (403, json!({"detail": "Usted no tiene permiso para realizar esta acción."}))
}

fn missing() -> (u16, Value) {
    (404, json!({"detail": "No encontrado."}))
}

async fn publish(server: &Server, user: usize, body: Value) -> Value {
    let (status, post) = server.rest("POST", "/api/posts/", user, Some(body)).await;
    assert_eq!(status, 201, "{post}");
    post
}

/// A path below a post or comment.
fn at(object: &Value, rest: &str) -> String {
    format!("/api/posts/{}/{rest}", object["id"].as_str().unwrap())
}

fn at_comment(comment: &Value, rest: &str) -> String {
    format!("/api/posts/comments/{}/{rest}", comment["id"].as_str().unwrap())
}

fn ids(list: &Value) -> Vec<&Value> {
    list["results"].as_array().unwrap().iter().map(|one| &one["id"]).collect()
}

const POST_KEYS: [&str; 28] = [
    "id",
    "short_id",
    "user",
    "content",
    "images",
    "video",
    "thumbnail",
    "podcast_url",
    "streaming_url",
    "post_type",
    "category",
    "likes_count",
    "celebrations_count",
    "golazos_count",
    "laughs_count",
    "dislikes_count",
    "comments_count",
    "shares_count",
    "views_count",
    "is_pinned",
    "allow_comments",
    "is_public",
    "created_at",
    "updated_at",
    "reactions",
    "comments",
    "user_reaction",
    "is_bookmarked",
];

#[tokio::test]
async fn a_post_is_published_and_shown() {
    let server = server().await;
    let post = publish(&server, ANA, json!({"content": " hola feed ñ ", "post_type": "text"})).await;
    let object = post.as_object().unwrap();
    assert!(object.len() == 28 && POST_KEYS.iter().all(|key| object.contains_key(*key)), "{object:?}");
    assert_eq!((&post["content"], &post["images"], &post["category"]), (&json!("hola feed ñ"), &json!([]), &json!("")));
    assert_eq!((&post["user"]["posts_count"], post["user"].as_object().unwrap().len()), (&json!(1), 28));
    assert_eq!(
        (&post["video"], &post["user_reaction"], &post["is_public"]),
        (&json!(null), &json!(null), &json!(true))
    );
    for (path, user) in [
        (at(&post, ""), BETO),
        (at(&post, ""), ANA),
        (format!("/api/posts/short/{}/", post["short_id"].as_str().unwrap().to_lowercase()), BETO),
    ] {
        let (status, shown) = server.rest("GET", &path, user, None).await;
        assert_eq!((status, &shown["id"], shown.as_object().unwrap().len()), (200, &post["id"], 28));
    }
    let empty = publish(&server, ANA, json!({})).await;
    assert_eq!((&empty["content"], &empty["post_type"]), (&json!(""), &json!("text")));
    let nobody = format!("/api/posts/{}/", PostId::fresh());
    for path in [nobody.as_str(), "/api/posts/xx/", "/api/posts/short/NADA1234/"] {
        assert_eq!(server.rest("GET", path, ANA, None).await, missing());
    }
    let (status, _) = server.rest("PUT", "/api/posts/", ANA, None).await;
    assert_eq!(status, 405);
    assert_eq!(reqwest::get(server.http("/api/posts/")).await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_bad_post_is_refused_and_nothing_is_written() {
    let server = server().await;
    let whole = |text: &str| json!({"non_field_errors": [text]});
    for (body, expected) in [
        (
            json!({"content": "🎉".repeat(2001), "post_type": "zz"}),
            json!({"content": ["Asegúrese de que este campo no tenga más de 2000 caracteres."],
                "post_type": ["\"zz\" no es una elección válida."]}),
        ),
        (json!({"post_type": "podcast"}), whole("URL del podcast es requerida para posts de tipo podcast")),
        (json!({"post_type": "streaming"}), whole("URL del streaming es requerida para posts de tipo streaming")),
        (json!({"category": "zz"}), json!({"category": ["\"zz\" no es una elección válida."]})),
        (json!({"images": ["javascript:alert(1)"]}), json!({"images": ["Introduzca una URL válida."]})),
        (json!({"is_public": "x"}), json!({"is_public": ["Debe ser un booleano válido."]})),
    ] {
        assert_eq!(server.rest("POST", "/api/posts/", ANA, Some(body)).await, (400, expected));
    }
    assert_eq!(server.rest("GET", "/api/posts/?friends_only=false", ANA, None).await.1["count"], 0);
    let podcast = json!({"post_type": "podcast", "podcast_url": "https://example.com/p", "category": "music"});
    assert_eq!(publish(&server, ANA, podcast).await["podcast_url"], "https://example.com/p");
}

#[tokio::test]
async fn lists_show_the_circle_or_everybody() {
    let server = server().await;
    let name = |user: usize| server.fixture.users[user].username.clone();
    server.rest("POST", &format!("/api/users/follow/{}/", name(BETO)), ANA, None).await;
    let own = publish(&server, ANA, json!({"content": "a"})).await;
    let followed = publish(&server, BETO, json!({"content": "b"})).await;
    let stranger = publish(&server, CARO, json!({"content": "c"})).await;
    publish(&server, BETO, json!({"content": "secreto", "is_public": false})).await;
    publish(&server, ANA, json!({"content": "secreto", "is_public": false})).await;
    for query in ["", "?friends_only=true"] {
        let (_, list) = server.rest("GET", &format!("/api/posts/{query}"), ANA, None).await;
        assert_eq!((ids(&list), &list["count"]), (vec![&followed["id"], &own["id"]], &json!(2)), "newest first");
    }
    let (_, all) = server.rest("GET", "/api/posts/?friends_only=false", ANA, None).await;
    assert_eq!(ids(&all), [&stranger["id"], &followed["id"], &own["id"]]);
    let (_, of) = server.rest("GET", &format!("/api/users/{}/posts/", name(CARO)), ANA, None).await;
    assert_eq!(ids(&of), [&stranger["id"]]);
    for number in 0..19 {
        publish(&server, CARO, json!({"content": format!("{number}")})).await;
    }
    let (_, first) = server.rest("GET", "/api/posts/?friends_only=false", ANA, None).await;
    assert_eq!((&first["count"], ids(&first).len()), (&json!(22), 20));
    assert_eq!(first["next"], server.http("/api/posts/?friends%5Fonly=false&page=2"));
    let (_, second) = server.rest("GET", "/api/posts/?friends_only=false&page=2", ANA, None).await;
    assert_eq!(ids(&second), [&followed["id"], &own["id"]]);
    let beyond = server.rest("GET", "/api/posts/?page=2", ANA, None).await;
    assert_eq!(beyond, (404, json!({"detail": "Página inválida."})));
}

#[tokio::test]
async fn only_its_author_edits_and_deletes_a_post() {
    let server = server().await;
    let post = publish(&server, ANA, json!({"content": "hola"})).await;
    let path = at(&post, "");
    for method in ["PATCH", "PUT", "DELETE"] {
        let body = (method != "DELETE").then(|| json!({"content": "ajeno"}));
        assert_eq!(server.rest(method, &path, BETO, body).await, forbidden(), "{method}");
    }
    let patch = json!({"content": "otra", "is_pinned": true, "allow_comments": false});
    let (status, edited) = server.rest("PATCH", &path, ANA, Some(patch)).await;
    assert_eq!((status, &edited["content"], &edited["is_pinned"]), (200, &json!("otra"), &json!(true)));
    assert!(edited["updated_at"].as_str() > edited["created_at"].as_str());
    let (_, put) = server.rest("PUT", &path, ANA, Some(json!({"category": "food"}))).await;
    assert_eq!((&put["category"], &put["content"]), (&json!("food"), &json!("otra")));
    let needs = json!({"non_field_errors": ["URL del podcast es requerida para posts de tipo podcast"]});
    assert_eq!(server.rest("PATCH", &path, ANA, Some(json!({"post_type": "podcast"}))).await, (400, needs));
    let with_address = json!({"post_type": "podcast", "podcast_url": "https://example.com/p"});
    assert_eq!(server.rest("PATCH", &path, ANA, Some(with_address)).await.0, 200);

    assert_eq!(server.rest("DELETE", &path, ANA, None).await, (204, Value::Null));
    assert_eq!(server.rest("GET", &path, ANA, None).await, missing());
    assert_eq!(server.rest("DELETE", &path, ANA, None).await, missing());
    assert_eq!(server.rest("PATCH", &path, ANA, Some(json!({}))).await, missing());
}

#[tokio::test]
async fn a_private_post_is_its_authors_alone() {
    let server = server().await;
    let post = publish(&server, ANA, json!({"content": "x", "is_public": false})).await;
    let comment = server.rest("POST", &at(&post, "comments/"), ANA, Some(json!({"content": "nota"}))).await.1;
    let like = Some(json!({"reaction_type": "like"}));
    let text = Some(json!({"content": "y"}));
    for (method, path, body) in [
        ("GET", at(&post, ""), None),
        ("GET", format!("/api/posts/short/{}/", post["short_id"].as_str().unwrap()), None),
        ("GET", at(&post, "comments/"), None),
        ("POST", at(&post, "comments/"), text.clone()),
        ("POST", at(&post, "react/"), like.clone()),
        ("DELETE", at(&post, "react/"), None),
        ("POST", at(&post, "share/"), None),
        ("GET", at_comment(&comment, ""), None),
        ("PATCH", at_comment(&comment, ""), text.clone()),
        ("DELETE", at_comment(&comment, ""), None),
        ("POST", at_comment(&comment, "like/"), None),
        ("DELETE", at_comment(&comment, "like/"), None),
        ("PATCH", at(&post, ""), text.clone()),
        ("DELETE", at(&post, ""), None),
    ] {
        assert_eq!(server.rest(method, &path, BETO, body).await, forbidden(), "{method} {path}");
    }
    assert_eq!(server.rest("GET", &at(&post, ""), ANA, None).await.0, 200);
    assert_eq!(server.rest("POST", &at(&post, "react/"), ANA, like).await.0, 201);
    server.rest("PATCH", &at(&post, ""), ANA, Some(json!({"is_public": true}))).await;
    assert_eq!(server.rest("GET", &at(&post, ""), BETO, None).await.0, 200, "at once");
    server.rest("PATCH", &at(&post, ""), ANA, Some(json!({"is_public": false}))).await;
    assert_eq!(server.rest("GET", &at(&post, "comments/"), BETO, None).await, forbidden(), "at once");
}

#[tokio::test]
async fn reactions_are_one_a_user_in_five_spellings() {
    let server = server().await;
    let post = publish(&server, ANA, json!({"content": "hola"})).await;
    let path = at(&post, "react/");
    let counts = |likes: u32, celebrations: u32, golazos: u32| {
        json!({"likes_count": likes, "celebrations_count": celebrations, "golazos_count": golazos,
            "laughs_count": celebrations, "dislikes_count": golazos})
    };
    let react = async |name: &str| server.rest("POST", &path, BETO, Some(json!({"reaction_type": name}))).await;
    for (name, stored, own, expected) in [
        ("like", "like", "like", counts(1, 0, 0)),
        ("celebration", "celebration", "laugh", counts(0, 1, 0)),
        ("golazo", "golazo", "dislike", counts(0, 0, 1)),
        ("laugh", "celebration", "laugh", counts(0, 1, 0)),
        ("dislike", "golazo", "dislike", counts(0, 0, 1)),
    ] {
        let (status, answer) = react(name).await;
        assert_eq!((status, &answer["message"]), (201, &json!("Reacción agregada")));
        let reaction = &answer["reaction"];
        assert_eq!((&reaction["reaction_type"], &answer["counts"]), (&json!(stored), &expected));
        assert_eq!(reaction["user"]["username"], server.fixture.users[BETO].username);
        assert_eq!((reaction.as_object().unwrap().len(), reaction["user"].as_object().unwrap().len()), (4, 28));
        let (_, seen) = server.rest("GET", &at(&post, ""), BETO, None).await;
        assert_eq!((&seen["user_reaction"], seen["reactions"].as_array().unwrap().len()), (&json!(own), 1));
        assert_eq!(seen["laughs_count"], expected["laughs_count"]);
    }
    assert_eq!(server.rest("GET", &at(&post, ""), ANA, None).await.1["user_reaction"], json!(null));
    let removed = json!({"message": "Reacción eliminada", "counts": counts(0, 0, 0)});
    assert_eq!(react("golazo").await, (200, removed), "the same again");
    react("like").await;
    let three = json!({"likes_count": 0, "celebrations_count": 0, "golazos_count": 0});
    let removed = json!({"message": "Reacción eliminada", "counts": three});
    assert_eq!(server.rest("DELETE", &path, BETO, None).await, (200, removed));
    let none = json!({"error": "No tienes reacciones en este post"});
    assert_eq!(server.rest("DELETE", &path, BETO, None).await, (404, none));
    let unknown = (400, json!({"error": "Tipo de reacción inválido"}));
    assert_eq!(react("bogus").await, unknown);
    assert_eq!(server.rest("POST", &path, BETO, Some(json!({}))).await, unknown);
    assert_eq!(server.rest("POST", &path, BETO, Some(json!({"reaction_type": 7}))).await, unknown);
    let nowhere = format!("/api/posts/{}/react/", PostId::fresh());
    let like = Some(json!({"reaction_type": "like"}));
    assert_eq!(server.rest("POST", &nowhere, BETO, like).await, missing());
}

#[tokio::test]
async fn comments_are_added_listed_edited_and_deleted() {
    let server = server().await;
    let post = publish(&server, ANA, json!({"content": "hola"})).await;
    let other = publish(&server, ANA, json!({"content": "otra"})).await;
    let path = at(&post, "comments/");
    let add = async |user, body: Value| server.rest("POST", &path, user, Some(body)).await;
    let (status, comment) = add(BETO, json!({"content": " bien "})).await;
    assert_eq!((status, &comment["content"], &comment["is_edited"]), (201, &json!("bien"), &json!(false)));
    assert_eq!(
        (&comment["post"], &comment["parent"], comment.as_object().unwrap().len()),
        (&post["id"], &json!(null), 13)
    );
    assert_eq!((&comment["replies"], &comment["is_liked"]), (&json!([]), &json!(false)));
    let (status, reply) = add(ANA, json!({"content": "gracias", "parent": comment["id"]})).await;
    assert_eq!((status, &reply["parent"]), (201, &comment["id"]));
    let (_, list) = server.rest("GET", &path, CARO, None).await;
    assert_eq!((&list["count"], &list["results"][0]["replies"][0]["id"]), (&json!(1), &reply["id"]), "top level only");
    assert_eq!(list["results"][0]["replies_count"], 1);
    let (_, seen) = server.rest("GET", &at(&post, ""), CARO, None).await;
    assert_eq!((&seen["comments_count"], &seen["comments"][0]["id"]), (&json!(2), &comment["id"]));

    let elsewhere = server.rest("POST", &at(&other, "comments/"), BETO, Some(json!({"content": "x"}))).await.1;
    let parent = json!({"parent": ["El comentario padre debe pertenecer a la misma publicación."]});
    for id in [elsewhere["id"].clone(), json!(CommentId::fresh())] {
        assert_eq!(add(BETO, json!({"content": "x", "parent": id})).await, (400, parent.clone()));
    }
    for (body, expected) in [
        (json!({}), json!({"content": ["Este campo es requerido."]})),
        (json!({"content": " "}), json!({"content": ["Este campo no puede estar en blanco."]})),
        (
            json!({"content": "ñ".repeat(501)}),
            json!({"content": ["Asegúrese de que este campo no tenga más de 500 caracteres."]}),
        ),
        (json!({"content": "x", "parent": "xx"}), json!({"parent": ["“xx” no es un UUID válido."]})),
    ] {
        assert_eq!(add(BETO, body).await, (400, expected));
    }
    assert_eq!(add(BETO, json!({"content": "ñ".repeat(500), "parent": null})).await.0, 201);

    let one = at_comment(&comment, "");
    let text = Some(json!({"content": "mejor", "is_edited": false}));
    for method in ["PATCH", "PUT", "DELETE"] {
        assert_eq!(server.rest(method, &one, ANA, text.clone()).await, forbidden(), "not even the post's author");
    }
    assert_eq!(server.rest("PATCH", &one, ANA, Some(json!({}))).await, forbidden());
    let (status, edited) = server.rest("PATCH", &one, BETO, text).await;
    assert_eq!((status, &edited["content"], &edited["is_edited"]), (200, &json!("mejor"), &json!(true)));
    let required = json!({"content": ["Este campo es requerido."]});
    assert_eq!(server.rest("PUT", &one, BETO, Some(json!({}))).await, (400, required));
    assert_eq!(server.rest("GET", &one, CARO, None).await.1["content"], "mejor");
    assert_eq!(server.rest("DELETE", &one, BETO, None).await, (204, Value::Null));
    for path in [one.as_str(), &at_comment(&reply, ""), "/api/posts/comments/xx/"] {
        assert_eq!(server.rest("GET", path, ANA, None).await, missing(), "{path}");
    }
    assert_eq!(server.rest("GET", &at(&post, ""), CARO, None).await.1["comments_count"], 1);
    server.rest("PATCH", &at(&post, ""), ANA, Some(json!({"allow_comments": false}))).await;
    let closed = json!({"detail": "Esta publicación no permite comentarios."});
    assert_eq!(add(BETO, json!({"content": "tarde"})).await, (403, closed));
}

#[tokio::test]
async fn likes_and_shares_count_once() {
    let server = server().await;
    let post = publish(&server, ANA, json!({"content": "hola"})).await;
    let comment = server.rest("POST", &at(&post, "comments/"), BETO, Some(json!({"content": "x"}))).await.1;
    let like = at_comment(&comment, "like/");
    let done = |text: &str, count: u32| json!({"message": text, "likes_count": count});
    assert_eq!(server.rest("POST", &like, ANA, None).await, (201, done("Like agregado", 1)));
    let again = json!({"message": "Ya has dado like a este comentario"});
    assert_eq!(server.rest("POST", &like, ANA, None).await, (200, again));
    assert_eq!(server.rest("POST", &like, BETO, None).await, (201, done("Like agregado", 2)));
    assert_eq!(server.rest("GET", &at_comment(&comment, ""), ANA, None).await.1["is_liked"], true);
    assert_eq!(server.rest("GET", &at_comment(&comment, ""), CARO, None).await.1["is_liked"], false);
    assert_eq!(server.rest("DELETE", &like, ANA, None).await, (200, done("Like eliminado", 1)));
    let none = json!({"error": "No has dado like a este comentario"});
    assert_eq!(server.rest("DELETE", &like, ANA, None).await, (404, none));
    let nobody = format!("/api/posts/comments/{}/like/", CommentId::fresh());
    assert_eq!(server.rest("POST", &nobody, ANA, None).await, missing());

    let share = at(&post, "share/");
    let shared = json!({"message": "Post compartido exitosamente", "shares_count": 1});
    assert_eq!(server.rest("POST", &share, BETO, Some(json!({"message": "mira"}))).await, (201, shared));
    let again = json!({"message": "Ya has compartido este post"});
    assert_eq!(server.rest("POST", &share, BETO, None).await, (200, again));
    let long = json!({"message": ["Asegúrese de que este campo no tenga más de 200 caracteres."]});
    let body = json!({"message": "x".repeat(201)});
    assert_eq!(server.rest("POST", &share, CARO, Some(body)).await, (400, long));
    assert_eq!(server.rest("GET", &at(&post, ""), ANA, None).await.1["shares_count"], 1);
}

async fn upload(server: &Server, method: &str, path: &str, user: usize, form: Form) -> (u16, Value) {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let request = reqwest::Client::new().request(method, server.http(path)).multipart(form);
    let response = request.bearer_auth(&server.fixture.users[user].token).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn file(bytes: impl Into<Vec<u8>>) -> Part {
    Part::bytes(bytes.into()).file_name("../../etc/foto.svg").mime_str("image/svg+xml").unwrap()
}

fn files(server: &Server) -> usize {
    let folders = [".incoming", "posts/images", "posts/videos", "posts/thumbnails", "comments/images"];
    folders.iter().map(|folder| std::fs::read_dir(server.media().join(folder)).unwrap().count()).sum()
}

async fn fetched(address: &Value) -> (u16, String, Vec<u8>) {
    let response = reqwest::get(address.as_str().unwrap()).await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    (response.status().as_u16(), kind, response.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn uploads_are_stored_and_served_as_what_they_are() {
    let server = server().await;
    let form = Form::new().text("content", "mira").text("images", r#"["https://example.com/a.png"]"#);
    let form = form.part("image", file(PNG)).part("video", file(MP4)).part("thumbnail", file(PNG));
    let (status, post) = upload(&server, "POST", "/api/posts/", ANA, form).await;
    assert_eq!(
        (status, &post["content"], &post["images"][0]),
        (201, &json!("mira"), &json!("https://example.com/a.png"))
    );
    let (image, video, thumbnail) = (&post["images"][1], &post["video"], &post["thumbnail"]);
    for (address, folder, kind, bytes) in [
        (image, "posts/images/", "image/png", PNG),
        (video, "posts/videos/", "video/mp4", MP4),
        (thumbnail, "posts/thumbnails/", "image/png", PNG),
    ] {
        assert!(address.as_str().unwrap().starts_with(&server.http(&format!("/media/{folder}"))), "{address}");
        assert_eq!(fetched(address).await, (200, kind.to_owned(), bytes.to_vec()));
    }
    let form = Form::new().part("image", file(PNG)).text("is_public", "false");
    let (status, edited) = upload(&server, "PATCH", &at(&post, ""), ANA, form).await;
    assert_eq!((status, edited["images"].as_array().unwrap().len(), &edited["video"]), (200, 3, video));
    assert_eq!(edited["is_public"], false);
    let form = Form::new().text("content", "foto").part("image", file(PNG));
    let (status, comment) = upload(&server, "POST", &at(&post, "comments/"), ANA, form).await;
    assert_eq!((status, fetched(&comment["image"]).await.2), (201, PNG.to_vec()));
    assert_eq!(files(&server), 5);
}

#[tokio::test]
async fn uploads_that_lie_are_refused_and_leave_nothing() {
    let server = server().await;
    let closed = publish(&server, ANA, json!({"allow_comments": false})).await;
    let wrong = "Cargue una imagen válida. El archivo que ha cargado o no es una imagen o está dañado.";
    for bad in [&b"<svg xmlns='http://www.w3.org/2000/svg'/>"[..], b"<!doctype html><script>", b"", MP4] {
        for field in ["image", "thumbnail"] {
            let form = Form::new().part("video", file(MP4)).part(field, file(bad));
            let mut expected = json!({});
            expected[field] = json!([wrong]);
            assert_eq!(upload(&server, "POST", "/api/posts/", ANA, form).await, (400, expected));
        }
    }
    let form = Form::new().part("video", file(PNG));
    let expected = json!({"video": ["El archivo no es un video válido."]});
    assert_eq!(upload(&server, "POST", "/api/posts/", ANA, form).await, (400, expected));
    let form = Form::new().part("image", file(PNG)).text("post_type", "podcast");
    assert_eq!(upload(&server, "POST", "/api/posts/", ANA, form).await.0, 400);
    // Whole and stored, and then refused in the write.
    let form = Form::new().part("image", file(PNG)).text("content", "x");
    assert_eq!(upload(&server, "POST", &at(&closed, "comments/"), BETO, form).await.0, 403);
    let form = Form::new().part("image", file(PNG));
    assert_eq!(upload(&server, "PATCH", &at(&closed, ""), BETO, form).await, forbidden());
    assert_eq!(files(&server), 0);
    assert_eq!(server.rest("GET", "/api/posts/?friends_only=false", ANA, None).await.1["count"], 1);
}

#[tokio::test]
async fn too_large_an_upload_is_refused_and_leaves_nothing() {
    let server = server().await;
    let mut bytes = PNG.to_vec();
    bytes.resize(25 * 1024 * 1024 + 1, 0);
    let form = Form::new().part("thumbnail", file(PNG)).part("image", file(bytes));
    let answer = upload(&server, "POST", "/api/posts/", ANA, form).await;
    assert_eq!(answer, (413, json!({"error": "El archivo supera el máximo de 25 MB."})));
    assert_eq!(files(&server), 0);
}

/// An upload that does not go on: the connection, with the picture's beginning sent.
async fn half_an_upload(server: &Server, user: usize) -> tokio::net::TcpStream {
    use tokio::io::AsyncWriteExt;
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "POST /api/posts/ HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: 1000000\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n\
         --b\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n",
        server.address(),
        server.fixture.users[user].token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[PNG, &[0; 100_000]].concat()).await.unwrap();
    stream
}

async fn wait_for_files(server: &Server, count: usize) {
    let began = Instant::now();
    while files(server) != count {
        assert!(began.elapsed() < PATIENCE, "{} files", files(server));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_upload_that_stops_half_way_leaves_nothing() {
    let server = server().await;
    let stream = half_an_upload(&server, ANA).await;
    wait_for_files(&server, 1).await;
    drop(stream);
    wait_for_files(&server, 0).await;
    assert_eq!(server.rest("GET", "/api/posts/?friends_only=false", ANA, None).await.1["count"], 0);
}

#[tokio::test]
async fn one_user_cannot_hold_up_everybodys_uploads() {
    let server = server().await;
    let mut streams = Vec::new();
    for _ in 0..USER_UPLOADS_MAX {
        streams.push(half_an_upload(&server, ANA).await);
    }
    wait_for_files(&server, USER_UPLOADS_MAX).await;
    let path = server.http("/api/posts/");
    let request = reqwest::Client::new().post(path).multipart(Form::new().part("image", file(PNG)));
    let response = request.bearer_auth(&server.fixture.users[ANA].token).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    let picture = || Form::new().part("image", file(PNG));
    assert_eq!(upload(&server, "POST", "/api/posts/", BETO, picture()).await.0, 201);
    assert_eq!(server.rest("POST", "/api/posts/", ANA, Some(json!({"content": "x"}))).await.0, 201, "no file, no turn");
    drop(streams);
    wait_for_files(&server, 1).await;
    assert_eq!(upload(&server, "POST", "/api/posts/", ANA, picture()).await.0, 201);
}

#[tokio::test]
async fn a_body_without_files_is_no_longer_than_elsewhere() {
    let server = server().await;
    let post = publish(&server, ANA, json!({"content": "hola"})).await;
    let long = Some(json!({"content": "x".repeat(256 * 1024)}));
    let too_long = (413, json!({"error": "La solicitud es demasiado grande."}));
    for (method, path) in [("POST", "/api/posts/"), ("PATCH", &at(&post, "")), ("POST", &at(&post, "comments/"))] {
        assert_eq!(server.rest(method, path, ANA, long.clone()).await, too_long, "{method} {path}");
    }
    let client = reqwest::Client::new().post(server.http("/api/posts/"));
    let form = client.header("content-type", "application/x-www-form-urlencoded").body("x".repeat(256 * 1024 + 1));
    let answer = form.bearer_auth(&server.fixture.users[ANA].token).send().await.unwrap();
    assert_eq!(answer.status(), 413);
    let fits = json!({"content": "hola", "unknown": "x".repeat(255 * 1024)});
    publish(&server, ANA, fits).await;
}

#[tokio::test]
async fn uploaded_pictures_count_as_the_lists_do() {
    let server = server().await;
    let list = |count: usize| serde_json::to_string(&vec!["/a.png"; count]).unwrap();
    let with = |count: usize| Form::new().text("images", list(count)).part("image", file(PNG));
    let full = (400, json!({"images": ["Asegúrese de que este campo no tenga más de 20 elementos."]}));
    assert_eq!(upload(&server, "POST", "/api/posts/", ANA, with(20)).await, full);
    assert_eq!(files(&server), 0);
    let (status, post) = upload(&server, "POST", "/api/posts/", ANA, with(18)).await;
    assert_eq!((status, post["images"].as_array().unwrap().len()), (201, 19));
    let path = at(&post, "");
    let one_more = || Form::new().part("image", file(PNG));
    let (status, edited) = upload(&server, "PATCH", &path, ANA, one_more()).await;
    assert_eq!((status, edited["images"].as_array().unwrap().len(), files(&server)), (200, 20, 2));
    for form in [one_more(), with(20)] {
        assert_eq!(upload(&server, "PATCH", &path, ANA, form).await, full);
    }
    assert_eq!(files(&server), 2);
    assert_eq!(server.rest("GET", &path, ANA, None).await.1["images"], edited["images"]);
    let (status, fewer) = upload(&server, "PATCH", &path, ANA, with(1)).await;
    assert_eq!((status, fewer["images"].as_array().unwrap().len()), (200, 2));
}

/// Sends `piece` again and again, slowly, until the server answers; the answer's first line.
async fn trickle(mut stream: tokio::net::TcpStream, piece: &[u8]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut reader, mut writer) = stream.split();
    let mut answer = vec![0; 64];
    let slowly = async {
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(100));
        while writer.write_all(piece).await.is_ok() {
            ticks.tick().await;
        }
        std::future::pending::<()>().await;
    };
    let read = tokio::select! {
        read = tokio::time::timeout(PATIENCE, reader.read(&mut answer)) => read.unwrap().unwrap(),
        () = slowly => unreachable!(),
    };
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn uploads_and_forms_that_trickle_have_a_deadline() {
    let server = Server::builder().seed(1, 0, 0).set("PREGON_UPLOAD_GRACE_SECONDS", 1).start().await;
    let stream = half_an_upload(&server, ANA).await;
    assert_eq!(trickle(stream, b"x").await, "HTTP/1.1 408 Request Timeout", "a file");
    wait_for_files(&server, 0).await;
    for head in ["--b\r\ncontent-disposition: form-data; name=\"content\"\r\n\r\n", "", "--b\r\nx-filler: "] {
        let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        let request = format!(
            "POST /api/posts/ HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: 100000\r\n\
             content-type: multipart/form-data; boundary=b\r\n\r\n{head}",
            server.address(),
            server.fixture.users[ANA].token
        );
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        assert_eq!(trickle(stream, b"x").await, "HTTP/1.1 408 Request Timeout", "a text behind {head:?}");
    }
    let form = Form::new().text("content", "a tiempo").part("image", file(PNG));
    assert_eq!(upload(&server, "POST", "/api/posts/", ANA, form).await.0, 201);
}

#[tokio::test]
async fn files_go_when_nothing_names_them_any_more() {
    let server = server().await;
    let form = || Form::new().part("image", file(PNG)).part("video", file(MP4)).part("thumbnail", file(PNG));
    let (_, post) = upload(&server, "POST", "/api/posts/", ANA, form()).await;
    let image = Form::new().text("content", "foto").part("image", file(PNG));
    let (_, comment) = upload(&server, "POST", &at(&post, "comments/"), BETO, image).await;
    let reply = Form::new().text("content", "foto").text("parent", comment["id"].as_str().unwrap().to_owned());
    upload(&server, "POST", &at(&post, "comments/"), ANA, reply.part("image", file(PNG))).await;
    assert_eq!(files(&server), 5);
    // Replaced, taken out of the list; somebody else's address is nobody's file.
    let (_, edited) = upload(&server, "PATCH", &at(&post, ""), ANA, Form::new().part("video", file(MP4))).await;
    wait_for_files(&server, 5).await;
    assert_ne!(edited["video"], post["video"]);
    assert_eq!(fetched(&edited["video"]).await.0, 200);
    assert_eq!(reqwest::get(post["video"].as_str().unwrap()).await.unwrap().status(), 404);
    let shared = publish(&server, BETO, json!({"images": post["images"]})).await;
    server.done("PATCH", &at(&post, ""), ANA, Some(json!({"images": []}))).await;
    server.done("DELETE", &at_comment(&comment, ""), BETO, None).await;
    wait_for_files(&server, 3).await;
    assert_eq!(fetched(&shared["images"][0]).await.0, 200, "another post names it");
    // Whose deletion is refused keeps everything.
    assert_eq!(server.rest("DELETE", &at(&post, ""), BETO, None).await, forbidden());
    server.done("DELETE", &at(&post, ""), ANA, None).await;
    wait_for_files(&server, 1).await;
    assert_eq!(fetched(&shared["images"][0]).await.0, 200);
    server.done("DELETE", &at(&shared, ""), BETO, None).await;
    wait_for_files(&server, 0).await;
}

#[tokio::test]
async fn what_a_crash_left_behind_is_found_at_the_start() {
    let mut server = server().await;
    let (_, post) = upload(&server, "POST", "/api/posts/", ANA, Form::new().part("image", file(PNG))).await;
    server.kill();
    let images = server.media().join("posts/images");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 3600);
    let name = |name: &str| images.join(name);
    let orphan = name(&format!("{}.png", uuid::Uuid::new_v4()));
    for path in [&orphan, &name("backend.png"), &name(&format!("{}.gif", uuid::Uuid::new_v4()))] {
        std::fs::write(path, PNG).unwrap();
    }
    for entry in std::fs::read_dir(&images).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().unwrap() == "png" {
            std::fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
        }
    }
    server.restart();
    wait_for_files(&server, 3).await;
    assert!(!orphan.exists(), "old and nobody's; what is young, somebody's or not an upload stays");
    let image = post["images"][0].as_str().unwrap().rsplit('/').next().unwrap();
    assert!(images.join(image).exists());
}
