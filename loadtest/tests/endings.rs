//! Tests how a run ends: cut off, refused before it began, nothing measured, and the content of its page.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{admit, json, loadtest, peer};

const MEMBERS: usize = 2;
/// The payload; its frame has 6 bytes more when sent and 2 more when received.
const BYTES: usize = 100;
/// Messages after which the tester is told to stop.
const MESSAGES: usize = 8_000;

/// A test's own folder, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("loadtest-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A room in which everybody receives the first member's messages; `heard` is called with the number of each.
fn serve(listener: &TcpListener, mut heard: impl FnMut(usize)) {
    let mut members: Vec<TcpStream> = (0..MEMBERS).map(|_| admit(listener)).collect();
    let mut frame = [0; 6 + BYTES];
    for number in 1.. {
        if members[0].read_exact(&mut frame).is_err() {
            return;
        }
        let (header, masked) = frame.split_at(6);
        let text = masked.iter().enumerate().map(|(at, byte)| byte ^ header[2 + at % 4]);
        let sent: Vec<u8> = [0x81, BYTES as u8].into_iter().chain(text).collect();
        for socket in &mut members {
            // This fails when the tester hangs up at its end.
            let _ = socket.write_all(&sent);
        }
        heard(number);
    }
}

/// A run against [`serve`] that gets a signal after some messages.
fn cut_off(signal: Signal, folder: &Path) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    let arguments = format!(
        "room --target plain --url {url} --members {MEMBERS} --bytes {BYTES} --closed --seconds 600 --warmup 0 \
         --secret hidden --json {0}/report.json --html {0}/report.html",
        folder.display()
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(arguments.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (tell, told) = mpsc::channel();
    let server = std::thread::spawn(move || {
        let tester: u32 = told.recv().expect("the tester's process");
        serve(&listener, |number| {
            if number == MESSAGES {
                let pid = Pid::from_raw(i32::try_from(tester).expect("a pid")).expect("not 0");
                kill_process(pid, signal).expect("the tester runs");
            }
        });
    });
    let child = command.spawn().expect("loadtest runs");
    tell.send(child.id()).expect("the server waits");
    let output = child.wait_with_output().expect("it ends");
    server.join().expect("the server ends with its clients");
    output
}

#[test]
fn a_run_that_is_cut_off_tells_what_it_has() {
    for (signal, name) in [(Signal::INT, "int"), (Signal::TERM, "term")] {
        let folder = Folder::new(&format!("cut-{name}"));
        let output = cut_off(signal, &folder.0);
        assert_eq!(output.status.code(), Some(3), "{name}: {output:?}");
        let table = String::from_utf8_lossy(&output.stdout);
        assert!(table.starts_with("CUT OFF") && table.contains("round 1") && table.contains("oracle"), "{table}");

        let report: Value = serde_json::from_str(&folder.text("report.json")).expect("JSON");
        assert_eq!(report["cut_off"], true, "{report}");
        let round = &report["rounds"][0];
        assert!(round["deliveries"].as_u64() >= Some((MESSAGES - 1) as u64), "{round}");
        assert!(round["seconds"].as_f64() < Some(600.0) && round["delivery"]["p50"].is_f64(), "{round}");
        let about = &report["about"];
        let command = about["command"].as_str().expect("a command");
        assert!(command.contains("room --target plain") && !command.contains("hidden"), "{about}");
        assert!(about["date"].as_str().is_some_and(|date| date.ends_with('Z')), "{about}");

        let page = folder.text("report.html");
        let (before_table, _) = page.split_once("<pre>").expect("a table");
        for part in ["Cut off", "deliveries a second", about["host"].as_str().expect("a host"), "--members 2", "Linux"]
        {
            assert!(before_table.contains(part), "{part} is missing above the table");
        }
        assert!(before_table.find("deliveries a second") < before_table.find("<svg"), "the answer comes first");
    }
}

#[test]
fn what_cannot_be_is_told_before_the_server_hears_of_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a flag");
    let address = listener.local_addr().expect("an address");
    let cases = [
        (format!("room --url ws://{address} --json /no/such/folder/report.json"), "/no/such/folder/report.json"),
        (format!("room --url ws://{address} --html /no/such/folder/report.html"), "/no/such/folder/report.html"),
        (
            format!("room --url ws://{address} --save-fixture /no/such/folder/fixture.json"),
            "/no/such/folder/fixture.json",
        ),
        (
            "compare --cells w1 --peer epoll,epoll --json /no/such/folder/report.json".to_owned(),
            "/no/such/folder/report.json",
        ),
        (format!("room --url http://{address}"), "it must look like ws://"),
    ];
    for (arguments, told) in cases {
        let output = loadtest(&arguments);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {words}");
        assert!(words.contains(told), "{arguments}: {words}");
    }
    let asked = listener.accept().expect_err("nobody came");
    assert_eq!(asked.kind(), ErrorKind::WouldBlock);
}

