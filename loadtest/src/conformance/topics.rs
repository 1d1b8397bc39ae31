//! Subscriptions: rooms, posts, the feed and notifications, and how they end.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::check::checks;
use super::client::Client;
use super::expect::{has, number, refused, same, text, that};
use super::world::{STRANGER, World};

checks! {
    "a room is heard until it is left" => room;
    "a post is heard: reactions, comments, edits, shares, its end" => post;
    "a feed hears posts and has no cursor" => feed;
    "notifications come, are read and go" => notifications;
    "what a user may not hear is refused" => hidden;
    "a topic that is none is refused" => wrong;
    "whoever is removed from a room loses it and keeps the socket" => removed;
    "a post that becomes private is lost by others and kept by its author" => private;
    "a cancelled subscription is answered" => cancelled;
    "a topic too many is refused and the others stay" => too_many;
}

async fn room(world: &World) -> Result<()> {
    let room = world.room()?;
    let (mut ana, mut beto) = (Client::open(world, 0).await?, Client::open(world, 1).await?);
    let reply = ana.subscribed(&room.topic, None).await?;
    same("resumed", &reply["resumed"], &json!(false))?;
    let before = text(&reply, "cursor")?.to_owned();
    refused(&ana.asked(json!({"type": "subscribe", "topic": room.topic})).await?, "already_subscribed")?;
    // The other spelling of the same room.
    let spelt = format!("room:{}", room.id);
    refused(&ana.asked(json!({"type": "subscribe", "topic": spelt})).await?, "already_subscribed")?;
    // Nobody need be subscribed to speak.
    let ack = beto.say(&room.topic, "hola").await?;
    let heard = ana.hears(&room.topic, json!({"type": "message", "content": "hola"})).await?;
    same("the place of what was said", &heard["cursor"], &ack["cursor"])?;
    that(heard["cursor"] != json!(before), "a place behind that of the subscription", &heard)?;
    let gone = ana.asked_well(json!({"type": "unsubscribe", "topic": spelt})).await?;
    has(&gone, &json!({"type": "unsubscribed", "topic": room.topic}))?;
    that(gone.get("code").is_none(), "no code, since it was asked for", &gone)?;
    beto.say(&room.topic, "nobody").await?;
    ana.heard_nothing().await?;
    refused(&ana.asked(json!({"type": "unsubscribe", "topic": room.topic})).await?, "not_subscribed")
}

async fn post(world: &World) -> Result<()> {
    let (id, topic) = world.post(0)?;
    let path = format!("/api/posts/{id}/");
    let mut beto = Client::open(world, 1).await?;
    beto.joined(&topic).await?;
    world.done("POST", &format!("{path}react/"), 2, Some(&json!({"reaction_type": "like"})))?;
    let heard = beto.hears(&topic, json!({"type": "post_reaction"})).await?;
    let mover = json!({"user_id": world.users[2].id, "reaction_type": "like"});
    has(&heard["event"]["reaction_data"], &json!({"post_id": id, "user_reaction": mover}))?;
    world.done("DELETE", &format!("{path}react/"), 2, None)?;
    let heard = beto.hears(&topic, json!({"type": "post_reaction"})).await?;
    has(
        &heard["event"]["reaction_data"]["user_reaction"],
        &json!({"user_id": world.users[2].id, "reaction_type": null}),
    )?;
    let comment = world.done("POST", &format!("{path}comments/"), 2, Some(&json!({"content": "good"})))?;
    let comment = text(&comment, "id")?.to_owned();
    beto.hears(&topic, json!({"type": "new_comment", "comment": {"id": comment, "content": "good", "post": id}}))
        .await?;
    let reply = json!({"content": "yes", "parent": comment});
    world.done("POST", &format!("{path}comments/"), 0, Some(&reply))?;
    beto.hears(&topic, json!({"type": "new_comment", "comment": {"content": "yes", "parent": comment}})).await?;
    let of_comment = format!("/api/posts/comments/{comment}/");
    world.done("POST", &format!("{of_comment}like/"), 0, None)?;
    beto.hears(&topic, json!({"type": "comment_like", "comment_id": comment, "likes_count": 1})).await?;
    world.done("PATCH", &of_comment, 2, Some(&json!({"content": "better"})))?;
    beto.hears(&topic, json!({"type": "comment_updated", "comment": {"id": comment, "content": "better"}})).await?;
    world.done("DELETE", &of_comment, 2, None)?;
    let heard = beto.hears(&topic, json!({"type": "comments_deleted", "comments_count": 0})).await?;
    let gone = super::expect::list(&heard["event"], "comment_ids")?;
    that(gone.len() == 2 && gone.contains(&json!(comment)), "the comment and its reply", &heard)?;
    world.done("POST", &format!("{path}share/"), 1, Some(&json!({})))?;
    beto.hears(&topic, json!({"type": "post_shared", "shares_count": 1})).await?;
    world.done("PATCH", &path, 0, Some(&json!({"content": "edited"})))?;
    let edited = loop {
        // The post as it is after its counters moved comes without a place.
        let frame = beto.next().await?;
        if !frame["cursor"].is_null() {
            break frame;
        }
    };
    has(&edited, &json!({"topic": topic, "event": {"type": "post_updated", "post": {"id": id, "content": "edited"}}}))?;
    world.done("DELETE", &path, 0, None)?;
    beto.hears(&topic, json!({"type": "post_deleted", "post_id": id})).await?;
    Ok(())
}

