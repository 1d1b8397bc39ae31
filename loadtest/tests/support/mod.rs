//! Helpers for tests of the whole tester: its program, the bare peer, and the server's side of a handshake.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

pub fn loadtest(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments.split_whitespace()).output().expect("loadtest runs")
}

pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Accepts one socket and answers its upgrade. The tester's key never changes.
pub fn admit(listener: &TcpListener) -> TcpStream {
    let (mut socket, _) = listener.accept().expect("a client");
    let mut reader = BufReader::new(socket.try_clone().expect("a second handle"));
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).expect("a request");
    }
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    socket.write_all(answer.as_bytes()).expect("an answer");
    socket
}

/// The bare peer, ended when dropped.
pub struct Peer(pub Child, pub String);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn peer() -> Peer {
    let mut child = Command::new(env!("CARGO_BIN_EXE_peer-epoll"))
        .arg("127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the peer starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("its output");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let address = line.split_whitespace().last().expect("an address");
    let url = format!("ws://{address}");
    Peer(child, url)
}
