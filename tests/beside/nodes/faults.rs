//! Redis fails in every way: nothing that was acknowledged is lost, doubled or out of order.

use std::time::Duration;

use fred::types::Value;

use crate::nodes::cluster::Cluster;
use crate::nodes::oracle::Talk;

/// Messages that are said before a fault, and while it lasts.
const SOME: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_nodes_go_on_over_the_database() {
    let cluster = Cluster::start(2, 3).await;
    cluster.redis.kill();
    let talk = Talk::begin(&cluster, [0, 1]).await;
    talk.go_on(SOME).await;
    talk.end().await.check_of_stayers("no Redis", Duration::from_secs(3));
    for node in &cluster.nodes {
        let answer = reqwest::get(node.http("/readyz")).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), "ready, without redis\n");
    }
    cluster.redis.start_again();
    cluster.wait_for_peers().await;
    let talk = Talk::begin(&cluster, [0, 1]).await;
    talk.go_on(SOME).await;
    talk.end().await.check_of_stayers("Redis is back", Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_dies_and_comes_back_empty_in_the_midst() {
    let cluster = Cluster::start(2, 3).await;
    let talk = Talk::begin(&cluster, [0, 1]).await;
    talk.go_on(SOME).await;
    cluster.redis.kill();
    cluster.nodes[0].wait_for_metric("pregon_bus_up", |up| up == 0.0).await;
    talk.go_on(SOME).await;
    cluster.redis.start_again();
    cluster.wait_for_peers().await;
    talk.end().await.check_of_stayers("Redis killed and back, empty", Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_paused_for_ten_seconds() {
    let cluster = Cluster::start(2, 3).await;
    let talk = Talk::begin(&cluster, [0, 1]).await;
    talk.go_on(SOME).await;
    cluster.redis.pause();
    // The fault itself, not a wait for something.
    tokio::time::sleep(Duration::from_secs(10)).await;
    for node in &cluster.nodes {
        assert!(node.metric("pregon_bus_up").await < 1.0);
    }
    cluster.redis.resume();
    cluster.wait_for_peers().await;
    talk.end().await.check_of_stayers("Redis stopped for 10 s", Duration::from_secs(4));
}

/// A failover to a replica that had nothing yet.
#[tokio::test(flavor = "multi_thread")]
async fn redis_loses_its_streams() {
    let cluster = Cluster::start(2, 3).await;
    let talk = Talk::begin(&cluster, [0, 1]).await;
    for _ in 0..10 {
        talk.go_on(SOME / 4).await;
        for stream in cluster.redis.streams().await {
            let _: i64 = cluster.redis.command(["DEL", &stream].map(Value::from)).await;
        }
    }
    talk.end().await.check_of_stayers("streams deleted, 10 times", Duration::from_secs(3));
}

/// A client library may append once more what was not answered.
#[tokio::test(flavor = "multi_thread")]
async fn entries_are_appended_twice() {
    let cluster = Cluster::start(2, 3).await;
    let talk = Talk::begin(&cluster, [0, 1]).await;
    talk.go_on(SOME).await;
    let mut again = 0;
    for _ in 0..10 {
        for stream in cluster.redis.streams().await {
            let last = ["XREVRANGE", &stream, "+", "-", "COUNT", "10"].map(Value::from);
            for entry in cluster.redis.command::<Value>(last).await.into_array() {
                let fields = entry.into_array().into_iter().nth(1).map(Value::into_array).unwrap();
                let add = ["XADD", &stream, "*"].map(Value::from).into_iter().chain(fields);
                let _: String = cluster.redis.command(add).await;
                again += 1;
            }
        }
        talk.go_on(SOME / 10).await;
    }
    assert!(again >= 50, "{again}");
    talk.end().await.check_of_stayers("entries appended twice, out of order", Duration::from_secs(1));
    let dropped = cluster.nodes[0].metric("pregon_sequence_total{what=\"doubled\"}").await;
    assert!(dropped > 0.0, "nothing came twice");
}
