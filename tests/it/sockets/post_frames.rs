//! Every frame of a socket on a post, on one shard and on several.

use crate::support::{Server, Socket};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const ANA: usize = 0;
const BETO: usize = 1;
const CARO: usize = 2;

async fn servers() -> Vec<Server> {
    let mut servers = Vec::new();
    for shards in [1, 4] {
        servers.push(Server::builder().seed(4, 0, 0).set("PREGON_SHARDS", shards).start().await);
    }
    servers
}

/// A post of Ana's, with Ana and Beto on it.
async fn open_post(server: &Server) -> (Value, Socket, Socket) {
    let post = server.publish(ANA, "hola").await;
    let ana = server.on_post(&post, ANA).await;
    let beto = server.on_post(&post, BETO).await;
    (post, ana, beto)
}

fn at(post: &Value, rest: &str) -> String {
    format!("/api/posts/{}/{rest}", post["id"].as_str().unwrap())
}

fn at_comment(comment: &Value, rest: &str) -> String {
    format!("/api/posts/comments/{}/{rest}", comment["id"].as_str().unwrap())
}

/// The next frame of a type; `post_updated` may come in between at any time.
async fn next(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let frame = socket.next_json().await;
        if frame["type"] == kind {
            return frame;
        }
        assert_eq!(frame["type"], "post_updated", "waiting for {kind}: {frame}");
    }
}

/// Both receive the same frame.
async fn both(ana: &mut Socket, beto: &mut Socket, kind: &str) -> Value {
    let frame = next(ana, kind).await;
    assert_eq!(next(beto, kind).await, frame);
    frame
}

#[tokio::test]
async fn comments_come_are_edited_liked_and_go() {
    for server in servers().await {
        let (post, mut ana, mut beto) = open_post(&server).await;
        let mut elsewhere = server.on_post(&server.publish(ANA, "other").await, BETO).await;
        let mut feed = server.feed(ANA).await;
        let body = |text: &str| Some(json!({"content": text}));
        let comment = server.done("POST", &at(&post, "comments/"), CARO, body("bien")).await;
        let frame = both(&mut ana, &mut beto, "new_comment").await["comment"].clone();
        assert_eq!((&frame["id"], &frame["content"]), (&comment["id"], &json!("bien")));
        assert_eq!((&frame["post"], &frame["parent"], &frame["is_liked"]), (&post["id"], &Value::Null, &json!(false)));
        let reply = json!({"content": "muy bien", "parent": comment["id"]});
        let reply = server.done("POST", &at(&post, "comments/"), BETO, Some(reply)).await;
        let frame = both(&mut ana, &mut beto, "new_comment").await["comment"].clone();
        assert_eq!((&frame["id"], &frame["parent"]), (&reply["id"], &comment["id"]));
        server.done("PATCH", &at_comment(&comment, ""), CARO, body("mejor")).await;
        let frame = both(&mut ana, &mut beto, "comment_updated").await["comment"].clone();
        assert_eq!((&frame["content"], &frame["is_edited"]), (&json!("mejor"), &json!(true)));
        for (method, likes) in [("POST", 1), ("DELETE", 0)] {
            server.done(method, &at_comment(&comment, "like/"), BETO, None).await;
            let expected = json!({"type": "comment_like", "comment_id": comment["id"], "likes_count": likes});
            assert_eq!(both(&mut ana, &mut beto, "comment_like").await, expected);
        }
        server.done("DELETE", &at_comment(&comment, ""), CARO, None).await;
        for gone in [&comment, &reply] {
            let expected = json!({"type": "comment_deleted", "comment_id": gone["id"]});
            assert_eq!(both(&mut ana, &mut beto, "comment_deleted").await, expected, "parents first");
        }
        assert_eq!(elsewhere.until_pong().await, [Value::Null; 0], "another post's sockets hear nothing");
        // Feeds learn of comments only by the post's counters.
        loop {
            let frame = feed.expect("post_updated").await;
            if frame["post"]["comments_count"] == 0 {
                break;
            }
        }
    }
}

