//! What clients do on one node counts on the others, where that is so.

use crate::nodes::cluster::Cluster;
use crate::support::{SECRET, Server, Socket};
use pregon::access::token::Tokens;
use pregon::clock::Timestamp;
use pregon::limits::BAD_TOKENS_MAX;

/// The status of a handshake that was refused, or nothing.
async fn refusal(node: &Server, token: &str) -> Option<u16> {
    let path = format!("/ws/chat/{}/?token={token}", node.fixture.rooms[0].id);
    Socket::try_open(node, &path, &[]).await.err()
}

/// A client behind a load balancer comes to another node each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_one_node_has_refused_three_times_is_barred_on_all() {
    let cluster = Cluster::with_settings(2, 2, &[("PREGON_RATE_LIMITS", "on")]).await;
    let [here, there] = &cluster.nodes[..] else { panic!("two nodes") };
    let ana = here.fixture.users[0].id.parse().unwrap();
    let expired = Tokens::new(SECRET.as_bytes()).issue_access(ana, Timestamp::now().plus_seconds(-4000));
    for _ in 0..BAD_TOKENS_MAX {
        assert_eq!(refusal(here, &expired).await, None);
    }
    assert_eq!(refusal(here, &expired).await, Some(403));
    there.wait_for_metric("pregon_limits_hit_total{limit=\"bad tokens\"}", |count| count == 1.0).await;
    assert_eq!(refusal(there, &expired).await, Some(403), "at its first try");
    assert_eq!(refusal(there, "another.bad.token").await, None);
    assert_eq!(refusal(there, &here.fixture.users[0].token).await, None);
}
