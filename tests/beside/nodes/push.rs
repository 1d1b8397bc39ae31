//! Web Push of several nodes: whoever has a socket on any of them is told nothing, and everybody else is told once.

use std::time::Instant;

use serde_json::json;

use crate::nodes::cluster::{Cluster, text_of};
use crate::support::push::{CONTACT, PushService, Pushed};
use crate::support::{PATIENCE, Server, Socket};

const ANA: usize = 0;
const BETO: usize = 1;
const NEAR: usize = 0;
const FAR: usize = 1;

/// How many subscriptions were left out because their user has a socket on another node.
const ELSEWHERE: &str = "pregon_push_skipped_total{why=\"elsewhere\"}";

/// Two nodes, and a push service at which Beto has a browser.
async fn pushing() -> (Cluster, PushService) {
    let settings = [("PREGON_PUSH_CONTACT", CONTACT), ("PREGON_PUSH_LOOPBACK", "on"), ("PREGON_PUSH_DELAY_MS", "0")];
    let (cluster, service) = (Cluster::with_settings(2, 2, &settings).await, PushService::start().await);
    // On the far node: one database has the subscriptions of all.
    service.subscribe(&cluster.nodes[FAR], BETO, "beto").await;
    (cluster, service)
}

/// Ana says something by REST.
async fn say(node: &Server, content: &str) {
    let path = format!("/api/messaging/chats/{}/send_message/", node.fixture.rooms[0].id);
    node.done("POST", &path, ANA, Some(json!({"content": content}))).await;
}

async fn hears(socket: &mut Socket, text: &str) {
    assert_eq!(text_of(&socket.expect_any("chat_message").await), text);
}

/// Waits until a node has looked up whom it pushes so many events to.
async fn looked_up(node: &Server, count: f64) {
    node.wait_for_metric("pregon_push_topics_total{what=\"looked_up\"}", |events| events == count).await;
}

/// Waits until so many pushes were sent by a node: what would be sent besides is on its way by then, too.
async fn sent(node: &Server, count: f64) {
    node.wait_for_metric("pregon_push_total{outcome=\"sent\"}", |pushes| pushes == count).await;
}

