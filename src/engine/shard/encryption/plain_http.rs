//! The answer to a request without encryption where TLS is spoken.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::limits::LINGER;

/// How much of the request is read before the answer, and how long it is waited for: a client that is reset while it sends may
/// not read the answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEAD_PATIENCE: Duration = Duration::from_secs(1);

const TEXT: &str = "This port speaks TLS: use https:// or wss:// in place of http:// or ws://.\n";

/// Answers 400 and closes.
pub(super) async fn answer(mut socket: TcpStream) {
    let _ = timeout(HEAD_PATIENCE, read_head(&socket)).await;
    let length = TEXT.len();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{TEXT}"
    );
    let said = async {
        socket.write_all(answer.as_bytes()).await?;
        socket.shutdown().await
    };
    if timeout(LINGER, said).await.is_ok_and(|said| said.is_ok()) {
        let _ = timeout(LINGER, read_away(&socket)).await;
    }
}

async fn read_head(socket: &TcpStream) {
    let (mut head, mut length) = (vec![0; HEAD_BYTES_MAX], 0);
    while length < head.len() && !head[..length].windows(4).any(|four| four == b"\r\n\r\n") {
        match read(socket, &mut head[length..]).await {
            0 => return,
            count => length += count,
        }
    }
}

/// Waits until the peer has closed.
async fn read_away(socket: &TcpStream) {
    let mut scratch = [0; 1024];
    while read(socket, &mut scratch).await > 0 {}
}

/// Bytes that were read; 0 at the end.
async fn read(socket: &TcpStream, buffer: &mut [u8]) -> usize {
    loop {
        if socket.readable().await.is_err() {
            return 0;
        }
        match socket.try_read(buffer) {
            Ok(count) => return count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return 0,
        }
    }
}
