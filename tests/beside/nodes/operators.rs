//! What operators ask of all nodes: sockets listed, told something, and cut.

use std::process::Output;
use std::time::{Duration, Instant};

use pregon::limits::OPERATOR_PATIENCE;
use serde_json::{Value, json};

use crate::nodes::cluster::{Cluster, say};
use crate::nodes::mover::Client;
use crate::support::private::MariaDb;

/// What a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_secs(3);

fn printed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {} {}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    })
}

/// Runs a command on the first node, which must be done on all.
fn done(cluster: &Cluster, arguments: &[&str]) -> Value {
    let output = cluster.nodes[0].operate(None, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    printed(&output)
}

fn counts(outcome: &Value) -> Vec<(&str, u64)> {
    let nodes = outcome["nodes"].as_array().unwrap();
    nodes.iter().map(|node| (node["node"].as_str().unwrap(), node["count"].as_u64().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_the_sockets_of_all_nodes() {
    let cluster = Cluster::start(2, 3).await;
    let node = &cluster.nodes[0];
    let (name, room) = (node.fixture.users[0].username.clone(), node.fixture.rooms[0].id.clone());
    let _chat = cluster.join(0, 0).await;
    let _other = cluster.join(0, 1).await;
    let _feed = cluster.nodes[1].feed(0).await;
    let _many = Client::open(&cluster.nodes[1], 0, None).await;

    let of_user = done(&cluster, &["sessions", "list", "--user", &name, "--json"]);
    assert_eq!(counts(&of_user), [("chat-0", 1), ("chat-1", 2)]);
    let chat = &of_user["nodes"][0]["rows"][0];
    assert_eq!((&chat["user"], &chat["username"], &chat["kind"]), (&node.id(0), &json!(name), &json!("chat")));
    assert_eq!(chat["topic"], json!(format!("room:{}", room.replace('-', ""))));
    assert!(chat["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{chat}");
    let now = pregon::clock::Timestamp::now().seconds();
    assert!((now - 60..=now).contains(&chat["since"].as_i64().unwrap()), "{chat}");
    assert!(chat["idle_seconds"].as_u64().unwrap() < 60 && chat["owed_bytes"].is_u64(), "{chat}");
    let elsewhere = of_user["nodes"][1]["rows"].as_array().unwrap();
    let many = elsewhere.iter().find(|row| row["kind"] == "many").unwrap();
    assert_eq!((&many["topics"], &many["topic"]), (&json!(1), &Value::Null));
    assert!(elsewhere.iter().any(|row| row["kind"] == "feed"), "{elsewhere:?}");

    let by_id = done(&cluster, &["sessions", "list", "--user", &node.fixture.users[0].id, "--json"]);
    assert_eq!(counts(&by_id), counts(&of_user));
    let of_room = done(&cluster, &["sessions", "list", "--room", &room, "--json"]);
    assert_eq!(counts(&of_room), [("chat-0", 2), ("chat-1", 1)]);
    let of_node = done(&cluster, &["sessions", "list", "--node", "chat-1", "--json"]);
    assert_eq!(counts(&of_node), [("chat-1", 2)]);
    let from = done(&cluster, &["sessions", "list", "--node", "chat-1", "--from", "63.0", "--json"]);
    assert_eq!(counts(&from), [("chat-1", 2)], "all are counted");
    assert_eq!(from["nodes"][0]["rows"], json!([]), "behind the last shard there is nobody");

    let table = cluster.nodes[1].operate(None, &["sessions", "list", "--user", &name]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.starts_with("NODE ") && table.contains("pregon.v1, topics: 1"), "{table}");
    assert_eq!(table.lines().filter(|line| line.contains(&name)).count(), 3, "{table}");
    let unknown = node.operate(None, &["sessions", "list", "--node", "chat-9"]);
    let complaint = String::from_utf8_lossy(&unknown.stderr);
    assert!(!unknown.status.success() && complaint.contains("there are chat-0, chat-1"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_is_heard_on_all_nodes_in_both_protocols() {
    let cluster = Cluster::start(2, 3).await;
    let user = &cluster.nodes[0].fixture.users[0];
    let mut chat = cluster.join(0, 0).await;
    let mut many = Client::open(&cluster.nodes[1], 0, None).await;
    let mut other = Client::open(&cluster.nodes[1], 1, None).await;
    let text = "Volvemos en cinco minutos: \"paciencia\" 😀";
    let told = done(&cluster, &["sessions", "tell", "--user", &user.username, "--text", text, "--json"]);
    assert_eq!(counts(&told), [("chat-0", 1), ("chat-1", 1)]);
    assert_eq!(chat.expect("notice").await, json!({"type": "notice", "text": text}));
    assert_eq!(many.socket.expect_any("notice").await, json!({"type": "notice", "text": text}));
    let room = cluster.nodes[0].fixture.rooms[0].id.clone();
    done(&cluster, &["sessions", "tell", "--room", &room, "--text", "hola a todos", "--json"]);
    let topic = format!("room:{}", room.replace('-', ""));
    let in_room = json!({"type": "notice", "topic": topic, "text": "hola a todos"});
    assert_eq!(chat.expect("notice").await["text"], "hola a todos");
    assert_eq!(many.socket.expect_any("notice").await, in_room);
    assert_eq!(other.socket.expect_any("notice").await, in_room, "the first notice was not meant for this user");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_ends_a_users_sockets_on_all_nodes_and_nobody_elses() {
    let cluster = Cluster::start(2, 3).await;
    let name = cluster.nodes[0].fixture.users[0].username.clone();
    let mut chat = cluster.join(0, 0).await;
    let mut many = Client::open(&cluster.nodes[1], 0, None).await;
    let mut other = Client::open(&cluster.nodes[1], 1, None).await;
    let cut = done(&cluster, &["sessions", "cut", "--user", &name, "--json"]);
    assert_eq!(counts(&cut), [("chat-0", 1), ("chat-1", 1)]);
    assert_eq!((chat.closed().await, many.closed().await), (1012, 1012));
    let again = done(&cluster, &["sessions", "cut", "--user", &name, "--json"]);
    assert_eq!(counts(&again), [("chat-0", 0), ("chat-1", 0)], "there is nobody left");
    assert_eq!(other.rest().await, [Value::Null; 0]);
    let mut feed = cluster.nodes[1].feed(0).await;
    done(&cluster, &["sessions", "cut", "--user", &name, "--stay-away", "--json"]);
    assert_eq!(feed.closed().await, 4003);
    for node in &cluster.nodes {
        assert!(node.log().contains("an operator: sessions were cut"), "{}", node.log());
        assert!(!node.log().contains(crate::support::ADMIN_KEY));
    }
    assert!(cluster.nodes[0].metric("pregon_admin_sessions_total").await >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_room_is_lost_by_sockets_with_many_topics_which_stay() {
    let cluster = Cluster::start(2, 3).await;
    let room = cluster.nodes[0].fixture.rooms[0].id.clone();
    let mut chat = cluster.join(0, 0).await;
    let mut many = Client::open(&cluster.nodes[1], 1, None).await;
    done(&cluster, &["sessions", "cut", "--room", &room, "--json"]);
    assert_eq!(chat.closed().await, 1012);
    let lost = many.socket.expect_any("unsubscribed").await;
    assert_eq!((&lost["code"], &lost["retry"]), (&json!("cut"), &json!("later")), "{lost}");
    assert_eq!(many.rest().await, [Value::Null; 0]);
    // It may come again, and hears.
    let mut again = Client::open(&cluster.nodes[1], 2, None).await;
    let mut chat = cluster.join(0, 0).await;
    say(&mut chat, "ya estoy").await;
    assert_eq!(again.message().await["content"], "ya estoy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_died_is_named() {
    let mut cluster = Cluster::start(3, 3).await;
    let _chat = cluster.join(0, 0).await;
    cluster.nodes[2].kill();
    let name = cluster.nodes[0].fixture.users[0].username.clone();
    let began = Instant::now();
    let output = cluster.nodes[0].operate(None, &["sessions", "list", "--user", &name, "--json"]);
    assert!(began.elapsed() < OPERATOR_PATIENCE + SLACK, "{:?}", began.elapsed());
    let outcome = printed(&output);
    assert_eq!((counts(&outcome), &outcome["silent"]), (vec![("chat-0", 1), ("chat-1", 0)], &json!(["chat-2"])));
    assert_eq!(output.status.code(), Some(1), "not all was asked");
    assert!(String::from_utf8_lossy(&output.stderr).contains("chat-2 did not answer"));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_a_users_id_is_enough() {
    let database = MariaDb::start();
    let cluster = Cluster::on(&database, 2, 3).await;
    let user = &cluster.nodes[0].fixture.users[0];
    let mut elsewhere = Client::open(&cluster.nodes[1], 0, None).await;
    tokio::task::block_in_place(|| database.kill());
    let list = |user: &str| cluster.nodes[0].operate(None, &["sessions", "list", "--user", user, "--json"]);
    assert_eq!(counts(&printed(&list(&user.id))), [("chat-0", 0), ("chat-1", 1)]);
    let cut = done(&cluster, &["sessions", "cut", "--user", &user.id, "--json"]);
    assert_eq!(counts(&cut), [("chat-0", 0), ("chat-1", 1)]);
    assert_eq!(elsewhere.closed().await, 1012);
    let by_name = list(&user.username);
    let complaint = String::from_utf8_lossy(&by_name.stderr);
    assert!(complaint.contains("the database does not answer") && complaint.contains("user's id"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_key_declines_what_others_ask() {
    let mut cluster = Cluster::start(1, 2).await;
    let next = [("PREGON_NODE", "chat-1".to_owned()), ("PREGON_ADMIN_KEY", String::new())];
    cluster.nodes.push(cluster.nodes[0].another_with(&next));
    cluster.wait_for_peers().await;
    assert!(!cluster.nodes[1].log().contains("operators are heard"));
    let mut many = Client::open(&cluster.nodes[1], 0, None).await;
    let name = &cluster.nodes[0].fixture.users[0].username;
    let output = cluster.nodes[0].operate(None, &["sessions", "cut", "--user", name, "--json"]);
    assert_eq!(counts(&printed(&output)), [("chat-0", 0), ("chat-1", 0)]);
    assert_eq!(output.status.code(), Some(1), "not all was done");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("chat-1: it has no PREGON_ADMIN_KEY"), "{complaint}");
    assert_eq!(many.rest().await, [Value::Null; 0]);
}
