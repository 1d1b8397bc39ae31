//! `/api/posts/` over real HTTP: posts, reactions, comments, likes and shares, and their refusals.

use crate::support::Server;
use pregon::ids::{CommentId, PostId};
use serde_json::{Value, json};

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
    for (body, expected) in [
        (
            json!({"content": "🎉".repeat(2001), "post_type": "zz"}),
            json!({"content": ["Asegúrese de que este campo no tenga más de 2000 caracteres."],
                "post_type": ["\"zz\" no es una elección válida."]}),
        ),
        (
            json!({"post_type": "podcast"}),
            json!({"podcast_url": ["URL del podcast es requerida para posts de tipo podcast"]}),
        ),
        (
            json!({"post_type": "streaming"}),
            json!({"streaming_url": ["URL del streaming es requerida para posts de tipo streaming"]}),
        ),
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
    let next = first["next"].as_str().unwrap();
    assert!(next.starts_with(&server.http("/api/posts/?friends%5Fonly=false&page=2&after=")), "{next}");
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
    let needs = json!({"podcast_url": ["URL del podcast es requerida para posts de tipo podcast"]});
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

#[tokio::test]
async fn replies_are_listed_by_pages() {
    let server = server().await;
    let post = publish(&server, ANA, json!({"content": "hola"})).await;
    let add = async |user, parent: &Value, content: String| {
        let body = json!({"content": content, "parent": parent["id"]});
        server.done("POST", &at(&post, "comments/"), user, Some(body)).await
    };
    let root = server.done("POST", &at(&post, "comments/"), ANA, Some(json!({"content": "raíz"}))).await;
    let mut replies = Vec::new();
    for number in 0..23 {
        replies.push(add(BETO, &root, format!("{number}")).await["id"].clone());
    }
    let below = add(ANA, &json!({"id": replies[21]}), "más".into()).await;
    let path = at_comment(&root, "replies/");
    let (_, first) = server.rest("GET", &path, CARO, None).await;
    assert_eq!((&first["count"], ids(&first)), (&json!(23), replies[..20].iter().collect::<Vec<_>>()));
    let (_, second) = server.rest("GET", &format!("{path}?page=2"), CARO, None).await;
    assert_eq!((ids(&second), &second["next"]), (replies[20..].iter().collect::<Vec<_>>(), &Value::Null));
    assert_eq!(second["results"][1]["replies"][0]["id"], below["id"]);
    assert_eq!(
        server.rest("GET", &at_comment(&json!({"id": CommentId::fresh()}), "replies/"), CARO, None).await,
        missing()
    );
    server.done("PATCH", &at(&post, ""), ANA, Some(json!({"is_public": false}))).await;
    assert_eq!(server.rest("GET", &path, CARO, None).await, forbidden());
    assert_eq!(server.rest("GET", &path, ANA, None).await.0, 200);
}

/// A user who takes back a reaction or like on a post that has become private learns nothing new.
#[tokio::test]
async fn ones_own_comes_back_from_a_private_post_without_counts() {
    let server = server().await;
    let post = publish(&server, ANA, json!({"content": "hola"})).await;
    let add = async |user| server.done("POST", &at(&post, "comments/"), user, Some(json!({"content": "x"}))).await;
    let mine = add(BETO).await;
    let liked = add(ANA).await;
    for user in [ANA, BETO] {
        server.done("POST", &at_comment(&liked, "like/"), user, None).await;
        server.done("POST", &at(&post, "react/"), user, Some(json!({"reaction_type": "like"}))).await;
    }
    server.done("PATCH", &at(&post, ""), ANA, Some(json!({"is_public": false}))).await;
    assert_eq!(server.rest("PATCH", &at_comment(&mine, ""), BETO, Some(json!({"content": "y"}))).await, forbidden());
    assert_eq!(server.rest("GET", &at_comment(&mine, ""), BETO, None).await, forbidden());
    let gone = (200, json!({"message": "Like eliminado"}));
    assert_eq!(server.rest("DELETE", &at_comment(&liked, "like/"), BETO, None).await, gone);
    assert_eq!(
        server.rest("DELETE", &at_comment(&liked, "like/"), BETO, None).await,
        forbidden(),
        "no word on whether"
    );
    let gone = (200, json!({"message": "Reacción eliminada"}));
    assert_eq!(server.rest("DELETE", &at(&post, "react/"), BETO, None).await, gone);
    assert_eq!(server.rest("DELETE", &at_comment(&mine, ""), BETO, None).await, (204, Value::Null));
    let left = server.done("GET", &at(&post, ""), ANA, None).await;
    assert_eq!((&left["likes_count"], &left["comments_count"]), (&json!(1), &json!(1)));
}
