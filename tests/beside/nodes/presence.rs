//! Who is in a room, over all nodes: told once when the first socket comes and once when the last one goes.

use std::time::Duration;

use crate::nodes::cluster::{Cluster, say};
use crate::support::{Server, Socket};
use serde_json::{Value, json};

/// A socket in a group of a test.
async fn open(node: &Server, room: &str, user: usize) -> Socket {
    let mut socket = Socket::open(node, &node.socket_path(&format!("chat/{room}"), user)).await;
    assert_eq!(socket.next_json().await["type"], "connection_success");
    socket
}

/// Everything that a socket hears until the message.
async fn until(socket: &mut Socket, text: &str) -> Vec<Value> {
    let mut heard = Vec::new();
    loop {
        let frame = socket.next_json().await;
        if frame["type"] == "chat_message" && frame["message"]["content"] == text {
            return heard;
        }
        heard.push(frame);
    }
}

fn status(node: &Server, user: usize, is_online: bool) -> (Value, Value) {
    (node.id(user), json!(if is_online { "online" } else { "offline" }))
}

fn statuses(frames: &[Value]) -> Vec<(Value, Value)> {
    let told = frames.iter().filter(|frame| frame["type"] == "user_status");
    told.map(|frame| (frame["user_id"].clone(), frame["status"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_on_two_nodes_comes_once_and_goes_when_both_are_left() {
    let cluster = Cluster::start(2, 3).await;
    let (one, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    let room = cluster.group(&[0, 1, 2]).await;
    let mut ana = open(one, &room, 0).await;
    let first = open(other, &room, 1).await;
    let online = ana.expect_any("user_status").await;
    assert_eq!(statuses(&[online]), [status(one, 1, true)]);
    // A newcomer on the other node learns that Ana is there.
    let mut carla = open(other, &room, 2).await;
    let mut known = vec![carla.expect_any("user_status").await, carla.expect_any("user_status").await];
    known.sort_by_key(|frame| frame["user_id"].to_string());
    let mut expected = vec![status(one, 0, true), status(one, 1, true)];
    expected.sort_by_key(|(user, _)| user.to_string());
    assert_eq!(statuses(&known), expected);
    assert_eq!(statuses(&[ana.expect_any("user_status").await]), [status(one, 2, true)]);
    // Beto moves: he opens a socket on the first node, and the other one goes.
    let second = open(one, &room, 1).await;
    first.close().await;
    say(&mut carla, "hola").await;
    assert_eq!(statuses(&until(&mut ana, "hola").await), [], "who moves has not left");
    second.close().await;
    assert_eq!(statuses(&[ana.expect_any("user_status").await]), [status(one, 1, false)]);
    assert_eq!(statuses(&until_status(&mut carla).await), [status(one, 1, false)]);
}

async fn until_status(socket: &mut Socket) -> Vec<Value> {
    vec![socket.expect_any("user_status").await]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_users_of_a_node_that_dies_go_at_the_end_of_its_lease() {
    let mut cluster = Cluster::start(2, 3).await;
    let room = cluster.group(&[0, 1, 2]).await;
    let mut ana = open(&cluster.nodes[0], &room, 0).await;
    let _beto = open(&cluster.nodes[1], &room, 1).await;
    assert_eq!(statuses(&[ana.expect_any("user_status").await]), [status(&cluster.nodes[0], 1, true)]);
    let began = std::time::Instant::now();
    cluster.nodes[1].kill();
    assert_eq!(statuses(&[ana.expect_any("user_status").await]), [status(&cluster.nodes[0], 1, false)]);
    let lease = pregon::limits::NODE_LEASE + pregon::limits::PRESENCE_GRACE;
    assert!(began.elapsed() >= lease - Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_comes_late_learns_who_is_there() {
    let mut cluster = Cluster::start(1, 3).await;
    let room = cluster.group(&[0, 1, 2]).await;
    let _ana = open(&cluster.nodes[0], &room, 0).await;
    let late = cluster.nodes[0].another();
    cluster.nodes.push(late);
    cluster.wait_for_peers().await;
    let mut beto = open(&cluster.nodes[1], &room, 1).await;
    assert_eq!(statuses(&[beto.expect_any("user_status").await]), [status(&cluster.nodes[0], 0, true)]);
}

/// What is rung while a node is cut off is lost. The sums that the others tell of their rosters show it.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_and_goes_while_a_node_is_cut_off_is_learnt_when_it_is_back() {
    let cluster = Cluster::with_ways(2, 3).await;
    let (near, far) = (&cluster.nodes[0], &cluster.nodes[1]);
    let room = cluster.group(&[0, 1, 2]).await;
    let mut ana = open(far, &room, 0).await;
    let beto = open(near, &room, 1).await;
    assert_eq!(statuses(&[ana.expect_any("user_status").await]), [status(far, 1, true)]);
    cluster.ways[1].cut();
    far.wait_for_metric("pregon_bus_up", |up| up == 0.0).await;
    // A third user hears on the near node what Ana does not.
    let mut carla = open(near, &room, 2).await;
    beto.close().await;
    while statuses(&until_status(&mut carla).await) != [status(near, 1, false)] {}
    cluster.ways[1].heal();
    let mut news = vec![ana.expect_any("user_status").await, ana.expect_any("user_status").await];
    news.sort_by_key(|frame| frame["status"].to_string());
    assert_eq!(statuses(&news), [status(far, 1, false), status(far, 2, true)]);
}

/// A rolling restart: users whose sockets move within the grace never seem to leave.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_a_node_makes_nobody_flap() {
    let mut cluster = Cluster::start(2, 3).await;
    let room = cluster.group(&[0, 1, 2]).await;
    let mut ana = open(&cluster.nodes[0], &room, 0).await;
    let mut beto = open(&cluster.nodes[1], &room, 1).await;
    assert_eq!(statuses(&[ana.expect_any("user_status").await]), [status(&cluster.nodes[0], 1, true)]);
    cluster.nodes[1].signal("TERM");
    assert_eq!(beto.closed().await, 1012);
    let mut beto = open(&cluster.nodes[0], &room, 1).await;
    assert_eq!(cluster.nodes[1].terminate(), Some(0));
    say(&mut beto, "aquí sigo").await;
    assert_eq!(statuses(&until(&mut ana, "aquí sigo").await), []);
    // And after the grace of the node that ended, too: the next status is a real one.
    let third = open(&cluster.nodes[0], &room, 2).await;
    assert_eq!(statuses(&[ana.expect_any("user_status").await]), [status(&cluster.nodes[0], 2, true)]);
    third.close().await;
    assert_eq!(statuses(&[ana.expect_any("user_status").await]), [status(&cluster.nodes[0], 2, false)]);
}
