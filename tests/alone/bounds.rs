//! Each bound of what may wait is reached by clients who want more: what is too much is refused with a word, the rest goes
//! on, and the memory stays within the sum.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::crowd::{masked, upgrade};
use crate::support::{PATIENCE, Server};
use crate::turn;
use pregon::limits::memory::{Sizes, parts};
use pregon::limits::{BODY_BYTES_MAX, UPLOADS_MAX, USER_UPLOADS_MAX};
use serde_json::json;

/// What the allocator, SQLite and the test's own questions may take meanwhile.
pub const ELSEWHERE_BYTES: u64 = 48 * 1024 * 1024;
const SIZES: Sizes = Sizes { shards: 2, lanes: 1, tls: false };

pub fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A server behind a proxy, which is the test: each request says whose it is.
fn server(users: usize) -> Server {
    let builder = Server::builder().seed(users, 1, users).on_file().set("PREGON_SHARDS", SIZES.shards);
    now(builder.set("PREGON_TRUSTED_PROXIES", "127.0.0.1").start())
}

fn bound(part: &str) -> u64 {
    parts(SIZES).iter().find(|known| known.name == part).unwrap().bytes as u64
}

/// The value of one series.
fn series(server: &Server, series: &str) -> u64 {
    let mut socket = TcpStream::connect(server.address()).unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", server.address());
    socket.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 "), "whatever happens, this is answered: {text}");
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse::<f64>().ok());
    line.unwrap_or_default() as u64
}

fn used(server: &Server, part: &str) -> u64 {
    series(server, &format!("pregon_memory_used_bytes{{part=\"{part}\"}}"))
}

fn shed(server: &Server, what: &str) -> u64 {
    series(server, &format!("pregon_shed_total{{what=\"{what}\"}}"))
}

pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what} is never so");
        std::thread::yield_now();
    }
}

/// Sends a request's head and as much of its body as there is.
fn begin(server: &Server, client: usize, head: &str, body: &[u8]) -> TcpStream {
    let address: std::net::SocketAddr = server.address().parse().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None).unwrap();
    // The kernels hold little of what is not read.
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.set_tcp_mss(536).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut socket = TcpStream::from(socket);
    let head = format!("{head}\r\nhost: {address}\r\nx-forwarded-for: 198.51.100.{client}\r\n\r\n");
    // Whoever is refused may be so before all is sent.
    let _ = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body));
    socket
}

/// The head of an answer, without its body.
fn answer(mut socket: &TcpStream) -> String {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(socket.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&bytes));
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

fn assert_refused(socket: &TcpStream) {
    let head = answer(socket);
    assert!(head.starts_with("HTTP/1.1 503 ") && head.to_lowercase().contains("\r\nretry-after: "), "{head}");
}

fn assert_within(server: &Server, quiet: u64, part: &str) {
    let peak = server.peak_bytes();
    eprintln!("{part}: {} MB without, {} MB at the bound of {} MB", quiet >> 20, peak >> 20, bound(part) >> 20);
    assert!(peak <= quiet + bound(part) + ELSEWHERE_BYTES, "{peak} bytes, {quiet} without");
    let other = begin(
        server,
        250,
        "POST /api/auth/login/ HTTP/1.1\r\ncontent-length: 2\r\ncontent-type: application/json",
        b"{}",
    );
    assert!(answer(&other).starts_with("HTTP/1.1 400 "), "who asks for little is served");
    assert_eq!(now(server.status("/healthz")), 200);
}

