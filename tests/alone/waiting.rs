//! What waits for sessions and between shards reaches its bounds on the real binary: what is too much is let go with a word,
//! those who read hear everything, and the memory stays within the sum.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::bounds::{ELSEWHERE_BYTES, now, wait_until};
use crate::crowd::{Frames, masked, upgrade};
use crate::fleet::{Fleet, faults_of, is_settled};
use crate::stopped::Stopped;
use crate::support::{PATIENCE, Server};
use crate::turn;
use crate::voice::Voice;
use pregon::limits::memory::{Sizes, parts};
use pregon::limits::{
    DEBT_STEP_BYTES, INBOX_BYTES_MAX, MESSAGE_BYTES_MAX, OVERFLOW_BYTES_MAX, OVERFLOW_MESSAGES_MAX,
    SESSION_UNFINISHED_BYTES_MAX,
};
use serde_json::{Value, json};

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PONG: u8 = 10;

fn bound(shards: usize, part: &str) -> u64 {
    parts(Sizes { shards, lanes: 1, tls: false }).iter().find(|known| known.name == part).unwrap().bytes as u64
}

/// Connections to `/metrics`. A shard that was stopped does not answer on those that it accepted.
struct Gauges(Vec<TcpStream>);

impl Gauges {
    fn open(server: &Server) -> Self {
        let connections = (0..12).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
        let mut gauges = Self(connections);
        // So that their shards have accepted them.
        (0..gauges.0.len()).for_each(|number| drop(gauges.ask(number, PATIENCE).expect("an answer")));
        gauges
    }

    /// Keeps one that is answered now.
    fn keep_the_answered(&mut self) {
        let answered = (0..self.0.len()).find(|number| self.ask(*number, Duration::from_millis(500)).is_some());
        self.0.swap(0, answered.expect("one of them is answered"));
        self.0.truncate(1);
    }

    fn ask(&mut self, number: usize, patience: Duration) -> Option<String> {
        let socket = &mut self.0[number];
        socket.set_read_timeout(Some(patience)).unwrap();
        socket.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            let count = socket.read(&mut buffer).ok()?;
            assert!(count > 0, "the connection ended");
            bytes.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&bytes);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            if body.len() == length.parse::<usize>().unwrap() {
                assert!(head.starts_with("HTTP/1.1 200 "), "whatever happens, this is answered: {head}");
                return Some(body.to_owned());
            }
        }
    }

    /// The sum of all series whose names begin so.
    fn sum(&mut self, series: &str) -> u64 {
        let text = self.ask(0, PATIENCE).expect("an answer");
        let values = text.lines().filter_map(|line| line.strip_prefix(series)?.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum::<f64>() as u64
    }

    fn used(&mut self, part: &str) -> u64 {
        self.sum(&format!("pregon_memory_used_bytes{{part=\"{part}\"}}"))
    }

    fn shed(&mut self, what: &str) -> u64 {
        self.sum(&format!("pregon_shed_total{{what=\"{what}\"}}"))
    }

    fn let_go(&mut self, reason: &str) -> u64 {
        self.sum(&format!("pregon_sessions_let_go_total{{reason=\"{reason}\"}}"))
    }
}

/// One socket of a thread that reads by itself.
struct Client {
    socket: TcpStream,
    frames: Frames,
}

impl Client {
    /// Asks for the upgrade, with the buffers of a small distant machine.
    fn small(server: &Server, path: &str) -> Self {
        let socket = upgrade(server, path, |socket| {
            socket.set_recv_buffer_size(4 * 1024).unwrap();
            socket.set_tcp_mss(536).unwrap();
        });
        Self::of(socket)
    }

    fn of(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, frames: Frames::default() }
    }

    fn send(&mut self, value: &Value) {
        self.socket.write_all(&masked(TEXT, value.to_string().as_bytes())).unwrap();
    }

    /// The next frame, if one comes while it is waited for.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut buffer = [0; 4096];
        loop {
            if let Some((opcode, payload)) = self.frames.next() {
                return Some((opcode, payload.to_vec()));
            }
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.frames.feed(&buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionReset) => {
                    return None;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Texts up to one of this type, which is the last of them.
    fn until(&mut self, kind: &str) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            let (opcode, payload) = self.next().unwrap_or_else(|| panic!("{kind} never comes"));
            assert_ne!(opcode, CLOSE, "{payload:?}");
            if opcode == TEXT {
                heard.push(serde_json::from_slice::<Value>(&payload).unwrap());
            }
            if heard.last().is_some_and(|last| last["type"] == kind) {
                return heard;
            }
        }
    }

    fn ping(&mut self) {
        self.send(&json!({"type": "ping", "timestamp": 1}));
    }
}

