//! Clients of REST who are slower than they may, or upload more than they may.

use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Server};
use reqwest::multipart::{Form, Part};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

fn limit(name: &str) -> String {
    format!("pregon_limits_hit_total{{limit=\"{name}\"}}")
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let server = Server::builder().seed(1, 0, 0).set("PREGON_BODY_SECONDS", 1).start().await;
    let began = Instant::now();
    for kind in ["application/json", "multipart/form-data; boundary=b"] {
        let mut connection = TcpStream::connect(server.address()).await.unwrap();
        let head = format!(
            "POST /api/posts/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: {kind}\r\n\
             Content-Length: 100\r\n\r\n",
            server.fixture.users[0].token
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.write_all(b"{\"content\":").await.unwrap();
        let mut answer = vec![0; 1024];
        let read =
            tokio::time::timeout(PATIENCE, connection.read(&mut answer)).await.expect("it is waited for").unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{kind}: {answer}");
    }
    assert!((1..8).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    server.wait_for_metric(&limit("body's time"), |count| count == 2.0).await;
}

/// One that reads nothing, and one that reads, but too little.
#[tokio::test]
async fn an_answer_that_is_not_taken_is_given_up_and_holds_nothing_any_more() {
    let server = Server::builder().seed(1, 0, 0).set("PREGON_ANSWER_SECONDS", 1).start().await;
    let path = "posts/images/00000000-0000-4000-8000-000000000000.png";
    std::fs::write(server.media().join(path), vec![7; 16 * 1024 * 1024]).unwrap();
    let ask = async || {
        // The kernels hold little of what is not read.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let mut connection = socket.connect(server.address().parse().unwrap()).await.unwrap();
        let head = format!("GET /media/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        connection
    };
    let (mut deaf, mut slow, mut quick) = (ask().await, ask().await, ask().await);
    let began = Instant::now();
    let reading = tokio::spawn(async move {
        let mut bytes = Vec::new();
        quick.read_to_end(&mut bytes).await.map(|_| bytes.len())
    });
    let mut had = 0;
    let mut piece = [0; 1024];
    while let Ok(read @ 1..) = slow.read(&mut piece[..512]).await {
        had += read;
        assert!(began.elapsed() < PATIENCE, "it is never given up");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    server.wait_for_metric(&limit("answer's time"), |count| count == 2.0).await;
    server.wait_for_metric("pregon_memory_used_bytes{part=\"answers\"}", |bytes| bytes == 0.0).await;
    assert!(had < 1024 * 1024, "{had}");
    let mut rest = Vec::new();
    let left = tokio::time::timeout(PATIENCE, deaf.read_to_end(&mut rest)).await.expect("it is never closed");
    assert!(left.is_err() || rest.len() < 16 * 1024 * 1024);
    reading.abort();
}

#[tokio::test]
async fn a_user_uploads_so_many_files_in_an_hour() {
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
    let builder = Server::builder().seed(2, 1, 2).set("PREGON_RATE_LIMITS", "on");
    let server = builder.set("PREGON_UPLOADS_PER_HOUR", 3).start().await;
    let client = reqwest::Client::new();
    let upload = async |user: usize| {
        let part = Part::bytes(PNG.to_vec()).file_name("a.png");
        let url = server.http(&format!("/api/messaging/chats/{}/send_message/", server.fixture.rooms[0].id));
        let form = Form::new().text("message_type", "image").part("image", part);
        client.post(url).bearer_auth(&server.fixture.users[user].token).multipart(form).send().await.unwrap()
    };
    for _ in 0..3 {
        assert_eq!(upload(0).await.status(), 201);
    }
    let refused = upload(0).await;
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=1201).contains(&wait), "{wait}");
    assert_eq!(upload(1).await.status(), 201);
    server.wait_for_metric(&limit("uploads of an hour"), |count| count == 1.0).await;
}

#[tokio::test]
async fn whoever_asks_too_often_waits() {
    const ASKS: u32 = 2 * pregon::limits::USER_REQUESTS_MAX;
    let server = Server::builder().seed(2, 0, 0).set("PREGON_RATE_LIMITS", "on").start().await;
    let client = reqwest::Client::new();
    let ask = async |user: usize| {
        let request = client.get(server.http("/api/notifications/unread-count/"));
        request.bearer_auth(&server.fixture.users[user].token).send().await.unwrap()
    };
    let began = Instant::now();
    let answers = futures_util::future::join_all((0..ASKS).map(|_| ask(0))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status() == 429).collect();
    let earned = (began.elapsed().as_secs_f64() * f64::from(pregon::limits::USER_REQUESTS_PER_SECOND)) as usize + 1;
    assert!(refused.len() + earned >= ASKS as usize / 2 && !refused.is_empty(), "{} of {ASKS}", refused.len());
    assert!(refused.iter().all(|answer| answer.headers()["retry-after"] == "1"));
    assert_eq!(ask(1).await.status(), 200);
    server.wait_for_metric(&limit("requests"), |count| count >= refused.len() as f64).await;
}
