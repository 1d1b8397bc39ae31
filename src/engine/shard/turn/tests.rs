//! Tests of what can only be seen with real sockets.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::*;
use bytes::Bytes;
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::LocalSet;

use crate::domain::rights::Mark;
use crate::domain::user::Account;
use crate::engine::net::send::{Io, Sender};
use crate::engine::session::Entry;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::outbox::Class;
use crate::engine::shard::connection;
use crate::engine::shard::port::{
    Address, Allowance, Denied, Directory, Except, Gate, Handshake, Inbox, Ports, Publication, Refused, ToShard,
    Verdict, Waiting, Wanted,
};
use crate::engine::topics::listeners::Listeners;
use crate::ids::{FamilyId, RoomId, SessionKey, ShardId, Topic, UserId};
use crate::limits::{
    CLOSE_TIMEOUT, FEED_RECENT_MAX, LOOK_EVENTS_MAX, PRESENCE_ROOM_CEILING, RECEIVE_BUFFER_BYTES, STRETCH_VISITS_MAX,
};
use crate::protocol::form::FrameSet;
use crate::protocol::v0::{event, reason};

struct Alone;

impl Directory for Alone {
    fn join(&self, _: Topic, shard: ShardId) -> Option<Arc<Listeners>> {
        Some(Arc::new(Listeners::of(shard)))
    }
    fn leave(&self, _: Topic, _: ShardId) {}
    fn hear_all(&self, _: ShardId) {}
    fn hear_enough(&self, _: ShardId) {}
}

impl Gate for Alone {
    fn allows_origin(&self, _: Option<&str>, _: &str) -> bool {
        true
    }
    fn admit(&self, _: &Handshake<'_>) -> Verdict {
        unreachable!("sessions are adopted here, not admitted")
    }
    fn is_draining(&self) -> bool {
        false
    }
}

mod encrypted;

fn shared() -> Shared {
    shared_with(0)
}

/// Holds so many bytes of records whose end has not come.
fn shared_with(unopened_bytes_max: usize) -> Shared {
    let ports = Ports {
        waiting: Arc::new(Waiting::of_shards(1)),
        inboxes: Arc::from([Arc::new(Inbox::default())]),
        directory: Arc::new(Alone),
        gate: Arc::new(Alone),
        rest: Arc::new(|_, _| unreachable!("nobody asks for anything else")),
        submit: Arc::new(Err),
        // A list that never comes.
        load_follows: Arc::new(|_, _, _| true),
        elsewhere: None,
        errands: Arc::new(|_| false),
        allowance: Allowance::default(),
    };
    let sender = Sender::new(Io::Auto, STRETCH_VISITS_MAX).unwrap();
    let sockets = Sockets::new(RECEIVE_BUFFER_BYTES, LOOK_EVENTS_MAX, unopened_bytes_max, sender).unwrap();
    let core = Core::new(ShardId(0), ports, Instant::now());
    Shared::new(Shard::new(sockets, core))
}

fn entry(room: RoomId) -> Entry {
    let account = Arc::new(Account::active(UserId::fresh(), "ana".into()));
    let endpoint = Endpoint::Chat { room, has_presence: false };
    Entry { account, endpoint, family: FamilyId::issued(0), token_ends: i64::MAX, mark: Mark::default() }
}

/// Both ends of a connection.
fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let server = listener.accept().unwrap().0;
    server.set_nonblocking(true).unwrap();
    (server, client)
}

fn all_bytes(mut client: &TcpStream) -> Vec<u8> {
    client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        all.extend_from_slice(&buffer[..count]);
    }
    all
}