/// Room 0 has members who read and write; at the end of it each of them must have heard everything.
fn talk(server: &Server, users: std::ops::Range<usize>, messages: usize) {
    let voice = Voice::new(0, 300);
    let mut fleet = Fleet::new();
    for user in users.clone().chain(users) {
        fleet.add(server, &server.chat_path(0, user), &voice);
    }
    fleet.greet();
    let sayings = (0..messages).map(move |number| voice.chat(0, number));
    fleet.say(0, 0, sayings);
    fleet.run(&false.into(), is_settled).unwrap();
    let mut faults = std::mem::take(&mut fleet.faults);
    faults.extend(faults_of(&fleet.seats, messages));
    assert!(faults.is_empty(), "{faults:?}");
}

fn assert_within(server: &Server, quiet: u64, bytes: u64, what: &str) {
    let peak = server.peak_bytes();
    eprintln!("{what}: {} MB without, {} MB at the bound of {} MB", quiet >> 20, peak >> 20, bytes >> 20);
    assert!(peak <= quiet + bytes + ELSEWHERE_BYTES, "{peak} bytes, {quiet} without");
}

/// Two rooms of four; room 0 is for those who read.
fn two_rooms(shards: usize) -> Server {
    now(Server::builder().seed(8, 2, 4).set("PREGON_SHARDS", shards).start())
}

/// Each of them may owe a little less than a MiB for as long as it likes, so only the sum ends them.
#[test]
fn chunks_of_those_who_do_not_read_take_what_sessions_may_and_no_more() {
    const ANSWER: usize = 60_000;
    const ANSWERS: usize = 16;
    let _turn = turn::mine_blocking();
    for shards in [1, 2] {
        let server = two_rooms(shards);
        let bound = bound(shards, "sessions");
        let mut gauges = Gauges::open(&server);
        server.forget_peak();
        let quiet = server.peak_bytes();
        let ping = json!({"type": "ping", "timestamp": "x".repeat(ANSWER)}).to_string();
        let pings = masked(TEXT, ping.as_bytes()).repeat(ANSWERS);
        let (mut deaf, mut most) = (Vec::new(), 0);
        let began = Instant::now();
        // Shards fill one after the other.
        while gauges.let_go("overload") == 0 || most <= bound / 8 * 7 {
            assert!(began.elapsed() < PATIENCE, "{most} bytes of {bound}");
            for _ in 0..8 {
                let mut socket = Client::small(&server, &server.chat_path(1, 4)).socket;
                // Whoever is let go meanwhile does not take all.
                let _ = socket.write_all(&pings);
                deaf.push(socket);
            }
            most = most.max(gauges.used("sessions"));
            assert!(most <= bound, "{most} bytes, {bound} may be");
        }
        eprintln!("{} sockets, {most} bytes after {:?}", deaf.len(), began.elapsed());
        assert!(gauges.sum("pregon_chunk_bytes") > bound / 2, "they lie in chunks");
        talk(&server, 0..4, 100);
        assert!(gauges.shed("debtor") >= gauges.let_go("overload"), "only the sum ends them");
        assert_eq!(gauges.let_go("slow"), 0);
        assert!(gauges.used("sessions") <= bound);
        assert_within(&server, quiet, bound, &format!("chunks, {shards} shards"));
        drop(deaf);
        wait_until("all is given back", || gauges.used("sessions") == 0);
        assert_eq!((gauges.sum("pregon_chunk_bytes"), gauges.sum("pregon_debt_bytes")), (0, 0));
    }
}

/// Members of room 1 who read nothing.
struct Deaf(Vec<Client>);

impl Deaf {
    fn join(server: &Server, count: usize) -> Self {
        let mut clients: Vec<_> =
            (0..count).map(|number| Client::small(server, &server.chat_path(1, 4 + number % 3))).collect();
        clients.iter_mut().for_each(|client| drop(client.until("connection_success")));
        Self(clients)
    }

    /// A pong that nobody asked for. Whoever says nothing for long is let go, whatever it owes.
    fn live_on(&mut self) {
        for client in &mut self.0 {
            // Whoever was let go cannot.
            let _ = client.socket.write_all(&masked(PONG, b""));
        }
    }
}

