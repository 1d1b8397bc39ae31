//! The answer to a request without encryption where TLS is spoken.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::limits::{LINGER, REQUEST_HEAD_BYTES_MAX};

const TEXT: &str = "This port speaks TLS: use https:// or wss:// in place of http:// or ws://.\n";

/// Answers 400 and closes. It takes at most [`LINGER`], and no memory but the scratch of one read.
pub(super) async fn answer(mut socket: TcpStream) {
    let length = TEXT.len();
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{TEXT}"
    );
    let said = async {
        socket.write_all(answer.as_bytes()).await?;
        socket.shutdown().await?;
        read_away(&socket).await;
        Ok::<_, std::io::Error>(())
    };
    let _ = timeout(LINGER, said).await;
}

/// Waits until the peer has closed, or has sent more than a request's head: a client that is reset while it sends may not read the
/// answer.
async fn read_away(socket: &TcpStream) {
    let (mut scratch, mut left) = ([0; 512], REQUEST_HEAD_BYTES_MAX);
    while left > 0 && socket.readable().await.is_ok() {
        match socket.try_read(&mut scratch) {
            Ok(0) => return,
            Ok(count) => left = left.saturating_sub(count),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