#[test]
fn a_session_in_a_slot_that_died_with_its_turn_set_hears_everything_once() {
    let (shared, room) = (shared(), RoomId::fresh());
    let (first, _gone) = pair();
    shared.adopt(first, None, &mut [], Negotiation::default(), Opening::Judged(Ok(entry(room))));
    {
        let mut shard = shared.shard.borrow_mut();
        assert_eq!(shard.core.walk, [0], "the greeting waits for the walk");
        shard.core.end(0, false);
        shard.bury();
    }
    let (second, client) = pair();
    shared.adopt(second, None, &mut [], Negotiation::default(), Opening::Judged(Ok(entry(room))));
    let mut expected = Vec::new();
    event::greeting(&mut expected);
    {
        let mut shard = shared.shard.borrow_mut();
        assert!(shard.core.slots[0].is_some(), "the slot is used again");
        let live = shard.core.registry.slot(&Topic::Room(room)).unwrap();
        for text in ["one", "two"] {
            let mut frame = Vec::new();
            event::error(&mut frame, text, None);
            shard.core.fan_out(live, &FrameSet::new(&frame[..]), Class::Durable, Except::Nobody, None);
            expected.extend_from_slice(&frame);
        }
        while shard.turn() {}
    }
    assert_eq!(all_bytes(&client), expected);
}

#[test]
fn after_the_goodbye_pings_are_not_answered() {
    let shared = shared();
    let (server, client) = pair();
    let refused = Refused { text: reason::BAD_TOKEN, goodbye: reason::REFUSED };
    shared.adopt(server, None, &mut [], Negotiation::default(), Opening::Judged(Err(refused)));
    let mut shard = shared.shard.borrow_mut();
    while shard.turn() {}
    let goodbye = all_bytes(&client);
    // Masked with zeros.
    shard.core.received(0, &mut [0x89, 0x82, 0, 0, 0, 0, b'h', b'i']);
    while shard.turn() {}
    assert!(all_bytes(&client).is_empty());
    assert!(goodbye.ends_with(&[0x88, 2, 3, 0xe8]), "a close frame was the last");
}

/// The peer sent bytes that are no frame, so its Close would not be understood.
#[test]
fn a_peer_that_broke_the_protocol_is_told_and_finds_the_end_behind_it() {
    let shared = shared();
    let (server, client) = pair();
    shared.adopt(server, None, &mut [], Negotiation::default(), Opening::Judged(Ok(entry(RoomId::fresh()))));
    let mut shard = shared.shard.borrow_mut();
    // Not masked.
    shard.core.received(0, &mut [0x81, 1, b'x']);
    while shard.turn() {}
    assert!(shard.core.slots[0].is_some(), "the shard waits for the peer's end");
    let all = all_bytes(&client);
    assert!(all.windows(4).any(|bytes| bytes[0] == 0x88 && bytes[2..] == [3, 0xea]), "it is told 1002: {all:?}");
    assert!(matches!((&client).read(&mut [0]), Ok(0)), "and finds the end, no reset");
    drop(client);
    let began = Instant::now();
    while shard.core.slots[0].is_some() && began.elapsed() < CLOSE_TIMEOUT {
        shard.turn();
    }
    assert!(shard.core.slots[0].is_none());
}

/// The first one's coming is still on its way to the room's home when the second one sits there, and is told with the greeting, too.
#[test]
fn who_comes_at_the_same_moment_is_told_once_to_each() {
    let shared = shared();
    let mut ports = shared.shard.borrow().core.ports.clone();
    ports.waiting = Arc::new(Waiting::of_shards(2));
    ports.inboxes = Arc::new([Arc::default(), Arc::default()]);
    let room = std::iter::repeat_with(RoomId::fresh).find(|room| ports.home(*room) == ShardId(1)).unwrap();
    let mut home = Core::new(ShardId(1), ports.clone(), Instant::now());
    shared.shard.borrow_mut().core.ports = ports;
    let entries: Vec<Entry> = ["ana", "beto"]
        .map(|name| {
            let account = Arc::new(Account::active(UserId::fresh(), name.into()));
            Entry { account, endpoint: Endpoint::Chat { room, has_presence: true }, ..entry(room) }
        })
        .into();
    let clients: Vec<TcpStream> = entries
        .iter()
        .map(|entry| {
            let (server, client) = pair();
            let opening = Opening::Judged(Ok(entry.clone()));
            shared.adopt(server, None, &mut [], Negotiation::default(), opening);
            client
        })
        .collect();
    let mut shard = shared.shard.borrow_mut();
    // What the home tells is heard in the next round.
    while shard.turn() | home.take_mail() | !home.ports.inboxes[0].is_empty() {}
    for (client, other) in clients.iter().zip(entries.iter().rev()) {
        let mut expected = Vec::new();
        event::greeting(&mut expected);
        event::user_status(&mut expected, &other.account, true);
        assert_eq!(all_bytes(client), expected);
    }
}