/// A reader who stalls with little has a buffer of its own, so that it pins no chunk; it grows by 64 KiB.
#[test]
fn debts_of_a_room_that_does_not_read_take_what_sessions_may_and_no_more() {
    /// The kernels' buffers grow for a while before they stay full, and each copy takes two seconds.
    const LONG: Duration = Duration::from_secs(120);
    /// After this they have their copies: the clock of shards has whole seconds.
    const COPIED: Duration = Duration::from_secs(3);
    /// Messages that together are less than a chunk.
    const TOLD_AT_ONCE: usize = 4;
    let _turn = turn::mine_blocking();
    for shards in [1, 2] {
        let server = two_rooms(shards);
        let bound = bound(shards, "sessions");
        let mut gauges = Gauges::open(&server);
        server.forget_peak();
        let quiet = server.peak_bytes();
        let count = usize::try_from(bound).unwrap() / DEBT_STEP_BYTES / 8 * 9;
        let mut deaf = Deaf::join(&server, count);
        let mut voice = Client::of(upgrade(&server, &server.chat_path(1, 7), |_| {}));
        let (began, mut most) = (Instant::now(), 0);
        let mut told = gauges.sum("pregon_frames_out_total");
        // Shards fill one after the other.
        while gauges.let_go("overload") == 0 || most <= bound / 4 * 3 {
            assert!(began.elapsed() < LONG, "{most} bytes of {bound} are debts");
            deaf.live_on();
            // Whoever owes more than a chunk gets no copy, so those who have one are told little, and nobody much at once.
            let chars = if gauges.sum("pregon_debt_bytes") == 0 { 1500 } else { 50 };
            for _ in 0..TOLD_AT_ONCE {
                told += count as u64;
                voice.send(&json!({"type": "chat_message", "content": "x".repeat(chars)}));
                voice.until("chat_message");
            }
            // Where one shard is full, something may wait for good; the other one's readers need their copies all the same, else
            // they owe so much that they are too slow.
            let said = Instant::now();
            wait_until("it is sent or copied", || {
                // These figures are of the last tick: what was said after it is not in them. When that was more than a chunk,
                // nobody ever got a copy.
                let is_told = gauges.sum("pregon_frames_out_total") >= told;
                is_told && gauges.sum("pregon_chunk_bytes") == 0
                    || gauges.let_go("overload") > 0 && said.elapsed() > COPIED
            });
            most = most.max(gauges.sum("pregon_debt_bytes"));
            assert!(most <= bound, "{most} bytes, {bound} may be");
        }
        eprintln!("{count} sockets, {most} bytes after {:?}", began.elapsed());
        talk(&server, 0..4, 50);
        assert!(gauges.used("sessions") <= bound);
        assert_eq!((gauges.let_go("slow"), gauges.let_go("silent")), (0, 0), "only the sum ends them");
        assert_within(&server, quiet, bound, &format!("debts, {shards} shards"));
        drop((deaf, voice));
        wait_until("all is given back", || gauges.used("sessions") == 0);
        assert_eq!((gauges.sum("pregon_chunk_bytes"), gauges.sum("pregon_debt_bytes")), (0, 0));
    }
}

/// Pairs of sockets, each in a room of its own, of which one is on each shard.
struct Across {
    /// On the shard that is not stopped.
    near: Vec<Client>,
    /// On the one that is.
    far: Vec<Client>,
}

impl Across {
    /// Of all pairs those whose shards differ, now that one of the two shards does not answer.
    fn of(mut pairs: Vec<[Client; 2]>) -> Self {
        pairs.iter_mut().flatten().for_each(Client::ping);
        let mut answered = vec![[false; 2]; pairs.len()];
        let mut heard_at = Instant::now();
        while heard_at.elapsed() < Duration::from_secs(1) {
            for (pair, answered) in pairs.iter_mut().zip(&mut answered) {
                for (client, has_answered) in pair.iter_mut().zip(answered).filter(|(_, answered)| !**answered) {
                    client.socket.set_nonblocking(true).unwrap();
                    if client.next().is_some() {
                        (*has_answered, heard_at) = (true, Instant::now());
                    }
                    client.socket.set_nonblocking(false).unwrap();
                }
            }
        }
        let mut across = Self { near: Vec::new(), far: Vec::new() };
        for ([one, other], answered) in pairs.into_iter().zip(answered) {
            let (near, far) = match answered {
                [true, false] => (one, other),
                [false, true] => (other, one),
                _ => continue,
            };
            across.near.push(near);
            across.far.push(far);
        }
        across
    }
}

/// Signals that are heard up to the answers of so many pings.
fn signals(client: &mut Client, pings: usize) -> usize {
    let heard = (0..pings).flat_map(|_| client.until("pong"));
    heard.filter(|frame| frame["type"] == "signal").count()
}

