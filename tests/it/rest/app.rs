//! What the app's pages need beside posts, people and rooms: suggestions, statistics, bookmarks, flags, menu.

use crate::support::Server;
use pregon::ids::PostId;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

/// The smallest picture: one black pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\xdac`\0\0\0\x02\0\x01\xe5'\xde\xfc\0\0\0\0IEND\xaeB`\x82";

const ANA: usize = 0;
const BETO: usize = 1;
const CARO: usize = 2;

async fn server() -> Server {
    Server::builder().seed(4, 0, 0).start().await
}

fn name(server: &Server, user: usize) -> &str {
    &server.fixture.users[user].username
}

/// The credentials of a request.
enum Brings {
    Nothing,
    Json(Value),
    File(&'static str),
}

async fn ask(server: &Server, method: &str, path: &str, token: Option<&str>, brings: &Brings) -> (u16, Value) {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = reqwest::Client::new().request(method, server.http(path));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let request = match brings {
        Brings::Nothing => request,
        Brings::Json(body) => request.json(body),
        Brings::File(field) => {
            request.multipart(Form::new().part(*field, Part::bytes(PNG.to_vec()).file_name("foto.png")))
        }
    };
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
}

/// Every path that the app's pages call, once: each is known, needs a token unless it is listed as open, and refuses
/// methods that it does not have.
#[tokio::test]
async fn the_app_finds_every_path_of_its_tour() {
    use Brings::{File, Json, Nothing};
    let server = server().await;
    let post = server.publish(BETO, "hola").await;
    let bookmark = format!("/api/posts/{}/bookmark/", post["id"].as_str().unwrap());
    let stats = format!("/api/users/{}/posts/stats/", name(&server, BETO));
    let posts = format!("/api/users/{}/posts/", name(&server, BETO));
    let profile = format!("/api/users/profile/{}/", name(&server, BETO));
    let token = Some(server.fixture.users[ANA].token.as_str());
    for (method, path, brings, status, is_public, other_method) in [
        ("GET", "/api/", Nothing, 200, true, "POST"),
        ("GET", "/api/auth/profile/", Nothing, 200, false, "DELETE"),
        ("PATCH", "/api/auth/profile/", Json(json!({"bio": "hola"})), 200, false, "POST"),
        ("PUT", "/api/auth/profile/", Json(json!({"bio": "hola"})), 200, false, "DELETE"),
        ("POST", "/api/auth/upload-avatar/", File("avatar"), 200, false, "GET"),
        ("POST", "/api/auth/upload-cover/", File("cover_photo"), 200, false, "PUT"),
        ("GET", "/api/users/suggested/", Nothing, 200, false, "POST"),
        ("GET", "/api/users/profile/", Nothing, 200, false, "PATCH"),
        ("GET", &profile, Nothing, 200, false, "PATCH"),
        ("GET", "/api/site-settings/", Nothing, 200, true, "PATCH"),
        ("GET", "/api/site-settings/menu/enabled/", Nothing, 200, true, "POST"),
        ("GET", &posts, Nothing, 200, false, "POST"),
        ("GET", &stats, Nothing, 200, false, "POST"),
        ("GET", "/api/posts/my-reactions-count/", Nothing, 200, false, "POST"),
        ("POST", &bookmark, Nothing, 201, false, "GET"),
        ("DELETE", &bookmark, Nothing, 200, false, "PATCH"),
        ("GET", "/api/media/albums/", Nothing, 200, false, "POST"),
        ("GET", "/api/media/albums/profile/", Nothing, 200, false, "DELETE"),
    ] {
        let refused = ask(&server, method, path, None, &brings).await;
        assert_eq!(refused.0, if is_public { 200 } else { 401 }, "{method} {path} without a token");
        let (got, answer) = ask(&server, method, path, token, &brings).await;
        assert_eq!(got, status, "{method} {path}: {answer}");
        let without_slash = path.trim_end_matches('/');
        assert_ne!(ask(&server, method, without_slash, token, &brings).await.0, 405, "{method} {without_slash}");
        let not_allowed = json!({"detail": format!("Método \"{other_method}\" no permitido.")});
        assert_eq!(ask(&server, other_method, path, token, &Nothing).await, (405, not_allowed), "{path}");
    }
}

#[tokio::test]
async fn strangers_are_suggested_those_first_whom_most_follow() {
    let server = Server::builder().seed(16, 0, 0).start().await;
    let suggested =
        async |user: usize, query: &str| server.rest("GET", &format!("/api/users/suggested/{query}"), user, None).await;
    for follower in [3, 4] {
        server.follow(follower, 5).await;
    }
    server.follow(3, 6).await;
    server.follow(ANA, 7).await;
    let asked = server.done("POST", &format!("/api/users/friend-requests/send/{}/", name(&server, 8)), ANA, None).await;
    let path = format!("/api/users/friend-requests/{}/respond/", asked["friend_request"]["id"].as_str().unwrap());
    server.done("POST", &path, 8, Some(json!({"action": "accept"}))).await;
    let ana = server.fixture.users[9].id.replace('-', "");
    assert_eq!(server.execute("UPDATE users SET is_active = 0 WHERE replace(id, '-', '') = ?", &[&ana]).await, 1);
    let (status, list) = suggested(ANA, "").await;
    assert_eq!(
        (status, &list["count"], &list["next"], &list["previous"]),
        (200, &json!(10), &json!(null), &json!(null))
    );
    let names: Vec<&str> =
        list["results"].as_array().unwrap().iter().map(|one| one["username"].as_str().unwrap()).collect();
    assert_eq!((names.len(), names[0], names[1]), (10, name(&server, 5), name(&server, 6)));
    for absent in [ANA, 7, 8, 9] {
        assert!(!names.contains(&name(&server, absent)), "{absent}");
    }
    assert_eq!(list["results"][0].as_object().unwrap().len(), 15);
    assert_eq!((&list["results"][0]["is_following"], &list["results"][0]["is_friend"]), (&json!(false), &json!(false)));
    let beyond = suggested(ANA, "?page=2").await;
    assert_eq!(beyond, (404, json!({"detail": "Página inválida."})));
    let few = Server::builder().seed(1, 0, 0).start().await;
    let nobody = json!({"count": 0, "next": null, "previous": null, "results": []});
    assert_eq!(few.rest("GET", "/api/users/suggested/", 0, None).await, (200, nobody));
}

#[tokio::test]
async fn an_author_sees_the_private_posts_and_nobody_else_does() {
    let server = server().await;
    let path = |rest: &str| format!("/api/users/{}/posts/{rest}", name(&server, ANA));
    let mut all = Vec::new();
    for number in 0..13 {
        let body = json!({"content": format!("{number}"), "is_public": number != 5});
        all.insert(0, server.done("POST", "/api/posts/", ANA, Some(body)).await["id"].clone());
    }
    let ids =
        |list: &Value| list["results"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    let (_, first) = server.rest("GET", &path(""), ANA, None).await;
    assert_eq!((&first["count"], ids(&first)), (&json!(13), all[..12].to_vec()), "newest first, twelve a page");
    let next = first["next"].as_str().unwrap();
    assert!(next.starts_with(&server.http(&path("?page=2&after="))), "{next}");
    let (_, second) = server.rest("GET", &path("?page=2"), ANA, None).await;
    assert_eq!(ids(&second), all[12..]);
    server.follow(BETO, ANA).await;
    let (_, of_others) = server.rest("GET", &path(""), BETO, None).await;
    let public: Vec<Value> = all.iter().filter(|id| **id != all[7]).cloned().collect();
    assert_eq!((&of_others["count"], &of_others["next"], ids(&of_others)), (&json!(12), &json!(null), public));
    let circle = server.rest("GET", "/api/posts/", ANA, None).await.1;
    assert_eq!(circle["count"], 12, "the feed has none of them");
}

#[tokio::test]
async fn posts_and_reactions_are_added_up() {
    let server = server().await;
    let publish = async |body: Value| server.done("POST", "/api/posts/", ANA, Some(body)).await;
    let react = async |user: usize, post: &Value, kind: &str| {
        let path = format!("/api/posts/{}/react/", post["id"].as_str().unwrap());
        server.done("POST", &path, user, Some(json!({"reaction_type": kind}))).await
    };
    let stats = async |user: usize| {
        server.rest("GET", &format!("/api/users/{}/posts/stats/", name(&server, ANA)), user, None).await
    };
    let none = json!({"likes": 0, "celebrations": 0, "golazos": 0, "comments": 0, "shares": 0, "views": 0});
    let (status, empty) = stats(BETO).await;
    assert_eq!(
        (status, &empty["stats"]),
        (200, &json!({"total_posts": 0, "posts_by_type": [], "total_reactions": none}))
    );
    let one = publish(json!({"content": "uno"})).await;
    publish(json!({"content": "dos"})).await;
    let secret =
        publish(json!({"post_type": "podcast", "podcast_url": "https://example.com/p", "is_public": false})).await;
    react(BETO, &one, "like").await;
    react(CARO, &one, "golazo").await;
    react(ANA, &secret, "laugh").await;
    let comments = format!("/api/posts/{}/comments/", one["id"].as_str().unwrap());
    server.done("POST", &comments, BETO, Some(json!({"content": "bien"}))).await;
    server.done("POST", &format!("/api/posts/{}/share/", one["id"].as_str().unwrap()), BETO, None).await;

    let (_, seen) = stats(BETO).await;
    let user = json!({"id": server.id(ANA), "username": name(&server, ANA), "display_name": "User 1"});
    let got = json!({"likes": 1, "celebrations": 0, "golazos": 1, "comments": 1, "shares": 1, "views": 0});
    let by_type = json!([{"post_type": "text", "count": 2}]);
    let expected = json!({"total_posts": 2, "posts_by_type": by_type, "total_reactions": got});
    assert_eq!(seen, json!({"user": user, "stats": expected}), "what is private is not counted for others");
    let (_, own) = stats(ANA).await;
    let by_type = json!([{"post_type": "text", "count": 2}, {"post_type": "podcast", "count": 1}]);
    assert_eq!((&own["stats"]["total_posts"], &own["stats"]["posts_by_type"]), (&json!(3), &by_type));
    assert_eq!(own["stats"]["total_reactions"]["celebrations"], 1);
    let unknown = server.rest("GET", "/api/users/nadie/posts/stats/", ANA, None).await;
    assert_eq!(unknown, (404, json!({"error": "Usuario no encontrado"})));

    let given = async |user: usize| server.rest("GET", "/api/posts/my-reactions-count/", user, None).await.1;
    let breakdown = |likes: u32, celebrations: u32, golazos: u32| {
        json!({"count": likes + celebrations + golazos,
            "breakdown": {"likes": likes, "celebrations": celebrations, "golazos": golazos}})
    };
    assert_eq!((given(ANA).await, given(BETO).await), (breakdown(0, 1, 0), breakdown(1, 0, 0)));
    react(BETO, &one, "like").await;
    assert_eq!(given(BETO).await, breakdown(0, 0, 0), "taken back");
}

#[tokio::test]
async fn posts_are_bookmarked_by_who_may_see_them() {
    let server = server().await;
    let post = server.publish(ANA, "hola").await;
    let at = |post: &Value, rest: &str| format!("/api/posts/{}/{rest}", post["id"].as_str().unwrap());
    let bookmark =
        async |method: &str, user: usize, post: &Value| server.rest(method, &at(post, "bookmark/"), user, None).await;
    let message = |text: &str| json!({"message": text});
    let is_kept = async |user: usize| server.rest("GET", &at(&post, ""), user, None).await.1["is_bookmarked"].clone();
    assert_eq!(bookmark("POST", BETO, &post).await, (201, message("Post agregado a favoritos")));
    assert_eq!(bookmark("POST", BETO, &post).await, (200, message("Post ya está en favoritos")));
    assert_eq!((is_kept(BETO).await, is_kept(ANA).await), (json!(true), json!(false)));
    let (_, list) = server.rest("GET", "/api/posts/?friends_only=false", BETO, None).await;
    assert_eq!(list["results"][0]["is_bookmarked"], true);
    let none = (404, json!({"error": "Post no está en favoritos"}));
    assert_eq!(bookmark("DELETE", CARO, &post).await, none, "somebody else's");
    let nowhere = json!({"id": PostId::fresh().to_string()});
    let missing = (404, json!({"detail": "No encontrado."}));
    assert_eq!(bookmark("POST", BETO, &nowhere).await, missing.clone());
    assert_eq!(bookmark("POST", BETO, &json!({"id": "xx"})).await, missing);
    assert_eq!(bookmark("DELETE", BETO, &nowhere).await, none);

    server.done("PATCH", &at(&post, ""), ANA, Some(json!({"is_public": false}))).await;
    let forbidden = (403, json!({"detail": "Usted no tiene permiso para realizar esta acción."}));
    assert_eq!(bookmark("POST", CARO, &post).await, forbidden);
    assert_eq!(bookmark("POST", ANA, &post).await.0, 201, "one's own private post");
    assert_eq!(bookmark("DELETE", BETO, &post).await, (200, message("Post eliminado de favoritos")));
    assert_eq!(bookmark("DELETE", BETO, &post).await, none);
    assert_eq!(server.rest("DELETE", &at(&post, ""), ANA, None).await.0, 204, "with the bookmarks on it");
}

#[tokio::test]
async fn the_site_says_what_it_is_and_has() {
    let server = server().await;
    let get = async |server: &Server, path: &str| {
        reqwest::get(server.http(path)).await.unwrap().json::<Value>().await.unwrap()
    };
    for path in ["/api/", "/api"] {
        let root = get(&server, path).await;
        assert_eq!((&root["name"], &root["version"]), (&json!("pregon"), &json!(env!("CARGO_PKG_VERSION"))));
        assert_eq!(root["links"]["posts"], server.http("/api/posts/"));
    }
    let flags = get(&server, "/api/site-settings/").await;
    assert_eq!((&flags["maintenance_mode"], &flags["reality_form_enabled"]), (&json!(false), &json!(false)));
    let menu = get(&server, "/api/site-settings/menu/enabled/").await;
    let keys: Vec<&Value> = menu.as_array().unwrap().iter().map(|entry| &entry["route_key"]).collect();
    assert_eq!(keys, ["feed", "profile", "users", "notifications", "messages"]);
    let first = json!({"route_key": "feed", "label": "Inicio", "path": "/feed", "icon": "Home", "is_enabled": true,
        "order": 1, "requires_auth": true, "badge_count": 0});
    assert_eq!(menu[0], first);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.json");
    let entry = json!({"route_key": "shop", "label": "Tienda", "path": "/shop"});
    std::fs::write(&file, json!({"settings": {"shop": true}, "menu": [entry]}).to_string()).unwrap();
    let server = Server::builder().set("PREGON_SITE_FILE", file.display()).start().await;
    assert_eq!(get(&server, "/api/site-settings/").await["shop"], true);
    let menu = get(&server, "/api/site-settings/menu/enabled/").await;
    assert_eq!((menu.as_array().unwrap().len(), &menu[0]["label"]), (1, &json!("Tienda")));
}

#[tokio::test]
async fn albums_are_empty() {
    let server = server().await;
    assert_eq!(server.rest("GET", "/api/media/albums/", ANA, None).await, (200, json!([])));
    for (path, name) in [("profile/", "profile"), ("ana/portadas", "portadas"), ("a%22b/", "a\"b")] {
        let empty = json!({"id": null, "name": name, "files": [], "file_count": 0});
        assert_eq!(server.rest("GET", &format!("/api/media/albums/{path}"), ANA, None).await, (200, empty));
    }
}