/// Clients begin requests that do not end, each until it is refused, until one has hardly any.
fn fill(server: &Server, head: &str, body: &[u8]) {
    server.forget_peak();
    let quiet = server.peak_bytes();
    let (mut open, mut refused, mut client) = (Vec::new(), 0, 0);
    loop {
        client += 1;
        let mut own = 0;
        loop {
            let before = used(server, "requests");
            let socket = begin(server, client, head, body);
            wait_until("it is let in or refused", || {
                used(server, "requests") > before || shed(server, "request") > refused
            });
            if shed(server, "request") > refused {
                refused += 1;
                assert_refused(&socket);
                break;
            }
            own += 1;
            open.push(socket);
        }
        assert!(used(server, "requests") <= bound("requests"));
        let first = used(server, "requests");
        assert!(client > 1 || own > 3 && first <= bound("requests") / 4, "one client has {own}: {first} bytes");
        if own == 0 {
            break;
        }
    }
    eprintln!("{client} clients have {} requests", open.len());
    assert!(client > 3, "{client} clients");
    assert_within(server, quiet, "requests");
    drop(open);
    wait_until("all is given back", || used(server, "requests") == 0);
}

#[test]
fn bodies_that_do_not_end_take_what_requests_may_and_no_more() {
    let _turn = turn::mine_blocking();
    let server = server(1);
    let head =
        format!("POST /api/auth/login/ HTTP/1.1\r\ncontent-length: {BODY_BYTES_MAX}\r\ncontent-type: application/json");
    fill(&server, &head, "[".repeat(BODY_BYTES_MAX - 1).as_bytes());
}

fn form_head(server: &Server, user: usize, length: usize) -> String {
    format!(
        "POST /api/messaging/chats/{}/send_message/ HTTP/1.1\r\nauthorization: Bearer {}\r\ncontent-length: {length}\r\n\
         content-type: multipart/form-data; boundary=b",
        server.fixture.rooms[0].id, server.fixture.users[user].token
    )
}

#[test]
fn forms_that_do_not_end_take_what_requests_may_and_no_more() {
    let _turn = turn::mine_blocking();
    let server = server(2);
    let text = "x".repeat(BODY_BYTES_MAX - 1024);
    let body = format!("--b\r\ncontent-disposition: form-data; name=\"content\"\r\n\r\n{text}");
    fill(&server, &form_head(&server, 0, 2 * BODY_BYTES_MAX), body.as_bytes());
}

/// So that the memory of a body is bounded by its length.
#[test]
fn a_body_of_nothing_but_values_is_refused_before_it_is_read_into_them() {
    let _turn = turn::mine_blocking();
    let server = server(1);
    let ask = |kind: &str, body: String| {
        let head = format!(
            "POST /api/auth/login/ HTTP/1.1\r\ncontent-length: {}\r\ncontent-type: {kind}\r\nconnection: close",
            body.len()
        );
        answer(&begin(&server, 1, &head, body.as_bytes()))
    };
    let json = |count: usize| format!("{{\"x\":[{}0]}}", "{\"\":1},".repeat(count));
    assert!(ask("application/json", json(30_000)).starts_with("HTTP/1.1 413 "));
    assert!(ask("application/json", json(4_000)).starts_with("HTTP/1.1 400 "));
    assert!(ask("application/x-www-form-urlencoded", "a&".repeat(100_000)).starts_with("HTTP/1.1 413 "));
    assert!(ask("application/x-www-form-urlencoded", "a&".repeat(1000)).starts_with("HTTP/1.1 400 "));
}

#[test]
fn uploads_that_do_not_end_have_so_many_turns_and_whoever_has_most_gives_way() {
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
    let _turn = turn::mine_blocking();
    let users = UPLOADS_MAX / USER_UPLOADS_MAX;
    let server = server(users + 1);
    server.forget_peak();
    let quiet = server.peak_bytes();
    let head = b"--b\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n";
    let body = [head, PNG, &vec![7; 1024 * 1024]].concat();
    let under_way = || std::fs::read_dir(server.media().join(".incoming")).unwrap().count();
    let upload = |user| begin(&server, user, &form_head(&server, user, 20 * 1024 * 1024), &body);
    let mut open = Vec::new();
    for user in 0..users {
        open.extend((0..USER_UPLOADS_MAX).map(|_| upload(user)));
        if user == 0 {
            wait_until("all of its turns are taken", || under_way() == USER_UPLOADS_MAX);
            assert_refused(&upload(user));
        }
    }
    wait_until("all turns are taken", || under_way() == UPLOADS_MAX);
    let late = upload(users);
    wait_until("one gives way", || shed(&server, "upload") == 1);
    // Who has given way is found by being answered.
    let is_answered = |socket: &&TcpStream| {
        socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        socket.peek(&mut [0]).is_ok()
    };
    let mut gave_way = None;
    wait_until("it hears so", || {
        gave_way = open.iter().find(is_answered);
        gave_way.is_some()
    });
    assert_refused(gave_way.unwrap());
    wait_until("its turn is the newcomer's", || under_way() == UPLOADS_MAX);
    assert_within(&server, quiet, "uploads");
    drop((open, late));
    wait_until("nothing stays", || under_way() == 0);
}

