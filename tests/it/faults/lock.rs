//! Another program holds the database's write lock: writes wait, then are refused; nothing is lost or stored twice.

use std::collections::HashSet;

use crate::support::ledger::Ledger;
use crate::support::{Server, Socket};
use pregon::limits::LANE_WRITES_MAX;
use serde_json::json;

const NOT_STORED: &str = "No se pudo guardar, inténtalo de nuevo";
const BUSY: &str = "El servidor está ocupado, inténtalo de nuevo en unos segundos";

async fn server() -> Server {
    Server::builder().seed(3, 1, 3).set("PREGON_SHARDS", 2).start().await
}

/// The lock, held until it is dropped.
fn lock(server: &Server) -> Ledger {
    let ledger = Ledger::open(server);
    ledger.0.execute_batch("BEGIN IMMEDIATE").unwrap();
    ledger
}

async fn say(socket: &mut Socket, content: &str) {
    socket.send(json!({"type": "chat_message", "content": content})).await;
}

async fn hear(socket: &mut Socket, contents: &[String]) {
    for content in contents {
        assert_eq!(socket.expect("chat_message").await["message"]["content"], *content);
    }
}

#[tokio::test]
async fn a_lock_of_some_seconds_is_waited_for() {
    let server = server().await;
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    let lock = lock(&server);
    let contents: Vec<String> = (0..10).map(|number| format!("paciencia {number}")).collect();
    for content in &contents {
        say(&mut ana, content).await;
    }
    ana.send(json!({"type": "signal", "data": 1})).await;
    beto.expect("signal").await;
    // The answers take some seconds, and all that time the lane waits for the lock.
    assert_eq!((server.status("/readyz").await, server.status("/healthz").await), (503, 200));
    drop(lock);
    hear(&mut ana, &contents).await;
    hear(&mut beto, &contents).await;
    server.wait_for_status("/readyz", 200).await;
    let ledger = Ledger::open(&server);
    ledger.assert_whole();
    assert_eq!(ledger.contents(&server.fixture.rooms[0].id), contents);
}

#[tokio::test]
async fn a_lock_that_stays_is_told_to_senders_and_nothing_comes_of_it_later() {
    let server = server().await;
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    let lock = lock(&server);
    say(&mut ana, "en vano").await;
    assert_eq!(ana.expect("error").await["message"], NOT_STORED);
    assert!(beto.until_pong().await.iter().all(|frame| frame["type"] == "user_status"));
    drop(lock);
    // The same text again: it is not the twin of a refused one.
    say(&mut ana, "en vano").await;
    let contents = ["en vano".to_owned()];
    hear(&mut ana, &contents).await;
    hear(&mut beto, &contents).await;
    let ledger = Ledger::open(&server);
    ledger.assert_whole();
    assert_eq!(ledger.contents(&server.fixture.rooms[0].id), contents);
}

/// A lane's memory is bounded: later senders are told so at once and keep their message, the others' messages are
/// stored once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_lane_turns_senders_away_and_keeps_what_it_took() {
    let server = server().await;
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    let lock = lock(&server);
    // More than the queue and the batch that waits for the lock.
    let sent = LANE_WRITES_MAX + 1200;
    for number in 0..sent {
        say(&mut ana, &format!("{number}")).await;
    }
    let mut busy = 0;
    let mut failed = 0;
    let mut echoed = Vec::new();
    assert_eq!(ana.expect("error").await["message"], BUSY, "told while the lane still waits");
    busy += 1;
    drop(lock);
    let listen_to_all = async {
        while busy + failed + echoed.len() < sent {
            let frame = ana.next_json().await;
            match (frame["type"].as_str().unwrap(), frame["message"].as_str()) {
                ("chat_message", _) => echoed.push(frame["message"]["content"].as_str().unwrap().to_owned()),
                ("error", Some(BUSY)) => busy += 1,
                // On a slow machine the first batch may have given up before the lock was released.
                ("error", Some(NOT_STORED)) => failed += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(ana.until_pong().await.is_empty(), "one answer for each message");
        // Tells beto when to stop.
        say(&mut ana, "fin").await;
        ana.expect("chat_message").await;
    };
    // On a thread of its own, because a slow reader of thousands of messages would be disconnected.
    let listen_beside = tokio::spawn(async move {
        let mut heard = Vec::new();
        loop {
            match beto.expect("chat_message").await["message"]["content"].as_str().unwrap() {
                "fin" => return heard,
                content => heard.push(content.to_owned()),
            }
        }
    });
    let ((), heard) = tokio::join!(listen_to_all, listen_beside);
    let heard: Vec<String> = heard.unwrap();
    assert!(echoed.len() + failed >= LANE_WRITES_MAX, "{busy} busy, {failed} failed, {} echoed", echoed.len());
    assert_eq!(heard, echoed);
    assert_eq!(echoed.iter().collect::<HashSet<_>>().len(), echoed.len());
    let ledger = Ledger::open(&server);
    ledger.assert_whole();
    echoed.push("fin".into());
    assert_eq!(ledger.contents(&server.fixture.rooms[0].id), echoed);
}
