//! Following and friendship over real HTTP.

use crate::support::Server;
use pregon::ids::RequestId;
use serde_json::{Value, json};

const ANA: usize = 0;
const BETO: usize = 1;
const CARO: usize = 2;

async fn server() -> Server {
    Server::builder().seed(4, 0, 0).start().await
}

fn name(server: &Server, user: usize) -> &str {
    &server.fixture.users[user].username
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["username"].as_str().unwrap()).collect()
}

fn message(text: &str) -> Value {
    json!({"message": text})
}

fn error(text: &str) -> Value {
    json!({"error": text})
}

#[tokio::test]
async fn one_follows_and_unfollows() {
    let server = server().await;
    let beto = name(&server, BETO);
    let path = |rest: &str, user: &str| format!("/api/users/{rest}/{user}/");
    let follow = async |who, user: &str| server.rest("POST", &path("follow", user), who, None).await;
    assert_eq!(follow(ANA, beto).await, (201, message("Ahora sigues a User 2")));
    assert_eq!(follow(ANA, &beto.to_uppercase()).await, (200, message("Ya sigues a este usuario")));
    let other_way = format!("/api/users/{beto}/follow/");
    assert_eq!(server.rest("POST", &other_way, CARO, None).await, (201, message("Ahora sigues a User 2")));
    assert_eq!(follow(ANA, name(&server, ANA)).await, (400, error("No puedes seguirte a ti mismo")));
    assert_eq!(follow(ANA, "nadie").await, (404, error("Usuario no encontrado")));

    let (_, followers) = server.rest("GET", &path("followers", beto), ANA, None).await;
    assert_eq!(names(&followers), [name(&server, CARO), name(&server, ANA)], "newest first");
    assert_eq!((followers[0].as_object().unwrap().len(), &followers[0]["following_count"]), (15, &json!(1)));
    let (_, following) = server.rest("GET", &path("following", name(&server, ANA)), ANA, None).await;
    assert_eq!((names(&following), &following[0]["is_following"]), (vec![beto], &json!(true)));
    assert_eq!((&following[0]["followers_count"], &following[0]["is_friend"]), (&json!(2), &json!(false)));
    for list in ["followers", "following"] {
        assert_eq!(server.rest("GET", &path(list, "nadie"), ANA, None).await, (404, error("Usuario no encontrado")));
    }
    let (_, profile) = server.rest("GET", &path("profile", beto), ANA, None).await;
    assert_eq!((&profile["followers_count"], &profile["is_following"]), (&json!(2), &json!(true)));

    let unfollow = async |user: &str| server.rest("DELETE", &path("unfollow", user), ANA, None).await;
    assert_eq!(unfollow(beto).await, (200, message("Has dejado de seguir a User 2")));
    assert_eq!(unfollow(beto).await, (400, error("No sigues a este usuario")));
    assert_eq!(unfollow("nadie").await, (404, error("Usuario no encontrado")));
    let (_, profile) = server.rest("GET", &path("profile", beto), ANA, None).await;
    assert_eq!((&profile["followers_count"], &profile["is_following"]), (&json!(1), &json!(false)));
}