/// A newcomer to a large room gets a greeting of a quarter of a megabyte: as much as the walk carries in one round.
#[test]
fn greetings_of_large_rooms_are_counted_like_other_mail() {
    let (shared, room) = (shared(), RoomId::fresh());
    let (server, _client) = pair();
    let entry = Entry { endpoint: Endpoint::Chat { room, has_presence: true }, ..entry(room) };
    shared.adopt(server, None, &mut [], Negotiation::default(), Opening::Judged(Ok(entry)));
    let mut shard = shared.shard.borrow_mut();
    let core = &mut shard.core;
    let named = || Arc::new(Account::active(UserId::fresh(), "x".repeat(40).into()));
    let listeners = Arc::new(Listeners::of(ShardId(0)));
    (0..PRESENCE_ROOM_CEILING)
        .for_each(|_| drop(core.presence.arrive(room, &named(), &listeners, true, Instant::now())));
    let (inbox, session) = (core.ports.inboxes[0].clone(), core.key(0));
    let arrived = || ToShard::Arrived { room, account: named(), is_told: true, session, listeners: listeners.clone() };
    (0..8).for_each(|_| inbox.try_send(arrived()).unwrap());
    assert!(core.take_mail(), "there is more");
    assert!(inbox.len() >= 6, "{} greetings wait for the walk", inbox.len());
}

/// The adoption runs in a task, where nobody would notice a panic.
#[test]
fn a_panic_over_a_new_socket_ends_the_shard_and_says_so() {
    struct Broken;
    impl Gate for Broken {
        fn allows_origin(&self, _: Option<&str>, _: &str) -> bool {
            true
        }
        fn admit(&self, _: &Handshake<'_>) -> Verdict {
            unreachable!("sessions are adopted here, not admitted")
        }
        fn came(&self, _: UserId, _: Topic, _: SessionKey) -> Option<SessionKey> {
            panic!("on purpose")
        }
        fn is_draining(&self) -> bool {
            false
        }
    }
    let shared = shared();
    shared.shard.borrow_mut().core.ports.gate = Arc::new(Broken);
    let (server, _client) = pair();
    shared.adopt(server, None, &mut [], Negotiation::default(), Opening::Judged(Ok(entry(RoomId::fresh()))));
    assert!(shared.is_broken.get());
    assert!(alarm::is_raised("a shard that adopts a socket panicked"));
}

/// A feed whose list does not come: what authors publish is kept for it as long as there is room; then its client has
/// to come again. A feed that came later, and would miss nothing, stays.
#[test]
fn a_feed_that_would_miss_something_is_sent_away() {
    let shared = shared();
    let feed = || {
        let (server, client) = pair();
        shared.adopt(
            server,
            None,
            &mut [],
            Negotiation::default(),
            Opening::Judged(Ok(Entry { endpoint: Endpoint::Feed, ..entry(RoomId::fresh()) })),
        );
        client
    };
    let ana = UserId::fresh();
    let frames = FrameSet::new(Bytes::from_static(&[0x81, 2, b'{', b'}']));
    let (class, except) = (Class::Durable, Except::Nobody);
    let topic = Topic::Author(ana);
    let publication = Arc::new(Publication { topic, frames, class, except, origin: None, born: Instant::now() });
    let publish = |count: usize| {
        let mut shard = shared.shard.borrow_mut();
        for _ in 0..count {
            shard.core.fan_out_by(ana, &publication);
        }
        while shard.turn() {}
    };
    let first = feed();
    publish(FEED_RECENT_MAX);
    let second = feed();
    let goodbye = [0x88, 2 + u8::try_from(reason::OVERLOAD.reason.len()).unwrap(), 3, 0xf5];
    let is_sent_away = |client| all_bytes(client).windows(4).any(|bytes| bytes == goodbye);
    assert!(!is_sent_away(&first), "all of it is kept");
    publish(1);
    assert_eq!((is_sent_away(&first), is_sent_away(&second)), (true, false));
}

