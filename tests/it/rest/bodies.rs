//! Requests that are answered before their body has arrived.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Server};

async fn server() -> Server {
    Server::builder().seed(1, 0, 0).set("PREGON_SHARDS", 1).start().await
}

fn head(length: usize) -> String {
    format!(
        "POST /api/messaging/chats/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// An answer's head and body.
async fn answer(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let whole = async {
        loop {
            assert!(
                connection.read_buf(&mut answer).await.unwrap() > 0,
                "it ends after {:?}",
                String::from_utf8_lossy(&answer)
            );
            let text = String::from_utf8_lossy(&answer).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            if body.len() >= length.parse().unwrap() {
                return text;
            }
        }
    };
    tokio::time::timeout(PATIENCE, whole).await.expect("no answer comes")
}

/// A client with kept connections sends the head first, and the body when it has it. Nobody is logged in, so the head
/// is enough for a 401.
#[tokio::test]
async fn a_body_that_comes_behind_its_refusal_does_not_end_the_connection() {
    let server = server().await;
    let mut connection = TcpStream::connect(server.address()).await.unwrap();
    connection.set_nodelay(true).unwrap();
    for round in 0..5 {
        connection.write_all(head(13).as_bytes()).await.unwrap();
        // The test is about a late body.
        tokio::time::sleep(Duration::from_millis(20)).await;
        connection.write_all(br#"{"name":"foo"}"#.get(..13).unwrap()).await.unwrap();
        let answer = answer(&mut connection).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "round {round}: {answer}");
        assert!(!answer.contains("connection: close"), "round {round}: {answer}");
    }
}

/// A long body is not waited for: the answer says that the connection ends, and a client that goes on sending can still
/// read it.
#[tokio::test]
async fn an_answer_before_a_long_body_ends_the_connection_and_is_read() {
    let server = server().await;
    let mut connection = TcpStream::connect(server.address()).await.unwrap();
    connection.write_all(head(10_000_000).as_bytes()).await.unwrap();
    connection.readable().await.unwrap();
    // After the answer was sent, and before it is read.
    for _ in 0..16 {
        connection.write_all(&[b' '; 16 * 1024]).await.unwrap();
    }
    let answer = answer(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close"), "{answer}");
    let end = tokio::time::timeout(PATIENCE, connection.read(&mut [0; 64])).await.expect("it is never closed");
    assert_eq!(end.unwrap(), 0, "an end, and no reset");
}
