//! Slow readers behind TLS: what their sockets do not take is kept sealed, in order, and is bounded.

use serde_json::json;
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Server, Socket};

/// Bytes of a message's text.
const LONG: usize = 1900;

async fn server(io: &str) -> Server {
    Server::builder().seed(3, 1, 3).set("PREGON_SHARDS", 1).set("PREGON_IO", io).encrypted().start().await
}

/// So many messages of somebody who reads them all.
async fn say(ana: &mut Socket, from: u32, count: u32) {
    let long = "x".repeat(LONG);
    for number in from..from + count {
        ana.send(json!({"type": "chat_message", "content": format!("{number} {long}")})).await;
    }
    for _ in 0..count {
        ana.expect("chat_message").await;
    }
}

/// The number of the next message that somebody hears; or the code of the close frame.
async fn heard(socket: &mut Socket) -> Result<u32, Option<u16>> {
    loop {
        match socket.next_raw().await {
            Some(Ok(Message::Text(text))) => {
                let frame: serde_json::Value = serde_json::from_str(&text).expect("a frame is whole");
                if frame["type"] == "chat_message" {
                    let content = frame["message"]["content"].as_str().unwrap();
                    assert_eq!(content.len(), content.find(' ').unwrap() + 1 + LONG);
                    return Ok(content.split(' ').next().unwrap().parse().unwrap());
                }
            }
            Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(None),
        }
    }
}

/// A socket with the buffers of a small distant machine, so that the kernels hold little of what it does not read.
async fn narrow(server: &Server, user: usize) -> Socket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket2::SockRef::from(&socket).set_tcp_mss(536).unwrap();
    let stream = socket.connect(server.address().parse().unwrap()).await.unwrap();
    let wire = server.wire_over(stream).await.unwrap();
    let mut socket = Socket::open_over(wire, server.address(), &server.chat_path(0, user), &[]).await.unwrap();
    socket.expect("connection_success").await;
    socket
}

/// From now on what waits for it arrives quickly.
fn widen(socket: &mut Socket) {
    socket2::SockRef::from(&*socket.tcp()).set_recv_buffer_size(4 * 1024 * 1024).unwrap();
}

/// Its socket is full in the middle of a record; everything comes, once and in order.
#[tokio::test]
async fn a_slow_reader_gets_everything_in_order() {
    for io in ["epoll", "auto"] {
        let server = server(io).await;
        let mut ana = server.join(0, 0).await;
        for round in 0..3 {
            let mut beto = narrow(&server, 1).await;
            // About 0.8 MB: less than what one may owe, and more than the kernels' buffers take.
            say(&mut ana, 0, 400).await;
            server.wait_for_metric("pregon_memory_used_bytes{part=\"sessions\"", |bytes| bytes > 0.0).await;
            widen(&mut beto);
            for number in 0..400 {
                assert_eq!(heard(&mut beto).await, Ok(number), "{io}, {round}");
            }
            beto.close().await;
            server.wait_for_metric("pregon_memory_used_bytes{part=\"sessions\"", |bytes| bytes == 0.0).await;
        }
        assert_eq!(server.metric("pregon_sessions_too_slow_total").await, 0.0);
    }
}

/// One who reads nothing owes too much: whole frames, 4008, and then the end of TLS.
#[tokio::test]
async fn a_reader_that_stalls_is_told_4008_behind_whole_frames() {
    for io in ["epoll", "auto"] {
        let server = server(io).await;
        let (mut ana, mut beto) = (server.join(0, 0).await, narrow(&server, 1).await);
        let mut sent = 0;
        while server.metric("pregon_sessions_too_slow_total").await < 1.0 {
            say(&mut ana, sent, 50).await;
            sent += 50;
            assert!(sent < 20_000, "a reader that takes nothing is never let go");
        }
        widen(&mut beto);
        // What was kept for it is small: one record, and what the kernel holds is the kernel's.
        let mut next = 0;
        let end = loop {
            match heard(&mut beto).await {
                Ok(number) => {
                    assert_eq!(number, next, "in order, without a gap");
                    next += 1;
                }
                Err(end) => break end,
            }
        };
        // It reads at last, within the time that it has for that.
        assert_eq!(end, Some(4008), "{io}");
        assert!(next > 0 && next < sent);
        // Its answer goes with the next look.
        while let Some(Ok(_)) = beto.next_raw().await {}
        assert_eq!(super::end_of(beto.wire()).await, Ok(()), "{io}");
        server.wait_for_metric("pregon_sessions", |sessions| sessions == 1.0).await;
        server.wait_for_metric("pregon_memory_used_bytes{part=\"sessions\"", |bytes| bytes == 0.0).await;
        say(&mut ana, 0, 1).await;
    }
}