#[test]
fn a_port_where_nobody_listens_refuses() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let output = loadtest(&format!("room --target plain --url ws://{free} --members 2"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(words.contains("connection refused: nobody listens there"), "{words}");
}

#[test]
fn what_was_not_measured_is_null_with_a_note_and_a_dash() {
    let peer = peer();
    // The only message is sent when the warm-up begins.
    let run = format!("room --target plain --url {} --members 2 --rate 0.1 --warmup 0.2 --seconds 0.2", peer.1);
    let report = {
        let output = loadtest(&format!("{run} --json -"));
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        json(&output)
    };
    let round = &report["median"];
    for figure in ["delivery", "echo", "load_us_per_delivery", "bytes_per_delivery"] {
        assert!(round.get(figure).is_some_and(Value::is_null), "{figure}: {round}");
    }
    assert!(report["notes"][0].as_str().is_some_and(|note| note.contains("nothing was delivered")), "{report}");
    let table = loadtest(&run).stdout;
    let table = String::from_utf8_lossy(&table);
    let round = table.lines().find(|line| line.starts_with("round 1")).expect("a round");
    // Two for the server, whose process is not known, one for the load, and four for each kind of wait.
    assert_eq!(round.split_whitespace().filter(|cell| *cell == "-").count(), 2 + 1 + 2 * 4, "{table}");
}

#[test]
fn idle_storm_and_churn_are_drawn_and_speak_in_words() {
    let peer = peer();
    let folder = Folder::new("drawn");
    let scenarios = [
        (
            "idle --connections 20 --members 10 --seconds 0.6 --settle 0.3 --disconnect",
            0,
            3,
            "20 connections cost the server",
        ),
        ("storm --rooms 2 --members 5 --back-off none --settle 0.1", 0, 3, "as fast as they can"),
        // The peer closes without a close frame, which the leaving client counts as a violation.
        ("churn --rate 50 --stay 0.1 --seconds 0.6 --warmup 0.1", 1, 4, "clients a second were admitted"),
    ];
    for (scenario, code, drawn, words) in scenarios {
        let page = folder.0.join("page.html");
        let run = format!("{scenario} --target plain --url {} --server-pid {}", peer.1, peer.0.id());
        let output = loadtest(&format!("{run} --html {}", page.display()));
        assert_eq!(output.status.code(), Some(code), "{scenario}: {output:?}");
        let page = folder.text("page.html");
        let plots: Vec<&str> = page.split("<polyline").skip(1).collect();
        let dots = page.matches("<circle").count();
        assert!(plots.len() + dots >= drawn, "{scenario}: {} lines, {dots} dots", plots.len());
        for line in plots {
            let (points, _) = line.split_once("/>").expect("an end");
            assert!(points.matches(',').count() >= 2, "{scenario} has a line without length: {points}");
        }
        assert!(page.contains(words), "{scenario}: {page}");
    }
}

#[test]
fn idle_wants_a_user_for_each_connection_unless_told_otherwise() {
    let folder = Folder::new("distinct");
    let fixture = folder.0.join("fixture.json");
    let users: Vec<Value> =
        (0..4).map(|number| serde_json::json!({"id": number.to_string(), "username": "u", "token": "t"})).collect();
    let rooms: Vec<Value> =
        [[0, 1, 2], [1, 2, 3]].iter().map(|members| serde_json::json!({"id": "r", "members": members})).collect();
    std::fs::write(&fixture, serde_json::json!({"users": users, "rooms": rooms}).to_string()).expect("a file");
    let run = format!("idle --connections 6 --members 3 --fixture {}", fixture.display());
    let stderr = |arguments: &str| String::from_utf8_lossy(&loadtest(arguments).stderr).into_owned();
    let refused = stderr(&run);
    assert!(refused.contains("4 different users, and 6 are wanted"), "{refused}");
    // With shared users the next fault is the token.
    let shared = stderr(&format!("{run} --distinct-users false"));
    assert!(shared.contains("the token of u"), "{shared}");
}
