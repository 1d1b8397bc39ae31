//! What only a shard with real sockets shows.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::*;
use bytes::Bytes;

use crate::domain::user::Account;
use crate::engine::net::send::Io;
use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::outbox::Class;
use crate::engine::shard::port::{Directory, Except, Gate, Inbox, Ports, Publication, ShardSet, Verdict, Wanted};
use crate::ids::{FamilyId, RoomId, ShardId, Topic, UserId};
use crate::limits::FEED_RECENT_MAX;
use crate::protocol::v0::{event, reason};

struct Alone;

impl Directory for Alone {
    fn join(&self, _: Topic, _: ShardId) {}
    fn leave(&self, _: Topic, _: ShardId) {}
    fn shards_of(&self, _: &Topic) -> ShardSet {
        ShardSet::default()
    }
    fn hear_all(&self, _: ShardId) {}
    fn hear_enough(&self, _: ShardId) {}
}

impl Gate for Alone {
    fn allows_origin(&self, _: Option<&str>, _: &str) -> bool {
        true
    }
    fn admit(&self, _: Wanted, _: Option<&str>) -> Verdict {
        unreachable!("sessions are adopted here, not admitted")
    }
    fn is_draining(&self) -> bool {
        false
    }
}

fn shared() -> Shared {
    let ports = Ports {
        inboxes: Arc::from([Arc::new(Inbox::default())]),
        directory: Arc::new(Alone),
        gate: Arc::new(Alone),
        rest: Arc::new(|_, _| unreachable!("nobody asks for anything else")),
        submit: Arc::new(Err),
        // A list that never comes.
        load_follows: Arc::new(|_, _, _| true),
    };
    let sender = Sender::new(Io::Auto, STRETCH_VISITS_MAX).unwrap();
    let sockets = Sockets::new(RECEIVE_BUFFER_BYTES, LOOK_EVENTS_MAX, sender).unwrap();
    let core = Core::new(ShardId(0), ports);
    let shard = Shard { sockets, core, outcomes: Vec::new(), ticked: Instant::now() };
    Shared::new(shard)
}

fn entry(room: RoomId) -> Entry {
    let account = Arc::new(Account { id: UserId::fresh(), username: "ana".into(), is_active: true });
    let endpoint = Endpoint::Chat { room, has_presence: false };
    Entry { account, endpoint, family: FamilyId::issued(0), token_ends: i64::MAX }
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
    shared.adopt(first, &mut [], Ok(entry(room)));
    {
        let mut shard = shared.shard.borrow_mut();
        assert_eq!(shard.core.walk, [0], "the greeting waits");
        shard.core.end(0, false);
        shard.bury();
    }
    let (second, client) = pair();
    shared.adopt(second, &mut [], Ok(entry(room)));
    let mut expected = Vec::new();
    event::greeting(&mut expected);
    {
        let mut shard = shared.shard.borrow_mut();
        assert!(shard.core.slots[0].is_some(), "the slot is used again");
        let live = shard.core.registry.slot(&Topic::Room(room)).unwrap();
        for text in ["one", "two"] {
            let mut frame = Vec::new();
            event::error(&mut frame, text, None);
            shard.core.fan_out(live, &frame, Class::Durable, Except::Nobody, None);
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
    shared.adopt(server, &mut [], Err(refused));
    let mut shard = shared.shard.borrow_mut();
    while shard.turn() {}
    let goodbye = all_bytes(&client);
    // Masked with zeros.
    shard.core.received(0, &mut [0x89, 0x82, 0, 0, 0, 0, b'h', b'i']);
    while shard.turn() {}
    assert!(all_bytes(&client).is_empty());
    assert!(goodbye.ends_with(&[0x88, 2, 3, 0xe8]), "a close frame was the last");
}

/// A feed whose list does not come is kept what authors publish, as long as there is room; then it has to come again. One
/// that came later, and would miss nothing, stays.
#[test]
fn a_feed_that_would_miss_something_is_sent_away() {
    let shared = shared();
    let feed = || {
        let (server, client) = pair();
        shared.adopt(server, &mut [], Ok(Entry { endpoint: Endpoint::Feed, ..entry(RoomId::fresh()) }));
        client
    };
    let ana = UserId::fresh();
    let frames = Bytes::from_static(&[0x81, 2, b'{', b'}']);
    let (class, except) = (Class::Durable, Except::Nobody);
    let topic = Topic::Author(ana);
    let publication = Arc::new(Publication { topic, frames, class, except, origin: None });
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
