//! Who receives a post and who does not, and how that changes on open sockets.

use crate::support::{Server, Socket};
use serde_json::{Value, json};

const ANA: usize = 0;
const BETO: usize = 1;
const CARO: usize = 2;
const DORA: usize = 3;

async fn servers() -> Vec<Server> {
    let mut servers = Vec::new();
    for shards in [1, 4] {
        servers.push(Server::builder().seed(5, 0, 0).set("PREGON_SHARDS", shards).start().await);
    }
    servers
}

fn at(post: &Value, rest: &str) -> String {
    format!("/api/posts/{}/{rest}", post["id"].as_str().unwrap())
}

/// Asserts that a socket received only these frames, in this order.
async fn heard(socket: &mut Socket, expected: &[(&str, &Value)]) {
    let frames = socket.until_pong().await;
    let id =
        |frame: &Value| if frame["post"].is_object() { frame["post"]["id"].clone() } else { frame["post_id"].clone() };
    let found: Vec<(String, Value)> =
        frames.iter().map(|frame| (frame["type"].as_str().unwrap().to_owned(), id(frame))).collect();
    let expected: Vec<(String, Value)> =
        expected.iter().map(|(kind, post)| ((*kind).to_owned(), post["id"].clone())).collect();
    assert_eq!(found, expected);
}

async fn befriend(server: &Server, one: usize, other: usize) {
    let name = &server.fixture.users[other].username;
    let asked = server.done("POST", &format!("/api/users/friend-requests/send/{name}/"), one, None).await;
    let path = format!("/api/users/friend-requests/{}/respond/", asked["friend_request"]["id"].as_str().unwrap());
    server.done("POST", &path, other, Some(json!({"action": "accept"}))).await;
}

#[tokio::test]
async fn followers_friends_and_the_author_hear_a_post_and_nobody_else_does() {
    for server in servers().await {
        server.follow(BETO, ANA).await;
        befriend(&server, CARO, ANA).await;
        let mut feeds = Vec::new();
        for user in [ANA, BETO, CARO, DORA] {
            feeds.push(server.feed(user).await);
        }
        let mut second_tab = server.feed(BETO).await;
        // Dora follows Beto, which does not concern Ana.
        server.follow(DORA, BETO).await;
        let post = server.publish(ANA, "hola").await;
        for feed in &mut feeds[..3] {
            heard(feed, &[("new_post", &post)]).await;
        }
        heard(&mut second_tab, &[("new_post", &post)]).await;
        heard(&mut feeds[3], &[]).await;
        // Caro befriended Ana, in both directions.
        let answer = server.publish(CARO, "hola tú").await;
        heard(&mut feeds[0], &[("new_post", &answer)]).await;
        heard(&mut feeds[1], &[]).await;
    }
}

#[tokio::test]
async fn a_private_post_is_its_authors_alone() {
    for server in servers().await {
        server.follow(BETO, ANA).await;
        let mut ana = server.feed(ANA).await;
        let mut beto = server.feed(BETO).await;
        let body = json!({"content": "para mí", "is_public": false});
        let post = server.done("POST", "/api/posts/", ANA, Some(body)).await;
        server.done("PATCH", &at(&post, ""), ANA, Some(json!({"content": "solo para mí"}))).await;
        server.done("POST", &at(&post, "react/"), ANA, Some(json!({"reaction_type": "like"}))).await;
        server.done("DELETE", &at(&post, ""), ANA, None).await;
        let kinds = ["new_post", "post_updated", "post_reaction", "post_deleted"];
        heard(&mut ana, &kinds.map(|kind| (kind, &post))).await;
        heard(&mut beto, &[]).await;
    }
}

/// Users who lose sight of the post drop it, users who gain sight of it get it, and its author's page always keeps it.
#[tokio::test]
async fn a_post_that_changes_sides_goes_and_comes() {
    for server in servers().await {
        server.follow(BETO, ANA).await;
        let mut ana = server.feed(ANA).await;
        let mut beto = server.feed(BETO).await;
        let post = server.publish(ANA, "hola").await;
        for is_public in [false, false, true] {
            server.done("PATCH", &at(&post, ""), ANA, Some(json!({"is_public": is_public}))).await;
        }
        let updated = ("post_updated", &post);
        heard(&mut ana, &[("new_post", &post), updated, updated, updated]).await;
        heard(&mut beto, &[("new_post", &post), ("post_deleted", &post), ("new_post", &post)]).await;
    }
}

#[tokio::test]
async fn follows_take_effect_on_open_sockets() {
    for server in servers().await {
        let mut beto = server.feed(BETO).await;
        let mut second_tab = server.feed(BETO).await;
        let mut expected = Vec::new();
        for round in 0..10 {
            server.follow(BETO, ANA).await;
            expected.push(server.publish(ANA, &format!("heard {round}")).await);
            server.unfollow(BETO, ANA).await;
            server.publish(ANA, &format!("not heard {round}")).await;
        }
        let expected: Vec<(&str, &Value)> = expected.iter().map(|post| ("new_post", post)).collect();
        heard(&mut beto, &expected).await;
        heard(&mut second_tab, &expected).await;
    }
}

