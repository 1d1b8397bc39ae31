//! Tests the tester end to end: a right server passes, each kind of fault is named and exits with 1.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;

use support::{admit, json, loadtest, peer};

const MEMBERS: usize = 3;
const BYTES: usize = 100;

/// What the faulty server does to member 1 with one message.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Lose,
    Double,
    Swap,
    Damage,
    HangUp,
    /// Nobody gets it; the sender gets an error frame.
    Refuse,
    /// The server closes as one that has reached a limit.
    Limit,
}

/// Serves one room, one message after the other, with one fault at the fifth.
fn serve(listener: &TcpListener, fault: Fault) {
    let mut members: Vec<TcpStream> = (0..MEMBERS).map(|_| admit(listener)).collect();
    let mut held = Vec::new();
    let mut frame = [0; 6 + BYTES];
    for number in 0.. {
        if members[0].read_exact(&mut frame).is_err() {
            return;
        }
        let (header, masked) = frame.split_at(6);
        let text = masked.iter().enumerate();
        let text = text.map(|(at, byte)| byte ^ header[2 + at % 4]);
        let sent: Vec<u8> = [0x81, BYTES as u8].into_iter().chain(text).collect();
        for (member, socket) in members.iter_mut().enumerate() {
            let mut out = sent.clone();
            if number == 5 && matches!(fault, Fault::Refuse) {
                let error = br#"{"type":"error","message":"busy"}"#;
                let frame = [&[0x81, error.len() as u8], &error[..]].concat();
                let _ = if member == 0 { socket.write_all(&frame) } else { Ok(()) };
                continue;
            }
            if member == 1 && number == 5 {
                match fault {
                    Fault::None | Fault::Refuse => {}
                    Fault::Limit => out = b"\x88\x06\x0f\xbdslow".to_vec(),
                    Fault::Lose => out.clear(),
                    Fault::Double => out.extend_from_slice(&sent),
                    Fault::Swap => held = std::mem::take(&mut out),
                    Fault::Damage => out[40] ^= 1,
                    Fault::HangUp => out = b"\x88\x06\x0f\xa8slow".to_vec(),
                }
            } else if member == 1 {
                out.append(&mut held);
            }
            // This fails when the tester hangs up at its end.
            let _ = socket.write_all(&out);
        }
    }
}

fn run_against(fault: Fault) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    let server = std::thread::spawn(move || serve(&listener, fault));
    let output = loadtest(&format!(
        "room --target plain --url {url} --members {MEMBERS} --bytes {BYTES} --window 4 \
         --release-when sender --seconds 0.2 --warmup 0 --drain 0.3 --json -"
    ));
    server.join().expect("the server ends with its clients");
    output
}

#[test]
fn each_fault_is_named_and_ends_with_1() {
    let cases = [
        (Fault::None, None),
        (Fault::Lose, Some("lost")),
        (Fault::Double, Some("duplicated")),
        (Fault::Swap, Some("reordered")),
        (Fault::Damage, Some("damaged")),
        (Fault::HangUp, Some("disconnected")),
    ];
    for (fault, counter) in cases {
        let output = run_against(fault);
        let report = json(&output);
        let Some(counter) = counter else {
            assert_eq!(output.status.code(), Some(0), "{report}");
            assert!(report["checked"].as_u64() > Some(100), "{report}");
            continue;
        };
        assert_eq!(output.status.code(), Some(1), "{fault:?}: {report}");
        let violations = &report["violations"];
        assert!(violations[counter].as_u64() >= Some(1), "{fault:?}: {violations}");
        let sample = violations["samples"][0].as_str().unwrap_or_default();
        assert!(sample.contains("receiver 1"), "{fault:?}: {violations}");
    }
}

#[test]
fn what_is_refused_is_counted_and_neither_lost_nor_a_violation() {
    let output = run_against(Fault::Refuse);
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!(report["refused"]["total"], 1, "{report}");
    assert_eq!(report["refused"]["reasons"]["busy"], 1, "{report}");
    assert!(report["checked"].as_u64() > Some(100), "the window goes on: {report}");
}

#[test]
fn a_goodbye_for_a_limit_is_a_refusal() {
    let output = run_against(Fault::Limit);
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!(report["refused"]["total"], 1, "{report}");
    assert!(report["notes"][0].as_str().is_some_and(|note| note.contains("4029")), "{report}");
}

#[test]
fn the_bare_peer_passes_every_scenario() {
    let peer = peer();
    let common = format!("--target plain --url {} --server-pid {} --json -", peer.1, peer.0.id());
    let timing = "--seconds 0.3 --warmup 0.1 --rounds 2";
    let scenarios = [
        format!("room --members 20 --senders 3 --window 16 --release-when all {timing}"),
        format!("room --members 20 --bytes 3000 --rate 2000 {timing}"),
        format!("room --members 20 {timing}"),
        format!("rooms --rooms 30 --members 4 --senders 2 --window 64 {timing}"),
        format!("chat --rooms 5 --members 4 --window 2 {timing}"),
        format!("cluster --receiver-url {} --rooms 5 --members 4 {timing}", peer.1),
        "idle --connections 95 --members 10 --seconds 0.2 --settle 0.1 --disconnect".to_owned(),
    ];
    for scenario in scenarios {
        let output = loadtest(&format!("{scenario} {common}"));
        assert_eq!(output.status.code(), Some(0), "{scenario}: {output:?}");
        let report = json(&output);
        if !scenario.starts_with("idle") {
            assert_eq!(report["rounds"].as_array().map(Vec::len), Some(2));
            assert!(report["median"]["deliveries"].as_u64() > Some(100), "{report}");
        }
    }
}

const CLUSTER: &str = "cluster --target plain --rooms 5 --members 4 --seconds 0.3 --warmup 0.1 --drain 0.3 --json -";

#[test]
fn several_addresses_are_several_nodes_whose_copies_are_counted_apart() {
    let peer = peer();
    let (url, pid) = (&peer.1, peer.0.id());
    for senders_on in ["first", "all"] {
        let output = loadtest(&format!(
            "{CLUSTER} --url {url} --receiver-url {url},{url} --receiver-url {url} --senders-on {senders_on} --rate 500 \
             --server-pid {pid} --server-pid {pid} --beside again={pid}"
        ));
        let report = json(&output);
        assert_eq!(output.status.code(), Some(0), "{report}");
        let median = &report["median"];
        for kind in ["across", "after_echo"] {
            assert!(median[kind]["p99"].as_f64().is_some_and(|p99| p99 > 0.0), "{senders_on}: {median}");
        }
        let names: Vec<_> = median["processes"].as_array().expect("processes").iter().map(|one| &one["name"]).collect();
        assert_eq!(names, ["node 1", "node 2", "again"]);
    }
}

#[test]
fn nodes_that_do_not_hear_each_other_are_found_out() {
    let (here, there) = (peer(), peer());
    let output = loadtest(&format!("{CLUSTER} --url {} --receiver-url {} --rate 500", here.1, there.1));
    let report = json(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert!(report["violations"]["lost"].as_u64() > Some(0), "{report}");
}

#[test]
fn a_run_that_cannot_be_made_ends_with_2() {
    let output = loadtest("room --target plain --url ws://127.0.0.1:1 --members 2");
    assert_eq!(output.status.code(), Some(2));
    let output = loadtest("room --fixture /nonexistent.json");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent.json"));
}