/// A page that keeps only the last frame must have time to show the comment first.
#[tokio::test]
async fn the_post_as_it_is_comes_a_while_behind_the_comment_that_changed_it() {
    for server in servers().await {
        let (post, mut ana, _beto) = open_post(&server).await;
        let mut feed = server.feed(ANA).await;
        for number in 1..=3 {
            let body = json!({"content": format!("comment {number}")});
            let path = at(&post, "comments/");
            let comment = ana.expect("new_comment");
            tokio::join!(server.done("POST", &path, CARO, Some(body)), comment);
            let came = std::time::Instant::now();
            let count = ana.expect("post_updated").await["post"]["comments_count"].clone();
            assert!(came.elapsed().as_millis() >= 100, "{:?}", came.elapsed());
            assert_eq!(count, number);
            while feed.expect("post_updated").await["post"]["comments_count"] != number {}
        }
    }
}

#[tokio::test]
async fn edits_counters_and_the_end() {
    for server in servers().await {
        let (post, mut ana, mut beto) = open_post(&server).await;
        server.done("PATCH", &at(&post, ""), ANA, Some(json!({"content": "otra"}))).await;
        for socket in [&mut ana, &mut beto] {
            let frame = socket.expect("post_updated").await["post"].clone();
            assert_eq!((&frame["content"], &frame["user_reaction"]), (&json!("otra"), &Value::Null));
        }
        server.done("POST", &at(&post, "share/"), CARO, Some(json!({}))).await;
        for socket in [&mut ana, &mut beto] {
            assert_eq!(socket.expect("post_updated").await["post"]["shares_count"], 1);
        }
        server.done("POST", &at(&post, "react/"), CARO, Some(json!({"reaction_type": "dislike"}))).await;
        let expected = json!({"type": "post_reaction", "reaction_data": {
            "post_id": post["id"], "likes_count": 0, "celebrations_count": 0, "golazos_count": 1,
            "laughs_count": 0, "dislikes_count": 1,
            "user_reaction": {"user_id": server.id(CARO), "reaction_type": "golazo"}}});
        assert_eq!(both(&mut ana, &mut beto, "post_reaction").await, expected, "without a post_id of its own");
        server.done("DELETE", &at(&post, "react/"), CARO, None).await;
        let frame = both(&mut ana, &mut beto, "post_reaction").await;
        assert_eq!(frame["reaction_data"]["user_reaction"]["reaction_type"], Value::Null);
        server.done("DELETE", &at(&post, ""), ANA, None).await;
        let expected = json!({"type": "post_deleted", "post_id": post["id"]});
        assert_eq!(both(&mut ana, &mut beto, "post_deleted").await, expected);
        assert_eq!(beto.until_pong().await, [Value::Null; 0], "then nothing, and the socket lives");
    }
}

/// Comments on a post that is deleted while its counters are being read do not bring it back.
#[tokio::test]
async fn a_deleted_post_does_not_come_back() {
    for server in servers().await {
        for _ in 0..10 {
            let post = server.publish(ANA, "brief").await;
            let mut beto = server.on_post(&post, BETO).await;
            let mut feed = server.feed(ANA).await;
            for _ in 0..2 {
                server.done("POST", &at(&post, "comments/"), BETO, Some(json!({"content": "x"}))).await;
            }
            server.done("DELETE", &at(&post, ""), ANA, None).await;
            next(&mut feed, "post_deleted").await;
            while beto.next_json().await["type"] != "post_deleted" {}
            // When a later read has its answer, every earlier one has, too.
            let mark = server.publish(ANA, "mark").await;
            server.done("POST", &at(&mark, "comments/"), BETO, Some(json!({"content": "x"}))).await;
            assert_eq!(feed.expect("new_post").await["post"]["id"], mark["id"]);
            assert_eq!(feed.expect("post_updated").await["post"]["id"], mark["id"]);
            assert_eq!(beto.until_pong().await, [Value::Null; 0]);
        }
    }
}

