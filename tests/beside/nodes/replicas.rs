//! Acknowledgements that say `replicated`: only while a replica of the database acknowledges what is committed.

use crate::support::private::MariaDb;
use crate::support::v1::Client;
use crate::support::{PATIENCE, Server, pregon};
use serde_json::json;

async fn until(server: &MariaDb, name: &str, value: &str) {
    let began = std::time::Instant::now();
    loop {
        let found = server.status(name).await;
        if found == value {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{name} stays {found:?}");
    }
}

async fn run(server: &MariaDb, sql: &str) {
    use mysql_async::prelude::Queryable;
    let mut connection = server.connect("").await;
    connection.query_drop(sql).await.unwrap();
    connection.disconnect().await.unwrap();
}

/// What `pregon check` says of replicas.
fn check(url: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        [("PREGON_DATABASE_URL".to_owned(), url.to_owned()), ("PREGON_DURABILITY".to_owned(), "replicated".to_owned())];
    let output = pregon(&settings, folder.path()).arg("check").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find(|line| line.contains(" replicas: ")).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_says_replicated_only_while_a_replica_has_everything() {
    let source = MariaDb::source(1000);
    let replica = MariaDb::replica_of(&source).await;
    until(&source, "Rpl_semi_sync_master_clients", "1").await;
    let url = source.url(&source.new_database().await);
    let builder = Server::builder().on_mariadb().seed(2, 1, 2).set("PREGON_DJANGO", "off");
    let server = builder.set("PREGON_DATABASE_URL", &url).set("PREGON_DURABILITY", "replicated").start().await;
    until(&source, "Rpl_semi_sync_master_status", "ON").await;
    assert!(check(&url).starts_with("ok "), "{}", check(&url));
    let topic = format!("room:{}", server.fixture.rooms[0].id.replace('-', ""));
    let mut ana = Client::open(&server, 0).await;
    let said = json!({"type": "chat_message", "topic": topic, "content": "hola", "client_id": "c-1"});
    let ack = ana.asked(said.clone()).await;
    assert_eq!((&ack["type"], &ack["durability"]), (&json!("ack"), &json!("replicated")), "{ack}");
    let again = ana.asked(said).await;
    assert_eq!((&again["repeated"], &again["durability"]), (&json!(true), &json!("replicated")), "{again}");

    run(&replica, "STOP SLAVE").await;
    let say = |text: &str| json!({"type": "chat_message", "topic": topic, "content": text});
    for text in ["nadie", "tampoco"] {
        let ack = ana.asked(say(text)).await;
        assert_eq!((&ack["type"], &ack["durability"]), (&json!("ack"), &json!("stored")), "{ack}");
    }
    assert!(server.log().contains("no replica acknowledges"), "{}", server.log());
    let wrong = check(&url);
    assert!(wrong.starts_with("WRONG") && wrong.contains("no replica acknowledges"), "{wrong}");

    run(&replica, "START SLAVE").await;
    until(&source, "Rpl_semi_sync_master_status", "ON").await;
    // The first commit behind the gap may not know yet.
    ana.asked(say("de vuelta")).await;
    let ack = ana.asked(say("otra vez")).await;
    assert_eq!(ack["durability"], "replicated", "{ack}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_replicas_the_check_says_so_and_acknowledgements_say_stored() {
    let url = MariaDb::shared().url(&MariaDb::shared().new_database().await);
    let builder = Server::builder().on_mariadb().seed(1, 1, 1).set("PREGON_DJANGO", "off");
    let server = builder.set("PREGON_DATABASE_URL", &url).set("PREGON_DURABILITY", "replicated").start().await;
    assert!(check(&url).starts_with("WRONG"), "{}", check(&url));
    let mut ana = Client::open(&server, 0).await;
    let topic = format!("room:{}", server.fixture.rooms[0].id.replace('-', ""));
    let ack = ana.asked(json!({"type": "chat_message", "topic": topic, "content": "hola"})).await;
    assert_eq!(ack["durability"], "stored", "{ack}");
}
