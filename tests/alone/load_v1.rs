//! The load tester over `pregon.v1`: every scenario that makes sense there ends with a clean verdict, and a planted fault does not.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::load_scenarios::{SHORT, report, run, seeded, ws};
use crate::support::Server;
use crate::turn;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_with_rooms_is_clean_over_v1() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    let rooms = "--fixture rooms.json --protocol v1 --rooms 4 --members 4";
    let mix = "messages=20,replies=10,typing=20,reads=20,reactions=20,edits=5,deletes=5";
    let mixed = report(&server, &format!("chat {rooms} --rate 400 --mix {mix} {SHORT}"));
    let kinds = mixed["kinds"].as_array().unwrap();
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    assert!(kinds.iter().all(|kind| kind["deliveries"].as_u64() > Some(0)), "{kinds:?}");
    assert_eq!(mixed["about"]["protocol"], "v1");
    for scenario in [
        format!("rooms {rooms} --window 8 {SHORT}"),
        format!("chat {rooms} --closed --mix messages=100 {SHORT}"),
        format!("cluster {rooms} --rate 100 --durable --receiver-url {} {SHORT}", ws(&server)),
        format!("churn {rooms} --rate 50 --stay 0.3 {SHORT}"),
        format!("room --fixture rooms.json --protocol v1 --members 4 --rate 100 {SHORT}"),
        format!("feed --fixture rooms.json --protocol v1 --followers 6 --outsiders 3 --rate 20 {SHORT}"),
    ] {
        let report = report(&server, &scenario);
        assert!(
            report["notes"].as_array().is_none_or(|notes| !notes.iter().any(is_of_spelling)),
            "{scenario}: {report}"
        );
    }
    let storm = report(&server, &format!("storm {rooms} --back-off none --settle 0.1"));
    assert!(storm["checked"].as_u64() > Some(16), "the rooms work afterwards: {storm}");
    let slow = "slow --fixture rooms.json --protocol v1 --members 4 --stalled 0.25 --window 64 --release-when all";
    assert_eq!(report(&server, &format!("{slow} {SHORT}"))["stalled"], 1);
}

fn is_of_spelling(note: &Value) -> bool {
    note.as_str().is_some_and(|note| note.contains("spelt otherwise"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_over_v1_is_refused_in_words() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    let refused = |arguments: &str, words: &str| {
        let output = run(&server, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(words), "{arguments}: {said}");
    };
    refused("room --target plain --protocol v1 --members 2", "a plain server");
    refused("resume --target plain --other-url ws://127.0.0.1:1", "no cursors");
    refused("reactions --fixture rooms.json --protocol v1 --reactors 2 --viewers 2 --followers 2", "each reaction");
    refused("idle --fixture rooms.json --connections 4 --members 4 --topics 2", "--protocol v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_sockets_hear_many_topics() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    let idle = "idle --fixture rooms.json --protocol v1 --members 4 --distinct-users false --seconds 0.2 --settle 0.1";
    let one = report(&server, &format!("{idle} --connections 8"));
    assert_eq!(one["topics"], 1);
    let rooms: Value =
        serde_json::from_str(&std::fs::read_to_string(server.folder().join("rooms.json")).unwrap()).unwrap();
    let of_the_first = |user: &Value| {
        let members = rooms["rooms"].as_array().unwrap().iter().map(|room| room["members"].as_array().unwrap());
        members.filter(|members| members.contains(user)).count()
    };
    let fewest = rooms["rooms"][0]["members"].as_array().unwrap().iter().map(of_the_first).min().unwrap();
    report(&server, &format!("{idle} --connections 4 --topics {fewest}"));
}

/// What the proxy does to one message on its way to a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    Lose,
    Double,
    Swap,
}

/// Passes connections on to the server, and once does something to a message.
pub struct Proxy {
    pub address: String,
    faults: Arc<AtomicUsize>,
}

impl Proxy {
    pub fn to(server: &Server, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("ws://{}", listener.local_addr().unwrap());
        let (server, faults) = (server.address().to_owned(), Arc::<AtomicUsize>::default());
        let done = faults.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let upstream = TcpStream::connect(&server).unwrap();
                let (mut from, mut to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                let done = done.clone();
                std::thread::spawn(move || pass_on(upstream, client, fault, &done));
            }
        });
        Self { address, faults }
    }
}

