//! Tests the bare peers with the oracle, and with a member that does not read for a while.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// A peer's exit code if the kernel has no io_uring.
const FORBIDDEN: i32 = 3;

const PEERS: [(&str, &[&str]); 4] = [
    (env!("CARGO_BIN_EXE_peer-epoll"), &[]),
    (env!("CARGO_BIN_EXE_peer-epoll"), &["--no-coalesce"]),
    (env!("CARGO_BIN_EXE_peer-uring"), &[]),
    (env!("CARGO_BIN_EXE_peer-uring"), &["--no-coalesce"]),
];

/// A peer's process, ended when dropped.
struct Peer {
    child: Child,
    address: String,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer {
    /// `None` if the kernel forbids io_uring, which the peer itself must report.
    fn start(program: &str, flags: &[&str]) -> Option<Self> {
        let mut command = Command::new(program);
        command.arg("127.0.0.1:0").args(flags).stdout(Stdio::piped());
        let mut peer = Self { child: command.spawn().expect("the peer starts"), address: String::new() };
        let mut line = String::new();
        let stdout = peer.child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        if line.is_empty() {
            assert!(program.ends_with("uring"), "{program} says nothing");
            assert_eq!(peer.child.wait().expect("its end").code(), Some(FORBIDDEN));
            return None;
        }
        peer.address = line.split_whitespace().last().expect("an address").to_owned();
        Some(peer)
    }
}

#[test]
fn every_peer_delivers_everything_once_in_order() {
    let timing = "--target plain --warmup 0.05 --seconds 0.25 --json -";
    let scenarios = [
        "room --members 20 --window 1",
        "room --members 50 --senders 3 --window 16 --release-when sender",
        "room --members 20 --bytes 3000 --rate 1000",
        "rooms --rooms 40 --members 5 --senders 2 --window 64",
    ];
    for (program, flags) in PEERS {
        let Some(peer) = Peer::start(program, flags) else {
            continue;
        };
        for scenario in scenarios {
            let arguments = format!("{scenario} {timing} --url ws://{}", peer.address);
            let output = Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments.split(' ')).output();
            let output = output.expect("loadtest runs");
            assert_eq!(output.status.code(), Some(0), "{program} {flags:?} {scenario}: {output:?}");
            let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert!(report["checked"].as_u64() > Some(500), "{program} {flags:?} {scenario}: {report}");
        }
    }
}

/// A socket in room `/stalled`.
fn join(address: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).expect("a connection");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
    let request = "GET /stalled HTTP/1.1\r\nHost: peer\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).expect("a request");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    socket
}

const FRAMES: u32 = 3000;
/// 36 MB together: more than the kernel keeps for a socket that nobody reads.
const FRAME_BYTES: u16 = 12_000;

fn client_frame(number: u32) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend_from_slice(&FRAME_BYTES.to_be_bytes());
    // A mask of zeros leaves the payload unchanged.
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(format!("{number:08}").repeat(usize::from(FRAME_BYTES) / 8).as_bytes());
    frame
}

/// All frames, whole and in order.
fn expect_all(socket: &mut TcpStream) {
    let mut frame = vec![0; 4 + usize::from(FRAME_BYTES)];
    for number in 0..FRAMES {
        socket.read_exact(&mut frame).expect("a frame");
        assert_eq!(frame[..2], [0x81, 126], "frame {number}");
        assert!(frame[4..] == client_frame(number)[8..], "frame {number} is another one or damaged");
    }
}

#[test]
fn who_stops_reading_gets_the_rest_later_and_holds_up_nobody() {
    for (program, flags) in PEERS {
        let Some(peer) = Peer::start(program, flags) else {
            continue;
        };
        let mut stalled = join(&peer.address);
        let mut reader = join(&peer.address);
        let mut writer = reader.try_clone().expect("a second handle");
        let sending = std::thread::spawn(move || {
            (0..FRAMES).for_each(|number| writer.write_all(&client_frame(number)).expect("sent"));
        });
        expect_all(&mut reader);
        sending.join().expect("all sent");
        expect_all(&mut stalled);
        // A member that leaves in the middle does not affect the others.
        drop(stalled);
        reader.write_all(&client_frame(0)).expect("sent");
        reader.read_exact(&mut vec![0; 4 + usize::from(FRAME_BYTES)]).expect("its own copy");
    }
}