async fn feed(world: &World) -> Result<()> {
    let mut ana = Client::open(world, 0).await?;
    let reply = ana.subscribed("feed", None).await?;
    has(&reply, &json!({"cursor": null, "resumed": false}))?;
    that(reply.get("cursor").is_some(), "a cursor that is null", &reply)?;
    ana.rest().await?;
    let (id, _) = world.post(0)?;
    ana.hears("feed", json!({"type": "new_post", "post": {"id": id}})).await?;
    world.done("POST", &format!("/api/posts/{id}/react/"), 1, Some(&json!({"reaction_type": "like"})))?;
    ana.hears("feed", json!({"type": "post_reaction", "post_id": id})).await?;
    world.done("DELETE", &format!("/api/posts/{id}/"), 0, None)?;
    ana.hears("feed", json!({"type": "post_deleted", "post_id": id})).await?;
    has(&ana.asked(json!({"type": "unsubscribe", "topic": "feed"})).await?, &json!({"type": "unsubscribed"}))?;
    let (id, _) = world.post(0)?;
    ana.heard_nothing().await?;
    let reply = ana.subscribed("feed", Some("1.1")).await?;
    has(&reply, &json!({"cursor": null, "resumed": false}))?;
    has(&ana.next().await?, &json!({"type": "gap", "topic": "feed", "cursor": null, "refetch": "/api/posts/"}))?;
    world.done("DELETE", &format!("/api/posts/{id}/"), 0, None)?;
    ana.hears("feed", json!({"type": "post_deleted", "post_id": id})).await?;
    Ok(())
}

async fn notifications(world: &World) -> Result<()> {
    let mut ana = Client::open(world, 0).await?;
    ana.joined("notifications").await?;
    ana.rest().await?;
    let (post, _) = world.post(0)?;
    let comments = format!("/api/posts/{post}/comments/");
    world.done("POST", &comments, 1, Some(&json!({"content": "one"})))?;
    let rung = ana.hears("notifications", json!({"type": "notification"})).await?;
    let id = text(&rung["event"]["notification"], "id")?.to_owned();
    let read = ana.asked_well(json!({"type": "mark_read", "notification_id": id})).await?;
    has(&read, &json!({"type": "ack", "repeated": false}))?;
    ana.hears("notifications", json!({"type": "notifications_read", "count": 1, "notification_ids": [id]})).await?;
    let again = ana.asked(json!({"type": "mark_read", "notification_id": id})).await?;
    has(&again, &json!({"type": "ack", "repeated": true}))?;
    let unread = number(&world.done("GET", "/api/notifications/unread-count/", 0, None)?, "unread_count")?;
    world.done("DELETE", &format!("/api/notifications/{id}/delete/"), 0, None)?;
    let gone = json!({"type": "notifications_deleted", "notification_ids": [id], "unread_count": unread});
    ana.hears("notifications", gone).await?;
    for (notification, code) in
        [(uuid::Uuid::new_v4().to_string(), "no_such_notification"), ("x".to_owned(), "bad_fields")]
    {
        refused(&ana.asked(json!({"type": "mark_read", "notification_id": notification})).await?, code)?;
    }
    ana.heard_nothing().await
}

async fn hidden(world: &World) -> Result<()> {
    let room = world.room()?;
    let mut stranger = Client::open(world, STRANGER).await?;
    let nobody = uuid::Uuid::new_v4().simple().to_string();
    let (post, of_post) = world.post(0)?;
    world.done("PATCH", &format!("/api/posts/{post}/"), 0, Some(&json!({"is_public": false})))?;
    for (topic, code) in [
        (room.topic.clone(), "not_participant"),
        (format!("room:{nobody}"), "not_participant"),
        (of_post, "hidden"),
        (format!("post:{nobody}"), "hidden"),
    ] {
        let reply = stranger.asked(json!({"type": "subscribe", "topic": topic})).await?;
        refused(&reply, code)?;
        has(&reply, &json!({"topic": topic, "retry": "never"}))?;
    }
    Ok(())
}

