//! Autobahn's cases of RFC 6455 itself against the server: none fails, and none is merely not strict.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Server, Socket};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/autobahn")
}

/// Python with the suite, in an environment that tests/autobahn/run.py makes in the build folder.
fn python() -> PathBuf {
    let script = "import run; print(run.python())";
    let output = Command::new("python3").args(["-B", "-c", script]).current_dir(folder()).output();
    let output = output.unwrap_or_else(|error| panic!("python3: {error}; tests/run installs it"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// The verdicts of these cases.
fn verdicts(server: &Server, arguments: &[&str]) -> Vec<Value> {
    let address = format!("ws://{}/ws/echo/", server.address());
    let mut command = Command::new(python());
    command.arg("-B").arg(folder().join("cases.py")).arg(address).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_the_rfc_is_done_strictly() {
    let server = Server::builder().set("PREGON_ECHO", "on").start().await;
    // Sections 12 and 13 are those of an extension.
    let all = verdicts(&server, &["--exclude", "12.*", "--exclude", "13.*", "--parallel", "4"]);
    let of = |outcome: &str| all.iter().filter(|case| case["outcome"] == outcome).count();
    let wrong: Vec<&Value> =
        all.iter().filter(|case| case["outcome"] != "ok" && case["outcome"] != "informational").collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((of("ok"), of("informational")), (298, 3), "all cases of sections 1 to 10");
}

/// The first eight sizes of each kind of messages and of each offer: 16 bytes to 32 KiB. All 216 cases take minutes:
/// `make conformance`.
#[tokio::test(flavor = "multi_thread")]
async fn cases_of_compression_are_done_strictly() {
    let server = Server::builder().set("PREGON_ECHO", "on").start().await;
    let kinds = (1..=5).map(|kind| format!("12.{kind}")).chain((1..=7).map(|offer| format!("13.{offer}")));
    let cases: Vec<String> = kinds.flat_map(|kind| (1..=8).map(move |size| format!("{kind}.{size}"))).collect();
    let arguments = cases.iter().flat_map(|case| ["--include", case]).chain(["--parallel", "4"]);
    let all = verdicts(&server, &arguments.collect::<Vec<_>>());
    let wrong: Vec<&Value> = all.iter().filter(|case| case["outcome"] != "ok").collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(all.len(), 96);
}

#[tokio::test]
async fn there_is_an_echo_only_where_it_is_switched_on() {
    let server = Server::builder().start().await;
    assert_eq!(Socket::try_open(&server, "/ws/echo/", &[]).await.err(), Some(404));
    let server = Server::builder().set("PREGON_ECHO", "on").start().await;
    let mut socket = Socket::open(&server, "/ws/echo/").await;
    // More than any other socket takes.
    let long = tokio_tungstenite::tungstenite::Message::binary(vec![7; 1024 * 1024]);
    for message in [tokio_tungstenite::tungstenite::Message::text("hola"), long] {
        socket.send_raw(message.clone()).await;
        assert_eq!(socket.next().await, message);
    }
    assert_eq!(
        Socket::try_open(&server, "/ws/echo/", &[("origin", "https://elsewhere.invalid")]).await.err(),
        Some(403)
    );
}
