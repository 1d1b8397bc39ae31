//! Every frame of a notification socket in both directions, on one shard and on several.

use crate::support::{Server, Socket};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const ANA: usize = 0;
const BETO: usize = 1;

async fn servers() -> Vec<Server> {
    let mut servers = Vec::new();
    for shards in [1, 4] {
        servers.push(Server::builder().seed(4, 0, 0).set("PREGON_SHARDS", shards).start().await);
    }
    servers
}

/// The next notification of Ana, on both her tabs.
async fn told(tabs: &mut [Socket]) -> Value {
    let mut told = Value::Null;
    for tab in tabs {
        let frame = tab.expect("notification").await["notification"].clone();
        assert!(told.is_null() || told == frame);
        told = frame;
    }
    told
}

#[tokio::test]
async fn what_concerns_a_user_is_told_to_all_the_users_tabs() {
    for server in servers().await {
        let mut tabs = [server.notifications(ANA).await, server.notifications(ANA).await];
        let mut beto = server.notifications(BETO).await;
        server.follow(BETO, ANA).await;
        let follow = told(&mut tabs).await;
        let mut keys: Vec<&String> = follow.as_object().unwrap().keys().collect();
        keys.sort_unstable();
        let expected = [
            "comment_id",
            "created_at",
            "friend_request_id",
            "id",
            "is_read",
            "message",
            "notification_type",
            "post_id",
            "read_at",
            "sender",
            "time_ago",
        ];
        assert_eq!(keys, expected);
        assert_eq!(follow["sender"]["id"], server.id(BETO));
        assert_eq!((&follow["notification_type"], &follow["is_read"]), (&json!("follow"), &json!(false)));
        assert_eq!(follow["time_ago"], "Hace un momento");
        let post = server.publish(ANA, "hola").await;
        let path = |rest: &str| format!("/api/posts/{}/{rest}", post["id"].as_str().unwrap());
        let comment = server.done("POST", &path("comments/"), BETO, Some(json!({"content": "bien"}))).await;
        let told_of = told(&mut tabs).await;
        assert_eq!(told_of["notification_type"], "comment");
        assert_eq!((&told_of["post_id"], &told_of["comment_id"]), (&post["id"], &comment["id"]));
        server.done("POST", &path("react/"), BETO, Some(json!({"reaction_type": "golazo"}))).await;
        assert!(told(&mut tabs).await["message"].as_str().unwrap().ends_with("dijo ¡Golazo! a tu publicación"));
        server.done("POST", &path("share/"), BETO, Some(json!({}))).await;
        assert_eq!(told(&mut tabs).await["notification_type"], "share");
        // Users are not notified of their own actions, and the user who caused a notification receives nothing.
        server.done("POST", &path("react/"), ANA, Some(json!({"reaction_type": "like"}))).await;
        for socket in tabs.iter_mut().chain([&mut beto]) {
            assert_eq!(socket.until_pong().await, [Value::Null; 0]);
        }
    }
}

#[tokio::test]
async fn what_one_tab_reads_all_tabs_hear_of() {
    for server in servers().await {
        let mut tabs = [server.notifications(ANA).await, server.notifications(ANA).await];
        let mut beto = server.notifications(BETO).await;
        server.follow(BETO, ANA).await;
        let id = told(&mut tabs).await["id"].clone();
        let read = json!({"type": "mark_read", "notification_id": id});
        // Somebody else's notification, an unknown one, and no id at all.
        beto.send(read.clone()).await;
        for bad in [json!(uuid::Uuid::new_v4()), json!("nonsense"), json!(5), Value::Null] {
            tabs[0].send(json!({"type": "mark_read", "notification_id": bad})).await;
        }
        tabs[0].send(json!({"type": "mark_read"})).await;
        tabs[0].send(read.clone()).await;
        let expected = json!({"type": "notification_read", "notification_id": id});
        for tab in &mut tabs {
            assert_eq!(tab.expect("notification_read").await, expected);
        }
        let list = server.done("GET", "/api/notifications/", ANA, None).await;
        assert_eq!(list["results"][0]["is_read"], true);
        // Reading it once is enough; the other spelling names the same notification.
        tabs[1].send(read).await;
        let hex = id.as_str().unwrap().replace('-', "").to_uppercase();
        tabs[1].send(json!({"type": "mark_read", "notification_id": hex})).await;
        server.follow(2, ANA).await;
        let next = told(&mut tabs).await;
        assert_eq!(next["sender"]["id"], server.id(2), "nothing came of the second reading");
        let path = format!("/api/notifications/{}/read/", next["id"].as_str().unwrap());
        server.done("POST", &path, ANA, None).await;
        for tab in &mut tabs {
            assert_eq!(tab.expect("notification_read").await["notification_id"], next["id"], "by REST, too");
        }
        assert_eq!(beto.until_pong().await, [Value::Null; 0]);
    }
}

