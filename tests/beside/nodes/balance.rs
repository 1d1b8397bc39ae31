//! Nodes give sockets of `pregon.v1` to others that have fewer, and their clients miss nothing.

use serde_json::Value;
use tokio::sync::mpsc;

use crate::nodes::cluster::{Cluster, say};
use crate::nodes::mover::Client;
use crate::support::{Server, Socket};

/// A client hears until the last message, and moves when it is told to. Returns what it has heard.
async fn listen(mut client: Client, user: usize, to: &Server, moved: mpsc::UnboundedSender<usize>) -> Vec<String> {
    let mut heard = Vec::new();
    loop {
        let frame = client.next().await;
        match frame["type"].as_str().unwrap() {
            "event" if frame["event"]["type"] == "message" => {
                let text = frame["event"]["content"].as_str().unwrap().to_owned();
                if text == "fin" {
                    return heard;
                }
                heard.push(text);
            }
            "drain" => {
                assert!(
                    frame["move_after_ms"].as_u64().unwrap() <= frame["move_within_ms"].as_u64().unwrap(),
                    "{frame}"
                );
                // The old socket is left when the new one is live.
                let next = Client::open(to, user, client.cursor.as_deref()).await;
                std::mem::replace(&mut client, next).socket.close().await;
                moved.send(user).unwrap();
            }
            _ => {}
        }
    }
}

fn rebalance(node: &Server, percent: &str) -> Value {
    let output = node.operate(None, &["rebalance", "--over", "1", "--percent", percent, "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn told(outcome: &Value) -> u64 {
    outcome["nodes"].as_array().unwrap().iter().map(|node| node["count"].as_u64().unwrap()).sum()
}

/// Waits until a node has so many sockets, and the others know.
async fn wait_for(node: &Server, sessions: f64) {
    node.wait_for_metric("pregon_sessions", |open| open == sessions).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_node_gets_its_part_and_who_moves_misses_nothing() {
    const LISTENERS: usize = 12;
    let mut cluster = Cluster::start(1, LISTENERS + 1).await;
    let mut clients = Vec::new();
    for user in 0..LISTENERS {
        clients.push(Client::open(&cluster.nodes[0], user, None).await);
    }
    let mut speaker = cluster.join(0, LISTENERS).await;
    cluster.add().await;
    wait_for(&cluster.nodes[0], 13.0).await;
    let (tell, mut moved) = mpsc::unbounded_channel();
    let listening =
        clients.into_iter().enumerate().map(|(user, client)| listen(client, user, &cluster.nodes[1], tell.clone()));
    let listening = futures_util::future::join_all(listening);
    let talking = async {
        speak(&mut speaker, "antes").await;
        assert_eq!(told(&rebalance(&cluster.nodes[0], "100")), 6, "13 and 0: the mean is 7");
        let mut said = vec!["antes".to_owned()];
        for _ in 0..6 {
            while moved.try_recv().is_err() {
                let text = format!("{} mensajes", said.len());
                speak(&mut speaker, &text).await;
                said.push(text);
            }
        }
        speak(&mut speaker, "fin").await;
        said
    };
    let (all_heard, said) = tokio::join!(listening, talking);
    for heard in all_heard {
        assert_eq!(heard, said);
    }
}

/// Says something, and waits until it is stored.
async fn speak(socket: &mut Socket, text: &str) {
    say(socket, text).await;
    loop {
        let frame = socket.next_json().await;
        if frame["message"]["content"] == text {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_move_is_closed_and_nobody_goes_below_the_mean() {
    let mut cluster = Cluster::start(1, 6).await;
    let mut clients = Vec::new();
    for user in 0..6 {
        clients.push(Client::open(&cluster.nodes[0], user, None).await);
    }
    cluster.add().await;
    wait_for(&cluster.nodes[0], 6.0).await;
    assert_eq!(told(&rebalance(&cluster.nodes[1], "20")), 2, "the other node asks; a fifth of six, rounded up");
    assert_eq!(told(&rebalance(&cluster.nodes[0], "20")), 0, "in one minute");
    assert_eq!(told(&rebalance(&cluster.nodes[0], "100")), 1, "three are the mean");
    assert_eq!(told(&rebalance(&cluster.nodes[0], "100")), 0);
    let mut told = Vec::new();
    for (user, client) in clients.iter_mut().enumerate() {
        if client.rest().await.iter().any(|frame| frame["type"] == "drain") {
            told.push(user);
        }
    }
    assert_eq!(told.len(), 3);
    for user in told {
        assert_eq!(clients[user].closed().await, 1012);
    }
    wait_for(&cluster.nodes[0], 3.0).await;
}
