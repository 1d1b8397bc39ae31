//! A profile that changes on one node is seen on all.

use serde_json::{Value, json};

use crate::nodes::cluster::Cluster;
use crate::nodes::mover::Client;

/// The next line about users.
async fn named(client: &mut Client) -> Value {
    let users = client.socket.expect_any("users").await;
    users["users"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_on_all_nodes_hear_of_a_new_name_under_the_old_number() {
    let cluster = Cluster::start(2, 3).await;
    let (one, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    let mut here = Client::open(one, 0, None).await;
    let mut there = Client::open(other, 1, None).await;
    let mut speaker = Client::open(one, 2, None).await;
    speaker.say("hola").await;
    let mut known = Vec::new();
    for client in [&mut here, &mut there] {
        known.push(named(client).await);
        client.message().await;
    }
    // Whatever the other node remembers of her is old from here on.
    let path = format!("/api/users/profile/{}/", one.fixture.users[2].username);
    other.done("GET", &path, 0, None).await;
    one.done("PATCH", "/api/auth/profile/", 2, Some(json!({"display_name": "Caro la nueva"}))).await;
    for (client, before) in [&mut here, &mut there].into_iter().zip(&known) {
        let now = named(client).await;
        assert_eq!((&now["n"], &now["id"]), (&before["n"], &before["id"]));
        assert_eq!(now["display_name"], "Caro la nueva");
    }
    assert_eq!(other.done("GET", &path, 0, None).await["display_name"], "Caro la nueva");
    speaker.say("sigo aquí").await;
    for (client, before) in [&mut here, &mut there].into_iter().zip(&known) {
        assert_eq!(client.message().await["user"], before["n"]);
    }
}
