//! The listener of operators on a server alone: who is heard, and what the commands print.

use std::net::SocketAddr;
use std::time::Instant;

use pregon::limits::{HANDSHAKE_TIMEOUT, OPERATOR_CONNECTIONS_MAX, OPERATOR_CONNECTIONS_OF_ADDRESS_MAX};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{ADMIN_KEY, Server, pregon};

async fn server() -> Server {
    let server = Server::builder().seed(3, 1, 3).set("PREGON_SHARDS", 2);
    server.set("PREGON_ADMIN_KEY", ADMIN_KEY).set("PREGON_ADMIN_ADDRESS", "127.0.0.1:0").start().await
}

/// The one sentence of a failure.
fn complaint(output: &std::process::Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_alone_lists_tells_and_cuts() {
    let server = server().await;
    let name = &server.fixture.users[0].username;
    let mut chat = server.join(0, 0).await;
    let mut other = server.join(0, 1).await;
    let listed = server.operate(None, &["sessions", "list", "--user", name]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.lines().last().unwrap().starts_with("1 session found: 1 of "), "{listed}");
    let told = server.operate(None, &["sessions", "tell", "--user", name, "--text", "hola"]);
    assert!(told.status.success(), "{}", complaint(&told));
    assert_eq!(chat.expect("notice").await, json!({"type": "notice", "text": "hola"}));
    let cut = server.operate(None, &["sessions", "cut", "--room", &server.fixture.rooms[0].id]);
    assert!(String::from_utf8(cut.stdout).unwrap().starts_with("2 sessions cut: 2 of "));
    assert_eq!((chat.closed().await, other.closed().await), (1012, 1012));
    let given = server.operate(None, &["rebalance"]);
    assert!(String::from_utf8(given.stdout).unwrap().starts_with("0 sessions told to move"), "there is no other node");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_the_key_is_heard() {
    let server = server().await;
    let name = &server.fixture.users[0].username;
    let list = ["sessions", "list", "--user", name];
    let wrong = complaint(&server.operate(Some("another key of operators"), &list));
    assert!(wrong.contains("the key is missing or wrong") && wrong.contains("PREGON_ADMIN_KEY"), "{wrong}");
    let warned = server.log().lines().any(|line| line.contains("not the operators' key") && line.contains("peer=127."));
    assert!(warned, "{}", server.log());
    let http = reqwest::Client::new();
    let at = |path: &str| format!("http://{}{path}", server.admin_address());
    for (header, status) in [
        (None, 401),
        (Some(ADMIN_KEY.to_owned()), 401),
        (Some(format!("Bearer {ADMIN_KEY}x")), 401),
        (Some(format!("Bearer {ADMIN_KEY}")), 404),
    ] {
        let mut request = http.get(at("/nothing"));
        if let Some(header) = &header {
            request = request.header("authorization", header);
        }
        assert_eq!(request.send().await.unwrap().status(), status, "{header:?}");
    }
    // Clients' listeners know nothing of it.
    assert_ne!(server.status("/sessions?user=x").await, 401);
    for (body, part) in [
        (json!({}), "either user or room"),
        (json!({"user": "nadie"}), "is no user"),
        (json!({"room": "x"}), "is no room's id"),
        (json!({"user": name, "why": 1}), "unknown field"),
    ] {
        let request = http.post(at("/sessions/cut")).bearer_auth(ADMIN_KEY).json(&body);
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert!(status.is_client_error() && text["error"].as_str().unwrap().contains(part), "{body}: {status} {text}");
    }
    assert!(!server.log().contains(ADMIN_KEY));
}

async fn whole_answer(mut socket: TcpStream) -> String {
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_key_locks_no_operator_out() {
    let server = server().await;
    let address: SocketAddr = server.admin_address().parse().unwrap();
    let mut silent = Vec::new();
    for _ in 0..OPERATOR_CONNECTIONS_MAX {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let began = Instant::now();
    let operator = TcpSocket::new_v4().unwrap();
    operator.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut operator = operator.connect(address).await.unwrap();
    let request = format!("GET /nothing HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {ADMIN_KEY}\r\n\r\n");
    operator.write_all(request.as_bytes()).await.unwrap();
    let answer = whole_answer(operator).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let mut turned_away = 0;
    for socket in silent {
        let answer = whole_answer(socket).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503"), "{answer}");
        turned_away += usize::from(!answer.is_empty());
    }
    assert_eq!(turned_away, OPERATOR_CONNECTIONS_MAX - OPERATOR_CONNECTIONS_OF_ADDRESS_MAX);
    assert!(began.elapsed() < HANDSHAKE_TIMEOUT, "{:?}", began.elapsed());
    // Their places are free again.
    assert!(server.operate(None, &["sessions", "list", "--user", &server.fixture.users[0].username]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_nobody_listens_and_the_command_says_so() {
    let server = Server::builder().seed(1, 1, 1).start().await;
    assert!(!server.log().contains("operators are heard"));
    let list = ["sessions", "list", "--user", "x"];
    let unset = complaint(&server.command().args(list).output().unwrap());
    assert!(unset.starts_with("PREGON_ADMIN_KEY is not set"), "{unset}");
    // Nobody has this port: it was free a moment ago, and is bound to nothing.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = server.command();
    command.env("PREGON_ADMIN_KEY", ADMIN_KEY).env("PREGON_ADMIN_ADDRESS", &free);
    let nobody = complaint(&command.args(list).output().unwrap());
    assert!(nobody.contains("nobody listens for operators on") && nobody.contains(&free), "{nobody}");
}

#[test]
fn beyond_this_machine_a_long_key_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let started = |settings: &[(&str, &str)]| {
        let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        complaint(&pregon(&settings, folder.path()).arg("serve").output().unwrap())
    };
    let far = ("PREGON_ADMIN_ADDRESS", "0.0.0.0:0");
    let without = started(&[far]);
    assert!(without.contains("PREGON_ADMIN_KEY is not set, but is required"), "{without}");
    let short = started(&[far, ("PREGON_ADMIN_KEY", "only twenty bytes ..")]);
    assert!(short.contains("has 20 bytes, but must have at least 32"), "{short}");
    let near = started(&[("PREGON_ADMIN_KEY", "short")]);
    assert!(near.contains("has 5 bytes, but must have at least 16"), "{near}");
    let missing = started(&[("PREGON_ADMIN_KEY_FILE", "/nowhere/key")]);
    assert!(missing.contains("PREGON_ADMIN_KEY_FILE") && missing.contains("cannot be read"), "{missing}");
}
