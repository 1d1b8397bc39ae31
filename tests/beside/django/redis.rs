//! The channel layer's Redis comes and goes, and so do the processes that listen to it.

use std::time::{Duration, Instant};

use crate::backend::Django;
use crate::support::{PATIENCE, Server, Socket};
use serde_json::{Value, json};

async fn ana(django: &Django) -> Value {
    django.pregon(&["migrate"]);
    django.user("ana").await
}

fn group(user: &Value) -> String {
    format!("feed_{}", user["id"].as_str().unwrap())
}

/// Ana publishes a post, and her feed receives it.
async fn is_heard(django: &Django, feed: &mut Socket, content: &str) {
    let post = django.act("post", json!({"author": "ana", "content": content})).await;
    let frame = feed.next_json().await;
    assert_eq!((&frame["type"], &frame["post"]["id"]), (&json!("new_post"), &post["id"]));
}

/// The number of pregon's keys in the channel layer's Redis, without the group's own.
async fn keys_left(django: &Django) -> i64 {
    django.redis_number("DBSIZE").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_leaves_its_groups_and_nothing_else_behind() {
    let django = Django::start().await;
    let ana = ana(&django).await;
    let mut server = django.pregon_server(&[&ana]).await;
    let mut feed = server.feed(0).await;
    django.wait_for_group(&group(&ana), 1).await;
    is_heard(&django, &mut feed, "hola").await;
    drop(feed);
    assert_eq!(server.terminate(), Some(0));
    django.wait_for_group(&group(&ana), 0).await;
    assert_eq!(keys_left(&django).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_without_listeners_is_left_while_the_server_runs() {
    let django = Django::start().await;
    let ana = ana(&django).await;
    let server = django.pregon_server(&[&ana]).await;
    let feed = server.feed(0).await;
    django.wait_for_group(&group(&ana), 1).await;
    feed.close().await;
    let began = Instant::now();
    django.wait_for_group(&group(&ana), 0).await;
    assert!(began.elapsed() > Duration::from_secs(5), "who reloads a page is back in a moment");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_may_die_and_come_back_empty() {
    let django = Django::start().await;
    let ana = ana(&django).await;
    let server = django.pregon_server(&[&ana]).await;
    let mut feed = server.feed(0).await;
    django.wait_for_group(&group(&ana), 1).await;
    is_heard(&django, &mut feed, "antes").await;
    let before = cpu_of_three_seconds(&server).await;
    django.redis.kill();
    server.wait_for_status("/readyz", 503).await;
    assert_eq!(server.metric("pregon_django_redis").await, 0.0);
    // Without optimisation a server that rests uses 0.25 s, on a slow machine twice that.
    let used = cpu_of_three_seconds(&server).await;
    assert!(used < before + 0.4, "it waits, and does not spin: {used:.2} s of CPU in 3 s, {before:.2} s before");
    assert_eq!(server.log().matches("what Django announces is not heard").count(), 1, "once");
    // Everything that needs no Redis still works, such as chat.
    let (status, _) = server.rest("GET", "/api/notifications/", 0, None).await;
    assert_eq!(status, 200);
    django.redis.start_again();
    server.wait_for_status("/readyz", 200).await;
    django.wait_for_group(&group(&ana), 1).await;
    is_heard(&django, &mut feed, "después").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_is_joined_anew() {
    let django = Django::start().await;
    let ana = ana(&django).await;
    let server = django.pregon_server(&[&ana]).await;
    let mut feed = server.feed(0).await;
    django.wait_for_group(&group(&ana), 1).await;
    django.redis_number("DBSIZE").await;
    django.redis_flush().await;
    django.wait_for_group(&group(&ana), 1).await;
    is_heard(&django, &mut feed, "hola").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_redis_is_found_out() {
    let django = Django::start().await;
    let ana = ana(&django).await;
    let server = django.pregon_server(&[&ana]).await;
    django.redis.pause();
    server.wait_for_status("/readyz", 503).await;
    django.redis.resume();
    server.wait_for_status("/readyz", 200).await;
    let mut feed = server.feed(0).await;
    django.wait_for_group(&group(&ana), 1).await;
    is_heard(&django, &mut feed, "hola").await;
}

/// A figure from Redis's INFO.
async fn redis_says(django: &Django, section: &str, figure: &str) -> i64 {
    let script = format!("return tonumber(string.match(redis.call('INFO','{section}'),'{figure}(%d+)') or 0)");
    django.redis_number(&format!("EVAL \"{script}\" 0")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_without_memory_is_not_flooded_with_connections() {
    let django = Django::start().await;
    let ana = ana(&django).await;
    let server = django.pregon_server(&[&ana]).await;
    server.wait_for_status("/readyz", 200).await;
    let before = redis_says(&django, "clients", "connected_clients:").await;
    django.redis_set("maxmemory", "1").await;
    let mut feed = server.feed(0).await;
    server.wait_for_status("/readyz", 503).await;
    let began = Instant::now();
    while redis_says(&django, "commandstats", "cmdstat_zadd:[^%c]*rejected_calls=").await < 6 {
        assert!(began.elapsed() < PATIENCE, "it goes on trying");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    django.redis_set("maxmemory", "0").await;
    server.wait_for_status("/readyz", 200).await;
    django.wait_for_group(&group(&ana), 1).await;
    is_heard(&django, &mut feed, "hola").await;
    let began = Instant::now();
    loop {
        let clients = redis_says(&django, "clients", "connected_clients:").await;
        if clients <= before {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{clients} connections, {before} before");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_leaves_behind_is_cleared_away_by_another() {
    let django = Django::start().await;
    let ana = ana(&django).await;
    let mut killed = django.pregon_server(&[&ana]).await;
    let _feed = killed.feed(0).await;
    django.wait_for_group(&group(&ana), 1).await;
    killed.kill();
    django.wait_for_group(&group(&ana), 1).await;
    // As if it had been dead for a long time.
    django.redis_age_ledger().await;
    let server = django.pregon_server(&[&ana]).await;
    django.wait_for_group(&group(&ana), 0).await;
    assert!(server.log().contains("ended without doing so"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_it_says_what_will_not_be_seen() {
    let django = Django::start().await;
    let ana = ana(&django).await;
    let server = django.pregon_server_with(&[&ana], &[("PREGON_REDIS_URL", "")]).await;
    assert!(server.log().contains("PREGON_REDIS_URL is not set: posts, reactions and comments"), "{}", server.log());
    server.wait_for_status("/readyz", 200).await;
    let mut bell = server.notifications(0).await;
    django.act("make_user", json!({"username": "beto"})).await;
    django.act("notification", json!({"recipient": "ana", "sender": "beto", "message": "hola"})).await;
    assert_eq!(bell.next_json().await["notification"]["message"], "hola");
    let ledger = server.command().env("PREGON_REDIS_URL", "").arg("check").output().unwrap();
    let said = String::from_utf8_lossy(&ledger.stdout).into_owned();
    assert!(said.contains("redis: not configured: open pages do not see Django's posts"), "{said}");
    let check = server.command().env("PREGON_REDIS_URL", django.redis.url()).arg("check").output().unwrap();
    assert!(String::from_utf8_lossy(&check.stdout).contains("answers"), "{check:?}");
    django.redis.kill();
    let check = server.command().env("PREGON_REDIS_URL", django.redis.url()).arg("check").output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(said.contains("WRONG redis") && said.contains("does not answer"), "{said}");
}

/// Garbage in the queues does no harm.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_the_queues_is_passed_over() {
    let django = Django::start().await;
    let ana = ana(&django).await;
    let server = django.pregon_server(&[&ana]).await;
    let mut feed = server.feed(0).await;
    django.wait_for_group(&group(&ana), 1).await;
    let garbage = django.redis_throw_garbage(200).await;
    server.wait_for_metric("pregon_django_bells_total", |bells| bells >= garbage as f64).await;
    is_heard(&django, &mut feed, "hola").await;
}

/// The server's CPU time so far.
async fn cpu_of_three_seconds(server: &Server) -> f64 {
    let used = cpu_seconds(server);
    tokio::time::sleep(Duration::from_secs(3)).await;
    cpu_seconds(server) - used
}

fn cpu_seconds(server: &Server) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}
