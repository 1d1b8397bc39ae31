//! Coming back with a cursor: what was missed comes once and in order, or a gap is told.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::check::checks;
use super::client::Client;
use super::expect::{has, number, same, text, that};
use super::world::World;

/// More than a server reads at once for a client that was away.
const MISSED: usize = 430;

checks! {
    "what was missed comes once, in order, and goes on live" => missed;
    "whoever missed nothing is told nothing" => nothing;
    "what is not known any more is a gap with where to read" => gap;
    "what was deleted meanwhile is told as deleted" => deleted;
    "a list of REST names the place from which it goes live" => lists;
    "a page of the feed goes live by its tag" => feed;
    "posts and notifications are caught up with, too" => others;
}

/// The place behind this one.
fn behind(cursor: &str) -> Result<String> {
    let (epoch, seq) = cursor.split_once('.').context("a cursor has a dot")?;
    Ok(format!("{epoch}.{}", seq.parse::<u64>()? + 1))
}

async fn missed(world: &World) -> Result<()> {
    let room = world.room()?;
    let topic = room.topic.as_str();
    let mut ana = Client::open(world, 0).await?;
    let mut beto = Client::open(world, 1).await?;
    let cursor = beto.joined(topic).await?;
    beto.leave().await?;
    let say = |number: usize| json!({"type": "chat_message", "topic": topic, "content": number.to_string()});
    for number in 0..MISSED {
        ana.ask(say(number)).await?;
    }
    // The rest is said while it is read.
    let mut beto = Client::open(world, 1).await?;
    let reply = beto.subscribed(topic, Some(&cursor)).await?;
    has(&reply, &json!({"resumed": true, "cursor": cursor}))?;
    for number in MISSED..MISSED + 40 {
        ana.ask(say(number)).await?;
    }
    let mut last = cursor;
    for number in 0..MISSED + 40 {
        let heard = beto.hears(topic, json!({"type": "message", "content": number.to_string()})).await?;
        same("the next place", &heard["cursor"], &json!(behind(&last)?))?;
        text(&heard, "cursor")?.clone_into(&mut last);
        let user = beto.told.user(topic, super::expect::number(&heard["event"], "user")?);
        same("the sender", &json!(user), &json!(world.users[0].id))?;
    }
    beto.heard_nothing().await
}

async fn nothing(world: &World) -> Result<()> {
    let room = world.room()?;
    let mut ana = Client::open(world, 0).await?;
    let place = text(&ana.say(&room.topic, "hola").await?, "cursor")?.to_owned();
    let reply = ana.subscribed(&room.topic, Some(&place)).await?;
    has(&reply, &json!({"resumed": true, "cursor": place}))?;
    ana.heard_nothing().await?;
    let next = ana.say(&room.topic, "y").await?;
    same("the next place", &next["cursor"], &json!(behind(&place)?))?;
    same("what is heard", &ana.event(&room.topic).await?["cursor"], &next["cursor"])
}

async fn gap(world: &World) -> Result<()> {
    let room = world.room()?;
    let (post, of_post) = world.post(0)?;
    let mut ana = Client::open(world, 0).await?;
    let place = ana.say(&room.topic, "hola").await?["cursor"].clone();
    for (topic, place) in
        [(room.topic.as_str(), place), (of_post.as_str(), Value::Null), ("notifications", Value::Null)]
    {
        for lost in ["77.1", "1.99999999"] {
            let reply = ana.subscribed(topic, Some(lost)).await?;
            has(&reply, &json!({"resumed": false}))?;
            let gap = ana.next().await?;
            has(&gap, &json!({"type": "gap", "topic": topic, "cursor": reply["cursor"]}))?;
            if !place.is_null() {
                same("the present place", &gap["cursor"], &place)?;
            }
            world.done("GET", text(&gap, "refetch")?, 0, None)?;
            has(&ana.asked(json!({"type": "unsubscribe", "topic": topic})).await?, &json!({"type": "unsubscribed"}))?;
            ana.rest().await?;
        }
    }
    world.done("DELETE", &format!("/api/posts/{post}/"), 0, None)?;
    Ok(())
}

