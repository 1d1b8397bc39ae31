//! Every frame of a feed socket, on one shard and on several.

mod support;

use serde_json::{Value, json};
use support::Server;

const ANA: usize = 0;
const BETO: usize = 1;

/// Beto follows Ana; Caro follows nobody. The behaviour is the same whatever the number of shards.
async fn servers() -> Vec<Server> {
    let mut servers = Vec::new();
    for shards in [1, 4] {
        let server = Server::builder().seed(4, 0, 0).set("PREGON_SHARDS", shards).start().await;
        server.follow(BETO, ANA).await;
        servers.push(server);
    }
    servers
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn a_new_post_reaches_its_author_and_who_follows_with_all_its_keys() {
    for server in servers().await {
        let mut ana = server.feed(ANA).await;
        let mut beto = server.feed(BETO).await;
        let post = server.publish(ANA, "hola feed ñ").await;
        let frame = beto.expect("new_post").await;
        assert_eq!(keys(&frame), ["post", "type"]);
        assert_eq!(ana.expect("new_post").await, frame);
        let shown = &frame["post"];
        assert_eq!(keys(shown), keys(&post));
        assert_eq!(keys(shown).len(), 28);
        assert_eq!(keys(&shown["user"]).len(), 28);
        assert_eq!(shown["id"], post["id"]);
        assert_eq!((&shown["content"], &shown["user"]["id"]), (&json!("hola feed ñ"), &server.id(ANA)));
        assert_eq!((&shown["user_reaction"], &shown["is_bookmarked"]), (&Value::Null, &json!(false)));
        assert_eq!(shown["user"]["email"], "", "contacts are masked");
        assert_eq!(shown["user"]["posts_count"], 1);
    }
}
