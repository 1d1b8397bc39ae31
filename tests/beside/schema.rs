//! The API's document against the server: schemathesis asks what the document describes, and finds nothing that is not in it.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_the_document_says() {
    let server = Server::builder().seed(3, 1, 3).set("PREGON_PUSH_CONTACT", "mailto:ops@pregon.org").start().await;
    let fixture = server.folder().join("openapi.json");
    let users: Vec<_> =
        server.fixture.users.iter().map(|user| json!({"username": user.username, "token": user.token})).collect();
    let rooms: Vec<_> = server.fixture.rooms.iter().map(|room| json!({"id": room.id})).collect();
    std::fs::write(&fixture, json!({"users": users, "rooms": rooms}).to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/run.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).arg(server.http("")).arg(&fixture);
    // As many examples as find what has been wrong, within half a minute; the same ones each time.
    command.args(["--max-examples", "8", "--phases", "examples,fuzzing", "--seed", "1", "--continue-on-failure"]);
    let output = command.output().unwrap_or_else(|error| panic!("python3: {error}; tests/run installs it"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
