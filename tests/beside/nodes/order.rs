//! What happens on one node is heard on all, in one order.

use serde_json::json;

use crate::nodes::cluster::{Cluster, Ear, agree, say};

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_many_senders_are_heard_on_all_nodes_in_one_order() {
    let cluster = Cluster::start(3, 6).await;
    let mut ears = Vec::new();
    for node in 0..3 {
        ears.push(Ear::new(cluster.join(node, 0).await));
    }
    let mut senders = Vec::new();
    for user in 1..6 {
        senders.push(cluster.join(user % 3, user).await);
    }
    let each = 60;
    let sending = senders.into_iter().enumerate().map(|(number, mut socket)| async move {
        for message in 0..each {
            say(&mut socket, &format!("{number} says {message}")).await;
        }
        socket
    });
    let hearing = ears.iter_mut().map(|ear| ear.hear(5 * each));
    let (_senders, _) = tokio::join!(futures_util::future::join_all(sending), futures_util::future::join_all(hearing));
    agree(&ears);
    for number in 0..5 {
        let own: Vec<_> = ears[0].heard.iter().filter(|text| text.starts_with(&format!("{number} "))).collect();
        let expected: Vec<_> = (0..each).map(|message| format!("{number} says {message}")).collect();
        assert_eq!(own, expected.iter().collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_comments_and_notifications_are_heard_elsewhere() {
    let cluster = Cluster::start(2, 3).await;
    let (one, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    other.follow(1, 0).await;
    let mut feed = other.feed(1).await;
    let mut bell = other.notifications(0).await;
    let post = one.publish(0, "hola").await;
    assert_eq!(feed.expect("new_post").await["post"]["id"], post["id"]);
    let mut on_post = other.on_post(&post, 1).await;
    let path = format!("/api/posts/{}/comments/", post["id"].as_str().unwrap());
    one.done("POST", &path, 2, Some(json!({"content": "bien"}))).await;
    assert_eq!(on_post.expect("new_comment").await["comment"]["content"], "bien");
    assert_eq!(bell.expect("notification").await["notification"]["notification_type"], "comment");
    one.done("DELETE", &format!("/api/posts/{}/", post["id"].as_str().unwrap()), 0, None).await;
    loop {
        let frame = feed.next_json().await;
        if frame["type"] == "post_deleted" {
            assert_eq!(frame["post_id"], post["id"]);
            break;
        }
        assert_eq!(frame["type"], "post_updated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_is_heard_elsewhere_and_not_by_its_own_user() {
    let cluster = Cluster::start(2, 3).await;
    let mut ana = cluster.join(0, 0).await;
    let mut anas_other = cluster.join(1, 0).await;
    let mut beto = cluster.join(1, 1).await;
    ana.send(json!({"type": "typing", "is_typing": true})).await;
    assert_eq!(beto.expect("typing_status").await["user_id"], cluster.nodes[0].id(0));
    // Ana's other socket gets what comes after it, and not this.
    say(&mut beto, "hola").await;
    assert_eq!(anas_other.expect("chat_message").await["message"]["content"], "hola");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_on_one_node_is_put_out_on_the_other() {
    let cluster = Cluster::start(2, 4).await;
    let (one, other) = (&cluster.nodes[0], &cluster.nodes[1]);
    let id = cluster.group(&[0, 1, 2]).await;
    let mut socket = crate::support::Socket::open(other, &other.socket_path(&format!("chat/{id}"), 1)).await;
    socket.until_pong().await;
    one.done("POST", &format!("/api/messaging/chats/{id}/leave/"), 1, None).await;
    assert_eq!(socket.closed().await, 4003);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_on_one_node_closes_the_sockets_on_the_other() {
    let cluster = Cluster::start(2, 2).await;
    let mut elsewhere = cluster.join(1, 1).await;
    let began = std::time::Instant::now();
    cluster.nodes[0].done("POST", "/api/auth/logout/", 1, Some(json!({}))).await;
    assert_eq!(elsewhere.closed().await, 4001);
    // The regular look comes once a minute.
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
}
