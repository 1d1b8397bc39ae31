//! The network between one node and Redis fails, and nobody misses a message.

use std::time::Duration;

use fred::types::Value;

use crate::nodes::cluster::Cluster;
use crate::nodes::oracle::{Report, Talk};
use crate::nodes::proxy::Proxy;

/// Messages that are said while a node is cut off.
const MEANWHILE: usize = 60;

/// Everybody talks while the second node is cut off from Redis in this way.
async fn cut_off(speakers: [usize; 2], how: impl Fn(&Proxy)) -> Report {
    let cluster = Cluster::with_ways(2, 3).await;
    let talk = Talk::begin(&cluster, speakers).await;
    talk.go_on(MEANWHILE).await;
    how(&cluster.ways[1]);
    cluster.nodes[1].wait_for_metric("pregon_bus_up", |up| up == 0.0).await;
    talk.go_on(MEANWHILE).await;
    cluster.ways[1].heal();
    cluster.wait_for_peers().await;
    talk.end().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_connections_to_redis_are_reset() {
    let report = cut_off([0, 1], Proxy::cut).await;
    report.check_of_stayers("one node cut off from Redis, connections reset", Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_redis_answers_no_more() {
    let report = cut_off([0, 1], Proxy::fall_silent).await;
    report.check_of_stayers("one node cut off from Redis, no answers", Duration::from_secs(3));
}

/// The other node hears of them only by its looks at the log: it has no event of its own that shows a hole.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_redis_answers_no_more_and_that_alone_has_speakers() {
    let report = cut_off([1, 1], Proxy::fall_silent).await;
    report.check_of_stayers("the same, all speakers on that node", Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_redis_answers_no_more_and_that_alone_listens() {
    let report = cut_off([0, 0], Proxy::fall_silent).await;
    report.check_of_stayers("the same, all speakers on the other node", Duration::from_secs(3));
}

/// The other node counts the one that is cut off as dead, and hears what it writes as soon as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_for_longer_than_a_lease_is_heard() {
    let cluster = Cluster::with_ways(2, 3).await;
    cluster.ways[1].cut();
    cluster.nodes[0].wait_for_metric("pregon_bus_peers", |peers| peers == 0.0).await;
    let talk = Talk::begin(&cluster, [1, 1]).await;
    // All speakers are on the node that is cut off: nothing else tells the other node of what they say.
    // The fault itself, for three of the looks that nodes take while all is well.
    tokio::time::sleep(3 * pregon::limits::LOOK_EVERY_CALM).await;
    talk.go_on(MEANWHILE).await;
    talk.end().await.check_of_stayers("one node cut off for longer than its lease", Duration::from_millis(1500));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_redis_takes_50_ms_with_jitter() {
    let cluster = Cluster::with_ways(2, 3).await;
    let talk = Talk::begin(&cluster, [0, 1]).await;
    talk.go_on(MEANWHILE).await;
    cluster.ways.iter().for_each(|way| way.delay(Duration::from_millis(50)));
    talk.go_on(4 * MEANWHILE).await;
    for node in &cluster.nodes {
        node.wait_for_metric("pregon_bus_up", |up| up > 0.0).await;
    }
    talk.end().await.check_of_stayers("50 to 75 ms each way to Redis", Duration::from_secs(1));
}

/// Everything that the cut-off node would have read is trimmed before it comes back.
#[tokio::test(flavor = "multi_thread")]
async fn the_streams_are_trimmed_while_a_node_is_cut_off() {
    let cluster = Cluster::with_ways(2, 3).await;
    let talk = Talk::begin(&cluster, [0, 0]).await;
    talk.go_on(MEANWHILE).await;
    cluster.ways[1].cut();
    talk.go_on(MEANWHILE).await;
    for stream in cluster.redis.streams().await {
        let trim = ["XTRIM", &stream, "MAXLEN", "0"].map(Value::from);
        let _: i64 = cluster.redis.command(trim).await;
    }
    cluster.ways[1].heal();
    cluster.wait_for_peers().await;
    talk.end().await.check_of_stayers("streams trimmed while a node is cut off", Duration::from_secs(2));
}
