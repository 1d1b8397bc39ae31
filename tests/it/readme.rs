//! README.md's commands, run as they stand there, and the example that it names.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const README: &str = include_str!("../../README.md");
/// Where README.md's commands look for the server.
const ADDRESS: &str = "127.0.0.1:8000";

/// A server that ends with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A shell's command lines below a heading, each in one piece and without its comment.
fn commands(heading: &str) -> Vec<String> {
    let below = README.split_once(heading).expect("the heading is there").1;
    let block = below.split("```sh\n").nth(1).expect("commands are below it").split("```").next().unwrap();
    let whole = block.replace("\\\n", " ");
    let lines = whole.lines().map(|line| line.split("  #").next().unwrap_or_default().trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// A place that nobody listens on. Another process may take it before the server does; the server then says so and the
/// test fails by name.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn shell(line: &str, folder: &Path, address: &str) -> Command {
    let pregon = env!("CARGO_BIN_EXE_pregon");
    let line = line.replace("target/release/pregon", pregon).replace(ADDRESS, address);
    let mut command = Command::new("sh");
    command.arg("-c").arg(line).current_dir(folder).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("PREGON_LISTEN", address);
    command
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    format!("{}\n{out}{err}", output.status)
}

#[test]
fn the_first_look_from_a_shell_works_and_so_does_the_example() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let mut server = None;
    let mut last = String::new();
    for line in commands("## A first look from a shell") {
        if line.starts_with("cargo build") {
            continue;
        }
        if let Some(line) = line.strip_suffix('&') {
            let child = shell(&format!("exec {line}"), folder.path(), &address).stdout(Stdio::null()).spawn().unwrap();
            server = Some(Served(child));
            continue;
        }
        let output = shell(&line, folder.path(), &address).output().unwrap();
        assert!(output.status.success(), "{line}: {}", said(&output));
        last = said(&output);
    }
    assert!(server.is_some(), "README.md starts a server");
    assert!(last.contains(r#"{"count":"#), "the rooms of a user: {last}");
    let fixture: Value = serde_json::from_slice(&std::fs::read(folder.path().join("fixture.json")).unwrap()).unwrap();
    let room = fixture["rooms"][0]["id"].as_str().unwrap();
    let member = usize::try_from(fixture["rooms"][0]["members"][0].as_u64().unwrap()).unwrap();
    let name = fixture["users"][member]["username"].as_str().unwrap();
    chat(room, name, &address);
}

/// `cargo run --example client`, with a line to say.
fn chat(room: &str, name: &str, address: &str) {
    assert!(README.contains("cargo run --example client -- ROOM_ID user00001 pregon-demo"));
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--workspace", "--locked", "--example", "client"]);
    let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(built.status.success(), "{}", said(&built));
    let program = Path::new(env!("CARGO_BIN_EXE_pregon")).with_file_name("examples").join("client");
    let mut client = Command::new(program)
        .args([room, name, "pregon-demo"])
        .env("PREGON_SERVER", address)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = client.stdin.take().unwrap();
    input.write_all("hola desde la terminal\n".as_bytes()).unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let echo = format!("{name}: hola desde la terminal");
    if !lines.any(|line| line.unwrap() == echo) {
        let mut why = String::new();
        client.stderr.take().unwrap().read_to_string(&mut why).unwrap();
        panic!("no echo: {why}");
    }
    drop(input);
    assert!(client.wait().unwrap().success(), "the end of the input ends it well");
}
