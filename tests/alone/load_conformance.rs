//! The load tester's conformance checks against the real server: all pass, and a planted fault is named.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::load_scenarios::{loadtest, seeded, ws};
use crate::load_v1::{Fault, Proxy};
use crate::support::Server;
use crate::turn;

fn checked(server: &Server, url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(loadtest());
    command.current_dir(server.folder()).env_remove("PREGON_JWT_SECRET");
    command.args(["conformance", "--fixture", "rooms.json", "--url", url]).args(arguments).output().unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn failures(report: &Value) -> Vec<(&str, &str)> {
    let checks = report["checks"].as_array().unwrap().iter().filter(|check| check["ok"] == false);
    checks.map(|check| (check["check"].as_str().unwrap(), check["failure"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_does_all_that_the_protocol_says() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    let output = checked(&server, &ws(&server), &["--json", "-"]);
    let report = report(&output);
    assert_eq!(failures(&report), [], "{}", report["answer"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(report["passed"].as_u64() > Some(50) && report["frames"].as_u64() > Some(1500), "{}", report["answer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_fault_is_named_and_ends_with_1() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    for fault in [Fault::None, Fault::Lose, Fault::Double, Fault::Swap] {
        let proxy = Proxy::to(&server, fault);
        let output = checked(&server, &proxy.address, &["--only", "goes on live", "--json", "-"]);
        let report = report(&output);
        let failed = failures(&report);
        let expected = usize::from(fault != Fault::None);
        assert_eq!(
            (output.status.code(), failed.len()),
            (Some(i32::from(expected == 1)), expected),
            "{fault:?}: {report}"
        );
        let says = |(check, failure): &(&str, &str)| {
            check.contains("what was missed") && failure.contains("expected") && failure.contains("came")
        };
        assert!(failed.iter().all(says), "{fault:?}: {failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_does_not_follow_the_schema_is_named() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    let mut schema: Value = serde_json::from_str(include_str!("../../docs/protocol/pregon.v1.schema.json")).unwrap();
    let kinds = schema["$defs"]["ServerFrame"]["oneOf"].as_array_mut().unwrap();
    let pong = kinds.iter_mut().find(|kind| kind["properties"]["type"]["const"] == "pong").unwrap();
    pong["required"] = json!(["type", "timestamp"]);
    std::fs::write(server.folder().join("other.json"), schema.to_string()).unwrap();
    let only = ["--only", "given back as it came,without pregon.v1", "--schema", "other.json"];
    let output = checked(&server, &ws(&server), &only);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let wrong: Vec<&str> = said.lines().filter(|line| line.starts_with("  FAILED")).collect();
    let [wrong] = wrong[..] else { panic!("{said}") };
    assert!(wrong.contains(r#"expected a frame that follows the schema, came {"id":0,"type":"pong"}"#), "{wrong}");
    assert!(said.lines().any(|line| line.starts_with("  ok ")), "{said}");
    assert_eq!(
        checked(&server, &ws(&server), &["--only", "no such check"]).status.code(),
        Some(2),
        "nothing was checked"
    );
}
