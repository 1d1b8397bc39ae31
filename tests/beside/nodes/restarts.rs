//! Nodes and the database die and come back while people talk.

use std::time::Duration;

use tokio::task::block_in_place;

use crate::nodes::cluster::{Cluster, Ear, say, text_of};
use crate::nodes::oracle::Talk;
use crate::support::private::MariaDb;

/// Messages that are said before a fault, and while it lasts.
const SOME: usize = 60;

/// What its senders heard back is heard elsewhere, once and in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_killed_in_the_midst_of_its_own_traffic() {
    let mut cluster = Cluster::start(2, 3).await;
    let mut heard_back = 0;
    for round in 0..5 {
        let mut ear = Ear::new(cluster.join(1, 0).await);
        let mut other = cluster.join(1, 2).await;
        let mut voice = cluster.join(0, 1).await;
        for number in 0..400 {
            say(&mut voice, &format!("round {round}, message {number}")).await;
        }
        // Some are heard back, others are still being written.
        let mut acknowledged = Vec::new();
        while acknowledged.len() < 50 + 20 * round {
            let frame = voice.next_json().await;
            if frame["type"] == "chat_message" {
                acknowledged.push(text_of(&frame));
            }
        }
        cluster.nodes[0].kill();
        while let Some(frame) = voice.try_next_json().await {
            if frame["type"] == "chat_message" {
                acknowledged.push(text_of(&frame));
            }
        }
        let end = format!("round {round}, end");
        say(&mut other, &end).await;
        while text_of(&other.expect_any("chat_message").await) != end {}
        while ear.heard.last().is_none_or(|last| *last != end) {
            ear.hear(ear.heard.len() + 1).await;
        }
        let heard: Vec<_> = ear.heard.iter().take(acknowledged.len()).cloned().collect();
        assert_eq!(heard, acknowledged, "in round {round}");
        let mut distinct = ear.heard.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), ear.heard.len(), "something was heard twice");
        heard_back += acknowledged.len();
        block_in_place(|| cluster.nodes[0].restart());
        cluster.wait_for_peers().await;
    }
    eprintln!("| a node killed in the midst of its traffic, 5 times | {heard_back} | {heard_back} | 0 | 0 | - |");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_are_restarted_one_after_the_other() {
    let mut cluster = Cluster::start(3, 3).await;
    let talk = Talk::begin(&cluster, [0, 1]).await;
    talk.go_on(SOME).await;
    for number in 0..3 {
        let code = block_in_place(|| cluster.nodes[number].terminate());
        assert_eq!(code, Some(0));
        talk.go_on(SOME).await;
        block_in_place(|| cluster.nodes[number].restart_in_place());
        cluster.wait_for_peers().await;
        talk.go_on(SOME).await;
    }
    let report = talk.end().await;
    report.check("three nodes restarted one after the other", Duration::from_secs(3));
    assert!(report.moved >= 3, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_restarted_beneath_three_nodes() {
    let database = MariaDb::start();
    let cluster = Cluster::on(&database, 3, 3).await;
    let talk = Talk::begin(&cluster, [0, 1]).await;
    talk.go_on(SOME).await;
    for _ in 0..2 {
        block_in_place(|| database.kill());
        block_in_place(|| database.start_again());
        talk.go_on(SOME).await;
    }
    talk.end().await.check("MariaDB killed and started again, twice", Duration::from_secs(20));
}