/// What was said, without who said it.
fn texts(pushed: &[Pushed]) -> Vec<&str> {
    pushed.iter().map(|push| push.said().1.rsplit(": ").next().unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_socket_on_another_node_is_not_pushed_to() {
    let (cluster, service) = pushing().await;
    let (near, far) = (&cluster.nodes[NEAR], &cluster.nodes[FAR]);
    let mut beto = cluster.join(FAR, BETO).await;
    say(near, "uno").await;
    hears(&mut beto, "uno").await;
    near.wait_for_metric(ELSEWHERE, |count| count == 1.0).await;
    looked_up(near, 1.0).await;
    assert_eq!(texts(&service.pushed()), [""; 0]);
    // He leaves, and is told from then on.
    beto.close().await;
    far.wait_for_metric("pregon_sessions", |sessions| sessions == 0.0).await;
    say(near, "dos").await;
    service.wait_for(1).await;
    sent(near, 1.0).await;
    // And comes back.
    let mut beto = cluster.join(FAR, BETO).await;
    say(near, "tres").await;
    hears(&mut beto, "tres").await;
    near.wait_for_metric(ELSEWHERE, |count| count == 2.0).await;
    looked_up(near, 3.0).await;
    assert_eq!(texts(&service.pushed()), ["dos"]);
    assert_eq!(far.metric("pregon_push_topics_total").await, 0.0, "who has not committed it has nothing to do with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_socket_is_pushed_to_by_one_node_alone() {
    let (cluster, service) = pushing().await;
    // The other node hears of each message, for Ana has a socket there.
    let mut ana = cluster.join(FAR, ANA).await;
    say(&cluster.nodes[NEAR], "uno").await;
    hears(&mut ana, "uno").await;
    sent(&cluster.nodes[NEAR], 1.0).await;
    say(&cluster.nodes[FAR], "dos").await;
    hears(&mut ana, "dos").await;
    sent(&cluster.nodes[FAR], 1.0).await;
    let pushed = service.pushed();
    assert_eq!(texts(&pushed), ["uno", "dos"]);
    assert_eq!(pushed[0].key, pushed[1].key, "browsers know one key of all nodes");
    for node in &cluster.nodes {
        assert_eq!(node.metric("pregon_push_topics_total").await, 1.0, "each node looks at what it has committed");
    }
}

/// Before its lease is over a node that died is asked in vain: that costs the push half a second. Afterwards nobody asks it.
#[tokio::test(flavor = "multi_thread")]
async fn the_users_of_a_node_that_is_killed_are_pushed_to_before_and_after_its_lease() {
    let (mut cluster, service) = pushing().await;
    let mut beto = cluster.join(FAR, BETO).await;
    say(&cluster.nodes[NEAR], "antes").await;
    hears(&mut beto, "antes").await;
    cluster.nodes[NEAR].wait_for_metric(ELSEWHERE, |count| count == 1.0).await;
    cluster.nodes[FAR].kill();
    let near = &cluster.nodes[NEAR];
    say(near, "ya").await;
    sent(near, 1.0).await;
    assert_eq!(near.metric("pregon_bus_peers").await, 1.0, "the dead node is still believed in");
    near.wait_for_metric("pregon_bus_peers", |peers| peers == 0.0).await;
    say(near, "después").await;
    sent(near, 2.0).await;
    assert_eq!(texts(&service.pushed()), ["ya", "después"]);
}

/// It may be overloaded, or cut off. Better told twice than not at all.
#[tokio::test(flavor = "multi_thread")]
async fn the_users_of_a_node_that_does_not_answer_are_pushed_to() {
    let (cluster, service) = pushing().await;
    let (near, far) = (&cluster.nodes[NEAR], &cluster.nodes[FAR]);
    let mut beto = cluster.join(FAR, BETO).await;
    far.signal("STOP");
    say(near, "uno").await;
    let pushed = service.wait_for(1).await;
    far.signal("CONT");
    assert_eq!(texts(&pushed), ["uno"]);
    // What the node answers later is an answer to nothing. Its own connections may have to be made anew first.
    hears(&mut beto, "uno").await;
    let (began, mut said) = (Instant::now(), 1.0);
    while near.metric(ELSEWHERE).await == 0.0 {
        assert!(began.elapsed() < PATIENCE, "the node is never heard again");
        say(near, "dos").await;
        hears(&mut beto, "dos").await;
        said += 1.0;
        looked_up(near, said).await;
    }
    sent(near, said - 1.0).await;
    assert_eq!(near.metric(ELSEWHERE).await, 1.0);
}

/// Nobody can be asked. The socket hears of the message by the database, and the browser by push.
#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_everybody_without_a_socket_on_this_node_is_pushed_to_once() {
    let (cluster, service) = pushing().await;
    let near = &cluster.nodes[NEAR];
    let mut beto = cluster.join(FAR, BETO).await;
    let mut ana = cluster.join(NEAR, ANA).await;
    cluster.redis.kill();
    near.wait_for_metric("pregon_bus_up", |up| up == 0.0).await;
    say(near, "sin Redis").await;
    for socket in [&mut ana, &mut beto] {
        hears(socket, "sin Redis").await;
    }
    sent(near, 1.0).await;
    assert_eq!(texts(&service.pushed()), ["sin Redis"]);
    // Of those on this node it is known without asking.
    service.subscribe(near, ANA, "ana").await;
    let path = format!("/api/messaging/chats/{}/send_message/", near.fixture.rooms[0].id);
    near.done("POST", &path, BETO, Some(json!({"content": "aquí estás"}))).await;
    hears(&mut ana, "aquí estás").await;
    near.wait_for_metric("pregon_push_skipped_total{why=\"here\"}", |count| count == 1.0).await;
    hears(&mut beto, "aquí estás").await;
    cluster.redis.start_again();
    cluster.wait_for_peers().await;
    for node in &cluster.nodes {
        node.wait_for_metric("pregon_bus_up", |up| up == 1.0).await;
    }
    say(near, "con Redis").await;
    hears(&mut beto, "con Redis").await;
    near.wait_for_metric(ELSEWHERE, |count| count == 1.0).await;
    assert_eq!(texts(&service.pushed()), ["sin Redis"], "nothing is made up for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_was_muted_on_one_node_is_muted_on_all() {
    let (cluster, service) = pushing().await;
    let (near, far) = (&cluster.nodes[NEAR], &cluster.nodes[FAR]);
    let mute = format!("/api/messaging/chats/{}/mute/", near.fixture.rooms[0].id);
    far.done("POST", &mute, BETO, None).await;
    say(near, "uno").await;
    looked_up(near, 1.0).await;
    far.done("DELETE", &mute, BETO, None).await;
    say(near, "dos").await;
    sent(near, 1.0).await;
    // A subscription that ends on one node, too.
    let browser = service.subscribe(near, BETO, "otro").await;
    far.done("DELETE", "/api/push/subscriptions/", BETO, Some(json!({"endpoint": browser["endpoint"]}))).await;
    say(near, "tres").await;
    sent(near, 2.0).await;
    let pushed = service.pushed();
    assert_eq!(texts(&pushed), ["dos", "tres"]);
    assert!(pushed.iter().all(|push| push.path == "/beto"));
}