#[test]
fn answers_that_are_not_read_take_what_they_may_and_no_more() {
    const FILE_BYTES: usize = 8 * 1024 * 1024;
    /// What one of a file that long takes.
    const PIPED_BYTES: u64 = 320 * 1024;
    let _turn = turn::mine_blocking();
    let server = server(1);
    let path = "posts/images/00000000-0000-4000-8000-000000000000.png";
    std::fs::write(server.media().join(path), vec![7; FILE_BYTES]).unwrap();
    server.forget_peak();
    let quiet = server.peak_bytes();
    let (mut open, mut clients) = (Vec::new(), 0);
    while used(&server, "answers") + PIPED_BYTES <= bound("answers") {
        clients += 1;
        assert!(clients < 20, "{} bytes are used", used(&server, "answers"));
        let refused = shed(&server, "answer");
        while shed(&server, "answer") == refused {
            // Some at a time: each question costs as much as a request.
            open.extend((0..8).map(|_| begin(&server, clients, &format!("GET /media/{path} HTTP/1.1"), b"")));
        }
    }
    eprintln!("{clients} clients read none of {} answers", open.len());
    assert!((8..20).contains(&clients), "{clients} clients");
    let another = begin(&server, 200, &format!("GET /media/{path} HTTP/1.1"), b"");
    assert_refused(&another);
    assert!(used(&server, "answers") <= bound("answers"));
    assert_within(&server, quiet, "answers");
    drop(open);
    wait_until("all is given back", || used(&server, "answers") == 0);
    assert!(answer(&begin(&server, 200, &format!("GET /media/{path} HTTP/1.1"), b"")).starts_with("HTTP/1.1 200 "));
}

#[test]
fn writes_that_wait_for_a_locked_database_take_what_a_lane_may_and_no_more() {
    let _turn = turn::mine_blocking();
    let server = server(2);
    let mut sockets = [0, 1].map(|user| upgrade(&server, &server.chat_path(0, user), |_| {}));
    let deaf = sockets.each_ref().map(|socket| {
        let mut ears = socket.try_clone().unwrap();
        std::thread::spawn(move || std::io::copy(&mut ears, &mut std::io::sink()))
    });
    now(server.wait_for_metric("pregon_sessions", |sessions| sessions == 2.0));
    server.forget_peak();
    let quiet = server.peak_bytes();
    let lock = rusqlite::Connection::open(server.database()).unwrap();
    lock.busy_timeout(PATIENCE).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    // A batch is given up after some seconds, and the next takes what came meanwhile. So they must come fast: an unoptimised
    // build reads long texts slowly.
    let message = json!({"type": "chat_message", "content": "x".repeat(300)}).to_string();
    let messages = masked(1, message.as_bytes()).repeat(500);
    wait_until("a write is refused", || {
        sockets.iter_mut().for_each(|socket| socket.write_all(&messages).unwrap());
        shed(&server, "write") > 0
    });
    assert_within(&server, quiet, "lanes");
    drop(lock);
    // With the socket's end its echoes have nobody who reads them.
    sockets.iter().for_each(|socket| socket.shutdown(std::net::Shutdown::Both).unwrap());
    deaf.into_iter().for_each(|ears| drop(ears.join().unwrap()));
    now(server.wait_for_status("/readyz", 200));
}
