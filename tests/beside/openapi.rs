//! The REST API against its own document: schemathesis (PyPI) makes up requests, right and wrong, of every operation, and holds each
//! answer's status, type and body against what `/api/schema/` says.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::python::environment;
use crate::support::Server;

/// Made-up requests of each operation, beside those that its schema suggests.
const REQUESTS: &str = "10";

/// Requests that are chosen by `only`, as the first user. Returns what the program says of it.
fn checked(server: &Server, settings: &Path, only: &[&str]) -> String {
    let mut command =
        Command::new(environment("schemathesis", "tests/openapi/requirements.txt").join("bin/schemathesis"));
    command.arg("--config-file").arg(settings).args(["run", &server.http("/api/schema/")]);
    command.args(["-H", &format!("Authorization: Bearer {}", server.fixture.users[0].token)]);
    command.args([
        "-c",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
    ]);
    command.args(["--phases", "examples,coverage,fuzzing", "-n", REQUESTS, "--suppress-health-check", "all"]);
    command.args(["--warnings", "off", "--continue-on-failure", "--no-color"]).args(only);
    let output = command.current_dir(server.folder()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_what_the_document_says() {
    let server = Server::builder().seed(6, 0, 0).start().await;
    let document = reqwest::get(server.http("/api/schema/")).await.unwrap();
    assert_eq!(document.headers()["content-type"], "application/json");
    let document: Value = document.json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");

    // Things that are there, of the first user, so that not everything is 404.
    let others = json!([server.id(1), server.id(2)]);
    let group = json!({"chat_type": "group", "name": "Equipo", "participant_ids": others});
    let room = server.done("POST", "/api/messaging/chats/", 0, Some(group)).await["id"].clone();
    let send = format!("/api/messaging/chats/{}/send_message/", room.as_str().unwrap());
    let message = server.done("POST", &send, 0, Some(json!({"content": "hola"}))).await["id"].clone();
    let post = server.publish(0, "un gol").await;
    let at = |rest: &str| format!("/api/posts/{}/{rest}", post["id"].as_str().unwrap());
    let comment = server.done("POST", &at("comments/"), 0, Some(json!({"content": "ja"}))).await["id"].clone();
    server.done("POST", &at("react/"), 1, Some(json!({"reaction_type": "like"}))).await;
    let notification = server.done("GET", "/api/notifications/", 0, None).await["results"][0]["id"].clone();
    let known = [
        ("room", room),
        ("message", message),
        ("post", post["id"].clone()),
        ("short_id", post["short_id"].clone()),
        ("comment", comment),
        ("name", json!(server.fixture.users[1].username)),
        ("notification", notification),
    ];
    let lines: Vec<String> = known.iter().map(|(name, value)| format!("\"path.{name}\" = {value}\n")).collect();
    let settings = server.folder().join("schemathesis.toml");
    std::fs::write(&settings, format!("[parameters]\n{}", lines.concat())).unwrap();

    // What ends the login, or takes away what the others need, comes last or not at all.
    let first = [
        "--exclude-path-regex",
        "(logout|change-password|leave|remove_participant|users/block)",
        "--exclude-method",
        "DELETE",
    ];
    let said = checked(&server, &settings, &first);
    assert!(said.contains("No issues found"), "{said}");
    // They were not all refused.
    for route in ["messaging/chats/{room}/messages/{message}", "posts/{post}", "notifications/{notification}/read"] {
        let done = server.metric(&format!("pregon_http_requests_total{{route=\"/api/{route}\",status=\"200\"")).await;
        assert!(done > 0.0, "{route} was never done");
    }
    for last in [["--include-method", "DELETE"], ["--include-path-regex", "(leave|remove_participant|users/block)"]] {
        checked(&server, &settings, &last);
    }
}
