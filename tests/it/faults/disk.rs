//! A full disk, and a database that may not be written: senders are told, the server lives, nothing is half-written.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use crate::support::ledger::Ledger;
use crate::support::{Server, Socket};
use serde_json::json;

const NOT_STORED: &str = "No se pudo guardar, inténtalo de nuevo";

async fn server() -> Server {
    Server::builder().seed(3, 1, 3).set("PREGON_SHARDS", 2).start().await
}

async fn say(socket: &mut Socket, content: &str) {
    socket.send(json!({"type": "chat_message", "content": content})).await;
}

/// The limit on file sizes makes every write fail, wherever the tests run and whoever runs them. The log of standard
/// error is on the "full disk", too.
#[tokio::test]
async fn a_full_disk_is_told_to_senders_alone_and_forgotten_when_there_is_room() {
    let mut server = server().await;
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    say(&mut ana, "antes").await;
    let before = beto.expect("chat_message").await["message"].clone();
    ana.expect("chat_message").await;
    server.limit_files(Some(0));
    for number in 0..30 {
        say(&mut ana, &format!("perdido {number}")).await;
    }
    ana.send(json!({"type": "edit_message", "message_id": before["id"], "content": "después"})).await;
    ana.send(json!({"type": "react_message", "message_id": before["id"], "reaction_type": "fire"})).await;
    ana.send(json!({"type": "read_message", "message_id": before["id"]})).await;
    for number in 0..33 {
        assert_eq!(ana.expect("error").await["message"], NOT_STORED, "{number}");
    }
    // Ephemeral events still work, and so does everything that only reads.
    ana.send(json!({"type": "typing", "is_typing": true})).await;
    beto.expect("typing_status").await;
    ana.send(json!({"type": "signal", "data": 7})).await;
    assert_eq!(beto.expect("signal").await["data"], 7);
    assert!(beto.until_pong().await.is_empty(), "nobody else hears of what was not stored");
    assert_eq!((server.status("/healthz").await, server.status("/readyz").await), (200, 503));
    let room = format!("/api/messaging/chats/{}", server.fixture.rooms[0].id);
    let body = Some(json!({"content": "por REST"}));
    assert_eq!(server.rest("POST", &format!("{room}/send_message/"), 0, body).await.0, 503);
    let (status, history) = server.rest("GET", &format!("{room}/messages/"), 0, None).await;
    assert_eq!((status, &history["count"], &history["results"][0]["content"]), (200, &json!(1), &json!("antes")));
    let mut caro = server.join(0, 2).await;
    caro.until_pong().await;

    server.limit_files(None);
    server.wait_for_status("/readyz", 200).await;
    say(&mut ana, "después").await;
    let after = ana.expect("chat_message").await["message"].clone();
    assert_eq!(beto.expect("user_status").await["user_id"], server.fixture.users[2].id);
    assert_eq!(beto.expect("chat_message").await["message"], after);
    let ledger = Ledger::open(&server);
    ledger.assert_whole();
    assert_eq!(ledger.contents(&server.fixture.rooms[0].id), ["antes", "después"]);
    assert_eq!(ledger.number("SELECT count(*) FROM message_reactions"), 0);
    drop((ana, beto, caro));
    assert_eq!(server.terminate(), Some(0));
}

/// The disk fills up between two writes, not before the first. After a crash, exactly the echoed messages are there.
#[tokio::test]
async fn a_disk_that_fills_up_under_load_keeps_exactly_what_was_echoed() {
    let mut server = server().await;
    let mut ana = server.join(0, 0).await;
    let mut beto = server.join(0, 1).await;
    say(&mut ana, "0").await;
    ana.expect("chat_message").await;
    let mut wal = server.database().into_os_string();
    wal.push("-wal");
    let mut echoed = vec!["0".to_owned()];
    let mut refused = 0;
    server.limit_files(Some(std::fs::metadata(&wal).unwrap().len() + 200 * 1024));
    let long = "x".repeat(1900);
    for number in 1.. {
        say(&mut ana, &format!("{number} {long}")).await;
        let answer = ana.next_json().await;
        match answer["type"].as_str().unwrap() {
            "chat_message" => echoed.push(answer["message"]["content"].as_str().unwrap().to_owned()),
            "error" => {
                assert_eq!(answer["message"], NOT_STORED);
                refused += 1;
            }
            "user_status" => {}
            _ => panic!("{answer}"),
        }
        if refused == 3 {
            break;
        }
    }
    assert!(echoed.len() > 2, "there was some room");
    for content in &echoed {
        assert_eq!(beto.expect("chat_message").await["message"]["content"], *content);
    }
    assert!(beto.until_pong().await.is_empty());
    // Killed while the disk is full; at the next start there is space.
    server.kill();
    server.restart();
    let mut ana = server.join(0, 0).await;
    say(&mut ana, "otra vez").await;
    ana.expect("chat_message").await;
    echoed.push("otra vez".into());
    let ledger = Ledger::open(&server);
    ledger.assert_whole();
    assert_eq!(ledger.contents(&server.fixture.rooms[0].id), echoed);
}

/// The start is refused with one sentence if this user may not write the file. Root may write everything, so a test
/// that runs as root starts the server as nobody.
#[tokio::test]
async fn a_database_that_may_not_be_written_stops_the_start_with_one_sentence() {
    let mut server = server().await;
    let mut ana = server.join(0, 0).await;
    say(&mut ana, "antes").await;
    ana.expect("chat_message").await;
    drop(ana);
    assert_eq!(server.terminate(), Some(0));
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(server.folder(), 0o777);
    mode(&server.database(), 0o444);
    // The user nobody may not enter the folder in which the binary was built.
    let binary = server.folder().join("pregon");
    std::fs::copy(env!("CARGO_BIN_EXE_pregon"), &binary).unwrap();
    let own = server.command();
    let mut command = std::process::Command::new(&binary);
    command.current_dir(server.folder()).env_clear();
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let mut child = command.arg("serve").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let first = BufReader::new(child.stdout.take().unwrap()).lines().next();
    if let Some(line) = first {
        let _ = child.kill();
        panic!("it starts: {line:?}");
    }
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let sentence = format!(
        "database unavailable: {} is read-only: let this user write it and its folder\n",
        server.database().display()
    );
    assert_eq!(complaint, sentence);

    mode(&server.database(), 0o644);
    server.restart();
    let mut ana = server.join(0, 0).await;
    say(&mut ana, "después").await;
    ana.expect("chat_message").await;
    assert_eq!(Ledger::open(&server).contents(&server.fixture.rooms[0].id), ["antes", "después"]);
}
