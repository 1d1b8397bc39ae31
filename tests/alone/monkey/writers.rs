//! Who writes by REST meanwhile: messages, posts, comments and reactions, and what changes who may hear them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::world::Topic;
use super::{AUTHORS, CHAOS, FLOATERS, Phase, Stage, WRITERS};

/// A writer pauses up to this long between two requests.
const PAUSE_MS_MAX: u64 = 30;

/// How long somebody is out of a room.
const GAP_MS_MAX: u64 = 1500;

/// Says things, changes them and takes them back, to the end of the wave.
pub async fn writes(stage: Arc<Stage>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let phase = stage.phase.subscribe();
    // Messages and posts of this writer that it may change: room, id, user, number.
    let mut messages: Vec<(usize, Value, usize, u64)> = Vec::new();
    let mut posts: Vec<(usize, Value, u64)> = Vec::new();
    while *phase.borrow() == Phase::Play {
        stage.world.actions.fetch_add(1, Ordering::Relaxed);
        let user = random.random_range(WRITERS);
        let length = random.random_range(0..600);
        match random.random_range(0..12) {
            0..4 => {
                let room = random.random_range(0..stage.rooms.len());
                let (tag, content) = stage.world.say(Topic::Room(room), length);
                let answer = stage.say("POST", &stage.in_room(room, "send_message/"), user, &content).await;
                if let Some(message) = answer {
                    stage.world.acknowledge(tag.number);
                    messages.push((room, message["id"].clone(), user, tag.number));
                }
            }
            4 => {
                let author = random.random_range(AUTHORS);
                let (tag, content) = stage.world.say(Topic::Author(author), length);
                if let Some(post) = stage.say("POST", "/api/posts/", author, &content).await {
                    stage.world.acknowledge(tag.number);
                    posts.push((author, post["id"].clone(), tag.number));
                }
            }
            5..7 => {
                let post = random.random_range(0..stage.posts.len());
                let (tag, content) = stage.world.say(Topic::Post(post), length);
                if stage.say("POST", &stage.on_post(post, "comments/"), user, &content).await.is_some() {
                    stage.world.acknowledge(tag.number);
                }
            }
            7 if !messages.is_empty() => {
                let (room, id, user, number) = messages.swap_remove(random.random_range(0..messages.len()));
                stage.world.touch(number);
                let path = stage.in_room(room, &format!("messages/{}/", id.as_str().unwrap_or_default()));
                if random.random_bool(0.5) {
                    stage.ask("DELETE", &path, user, None).await;
                } else {
                    let (_, content) = stage.world.say(Topic::Room(room), length);
                    stage.say("PATCH", &path, user, &content).await;
                }
            }
            8 if !posts.is_empty() => {
                let (author, id, number) = posts.swap_remove(random.random_range(0..posts.len()));
                flip(&stage, &mut random, author, &id, number).await;
            }
            9 => {
                let post = random.random_range(0..stage.posts.len());
                let body = json!({"reaction_type": (["like", "celebration", "golazo"][random.random_range(0..3)])});
                stage.ask("POST", &stage.on_post(post, "react/"), user, Some(body)).await;
            }
            10 if !messages.is_empty() => {
                let (room, id, _, _) = &messages[random.random_range(0..messages.len())];
                let path = stage.in_room(*room, &format!("messages/{}/react/", id.as_str().unwrap_or_default()));
                stage.ask("POST", &path, user, Some(json!({"reaction_type": "like"}))).await;
            }
            _ => {
                let path = ["/api/messaging/chats/", "/api/posts/", "/api/notifications/", "/api/users/search/?q=user"];
                stage.ask("GET", path[random.random_range(0..path.len())], user, None).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..PAUSE_MS_MAX))).await;
    }
}

/// A post becomes private and is changed there. It comes back with another text, or is commented on and never comes back: its
/// comments come with it.
async fn flip(stage: &Stage, random: &mut StdRng, author: usize, id: &Value, number: u64) {
    let path = format!("/api/posts/{}/", id.as_str().unwrap_or_default());
    stage.world.touch(number);
    let comes_back = random.random_bool(0.5);
    let last = if comes_back { Topic::Author(author) } else { Topic::Secret(author) };
    for topic in [Topic::Secret(author), Topic::Secret(author), last] {
        let (_, content) = stage.world.say(topic, 20);
        let is_public = matches!(topic, Topic::Author(_));
        let body = json!({"content": content, "is_public": is_public});
        if stage.ask("PATCH", &path, author, Some(body)).await.is_none() {
            return;
        }
        if !comes_back {
            let (_, content) = stage.world.say(topic, 20);
            stage.say("POST", &format!("{path}comments/"), author, &content).await;
        }
    }
    stage.ask("DELETE", &path, author, None).await;
}

/// Takes somebody out of rooms and back, lets them follow and unfollow; deactivates and reactivates others.
pub async fn membership(stage: Arc<Stage>, user: usize, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let phase = stage.phase.subscribe();
    while *phase.borrow() == Phase::Play {
        stage.world.actions.fetch_add(1, Ordering::Relaxed);
        match random.random_range(0..5) {
            0..2 => {
                let room = random.random_range(0..stage.rooms.len());
                let body = Some(json!({"user_id": stage.users[user].id}));
                if stage.ask("POST", &stage.in_room(room, "remove_participant/"), 0, body.clone()).await.is_some() {
                    stage.world.revoke(Topic::Room(room), user);
                }
                tokio::time::sleep(Duration::from_millis(random.random_range(0..GAP_MS_MAX))).await;
                stage.world.grant(Topic::Room(room), user);
                stage.ask("POST", &stage.in_room(room, "add_participant/"), 0, body).await;
            }
            2..4 => {
                let author = random.random_range(AUTHORS);
                let name = &stage.users[author].username;
                if stage.ask("DELETE", &format!("/api/users/unfollow/{name}/"), user, None).await.is_some() {
                    stage.world.revoke(Topic::Author(author), user);
                }
                tokio::time::sleep(Duration::from_millis(random.random_range(0..GAP_MS_MAX))).await;
                stage.world.grant(Topic::Author(author), user);
                stage.ask("POST", &format!("/api/users/follow/{name}/"), user, None).await;
            }
            _ => {
                let user = random.random_range(FLOATERS.end..CHAOS.end);
                let id = stage.users[user].id.replace('-', "");
                for state in ["0", "1"] {
                    let sql = format!("UPDATE users SET is_active = {state} WHERE id = '{id}'");
                    stage.database.execute(&sql, &[]).await;
                    tokio::time::sleep(Duration::from_millis(random.random_range(0..150))).await;
                }
            }
        }
    }
}
