//! What a real Django announces over its channel layer reaches sockets: each change once, and only those concerned.

use crate::backend::Django;
use crate::support::{Server, Socket};
use serde_json::{Value, json};

/// Ana's posts: beto follows her, caro is her friend, dina is a stranger. The users are in that order.
struct Scene {
    django: Django,
    server: Server,
    ana: Value,
}

impl Scene {
    async fn new(django: Django) -> Self {
        django.pregon(&["migrate"]);
        let mut users = Vec::new();
        for name in ["ana", "beto", "caro", "dina"] {
            users.push(django.user(name).await);
        }
        django.act("follow", json!({"follower": "beto", "following": "ana"})).await;
        django.act("befriend", json!({"one": "ana", "other": "caro"})).await;
        let server = django.pregon_server(&users.iter().collect::<Vec<_>>()).await;
        Self { django, server, ana: users.remove(0) }
    }

    /// The feeds of all four users, ready to receive.
    async fn feeds(&self) -> [Socket; 4] {
        let mut feeds = [None, None, None, None];
        for (user, feed) in feeds.iter_mut().enumerate() {
            *feed = Some(self.server.feed(user).await);
        }
        self.django.wait_for_group(&format!("feed_{}", self.ana["id"].as_str().unwrap()), 1).await;
        // Beto's list of authors is complete when his own group and ana's are joined: four feeds, four authors.
        self.server.wait_for_metric("pregon_django_groups", |groups| groups == 4.0).await;
        self.server.wait_for_metric("pregon_feed_subscriptions", |entries| entries == 7.0).await;
        feeds.map(Option::unwrap)
    }

    async fn act(&self, action: &str, arguments: Value) -> Value {
        self.django.act(action, arguments).await
    }

    async fn post(&self, content: &str) -> Value {
        self.act("post", json!({"author": "ana", "content": content})).await
    }
}

/// Receives the next frame, of exactly this type, on `hearers` and on no other feed. Returns it.
async fn hear(kind: &str, hearers: &mut [&mut Socket], others: &mut [&mut Socket]) -> Value {
    let mut heard = Value::Null;
    for socket in hearers {
        heard = socket.next_json().await;
        assert_eq!(heard["type"], kind, "{heard}");
    }
    for socket in others {
        assert_eq!(socket.until_pong().await, [Value::Null; 0]);
    }
    heard
}