async fn deleted(world: &World) -> Result<()> {
    let room = world.room()?;
    let topic = room.topic.as_str();
    let mut ana = Client::open(world, 0).await?;
    let cursor = ana.joined(topic).await?;
    let secret = ana.say(topic, "secret").await?["message_id"].clone();
    let delete = json!({"type": "delete_message", "topic": topic, "message_id": secret});
    has(&ana.asked(delete).await?, &json!({"type": "ack"}))?;
    ana.say(topic, "afterwards").await?;
    let mut beto = Client::open(world, 1).await?;
    beto.subscribed(topic, Some(&cursor)).await?;
    loop {
        let heard = beto.event(topic).await?;
        that(!heard.to_string().contains("secret"), "nothing of a deleted text", &heard)?;
        if heard["event"]["content"] == "afterwards" {
            return beto.heard_nothing().await;
        }
        has(&heard, &json!({"event": {"type": "message_deleted", "message_id": secret}}))?;
    }
}

async fn lists(world: &World) -> Result<()> {
    let room = world.room()?;
    let mut ana = Client::open(world, 0).await?;
    ana.say(&room.topic, "in the list").await?;
    let (post, of_post) = world.post(0)?;
    for (path, topic) in [
        (format!("/api/messaging/chats/{}/messages/", room.id), room.topic.as_str()),
        (format!("/api/posts/{post}/"), of_post.as_str()),
        (format!("/api/posts/{post}/comments/"), of_post.as_str()),
        ("/api/notifications/".to_owned(), "notifications"),
    ] {
        let answer = world.rest("GET", &path, 0, None)?;
        let header = answer.headers.get("x-pregon-cursor").and_then(|value| value.to_str().ok());
        let cursor = header.with_context(|| format!("expected X-Pregon-Cursor with {path}, came none"))?;
        let mut client = Client::open(world, 0).await?;
        has(&client.subscribed(topic, Some(cursor)).await?, &json!({"resumed": true, "cursor": cursor}))?;
        client.heard_nothing().await?;
    }
    Ok(())
}

async fn feed(world: &World) -> Result<()> {
    let token = &world.users[0].token;
    let page = world.rest("GET", "/api/posts/", 0, None)?;
    let tag = page.headers.get("etag").and_then(|value| value.to_str().ok()).context("expected an ETag, came none")?;
    let mut ana = Client::open(world, 0).await?;
    ana.subscribed("feed", None).await?;
    let again = |tag: &str| world.rest_with("GET", "/api/posts/", token, None, &[("if-none-match", tag)]);
    let same_page = again(tag)?;
    same("a page that is as it was", &json!(same_page.status), &json!(304))?;
    let (post, _) = world.post(0)?;
    ana.hears("feed", json!({"type": "new_post", "post": {"id": post}})).await?;
    let other = again(tag)?;
    same("a page that changed", &json!(other.status), &json!(200))?;
    same("its first post", &other.body["results"][0]["id"], &json!(post))
}

async fn others(world: &World) -> Result<()> {
    let (post, of_post) = world.post(0)?;
    let mut ana = Client::open(world, 0).await?;
    let (on_post, on_bell) = (ana.joined(&of_post).await?, ana.joined("notifications").await?);
    ana.leave().await?;
    for number in 0..3 {
        let body = json!({"content": format!("comment {number}")});
        world.done("POST", &format!("/api/posts/{post}/comments/"), 1, Some(&body))?;
    }
    let mut ana = Client::open(world, 0).await?;
    has(&ana.subscribed(&of_post, Some(&on_post)).await?, &json!({"resumed": true}))?;
    for number in 0..3 {
        let comment = json!({"type": "new_comment", "comment": {"content": format!("comment {number}")}});
        ana.hears(&of_post, comment).await?;
    }
    has(&ana.subscribed("notifications", Some(&on_bell)).await?, &json!({"resumed": true}))?;
    let mut last = on_bell;
    for _ in 0..3 {
        let heard = ana.hears("notifications", json!({"type": "notification"})).await?;
        if heard["cursor"] != json!(behind(&last)?) {
            bail!("expected the place behind {last}, came {heard}");
        }
        text(&heard, "cursor")?.clone_into(&mut last);
    }
    that(
        number(&world.done("GET", "/api/notifications/unread-count/", 0, None)?, "unread_count")? >= 3,
        "three more",
        &Value::Null,
    )?;
    ana.heard_nothing().await
}