async fn wrong(world: &World) -> Result<()> {
    let mut ana = Client::open(world, 0).await?;
    for topic in
        [json!("room:1"), json!("room"), json!(""), json!("Feed"), json!("author:0"), json!("feed:x"), Value::Null]
    {
        refused(&ana.asked(json!({"type": "subscribe", "topic": topic})).await?, "bad_topic")?;
        refused(&ana.asked(json!({"type": "unsubscribe", "topic": topic})).await?, "bad_topic")?;
    }
    for cursor in ["", "1", "x.y", "1.-1", "1.2.3"] {
        refused(&ana.asked(json!({"type": "subscribe", "topic": "feed", "cursor": cursor})).await?, "bad_cursor")?;
    }
    Ok(())
}

async fn removed(world: &World) -> Result<()> {
    let (lost, kept) = (world.room()?, world.room()?);
    let (mut ana, mut beto) = (Client::open(world, 0).await?, Client::open(world, 1).await?);
    beto.joined(&lost.topic).await?;
    beto.joined(&kept.topic).await?;
    let path = format!("/api/messaging/chats/{}/remove_participant/", lost.id);
    world.done("POST", &path, 0, Some(&json!({"user_id": world.users[1].id})))?;
    let told = loop {
        let frame = beto.next().await?;
        if frame["type"] == "unsubscribed" {
            break frame;
        }
    };
    has(&told, &json!({"topic": lost.topic, "code": "removed", "retry": "never"}))?;
    that(told["text"].is_string() && told.get("id").is_none(), "a text and no id", &told)?;
    ana.say(&kept.topic, "still").await?;
    beto.hears(&kept.topic, json!({"content": "still"})).await?;
    refused(&beto.asked(json!({"type": "subscribe", "topic": lost.topic})).await?, "not_participant")?;
    let said = beto.asked(json!({"type": "chat_message", "topic": lost.topic, "content": "no"})).await?;
    refused(&said, "not_participant")
}

async fn private(world: &World) -> Result<()> {
    let (id, topic) = world.post(0)?;
    let (mut ana, mut beto) = (Client::open(world, 0).await?, Client::open(world, 1).await?);
    ana.joined(&topic).await?;
    beto.joined(&topic).await?;
    world.done("PATCH", &format!("/api/posts/{id}/"), 0, Some(&json!({"is_public": false})))?;
    let told = beto.next().await?;
    has(&told, &json!({"type": "unsubscribed", "topic": topic, "code": "hidden", "retry": "never"}))?;
    ana.hears(&topic, json!({"type": "post_updated"})).await?;
    beto.heard_nothing().await
}

async fn cancelled(world: &World) -> Result<()> {
    let room = world.room()?;
    let mut ana = Client::open(world, 0).await?;
    // Whether the subscription was live by then or not, both requests are answered, and nothing is heard afterwards.
    let texts = ["subscribe", "unsubscribe"].iter().enumerate();
    let texts = texts.map(|(id, kind)| json!({"type": kind, "id": id, "topic": room.topic}).to_string()).collect();
    ana.socket.texts(texts).await?;
    let (first, second) = (ana.answer(&json!(0)).await?, ana.answer(&json!(1)).await?);
    match first["type"].as_str() {
        Some("subscribed") => {}
        _ => refused(&first, "cancelled")?,
    }
    has(&second, &json!({"type": "unsubscribed", "topic": room.topic}))?;
    let mut beto = Client::open(world, 1).await?;
    beto.say(&room.topic, "nobody").await?;
    ana.heard_nothing().await
}

async fn too_many(world: &World) -> Result<()> {
    let mut ana = Client::offering(world, &format!("pregon.v1, token.{}", world.users[0].token)).await?;
    let most = usize::try_from(number(&ana.next().await?, "topics_max")?).unwrap_or(usize::MAX);
    let room = world.room()?;
    let mut topics = vec![room.topic.clone()];
    for number in 0..most {
        topics.push(world.post(number % world.users.len())?.1);
    }
    for topic in &topics[..most] {
        ana.subscribed(topic, None).await?;
    }
    let reply = ana.asked(json!({"type": "subscribe", "topic": topics[most]})).await?;
    refused(&reply, "too_many_topics")?;
    for topic in topics[1..most].iter().step_by(2) {
        has(&ana.asked(json!({"type": "unsubscribe", "topic": topic})).await?, &json!({"type": "unsubscribed"}))?;
    }
    ana.subscribed(&topics[most], None).await?;
    ana.rest().await?;
    ana.say(&room.topic, "hola").await?;
    ana.hears(&room.topic, json!({"content": "hola"})).await?;
    if most < 256 {
        bail!("expected at least 256 topics, came {most}");
    }
    Ok(())
}