#[tokio::test]
async fn a_friend_who_also_follows_hears_until_both_are_over() {
    for server in servers().await {
        let mut ana = server.feed(ANA).await;
        let mut beto = server.feed(BETO).await;
        befriend(&server, BETO, ANA).await;
        let first = server.publish(ANA, "friends").await;
        server.follow(BETO, ANA).await;
        let second = server.publish(ANA, "friends and follower").await;
        let path = format!("/api/users/friends/{}/", server.fixture.users[ANA].username);
        server.done("DELETE", &path, BETO, None).await;
        let third = server.publish(ANA, "follower").await;
        let unheard = server.publish(BETO, "Ana is no friend any more").await;
        server.unfollow(BETO, ANA).await;
        let fourth = server.publish(ANA, "neither").await;
        heard(&mut beto, &[("new_post", &first), ("new_post", &second), ("new_post", &third), ("new_post", &unheard)])
            .await;
        heard(&mut ana, &[first, second, third, fourth].each_ref().map(|post| ("new_post", post))).await;
    }
}

#[tokio::test]
async fn a_feed_that_closes_leaves_nothing_behind() {
    for server in servers().await {
        server.follow(BETO, ANA).await;
        server.follow(BETO, CARO).await;
        for _ in 0..3 {
            let beto = server.feed(BETO).await;
            let second_tab = server.feed(BETO).await;
            server.wait_for_metric("pregon_feed_sessions", |sessions| sessions == 2.0).await;
            // Two authors and the user's own feed, on one shard or on two.
            server.wait_for_metric("pregon_feed_subscriptions", |entries| entries == 3.0 || entries == 6.0).await;
            beto.close().await;
            second_tab.close().await;
            for metric in ["pregon_feed_sessions", "pregon_feeds", "pregon_feed_subscriptions"] {
                server.wait_for_metric(metric, |value| value == 0.0).await;
            }
        }
        server.publish(ANA, "to nobody").await;
    }
}

/// The sockets of a deactivated user end, although feeds outlive their token.
#[tokio::test]
async fn a_deactivated_users_sockets_end() {
    let server =
        Server::builder().seed(3, 0, 0).set("PREGON_SHARDS", 2).set("PREGON_ACTIVE_CHECK_SECONDS", 1).start().await;
    let mut ana = server.feed(ANA).await;
    let mut beto = server.feed(BETO).await;
    let mut beto_too = server.feed(BETO).await;
    let mut notifications = server.notifications(BETO).await;
    let post = server.publish(ANA, "hola").await;
    heard(&mut ana, &[("new_post", &post)]).await;
    let mut on_post = server.on_post(&post, BETO).await;
    let mut anas_on_post = server.on_post(&post, ANA).await;
    let id = server.fixture.users[BETO].id.replace('-', "");
    assert_eq!(server.execute("UPDATE users SET is_active = 0 WHERE id = ?", &[&id]).await, 1);
    for socket in [&mut beto, &mut beto_too, &mut notifications, &mut on_post] {
        assert_eq!(socket.closed().await, 4001);
    }
    heard(&mut ana, &[]).await;
    heard(&mut anas_on_post, &[]).await;
}

/// A feed that reconnects within seconds does not query SQLite, and misses no change made meanwhile. Other databases
/// are queried each time, because other programs write there.
#[tokio::test]
async fn a_feed_that_comes_back_asks_for_no_list_and_hears_whom_it_should() {
    for server in servers().await {
        let asked = "pregon_feed_lists_total{from=\"store\"}";
        let lists = async || {
            let text = server.client().get(server.http("/metrics")).send().await.unwrap().text().await.unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(asked)).map(|value| value.trim().to_owned());
            line.unwrap_or_default()
        };
        server.follow(BETO, ANA).await;
        let again = async || {
            let feed = server.feed(BETO).await;
            server.wait_for_metric("pregon_feed_subscriptions", |entries| entries > 1.0).await;
            feed
        };
        again().await.close().await;
        server.wait_for_metric("pregon_feeds", |feeds| feeds == 0.0).await;
        let mut feed = again().await;
        let is_ours = std::env::var_os("PREGON_TEST_DATABASE").is_none();
        assert_eq!(lists().await, if is_ours { "1" } else { "2" });
        let post = server.publish(ANA, "hola").await;
        heard(&mut feed, &[("new_post", &post)]).await;
        feed.close().await;
        server.wait_for_metric("pregon_feeds", |feeds| feeds == 0.0).await;
        server.follow(BETO, CARO).await;
        server.unfollow(BETO, ANA).await;
        let mut feed = again().await;
        assert_eq!(lists().await, if is_ours { "2" } else { "3" }, "a change forgets the list");
        server.publish(ANA, "sin ti").await;
        let post = server.publish(CARO, "contigo").await;
        heard(&mut feed, &[("new_post", &post)]).await;
    }
}