#[tokio::test]
async fn friends_are_made_and_unmade() {
    let server = server().await;
    let ana = name(&server, ANA);
    let beto = name(&server, BETO);
    let send = async |who, user: &str| {
        server.rest("POST", &format!("/api/users/friend-requests/send/{user}/"), who, None).await
    };
    let respond = async |who, id: &Value, action: &str| {
        let path = format!("/api/users/friend-requests/{}/respond/", id.as_str().unwrap());
        server.rest("POST", &path, who, Some(json!({"action": action}))).await
    };
    let (status, sent) = send(ANA, beto).await;
    assert_eq!((status, &sent["message"]), (201, &json!("Solicitud de amistad enviada a User 2")));
    let id = &sent["friend_request"]["id"];
    let pending = (400, error("Ya existe una solicitud de amistad pendiente"));
    assert_eq!((send(ANA, beto).await, send(BETO, ana).await), (pending.clone(), pending));
    assert_eq!(send(ANA, ana).await, (400, error("No puedes enviarte una solicitud de amistad a ti mismo")));
    assert_eq!(send(ANA, "nadie").await, (404, error("Usuario no encontrado")));
    for (user, status) in [(ANA, "sent"), (BETO, "received")] {
        let (_, list) = server.rest("GET", "/api/users/friend-requests/", user, None).await;
        assert_eq!((list.as_array().unwrap().len(), &list[0]["id"], &list[0]["status"]), (1, id, &json!("pending")));
        assert_eq!((list[0].as_object().unwrap().len(), &list[0]), (7, &sent["friend_request"]), "as it was answered");
        assert_eq!((&list[0]["message"], &list[0]["updated_at"]), (&json!(""), &list[0]["created_at"]));
        assert_eq!((&list[0]["sender"]["username"], &list[0]["receiver"]["username"]), (&json!(ana), &json!(beto)));
        let other = if user == ANA { beto } else { ana };
        let (_, profile) = server.rest("GET", &format!("/api/users/profile/{other}/"), user, None).await;
        assert_eq!(profile["friend_request_status"], status);
    }
    assert_eq!(server.rest("GET", "/api/users/friend-requests/", CARO, None).await, (200, json!([])));
    let gone = (404, error("Solicitud de amistad no encontrada"));
    assert_eq!((respond(ANA, id, "accept").await, respond(CARO, id, "accept").await), (gone.clone(), gone.clone()));
    assert_eq!(respond(BETO, &json!(RequestId::fresh()), "accept").await, gone);
    assert_eq!(respond(BETO, &json!("xx"), "accept").await, gone);
    assert_eq!(respond(BETO, id, "quizás").await, (400, error("Acción inválida: usa accept o reject")));
    assert_eq!(respond(BETO, id, "accept").await, (200, message("Solicitud de amistad aceptada")));
    assert_eq!(respond(BETO, id, "accept").await, gone);
    assert_eq!(send(BETO, ana).await, (400, error("Ya son amigos")));
    for (user, friend) in [(ANA, beto), (BETO, ana)] {
        let (_, friends) = server.rest("GET", "/api/users/friends/", user, None).await;
        assert_eq!((names(&friends), &friends[0]["is_friend"]), (vec![friend], &json!(true)));
    }
    // Friends see each other's posts without following.
    let (_, post) = server.rest("POST", "/api/posts/", BETO, Some(json!({"content": "hola"}))).await;
    let (_, list) = server.rest("GET", "/api/posts/", ANA, None).await;
    assert_eq!(list["results"][0]["id"], post["id"]);
    assert_eq!(server.rest("GET", "/api/posts/", CARO, None).await.1["count"], 0);
    let remove = async || server.rest("DELETE", &format!("/api/users/friends/{beto}/"), ANA, None).await;
    assert_eq!(remove().await, (200, message("Amistad eliminada")));
    assert_eq!(remove().await, (400, error("No son amigos")));
    assert_eq!(server.rest("GET", "/api/posts/", ANA, None).await.1["count"], 0);
}

#[tokio::test]
async fn a_friend_request_is_withdrawn_or_refused() {
    let server = server().await;
    let ana = name(&server, ANA);
    let beto = name(&server, BETO);
    let send = async |who, user: &str| {
        let path = format!("/api/users/friend-requests/send/{user}/");
        server.rest("POST", &path, who, None).await.1["friend_request"]["id"].as_str().unwrap().to_owned()
    };
    let id = send(ANA, beto).await;
    let path = format!("/api/users/friend-requests/{id}/");
    let gone = (404, error("Solicitud de amistad no encontrada"));
    assert_eq!(server.rest("DELETE", &path, BETO, None).await, gone, "somebody else's");
    let cancelled = message("Solicitud de amistad cancelada");
    assert_eq!(server.rest("DELETE", &path, ANA, None).await, (200, cancelled));
    assert_eq!(server.rest("DELETE", &path, ANA, None).await, gone);
    let id = send(BETO, ana).await;
    let path = format!("/api/users/friend-requests/{id}/respond/");
    let refused = server.rest("POST", &path, ANA, Some(json!({"action": "reject"}))).await;
    assert_eq!(refused, (200, message("Solicitud de amistad rechazada")));
    assert_eq!(server.rest("GET", "/api/users/friends/", ANA, None).await, (200, json!([])));
    send(BETO, ana).await;
}