/// Limits by address, forms of frames and other rules need everything that the gate is told.
#[test]
fn the_gate_is_told_who_asks_for_what_and_how() {
    type Asked = (Wanted, Option<String>, SocketAddr, HeaderMap, Negotiation);
    struct Told(Mutex<Vec<Asked>>);
    impl Gate for Told {
        fn allows_origin(&self, _: Option<&str>, _: &str) -> bool {
            true
        }
        fn admit(&self, asked: &Handshake<'_>) -> Verdict {
            let token = asked.token.map(str::to_owned);
            self.0.lock().unwrap().push((asked.wanted, token, asked.peer, asked.headers.clone(), asked.negotiation));
            Verdict::Now(Err(Denied::Status(403, "path")))
        }
        fn is_draining(&self) -> bool {
            false
        }
    }
    let told = Arc::new(Told(Mutex::default()));
    let shared = Rc::new(shared());
    let ports = Ports { gate: told.clone(), ..shared.shard.borrow().core.ports.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let address = LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let entrance = connection::Entrance { doorway: None, transport_security: None };
        tokio::task::spawn_local(connection::accept(listener, Rc::new(entrance), shared.clone(), ports));
        let request = "GET /ws/notifications/?token=abc HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Protocol: pregon.v1\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n";
        client.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        client.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 403");
        client.local_addr().unwrap()
    });
    let told = told.0.lock().unwrap();
    let [(wanted, token, peer, headers, negotiation)] = &told[..] else { panic!("asked once: {told:?}") };
    assert_eq!((*wanted, token.as_deref(), *peer), (Wanted::Notifications, Some("abc"), address));
    assert!(headers["x-forwarded-for"] == "203.0.113.7" && headers["sec-websocket-protocol"] == "pregon.v1");
    assert_eq!(*negotiation, Negotiation::default(), "nothing is agreed on yet");
}

/// A flood from one address, which is over its own limit, and one connection of somebody else behind it.
#[test]
fn an_address_beyond_its_limit_uses_up_nobody_elses_pace() {
    const FLOOD: u16 = 40;
    /// Who comes from the ports of the flood is closed. All others have this many tokens, and no more come.
    struct Paced {
        bad: Mutex<std::collections::HashSet<u16>>,
        tokens: std::sync::atomic::AtomicU32,
        closed: std::sync::atomic::AtomicU32,
    }
    impl Gate for Paced {
        fn allows_origin(&self, _: Option<&str>, _: &str) -> bool {
            true
        }
        fn admit(&self, _: &Handshake<'_>) -> Verdict {
            Verdict::Now(Err(Denied::Status(403, "path")))
        }
        fn is_draining(&self) -> bool {
            false
        }
        fn accept_after(&self) -> Option<Duration> {
            let spend = |left: u32| left.checked_sub(1);
            let spent = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend);
            spent.is_err().then_some(Duration::from_secs(3600))
        }
        fn connected(&self, peer: SocketAddr) -> Option<Address> {
            if self.bad.lock().unwrap().contains(&peer.port()) {
                self.closed.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            Some(Address::default())
        }
    }
    let gate = Arc::new(Paced { bad: Mutex::default(), tokens: 3.into(), closed: 0.into() });
    let shared = Rc::new(shared());
    let ports = Ports { gate: gate.clone(), ..shared.shard.borrow().core.ports.clone() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut flood = Vec::new();
        for _ in 0..FLOOD {
            let client = tokio::net::TcpStream::connect(address).await.unwrap();
            gate.bad.lock().unwrap().insert(client.local_addr().unwrap().port());
            flood.push(client);
        }
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        let entrance = connection::Entrance { doorway: None, transport_security: None };
        tokio::task::spawn_local(connection::accept(listener, Rc::new(entrance), shared.clone(), ports));
        client.write_all(b"GET /ws/nowhere/ HTTP/1.1\r\nHost: a.example\r\n\r\n").await.unwrap();
        let mut status = [0; 12];
        let answered = tokio::time::timeout(Duration::from_secs(5), client.read_exact(&mut status)).await;
        answered.expect("the flood has used its tokens up").unwrap();
        assert_eq!(&status, b"HTTP/1.1 404");
    });
    assert_eq!(gate.closed.load(Ordering::Relaxed), u32::from(FLOOD), "all of them were judged before it");
}
