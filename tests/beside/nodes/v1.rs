//! Sockets of `pregon.v1` on several nodes: who is where, and what a repetition is told elsewhere.

use std::time::Instant;

use crate::nodes::cluster::Cluster;
use crate::support::v1::Client;
use crate::support::{PATIENCE, Server};
use serde_json::{Value, json};

fn topic(room: &str) -> String {
    format!("room:{}", room.replace('-', ""))
}

/// Waits until a room says so on a node.
async fn until_present(client: &mut Client, topic: &str, present: u32) -> Value {
    let began = Instant::now();
    loop {
        let info = client.asked(json!({"type": "room_info", "topic": topic})).await;
        assert_eq!(info["type"], "room_info", "{info}");
        assert!(began.elapsed() < PATIENCE, "{present} are never there: {info}");
        if info["present"] == present {
            return info;
        }
    }
}

/// The users whom a roster calls present.
async fn present(client: &mut Client, topic: &str) -> Vec<Value> {
    let page = client.asked(json!({"type": "roster", "topic": topic})).await;
    let members = page["members"].as_array().unwrap();
    members.iter().filter(|member| member["present"] == true).map(|member| member["id"].clone()).collect()
}

fn sorted(node: &Server, users: &[usize]) -> Vec<Value> {
    let mut ids: Vec<Value> = users.iter().map(|user| node.id(*user)).collect();
    ids.sort_by_key(Value::to_string);
    ids
}

async fn next_count(client: &mut Client) -> u64 {
    loop {
        let frame = client.next().await;
        if frame["event"]["type"] == "presence_count" {
            return frame["event"]["present"].as_u64().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_of_any_size_says_who_is_there_over_all_nodes() {
    let small = Cluster::start(2, 4).await;
    let large = Cluster::with_settings(2, 4, &[("PREGON_PRESENCE_ROOM_MAX", "2")]).await;
    for cluster in [&small, &large] {
        let room = topic(&cluster.group(&[0, 1, 2, 3]).await);
        let mut ana = Client::open(&cluster.nodes[0], 0).await;
        let mut beto = Client::open(&cluster.nodes[1], 1).await;
        ana.subscribed(&room, None).await;
        beto.subscribed(&room, None).await;
        // Beto is on both, and counts once.
        let mut again = Client::open(&cluster.nodes[0], 1).await;
        again.subscribed(&room, None).await;
        for client in [&mut ana, &mut beto] {
            let info = until_present(client, &room, 2).await;
            assert_eq!(info["participants"], 4);
            let mut there = present(client, &room).await;
            there.sort_by_key(Value::to_string);
            assert_eq!(there, sorted(&cluster.nodes[0], &[0, 1]));
        }
        again.socket.close().await;
        beto.socket.close().await;
        until_present(&mut ana, &room, 1).await;
        assert_eq!(present(&mut ana, &room).await, [cluster.nodes[0].id(0)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_room_is_told_how_many_are_there_over_all_nodes() {
    let cluster = Cluster::with_settings(2, 4, &[("PREGON_PRESENCE_ROOM_MAX", "2")]).await;
    let room = topic(&cluster.group(&[0, 1, 2, 3]).await);
    let mut ana = Client::open(&cluster.nodes[0], 0).await;
    ana.subscribed(&room, None).await;
    let mut beto = Client::open(&cluster.nodes[1], 1).await;
    beto.subscribed(&room, None).await;
    while next_count(&mut ana).await != 2 {}
    while next_count(&mut beto).await != 2 {}
    let mut late = cluster.nodes[0].another();
    let mut carla = Client::open(&late, 2).await;
    carla.subscribed(&room, None).await;
    for client in [&mut ana, &mut beto, &mut carla] {
        while next_count(client).await != 3 {}
    }
    late.kill();
    while next_count(&mut ana).await != 2 {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_on_another_node_is_told_the_same_place() {
    let cluster = Cluster::start(2, 2).await;
    let room = topic(&cluster.nodes[0].fixture.rooms[0].id);
    let request = json!({"type": "chat_message", "topic": room, "content": "una vez", "client_id": "c-1"});
    let mut ana = Client::open(&cluster.nodes[0], 0).await;
    let first = ana.asked(request.clone()).await;
    assert_eq!((&first["repeated"], &first["client_id"]), (&json!(false), &json!("c-1")), "{first}");
    let mut elsewhere = Client::open(&cluster.nodes[1], 0).await;
    let second = elsewhere.asked(request).await;
    assert_eq!((&second["repeated"], &second["message_id"]), (&json!(true), &first["message_id"]), "{second}");
    assert!(first["cursor"].is_string());
    assert_eq!(second["cursor"], first["cursor"]);
}
