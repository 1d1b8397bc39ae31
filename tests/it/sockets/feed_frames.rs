//! Every frame of a feed socket, on one shard and on several.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::{Server, Socket};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const ANA: usize = 0;
const BETO: usize = 1;
const CARO: usize = 2;

/// Beto follows Ana; Caro follows nobody. The behaviour is the same for any number of shards.
async fn servers() -> Vec<Server> {
    let mut servers = Vec::new();
    for shards in [1, 4] {
        let server = Server::builder().seed(12, 0, 0).set("PREGON_SHARDS", shards).start().await;
        server.follow(BETO, ANA).await;
        servers.push(server);
    }
    servers
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn at(post: &Value, rest: &str) -> String {
    format!("/api/posts/{}/{rest}", post["id"].as_str().unwrap())
}

/// A post of Ana that both feeds have received.
async fn post_heard_by(server: &Server, feeds: &mut [&mut Socket]) -> Value {
    let post = server.publish(ANA, "hola").await;
    for feed in feeds {
        assert_eq!(feed.expect("new_post").await["post"]["id"], post["id"]);
    }
    post
}

#[tokio::test]
async fn a_new_post_reaches_its_author_and_who_follows_with_all_its_keys() {
    for server in servers().await {
        let mut ana = server.feed(ANA).await;
        let mut beto = server.feed(BETO).await;
        let post = server.publish(ANA, "hola feed ñ").await;
        let frame = beto.expect("new_post").await;
        assert_eq!(keys(&frame), ["post", "type"]);
        assert_eq!(ana.expect("new_post").await, frame);
        let shown = &frame["post"];
        assert_eq!(keys(shown), keys(&post));
        assert_eq!(keys(shown).len(), 28);
        assert_eq!(keys(&shown["user"]).len(), 28);
        assert_eq!(shown["id"], post["id"]);
        assert_eq!((&shown["content"], &shown["user"]["id"]), (&json!("hola feed ñ"), &server.id(ANA)));
        assert_eq!((&shown["user_reaction"], &shown["is_bookmarked"]), (&Value::Null, &json!(false)));
        assert_eq!(shown["user"]["email"], "", "contacts are masked");
        assert_eq!(shown["user"]["posts_count"], 1);
    }
}

#[tokio::test]
async fn edits_and_deletions_are_told() {
    for server in servers().await {
        let mut ana = server.feed(ANA).await;
        let mut beto = server.feed(BETO).await;
        let post = post_heard_by(&server, &mut [&mut ana, &mut beto]).await;
        server.done("PATCH", &at(&post, ""), ANA, Some(json!({"content": "otra cosa"}))).await;
        let frame = beto.expect("post_updated").await;
        assert_eq!(ana.expect("post_updated").await, frame);
        assert_eq!((&frame["post"]["id"], &frame["post"]["content"]), (&post["id"], &json!("otra cosa")));
        server.done("DELETE", &at(&post, ""), ANA, None).await;
        let expected = json!({"type": "post_deleted", "post_id": post["id"]});
        assert_eq!(beto.expect("post_deleted").await, expected);
        assert_eq!(ana.expect("post_deleted").await, expected);
    }
}

#[tokio::test]
async fn a_reaction_comes_with_the_counts_after_it_and_nothing_else_does() {
    for server in servers().await {
        let mut ana = server.feed(ANA).await;
        let mut beto = server.feed(BETO).await;
        let post = post_heard_by(&server, &mut [&mut ana, &mut beto]).await;
        let steps = [("like", json!("like"), [1, 0, 0]), ("laugh", json!("celebration"), [0, 1, 0])];
        let taken_back = ("celebration", Value::Null, [0, 0, 0]);
        for (sent, kind, [likes, celebrations, golazos]) in steps.into_iter().chain([taken_back]) {
            server.done("POST", &at(&post, "react/"), CARO, Some(json!({"reaction_type": sent}))).await;
            let expected = json!({"type": "post_reaction", "post_id": post["id"], "reaction_data": {
                "post_id": post["id"], "likes_count": likes, "celebrations_count": celebrations,
                "golazos_count": golazos, "laughs_count": celebrations, "dislikes_count": golazos,
                "user_reaction": {"user_id": server.id(CARO), "reaction_type": kind}}});
            assert_eq!(beto.expect("post_reaction").await, expected);
            assert_eq!(ana.expect("post_reaction").await, expected);
        }
        assert_eq!(beto.until_pong().await, [Value::Null; 0], "no post_updated after reactions");
    }
}

#[tokio::test]
async fn comments_and_shares_move_the_counters_of_the_whole_post() {
    for server in servers().await {
        let mut ana = server.feed(ANA).await;
        let mut beto = server.feed(BETO).await;
        let post = post_heard_by(&server, &mut [&mut ana, &mut beto]).await;
        let comment = server.done("POST", &at(&post, "comments/"), CARO, Some(json!({"content": "bien"}))).await;
        let frame = beto.expect("post_updated").await;
        assert_eq!(frame["post"]["comments_count"], 1);
        assert_eq!(frame["post"]["comments"][0]["id"], comment["id"]);
        assert_eq!(ana.expect("post_updated").await, frame);
        server.done("POST", &at(&post, "share/"), CARO, Some(json!({}))).await;
        assert_eq!(beto.expect("post_updated").await["post"]["shares_count"], 1);
        let path = format!("/api/posts/comments/{}/", comment["id"].as_str().unwrap());
        server.done("DELETE", &path, CARO, None).await;
        assert_eq!(beto.expect("post_updated").await["post"]["comments_count"], 0);
    }
}

/// Twenty comments as fast as they can be written make far fewer frames, and the last one has the final count.
#[tokio::test]
async fn post_updated_is_thinned_out_and_right_in_the_end() {
    let server = Server::builder().seed(12, 0, 0).set("PREGON_SHARDS", 2).start().await;
    server.follow(BETO, ANA).await;
    let mut beto = server.feed(BETO).await;
    let post = post_heard_by(&server, &mut [&mut beto]).await;
    let path = at(&post, "comments/");
    let began = std::time::Instant::now();
    let comments = (0..20).map(|number| server.done("POST", &path, CARO, Some(json!({"content": number.to_string()}))));
    futures_util::future::join_all(comments).await;
    let mut frames = 0;
    loop {
        frames += 1;
        if beto.expect("post_updated").await["post"]["comments_count"] == 20 {
            break;
        }
    }
    let windows = began.elapsed().as_millis() / 250 + 1;
    assert!(frames <= windows + 1, "{frames} frames in {windows} windows");
    assert_eq!(beto.until_pong().await, [Value::Null; 0], "nothing comes after the last count");
}

#[tokio::test]
async fn one_setting_brings_post_updated_after_reactions() {
    let server = Server::builder().seed(3, 0, 0).set("PREGON_POST_UPDATES", "always").start().await;
    let mut ana = server.feed(ANA).await;
    let post = post_heard_by(&server, &mut [&mut ana]).await;
    server.done("POST", &at(&post, "react/"), CARO, Some(json!({"reaction_type": "like"}))).await;
    assert_eq!(ana.expect("post_reaction").await["reaction_data"]["likes_count"], 1);
    assert_eq!(ana.expect("post_updated").await["post"]["likes_count"], 1);
}

/// Many people react at once: the first ten reactions are sent at once, then one per tenth of a second, and the final
/// counts are right.
#[tokio::test]
async fn a_burst_of_reactions_is_thinned_out_and_right_in_the_end() {
    let people = 60;
    let server = Server::builder().seed(people + 2, 0, 0).set("PREGON_SHARDS", 4).start().await;
    server.follow(BETO, ANA).await;
    let mut beto = server.feed(BETO).await;
    let mut ana = server.notifications(ANA).await;
    let post = post_heard_by(&server, &mut [&mut beto]).await;
    let mut on_post = server.on_post(&post, BETO).await;
    let path = at(&post, "react/");
    let began = std::time::Instant::now();
    let like = || Some(json!({"reaction_type": "like"}));
    let likes = (2..people + 2).map(|user| server.done("POST", &path, user, like()));
    futures_util::future::join_all(likes).await;
    for socket in [&mut beto, &mut on_post] {
        let mut frames = 0;
        let mut last = 0;
        while last < people as u64 {
            let frame = socket.expect("post_reaction").await;
            let likes = frame["reaction_data"]["likes_count"].as_u64().unwrap();
            assert!(likes > last, "counts never go back");
            (frames, last) = (frames + 1, likes);
        }
        let tenths = usize::try_from(began.elapsed().as_millis() / 100).unwrap();
        assert!(frames <= 10 + tenths + 1, "{frames} frames in {tenths} tenths of a second");
        assert_eq!(socket.until_pong().await, [Value::Null; 0]);
    }
    assert!(server.metric("pregon_frames_coalesced_total").await > 0.0);
    // Notifications that Ana did not receive at once are in her list.
    let first = ana.expect("notification").await;
    assert_eq!(first["notification"]["notification_type"], "like");
    let unread = server.done("GET", "/api/notifications/unread-count/", ANA, None).await;
    assert_eq!(unread["unread_count"], people + 1, "and that Beto follows her");
}

#[tokio::test]
async fn pings_are_answered_and_everything_else_ignored() {
    for server in servers().await {
        let mut beto = server.feed(BETO).await;
        beto.send(json!({"type": "ping", "timestamp": {"a": [1, null]}})).await;
        assert_eq!(beto.next_json().await, json!({"type": "pong", "timestamp": {"a": [1, null]}}));
        beto.send(json!({"type": "ping"})).await;
        assert_eq!(beto.next_json().await, json!({"type": "pong", "timestamp": null}));
        for text in ["", "nope", "[]", "5", "null", "{\"type\":", "{\"type\":5}", "{\"type\":\"nope\"}"] {
            beto.send_raw(Message::text(text)).await;
        }
        beto.send_raw(Message::binary(vec![0, 1, 2])).await;
        beto.send(json!({"type": "chat_message", "content": "x"})).await;
        beto.send(json!({"type": "mark_read", "notification_id": uuid::Uuid::new_v4()})).await;
        assert_eq!(beto.until_pong().await, [Value::Null; 0], "no error frames, and no end");
    }
}

/// Ana publishes one post after the other while feeds are opened: a feed that was greeted before a post was begun
/// receives it, although the user's authors are read only after the greeting.
#[tokio::test]
async fn nothing_committed_after_the_greeting_is_missed() {
    const FEEDS: usize = 60;
    for shards in [1, 4] {
        let server = Server::builder().seed(400, 0, 0).set("PREGON_SHARDS", shards).start().await;
        server.seed_follows((1..=FEEDS).flat_map(|user| (0..400).map(move |other| (user, other)))).await;
        let begun = AtomicUsize::new(0);
        let is_over = AtomicBool::new(false);
        let publish = async {
            // The last one is begun after all were greeted.
            let mut is_last = false;
            while !is_last {
                is_last = is_over.load(Ordering::SeqCst);
                let number = begun.fetch_add(1, Ordering::SeqCst);
                server.publish(ANA, &number.to_string()).await;
            }
            begun.load(Ordering::SeqCst)
        };
        let server = &server;
        let begun = &begun;
        let open = async {
            let feeds = (1..=FEEDS).map(|user| async move {
                let feed = server.feed(user).await;
                (feed, begun.load(Ordering::SeqCst))
            });
            let mut opened = Vec::new();
            let mut feeds: FuturesUnordered<_> = feeds.collect();
            while let Some(feed) = feeds.next().await {
                opened.push(feed);
            }
            is_over.store(true, Ordering::SeqCst);
            opened
        };
        let (published, opened) = tokio::join!(publish, open);
        for (mut feed, first) in opened {
            let mut heard = Vec::new();
            while heard.last() != Some(&(published - 1)) {
                let frame = feed.expect("new_post").await;
                heard.push(frame["post"]["content"].as_str().unwrap().parse::<usize>().unwrap());
            }
            heard.retain(|number| *number >= first);
            assert_eq!(heard, (first..published).collect::<Vec<_>>(), "in order, once, without a gap");
        }
        server.wait_for_metric("pregon_feeds", |feeds| feeds == 0.0).await;
        server.wait_for_metric("pregon_feed_subscriptions", |entries| entries == 0.0).await;
    }
}