/// A post with more comments than one write deletes is deleted after them, and no frame of it follows its end.
#[tokio::test]
async fn a_post_with_many_comments_goes_as_a_whole() {
    let server = Server::builder().seed(4, 0, 0).start().await;
    let (post, mut ana, mut beto) = open_post(&server).await;
    let mut feed = server.feed(ANA).await;
    let count = pregon::limits::COMMENTS_DELETED_MAX + 10;
    for number in 0..count {
        let body = Some(json!({"content": "x"}));
        server.done("POST", &at(&post, "comments/"), [ANA, BETO, CARO][number % 3], body).await;
        both(&mut ana, &mut beto, "new_comment").await;
    }
    server.done("DELETE", &at(&post, ""), ANA, None).await;
    for _ in 0..pregon::limits::COMMENTS_DELETED_MAX {
        both(&mut ana, &mut beto, "comment_deleted").await;
    }
    both(&mut ana, &mut beto, "post_deleted").await;
    assert_eq!(next(&mut feed, "post_deleted").await["post_id"], post["id"]);
    for socket in [&mut ana, &mut beto, &mut feed] {
        assert_eq!(socket.until_pong().await, [Value::Null; 0]);
    }
    assert_eq!(server.rest("GET", &at(&post, ""), ANA, None).await.0, 404);
}

#[tokio::test]
async fn when_a_post_becomes_private_others_have_to_go() {
    for server in servers().await {
        let (post, mut ana, mut beto) = open_post(&server).await;
        server.done("PATCH", &at(&post, ""), ANA, Some(json!({"is_public": false, "content": "secreto"}))).await;
        assert_eq!(beto.closed().await, 4003, "and not a word of what it is now");
        assert_eq!(ana.expect("post_updated").await["post"]["content"], "secreto");
        let path = server.socket_path(&format!("post/{}", post["id"].as_str().unwrap()), BETO);
        assert_eq!(Socket::try_open(&server, &path, &[]).await.err(), Some(403));
        server.done("POST", &at(&post, "comments/"), ANA, Some(json!({"content": "nota"}))).await;
        assert_eq!(next(&mut ana, "new_comment").await["comment"]["content"], "nota");
        server.done("PATCH", &at(&post, ""), ANA, Some(json!({"is_public": true}))).await;
        let mut beto = server.on_post(&post, BETO).await;
        server.done("POST", &at(&post, "comments/"), ANA, Some(json!({"content": "hola"}))).await;
        assert_eq!(next(&mut beto, "new_comment").await["comment"]["content"], "hola");
    }
}

#[tokio::test]
async fn there_is_no_greeting_and_bad_frames_are_ignored() {
    for server in servers().await {
        let post = server.publish(ANA, "hola").await;
        let path = server.socket_path(&format!("post/{}", post["id"].as_str().unwrap()), BETO);
        let mut beto = Socket::open(&server, &path).await;
        beto.send(json!({"type": "ping", "timestamp": 9})).await;
        assert_eq!(beto.next_json().await, json!({"type": "pong", "timestamp": 9}), "the first frame of all");
        for text in ["", "nope", "[]", "5", "null", "{\"type\":\"new_comment\"}"] {
            beto.send_raw(Message::text(text)).await;
        }
        beto.send_raw(Message::binary(vec![0, 1, 2])).await;
        beto.send(json!({"type": "mark_read", "notification_id": uuid::Uuid::new_v4()})).await;
        assert_eq!(beto.until_pong().await, [Value::Null; 0]);
    }
}

#[tokio::test]
async fn typing_reaches_the_others_on_the_post_and_no_socket_of_the_user() {
    for server in servers().await {
        let (post, mut ana, mut beto) = open_post(&server).await;
        let mut again = server.on_post(&post, ANA).await;
        for is_typing in [true, false] {
            ana.send(json!({"type": "typing", "is_typing": is_typing})).await;
            let told = next(&mut beto, "typing_status").await;
            let user = &server.fixture.users[ANA];
            let wanted =
                json!({"type": "typing_status", "user_id": user.id, "username": user.username, "is_typing": is_typing});
            assert_eq!(told, wanted);
        }
        for socket in [&mut ana, &mut again] {
            assert_eq!(socket.until_pong().await, Vec::<Value>::new());
        }
    }
}
