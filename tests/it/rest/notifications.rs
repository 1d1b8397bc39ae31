//! `/api/notifications/` over real HTTP: who is notified of what, reading and deleting.

use crate::support::Server;
use pregon::ids::NotificationId;
use serde_json::{Value, json};

const ANA: usize = 0;
const BETO: usize = 1;

async fn server() -> Server {
    Server::builder().seed(3, 0, 0).start().await
}

async fn publish(server: &Server, user: usize) -> String {
    let (_, post) = server.rest("POST", "/api/posts/", user, Some(json!({"content": "hola"}))).await;
    post["id"].as_str().unwrap().to_owned()
}

async fn comment(server: &Server, user: usize, post: &str) -> Value {
    let body = Some(json!({"content": "bien"}));
    let (status, comment) = server.rest("POST", &format!("/api/posts/{post}/comments/"), user, body).await;
    assert_eq!(status, 201, "{comment}");
    comment
}

async fn unread(server: &Server, user: usize) -> Value {
    let (status, body) = server.rest("GET", "/api/notifications/unread-count/", user, None).await;
    assert_eq!(status, 200);
    body["unread_count"].clone()
}

#[tokio::test]
async fn what_others_do_is_told() {
    let server = server().await;
    let post = publish(&server, ANA).await;
    let like = Some(json!({"reaction_type": "like"}));
    server.rest("POST", &format!("/api/posts/{post}/react/"), BETO, like.clone()).await;
    let comment = comment(&server, BETO, &post).await;
    let ana = &server.fixture.users[ANA].username;
    server.rest("POST", &format!("/api/users/follow/{ana}/"), BETO, None).await;
    // Users are not notified of their own actions.
    server.rest("POST", &format!("/api/posts/{post}/react/"), ANA, like).await;

    let (status, list) = server.rest("GET", "/api/notifications/", ANA, None).await;
    assert_eq!((status, &list["count"], &list["next"]), (200, &json!(3), &json!(null)));
    let rows = list["results"].as_array().unwrap();
    let kinds: Vec<_> = rows.iter().map(|row| row["notification_type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["follow", "comment", "like"], "newest first");
    let told = &rows[1];
    let keys = [
        "id",
        "sender",
        "notification_type",
        "post_id",
        "comment_id",
        "friend_request_id",
        "message",
        "is_read",
        "created_at",
        "read_at",
        "time_ago",
    ];
    assert!(told.as_object().unwrap().len() == 11 && keys.iter().all(|key| told.get(key).is_some()), "{told}");
    assert_eq!((&told["post_id"], &told["comment_id"]), (&json!(post), &comment["id"]));
    assert_eq!(
        (&told["message"], &told["time_ago"]),
        (&json!("User 2 comentó tu publicación"), &json!("Hace un momento"))
    );
    assert_eq!(
        (&told["is_read"], &told["read_at"], &told["friend_request_id"]),
        (&json!(false), &json!(null), &json!(null))
    );
    assert_eq!(told["sender"].as_object().unwrap().len(), 6);
    assert_eq!(told["sender"]["username"], server.fixture.users[BETO].username);
    assert_eq!((unread(&server, ANA).await, unread(&server, BETO).await), (json!(3), json!(0)));
    assert_eq!(server.rest("GET", "/api/notifications/", BETO, None).await.1["count"], 0);
}

#[tokio::test]
async fn many_are_read_and_taken_away_at_one_call() {
    let server = server().await;
    let [ana, beto] = [ANA, BETO].map(|user| server.fixture.users[user].id.replace('-', ""));
    let total = 2 * pregon::limits::READ_ALL_ROWS_MAX + 7;
    let row = |number| {
        format!(
            "('{number:032x}', 'follow', NULL, NULL, 'x', 0, '2026-01-01 00:00:00.000000', NULL, '{ana}', '{beto}', \
             NULL, NULL)"
        )
    };
    let rows = (0..total).map(row).collect::<Vec<_>>().join(", ");
    server.execute(&format!("INSERT INTO notifications VALUES {rows}"), &[]).await;
    assert_eq!(unread(&server, ANA).await, total);
    let (_, read) = server.rest("POST", "/api/notifications/mark-all-read/", ANA, None).await;
    assert_eq!((&read["updated_count"], unread(&server, ANA).await), (&json!(total), json!(0)));
    let (_, cleared) = server.rest("DELETE", "/api/notifications/clear-all/", ANA, None).await;
    assert_eq!(cleared["deleted_count"], total);
    assert_eq!(server.rest("GET", "/api/notifications/", ANA, None).await.1["count"], 0);
}

#[tokio::test]
async fn one_reads_and_takes_away_ones_own() {
    let server = server().await;
    let post = publish(&server, ANA).await;
    for _ in 0..22 {
        comment(&server, BETO, &post).await;
    }
    let (_, list) = server.rest("GET", "/api/notifications/", ANA, None).await;
    assert_eq!((&list["count"], list["results"].as_array().unwrap().len()), (&json!(22), 20));
    let next = list["next"].as_str().unwrap();
    assert!(next.starts_with(&server.http("/api/notifications/?page=2&after=")), "{next}");
    let id = list["results"][0]["id"].as_str().unwrap();
    let read = format!("/api/notifications/{id}/read/");
    let missing = (404, json!({"error": "Notificación no encontrada"}));
    assert_eq!(server.rest("POST", &read, BETO, None).await, missing, "somebody else's");
    let (status, answer) = server.rest("POST", &read, ANA, None).await;
    assert_eq!((status, &answer["message"]), (200, &json!("Notificación marcada como leída")));
    let first = answer["notification"].clone();
    assert_eq!((&first["id"], &first["is_read"], first["read_at"].is_string()), (&json!(id), &json!(true), true));
    let (status, again) = server.rest("POST", &read, ANA, None).await;
    assert_eq!((status, &again["notification"]["read_at"]), (200, &first["read_at"]), "read once");
    assert_eq!(unread(&server, ANA).await, 21);
    for path in [format!("/api/notifications/{}/read/", NotificationId::fresh()), "/api/notifications/xx/read/".into()]
    {
        assert_eq!(server.rest("POST", &path, ANA, None).await, missing);
    }
    let all = json!({"message": "21 notificaciones marcadas como leídas", "updated_count": 21});
    assert_eq!(server.rest("POST", "/api/notifications/mark-all-read/", ANA, None).await, (200, all));
    let none = json!({"message": "0 notificaciones marcadas como leídas", "updated_count": 0});
    assert_eq!(server.rest("POST", "/api/notifications/mark-all-read/", ANA, None).await, (200, none));

    let delete = format!("/api/notifications/{id}/delete/");
    assert_eq!(server.rest("DELETE", &delete, BETO, None).await, missing);
    assert_eq!(server.rest("DELETE", &delete, ANA, None).await, (204, Value::Null));
    assert_eq!(server.rest("DELETE", &delete, ANA, None).await, missing);
    let cleared = |count: u32| json!({"message": "Todas las notificaciones eliminadas", "deleted_count": count});
    assert_eq!(server.rest("DELETE", "/api/notifications/clear-all/", ANA, None).await, (200, cleared(21)));
    assert_eq!(server.rest("DELETE", "/api/notifications/clear-all/", ANA, None).await, (200, cleared(0)));
    assert_eq!(server.rest("GET", "/api/notifications/", ANA, None).await.1["count"], 0);
    assert_eq!(server.rest("POST", "/api/notifications/", ANA, None).await.0, 405);
}
