//! Texts that would be code in SQL, HTML or a shell are texts here, on either database.

use pregon::limits::SEARCH_CHARS_MAX;
use reqwest::Url;
use serde_json::json;

use crate::support::Server;

/// What attackers write, and what ends literals in some database or page.
const TEXTS: [&str; 14] = [
    "' OR '1'='1",
    "'; DROP TABLE messages; --",
    "\\'; DELETE FROM users; #",
    "\" OR \"\"=\"",
    "%' OR username LIKE '%",
    "1); INSERT INTO users VALUES (1); /*",
    "\\",
    "\\\\'",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "{{constructor.constructor('alert(1)')()}}",
    "$(touch /tmp/x) `id` ${jndi:ldap://x}",
    "\u{202e}gnp.exe \u{1a} and \u{7f}",
    "0x27 %27 &#39; \u{ff07} \u{2019}",
];

#[tokio::test]
async fn what_looks_like_code_comes_back_as_it_was_written() {
    let server = Server::builder().seed(3, 1, 3).start().await;
    let room = server.fixture.rooms[0].id.clone();
    let (mut ana, mut beto) = (server.join(0, 0).await, server.join(0, 1).await);
    for text in TEXTS {
        ana.send(json!({"type": "chat_message", "content": text})).await;
        let heard = beto.expect_any("chat_message").await["message"].clone();
        let path = format!("/api/messaging/chats/{room}/messages/{}/", heard["id"].as_str().unwrap());
        let (status, stored) = server.rest("GET", &path, 1, None).await;
        assert_eq!((status, &stored["content"]), (200, &heard["content"]), "{text}");
        // Blanks at the ends go, and nothing else is changed or added.
        assert_eq!(heard["content"], text.trim(), "{text}");
        let post = server.publish(0, text).await;
        let found = server.done("GET", &format!("/api/posts/{}/", post["id"].as_str().unwrap()), 1, None).await;
        assert_eq!((&found["content"], &post["content"]), (&json!(text.trim()), &json!(text.trim())), "{text}");
    }
    // NUL ends texts in some programs: nobody takes it.
    ana.send(json!({"type": "chat_message", "content": "a\u{0}b"})).await;
    ana.expect_any("error").await;
    assert_eq!(server.rest("POST", "/api/posts/", 0, Some(json!({"content": "a\u{0}b"}))).await.0, 400);
    // As a search, an id, a page and a name in a path.
    for text in TEXTS {
        assert!(text.chars().count() <= SEARCH_CHARS_MAX);
        let mut url = Url::parse(&server.http("/api/users/search/")).unwrap();
        url.query_pairs_mut().append_pair("q", text);
        let token = &server.fixture.users[0].token;
        let answer = reqwest::Client::new().get(url).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{text}");
        let found = answer.json::<serde_json::Value>().await.unwrap();
        let count = found["count"].as_u64().unwrap_or_else(|| found.as_array().map_or(0, |all| all.len() as u64));
        assert_eq!(count, 0, "{text}: {found}");
        for path in ["/api/messaging/chats/", "/api/posts/", "/api/users/"] {
            let mut url = Url::parse(&server.http(path)).unwrap();
            url.path_segments_mut().unwrap().pop_if_empty().push(text).push("");
            let answer = reqwest::Client::new().get(url).bearer_auth(token).send().await.unwrap();
            assert!(answer.status().is_client_error(), "{path}{text}: {}", answer.status());
        }
    }
    let left = server.database.number("SELECT COUNT(*) FROM users").await;
    assert_eq!(left, 3);
    let messages = i64::try_from(TEXTS.len()).unwrap();
    assert_eq!(server.database.number("SELECT COUNT(*) FROM messages").await, messages);
}