async fn silent(sockets: &mut [&mut Socket]) {
    for socket in sockets {
        assert_eq!(socket.until_pong().await, [Value::Null; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_reaches_followers_friends_and_its_author_and_is_edited_and_deleted_before_them() {
    let scene = Scene::new(Django::start().await).await;
    let [mut ana, mut beto, mut caro, mut dina] = scene.feeds().await;
    let post = scene.post("¡hola!").await;
    let frame = hear("new_post", &mut [&mut ana, &mut beto, &mut caro], &mut [&mut dina]).await;
    assert_eq!((&frame["post"]["id"], &frame["post"]["content"]), (&post["id"], &json!("¡hola!")));
    assert_eq!(frame["post"]["user"]["id"], scene.ana["id"]);
    scene.act("edit_post", json!({"post": post["id"], "content": "adiós"})).await;
    let frame = hear("post_updated", &mut [&mut ana, &mut beto, &mut caro], &mut [&mut dina]).await;
    assert_eq!(frame["post"]["content"], "adiós");
    scene.act("delete_post", json!({"post": post["id"]})).await;
    let frame = hear("post_deleted", &mut [&mut ana, &mut beto, &mut caro], &mut [&mut dina]).await;
    assert_eq!(frame["post_id"], post["id"]);
    silent(&mut [&mut ana, &mut beto, &mut caro]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_post_is_its_authors_alone_and_who_saw_it_before_loses_it() {
    let scene = Scene::new(Django::start_with_char_ids().await).await;
    let [mut ana, mut beto, mut caro, mut dina] = scene.feeds().await;
    let hidden = scene.act("post", json!({"author": "ana", "content": "diario", "is_public": false})).await;
    let frame = hear("new_post", &mut [&mut ana], &mut [&mut beto, &mut caro, &mut dina]).await;
    assert_eq!(frame["post"]["id"], hidden["id"]);
    let post = scene.post("para todos").await;
    hear("new_post", &mut [&mut ana, &mut beto, &mut caro], &mut [&mut dina]).await;
    let mut on_post = scene.server.on_post(&post, 3).await;
    scene.act("edit_post", json!({"post": post["id"], "is_public": false})).await;
    hear("post_deleted", &mut [&mut beto, &mut caro], &mut [&mut dina]).await;
    hear("post_updated", &mut [&mut ana], &mut []).await;
    let path = scene.server.socket_path(&format!("post/{}", post["id"].as_str().unwrap()), 3);
    assert_eq!(on_post.closed().await, 4003);
    let refused = Socket::try_open(&scene.server, &path, &[]).await.err();
    assert_eq!(refused, Some(403), "what was remembered of it is forgotten");
    scene.act("delete_post", json!({"post": hidden["id"]})).await;
    hear("post_deleted", &mut [&mut ana], &mut [&mut beto, &mut caro, &mut dina]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_announced_before_its_commit_is_told_after_it() {
    let scene = Scene::new(Django::start().await).await;
    let [mut ana, mut beto, mut caro, mut dina] = scene.feeds().await;
    let post = scene.act("post", json!({"author": "ana", "content": "lento", "in_transaction": true})).await;
    let frame = hear("new_post", &mut [&mut ana, &mut beto, &mut caro], &mut [&mut dina]).await;
    assert_eq!(frame["post"]["id"], post["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reactions_bring_the_counts_after_them_once_to_feeds_and_to_the_post() {
    let scene = Scene::new(Django::start().await).await;
    let post = scene.post("hola").await;
    let id = &post["id"];
    let [mut ana, mut beto, mut caro, mut dina] = scene.feeds().await;
    let mut on_post = scene.server.on_post(&post, 3).await;
    scene.django.wait_for_group(&format!("post_{}", id.as_str().unwrap()), 1).await;
    scene.act("react", json!({"post": id, "actor": "beto", "reaction": "like"})).await;
    let frame = hear("post_reaction", &mut [&mut ana, &mut beto, &mut caro], &mut [&mut dina]).await;
    assert_eq!((&frame["post_id"], &frame["reaction_data"]["likes_count"]), (id, &json!(1)));
    assert_eq!(
        frame["reaction_data"]["user_reaction"],
        json!({"user_id": scene.server.id(1), "reaction_type": "like"})
    );
    let frame = hear("post_reaction", &mut [&mut on_post], &mut []).await;
    assert_eq!((&frame["post_id"], &frame["reaction_data"]["likes_count"]), (&Value::Null, &json!(1)));
    scene.act("react", json!({"post": id, "actor": "beto", "reaction": "golazo"})).await;
    let frame = hear("post_reaction", &mut [&mut ana, &mut beto, &mut caro, &mut on_post], &mut [&mut dina]).await;
    assert_eq!(frame["reaction_data"]["likes_count"], 0);
    assert_eq!(frame["reaction_data"]["golazos_count"], 1);
    // Django does not say who takes a reaction back, so only the post's counts arrive.
    scene.act("unreact", json!({"post": id, "actor": "beto"})).await;
    let frame = hear("post_updated", &mut [&mut ana, &mut beto, &mut caro, &mut on_post], &mut [&mut dina]).await;
    assert_eq!(frame["post"]["golazos_count"], 0);
    scene.act("share", json!({"post": id, "actor": "dina"})).await;
    let frame = hear("post_updated", &mut [&mut ana, &mut beto, &mut caro, &mut on_post], &mut [&mut dina]).await;
    assert_eq!(frame["post"]["shares_count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_and_their_likes_reach_the_posts_sockets() {
    let scene = Scene::new(Django::start().await).await;
    let [mut feed, mut beto, mut caro, _dina] = scene.feeds().await;
    let post = scene.post("hola").await;
    hear("new_post", &mut [&mut feed, &mut beto, &mut caro], &mut []).await;
    let id = &post["id"];
    let mut on_post = scene.server.on_post(&post, 3).await;
    scene.django.wait_for_group(&format!("post_{}", id.as_str().unwrap()), 1).await;
    let comment = scene.act("comment", json!({"post": id, "actor": "beto", "content": "¡bien!"})).await;
    let frame = hear("new_comment", &mut [&mut on_post], &mut []).await;
    assert_eq!((&frame["comment"]["id"], &frame["comment"]["post"]), (&comment["id"], id));
    let frame = hear("post_updated", &mut [&mut on_post], &mut []).await;
    assert_eq!(frame["post"]["comments_count"], 1);
    scene.act("edit_comment", json!({"comment": comment["id"], "content": "mejor"})).await;
    let frame = hear("comment_updated", &mut [&mut on_post], &mut []).await;
    assert_eq!(frame["comment"]["content"], "mejor");
    scene.act("like_comment", json!({"comment": comment["id"], "actor": "dina"})).await;
    let frame = hear("comment_like", &mut [&mut on_post], &mut []).await;
    assert_eq!((&frame["comment_id"], &frame["likes_count"]), (&comment["id"], &json!(1)));
    scene.act("unlike_comment", json!({"comment": comment["id"], "actor": "dina"})).await;
    let frame = hear("comment_like", &mut [&mut on_post], &mut []).await;
    assert_eq!(frame["likes_count"], 0);
    scene.act("delete_comment", json!({"comment": comment["id"]})).await;
    let frame = hear("comment_deleted", &mut [&mut on_post], &mut []).await;
    assert_eq!(frame["comment_id"], comment["id"]);
    let frame = hear("post_updated", &mut [&mut on_post], &mut []).await;
    assert_eq!(frame["post"]["comments_count"], 0);
    scene.act("delete_post", json!({"post": id})).await;
    let frame = hear("post_deleted", &mut [&mut on_post], &mut []).await;
    assert_eq!(&frame["post_id"], id);
}
