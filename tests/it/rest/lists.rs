//! Consecutive pages while rows come and go in between.

use std::collections::BTreeSet;

use crate::support::Server;
use serde_json::{Value, json};

const ANA: usize = 0;
const BETO: usize = 1;

fn ids(page: &Value) -> Vec<String> {
    page["results"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// The path of the next page, as a page names it.
fn next(server: &Server, page: &Value) -> Option<String> {
    page["next"].as_str().map(|next| next.strip_prefix(&server.http("")).unwrap().to_owned())
}

/// Deletes all messages, posts and notifications.
async fn clear(server: &Server, room: &str) {
    for (list, one) in
        [(format!("{room}messages/"), format!("{room}messages/")), ("/api/posts/".into(), "/api/posts/".into())]
    {
        while let [first, ..] = &ids(&server.done("GET", &list, ANA, None).await)[..] {
            server.done("DELETE", &format!("{one}{first}/"), ANA, None).await;
        }
    }
    server.done("DELETE", "/api/notifications/clear-all/", ANA, None).await;
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended() {
    let server = Server::builder().seed(2, 1, 2).start().await;
    let room = format!("/api/messaging/chats/{}/", server.fixture.rooms[0].id);
    let send = async |number: u32| {
        let path = format!("{room}send_message/");
        server.done("POST", &path, ANA, Some(json!({"content": format!("{number}")}))).await["id"].clone()
    };
    let publish = async |number: u32| {
        let post = server.publish(ANA, &format!("{number}")).await;
        let path = format!("/api/posts/{}/comments/", post["id"].as_str().unwrap());
        server.done("POST", &path, BETO, Some(json!({"content": "bien"}))).await;
    };
    for path in [format!("{room}messages/"), "/api/posts/".to_owned(), "/api/notifications/".to_owned()] {
        clear(&server, &room).await;
        for number in 0..45 {
            send(number).await;
            publish(number).await;
        }
        let before = server.done("GET", &path, ANA, None).await;
        let second = server.done("GET", &format!("{path}?page=2"), ANA, None).await;
        let third = server.done("GET", &format!("{path}?page=3"), ANA, None).await;
        let all: Vec<String> = [&before, &second, &third].into_iter().flat_map(ids).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 45, "{path}");
        // Three of each are added, and one of the first page is deleted.
        for number in 0..3 {
            send(100 + number).await;
            publish(100 + number).await;
        }
        let first = ids(&before)[5].clone();
        match path.as_str() {
            "/api/posts/" => server.done("DELETE", &format!("/api/posts/{first}/"), ANA, None).await,
            "/api/notifications/" => server.done("DELETE", &format!("{path}{first}/delete/"), ANA, None).await,
            _ => server.done("DELETE", &format!("{room}messages/{first}/"), ANA, None).await,
        };
        let mut seen = ids(&before);
        let mut page = before;
        while let Some(next) = next(&server, &page) {
            page = server.done("GET", &next, ANA, None).await;
            seen.extend(ids(&page));
        }
        assert_eq!(seen, all, "{path}: each once, and none left out");
        // Without a position, the number still counts from the newest row.
        let second = server.done("GET", &format!("{path}?page=2"), ANA, None).await;
        assert_ne!(ids(&second), all[20..40], "{path}");
        assert_eq!(second["previous"], server.http(&path));
        for bad in ["x", "AAAA", ""] {
            let (status, _) = server.rest("GET", &format!("{path}?after={bad}"), ANA, None).await;
            assert_eq!(status, 404, "{path} {bad:?}");
        }
    }
}