#[tokio::test]
async fn all_read_at_one_stroke_are_told_one_by_one() {
    for server in servers().await {
        let mut tab = server.notifications(ANA).await;
        let mut ids = Vec::new();
        for user in 1..4 {
            server.follow(user, ANA).await;
            ids.push(tab.expect("notification").await["notification"]["id"].as_str().unwrap().to_owned());
        }
        server.done("POST", "/api/notifications/mark-all-read/", ANA, None).await;
        let mut read = Vec::new();
        for _ in 0..3 {
            let frame = tab.expect("notification_read").await;
            read.push(frame["notification_id"].as_str().unwrap().to_owned());
        }
        ids.sort_unstable();
        read.sort_unstable();
        assert_eq!(read, ids);
        server.done("DELETE", "/api/notifications/clear-all/", ANA, None).await;
        for left in 0..3 {
            let gone = tab.expect("notification_deleted").await;
            assert!(ids.contains(&gone["notification_id"].as_str().unwrap().to_owned()), "{left}");
            assert_eq!(gone["unread_count"], 0);
        }
    }
}

#[tokio::test]
async fn what_is_taken_back_leaves_the_bell() {
    for server in servers().await {
        let mut tabs = [server.notifications(ANA).await, server.notifications(ANA).await];
        let post = server.publish(ANA, "hola").await;
        let path = |rest: &str| format!("/api/posts/{}/{rest}", post["id"].as_str().unwrap());
        let react =
            async |kind: &str| server.done("POST", &path("react/"), BETO, Some(json!({"reaction_type": kind}))).await;
        react("like").await;
        let first = told(&mut tabs).await;
        let comment = server.done("POST", &path("comments/"), BETO, Some(json!({"content": "bien"}))).await;
        let second = told(&mut tabs).await;
        let list = async || server.done("GET", "/api/notifications/", ANA, None).await;
        let unread =
            async || server.done("GET", "/api/notifications/unread-count/", ANA, None).await["unread_count"].clone();
        // Another reaction changes the text of the same notification.
        react("golazo").await;
        for tab in &mut tabs {
            let changed = tab.expect("notification_updated").await["notification"].clone();
            assert_eq!((&changed["id"], &changed["notification_type"]), (&first["id"], &json!("golazo")));
            assert!(changed["message"].as_str().unwrap().ends_with("dijo ¡Golazo! a tu publicación"));
        }
        assert_eq!(list().await["results"][1]["notification_type"], "golazo");
        server.done("DELETE", &path("react/"), BETO, None).await;
        let gone = |id: &Value, left: u32| json!({"type": "notification_deleted", "notification_id": id, "unread_count": left});
        for tab in &mut tabs {
            assert_eq!(tab.expect("notification_deleted").await, gone(&first["id"], 1));
        }
        assert_eq!((unread().await, list().await["count"].clone()), (json!(1), json!(1)));
        let one = format!("/api/posts/comments/{}/", comment["id"].as_str().unwrap());
        server.done("DELETE", &one, BETO, None).await;
        for tab in &mut tabs {
            assert_eq!(tab.expect("notification_deleted").await, gone(&second["id"], 0));
        }
        assert_eq!((unread().await, list().await["count"].clone()), (json!(0), json!(0)));
        // A deleted post takes its notifications with it.
        react("like").await;
        let again = server.done("GET", "/api/notifications/", ANA, None).await["results"][0]["id"].clone();
        tabs[0].expect("notification_updated").await;
        server.done("DELETE", &path(""), ANA, None).await;
        assert_eq!(tabs[0].expect("notification_deleted").await, gone(&again, 0));
    }
}

#[tokio::test]
async fn pings_are_answered_and_bad_frames_ignored() {
    for server in servers().await {
        let mut tab = server.notifications(ANA).await;
        tab.send(json!({"type": "ping", "timestamp": 9})).await;
        assert_eq!(tab.next_json().await, json!({"type": "pong", "timestamp": 9}));
        for text in ["", "nope", "[]", "5", "null", "{\"type\":", "{\"type\":\"nope\"}"] {
            tab.send_raw(Message::text(text)).await;
        }
        tab.send_raw(Message::binary(vec![0, 1, 2])).await;
        assert_eq!(tab.until_pong().await, [Value::Null; 0]);
    }
}

/// Every new user follows `sos`, who is notified as of any follower.
#[tokio::test]
async fn who_registers_follows_the_helpers_and_they_are_told() {
    let server = Server::builder().seed(2, 0, 0).start().await;
    let id = server.fixture.users[ANA].id.replace('-', "");
    assert_eq!(server.execute("UPDATE users SET username = 'sos' WHERE id = ?", &[&id]).await, 1);
    let mut tab = server.notifications(ANA).await;
    let body = json!({
        "email": "nuevo@example.com", "username": "nuevo", "display_name": "Nuevo",
        "password": "s3creta-y-larga", "password_confirm": "s3creta-y-larga",
    });
    let request = server.client().post(server.http("/api/auth/register/")).json(&body);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["user"]["following_count"], 1, "{answer}");
    let told = tab.expect("notification").await["notification"].clone();
    assert_eq!((&told["notification_type"], &told["sender"]["id"]), (&json!("follow"), &answer["user"]["id"]));
    let followers = server.done("GET", "/api/users/followers/sos/", ANA, None).await;
    assert_eq!((followers.as_array().unwrap().len(), &followers[0]["username"]), (1, &json!("nuevo")));
}