/// Reads so many messages in a thread of its own; how many it has is known meanwhile.
fn listen(mut client: Client, messages: usize) -> (Arc<AtomicUsize>, JoinHandle<()>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let listening = std::thread::spawn(move || {
        for _ in 0..messages {
            client.until("chat_message");
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (count, listening)
}

/// One socket on each of two shards, in each of many rooms; nothing is said any more.
fn pairs_of(server: &Server, gauges: &mut Gauges) -> Vec<[Client; 2]> {
    let pairs = server.fixture.rooms.iter().enumerate().map(|(room, known)| {
        let members = [known.members[0], known.members[1]];
        members.map(|user| Client::of(upgrade(server, &server.chat_path(room, user), |_| {})))
    });
    let mut pairs: Vec<_> = pairs.collect();
    pairs.iter_mut().flatten().for_each(|client| drop(client.until("connection_success")));
    for client in pairs.iter_mut().flatten() {
        client.ping();
        client.until("pong");
    }
    wait_until("nobody is told of anybody", || gauges.used("sessions") == 0);
    pairs
}

/// Says more in a room than a shard's inbox takes.
fn fill_the_inbox(gauges: &mut Gauges, mut voice: TcpStream, messages: usize) {
    let writing = std::thread::spawn(move || {
        let content = "😀".repeat(2000);
        let frame = masked(TEXT, json!({"type": "chat_message", "content": content}).to_string().as_bytes());
        (0..messages).for_each(|_| voice.write_all(&frame).unwrap());
    });
    wait_until("the inbox is full", || gauges.used("inboxes") > (INBOX_BYTES_MAX / 8 * 7) as u64);
    writing.join().unwrap();
}

/// Signals for a full inbox, of which the shard finds all at once; how many were sent.
fn fill_the_overflow(server: &Server, gauges: &mut Gauges, near: &mut [Client]) -> usize {
    const SIGNALS: usize = 40;
    let near_shard = Stopped::new(server, "shard-0");
    let signal = masked(TEXT, json!({"type": "signal", "data": "x".repeat(1700)}).to_string().as_bytes());
    for client in near.iter_mut() {
        client.socket.write_all(&signal.repeat(SIGNALS)).unwrap();
    }
    drop(near_shard);
    wait_until("the overflow is full", || gauges.shed("frames") > 0);
    wait_until("it is measured", || gauges.used("overflow") > 0);
    assert!(gauges.used("inboxes") <= INBOX_BYTES_MAX as u64, "nobody puts in more");
    let (most, sent) = (gauges.used("overflow"), SIGNALS * near.len());
    eprintln!("{most} bytes of {OVERFLOW_BYTES_MAX} overflow, {} of {sent} signals dropped", gauges.shed("frames"));
    assert!(most > (OVERFLOW_BYTES_MAX / 8 * 7) as u64 && most <= OVERFLOW_BYTES_MAX as u64);
    assert!(sent > OVERFLOW_MESSAGES_MAX, "more than may wait");
    sent
}

/// Whoever comes to a shard whose overflow is full is to come again. The other one does not answer.
fn assert_sent_away(server: &Server) {
    let room = server.chat_path(0, server.fixture.rooms[0].members[0]);
    let refused = std::iter::repeat_with(|| {
        let mut client = Client::of(upgrade(server, &room, |_| {}));
        client.socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        client.next()
    });
    let (opcode, payload) = refused.take(30).flatten().next().expect("one shard answers");
    assert_eq!((opcode, &payload[..2]), (CLOSE, &1013_u16.to_be_bytes()[..]));
}

#[test]
fn what_a_shard_that_stands_still_is_told_takes_what_inboxes_and_overflow_may_and_no_more() {
    const PAIRS: usize = 160;
    const MESSAGES: usize = 1400;
    let _turn = turn::mine_blocking();
    let server = now(Server::builder().seed(2 * PAIRS, PAIRS, 2).set("PREGON_SHARDS", 2).start());
    if !Stopped::is_allowed(&server) {
        eprintln!(
            "this machine forbids ptrace (as containers without CAP_SYS_PTRACE may): no shard can be made to stand still"
        );
        return;
    }
    let mut gauges = Gauges::open(&server);
    let pairs = pairs_of(&server, &mut gauges);
    server.forget_peak();
    let quiet = server.peak_bytes();
    let far_shard = Stopped::new(&server, "shard-1");
    let Across { mut near, mut far } = Across::of(pairs);
    assert!(near.len() >= 50, "{} pairs", near.len());
    gauges.keep_the_answered();
    let voice = near[0].socket.try_clone().unwrap();
    let (echoes, writer_listening) = listen(near.swap_remove(0), MESSAGES);
    let other_ears = far.swap_remove(0);
    fill_the_inbox(&mut gauges, voice, MESSAGES);
    assert!(echoes.load(Ordering::Relaxed) < MESSAGES, "publishers wait");
    let sent = fill_the_overflow(&server, &mut gauges, &mut near);
    assert_sent_away(&server);
    let bound = bound(2, "inboxes") + bound(2, "overflow") + bound(2, "lanes");
    assert_within(&server, quiet, bound, "inboxes, overflow and the lane behind them");

    let (_, other_listening) = listen(other_ears, MESSAGES);
    drop(far_shard);
    writer_listening.join().expect("the writer hears all");
    other_listening.join().expect("the other shard's reader hears all");
    wait_until("all is told", || (gauges.used("inboxes"), gauges.used("overflow")) == (0, 0));
    far.iter_mut().for_each(Client::ping);
    // They were asked before, too.
    let heard: usize = far.iter_mut().map(|client| signals(client, 2)).sum();
    assert_eq!(heard, sent - gauges.shed("frames") as usize, "all signals but those that are counted");
    wait_until("all is given back", || gauges.used("sessions") == 0);
}

/// The greeting, then most of a long message, whose end never comes.
fn begin_a_message(server: &Server, user: usize) -> Client {
    let mut client = Client::of(upgrade(server, &server.chat_path(1, user), |_| {}));
    client.until("connection_success");
    let frame = masked(TEXT, "x".repeat(MESSAGE_BYTES_MAX - 1).as_bytes());
    // Whoever is let go meanwhile does not take all.
    let _ = client.socket.write_all(&frame[..frame.len() - 100]);
    client
}

#[test]
fn messages_that_nobody_ends_take_what_they_may_and_no_more() {
    const SOCKETS: usize = 1100;
    let _turn = turn::mine_blocking();
    for shards in [1, 2] {
        let server = two_rooms(shards);
        let bound = bound(shards, "unfinished");
        let mut gauges = Gauges::open(&server);
        // A message that is merely on its way: a little of it is there.
        let mut honest = Client::of(upgrade(&server, &server.chat_path(0, 0), |_| {}));
        honest.until("connection_success");
        let message = json!({"type": "chat_message", "content": "sigue"}).to_string();
        let frame = masked(TEXT, message.as_bytes());
        honest.socket.write_all(&frame[..20]).unwrap();
        server.forget_peak();
        let quiet = server.peak_bytes();
        let (mut open, mut most) = (Vec::new(), 0);
        for number in 0..SOCKETS {
            open.push(begin_a_message(&server, 4 + number % 4));
            if number % 100 == 99 {
                most = most.max(gauges.used("unfinished"));
                assert!(most <= bound, "{most} bytes, {bound} may be");
            }
        }
        eprintln!("{most} bytes of {bound}, {} of {SOCKETS} let go", gauges.let_go("unfinished"));
        assert!(most > bound / 4 * 3, "{most} bytes");
        let kept = bound as usize / MESSAGE_BYTES_MAX;
        let gone = gauges.let_go("unfinished") as usize;
        assert!(gone >= SOCKETS - kept && gone == gauges.shed("unfinished") as usize, "{gone} of {SOCKETS}");
        let room = SESSION_UNFINISHED_BYTES_MAX * shards;
        assert!(SOCKETS - gone > (bound as usize - room) / 8 * 7 / (2 * MESSAGE_BYTES_MAX) - 1, "the others stay");
        // Who was let go hears why, until their connections are reset.
        let codes = open.iter_mut().filter_map(|client| {
            client.socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            // Who is there was told before.
            let (_, payload) = std::iter::from_fn(|| client.next()).find(|(opcode, _)| *opcode == CLOSE)?;
            Some(u16::from_be_bytes([payload[0], payload[1]]))
        });
        let codes: Vec<_> = codes.collect();
        assert!(!codes.is_empty() && codes.iter().all(|code| *code == 1013), "{codes:?}");
        assert_within(&server, quiet, bound, &format!("unfinished messages, {shards} shards"));
        honest.socket.write_all(&frame[20..]).unwrap();
        honest.until("chat_message");
        talk(&server, 1..4, 50);
        drop(open);
        wait_until("all is given back", || gauges.used("unfinished") == 0);
    }
}