/// Frames of the server to the client. The second message of the first connection that gets so many is the one.
fn pass_on(mut server: TcpStream, mut client: TcpStream, fault: Fault, done: &AtomicUsize) {
    let (mut bytes, mut buffer, mut is_open, mut messages, mut held) = (Vec::new(), [0; 4096], false, 0, Vec::new());
    while let Ok(count @ 1..) = server.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
        if !is_open {
            let Some(head) = bytes.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
            let head: Vec<u8> = bytes.drain(..head + 4).collect();
            let _ = client.write_all(&head);
            if !head.starts_with(b"HTTP/1.1 101") {
                // An ordinary request: its answer has no frames.
                let _ = client.write_all(&bytes).and_then(|()| std::io::copy(&mut server, &mut client));
                break;
            }
            is_open = true;
        }
        while let Some(length) = frame_length(&bytes).filter(|length| *length <= bytes.len()) {
            let mut frame: Vec<u8> = bytes.drain(..length).collect();
            let is_message = String::from_utf8_lossy(&frame).contains(r#""event":{"type":"message","#);
            messages += usize::from(is_message);
            if is_message && messages == 2 && fault != Fault::None && done.fetch_add(1, Ordering::Relaxed) == 0 {
                match fault {
                    Fault::None => {}
                    Fault::Lose => frame.clear(),
                    Fault::Double => frame = frame.repeat(2),
                    Fault::Swap => held = std::mem::take(&mut frame),
                }
            } else if is_message {
                frame.append(&mut held);
            }
            if client.write_all(&frame).is_err() {
                let _ = server.shutdown(Shutdown::Both);
                return;
            }
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// Its bytes with its header, as soon as the header is there.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    Some(match *bytes.get(1)? {
        126 => 4 + usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        127 => 10 + usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?,
        short => 2 + usize::from(short),
    })
}

/// Twelve users, each in one of three rooms: three members of each lose their connections, one stays and sends.
const RESUME: &str = "resume --fixture rooms.json --rooms 3 --members 3 --rate 60 --before 0.5 --after 0.5 --spread 0.4 \
    --drain 2 --json -";

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_come_back_get_what_they_missed_once_and_a_planted_fault_is_named() {
    let _turn = turn::mine().await;
    let server = seeded().await;
    for (fault, counter) in [
        (Fault::None, None),
        (Fault::Lose, Some("lost")),
        (Fault::Double, Some("duplicated")),
        (Fault::Swap, Some("reordered")),
    ] {
        let proxy = Proxy::to(&server, fault);
        let output = run(&server, &format!("{RESUME} --other-url {}", proxy.address));
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let Some(counter) = counter else {
            assert_eq!(output.status.code(), Some(0), "{report}");
            assert_eq!(
                (&report["clients"], &report["resumed"], &report["gaps_told"]),
                (&9.into(), &9.into(), &0.into()),
                "{report}"
            );
            assert!(report["checked"].as_u64() > Some(200) && report["messages"].as_u64() > Some(60), "{report}");
            assert!(report["back"]["max"].as_f64() > Some(0.0) && report["curve"][0]["live_again"] == 0.0, "{report}");
            assert!(report["queries_per_resume"].as_f64() > Some(0.0), "{report}");
            continue;
        };
        assert_eq!(proxy.faults.load(Ordering::Relaxed).min(1), 1, "{fault:?} was done");
        assert_eq!(output.status.code(), Some(1), "{fault:?}: {report}");
        assert_eq!(report["violations"][counter], 1, "{fault:?}: {}", report["violations"]);
        let sample = report["violations"]["samples"][0].as_str().unwrap_or_default();
        assert!(sample.contains("client "), "{fault:?}: {sample}");
    }
}
