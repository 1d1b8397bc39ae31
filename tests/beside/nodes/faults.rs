//! Nodes and Redis fail in every way: nothing that was acknowledged is lost, doubled or out of order.

use std::time::{Duration, Instant};

use crate::nodes::cluster::{Cluster, Ear, agree, say};

/// Says numbered messages on two nodes in turns, `count` in all, while `meanwhile` happens.
async fn talk(cluster: &Cluster, count: usize, meanwhile: impl Future<Output = ()>) -> Duration {
    let mut ears = Vec::new();
    for node in 0..cluster.nodes.len() {
        ears.push(Ear::new(cluster.join(node, 0).await));
    }
    let mut voices = [cluster.join(0, 1).await, cluster.join(1, 2).await];
    let talking = async {
        for number in 0..count {
            // Each waits for the message of the one before, so that the order is known.
            let voice = &mut voices[number % 2];
            say(voice, &format!("message {number}")).await;
            while crate::nodes::cluster::text_of(&voice.expect("chat_message").await) != format!("message {number}") {}
        }
    };
    let longest = async {
        let mut longest = Duration::ZERO;
        for number in 1..=count {
            let began = Instant::now();
            futures_util::future::join_all(ears.iter_mut().map(|ear| ear.hear(number))).await;
            longest = longest.max(began.elapsed());
        }
        longest
    };
    let ((), (), longest) = tokio::join!(talking, meanwhile, longest);
    agree(&ears);
    let expected: Vec<_> = (0..count).map(|number| format!("message {number}")).collect();
    assert_eq!(ears[0].heard, expected);
    eprintln!("longest silence {longest:?}");
    longest
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_nodes_go_on_over_the_database() {
    let cluster = Cluster::start(2, 3).await;
    cluster.redis.kill();
    let longest = talk(&cluster, 40, async {}).await;
    assert!(longest < Duration::from_secs(3), "{longest:?}");
    for node in &cluster.nodes {
        let answer = reqwest::get(node.http("/readyz")).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), "ready, without redis\n");
    }
    cluster.redis.start_again();
    cluster.wait_for_peers().await;
    talk(&cluster, 20, async {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_dies_and_comes_back_empty_in_the_midst() {
    let cluster = Cluster::start(2, 3).await;
    let meanwhile = async {
        cluster.nodes[1].wait_for_metric("pregon_bus_appended_total", |count| count >= 5.0).await;
        cluster.redis.kill();
        cluster.nodes[0].wait_for_metric("pregon_bus_up", |up| up == 0.0).await;
        cluster.redis.start_again();
    };
    talk(&cluster, 200, meanwhile).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_paused_in_the_midst() {
    let cluster = Cluster::start(2, 3).await;
    let meanwhile = async {
        cluster.nodes[1].wait_for_metric("pregon_bus_appended_total", |count| count >= 5.0).await;
        cluster.redis.pause();
        for node in &cluster.nodes {
            node.wait_for_metric("pregon_bus_up", |up| up == 0.0).await;
        }
        cluster.redis.resume();
        cluster.wait_for_peers().await;
    };
    let longest = talk(&cluster, 200, meanwhile).await;
    assert!(longest < Duration::from_secs(4), "{longest:?}");
}
