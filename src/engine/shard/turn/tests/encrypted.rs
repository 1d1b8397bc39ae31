//! Encrypted sockets of a whole shard whose clients, rustls' own, do what sockets may do: records are cut anywhere, garbage comes, and
//! ends come at any moment. Whoever did nothing wrong hears everything, the others whole frames up to their end, and nothing is left.
//!
//! `PREGON_SIMULATE_SEEDS` asks for another number of seeds, `PREGON_SIMULATE_FROM` for another first.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ServerConfig};

use super::*;
use crate::engine::net::stretch::Transmit;
use crate::engine::net::tls::by_hand::{client, configs};
use crate::limits::TLS_RECORD_BYTES_MAX;
use crate::protocol::ws::frame::payload_of_first;

const SEEDS: u64 = 48;
const CLIENTS: usize = 5;
const STEPS: usize = 80;
const PATIENCE: Duration = Duration::from_secs(20);

type Configs = [(Arc<ServerConfig>, ClientConfig); 2];

/// A client and its socket, until it drops that.
struct Peer {
    connection: ClientConnection,
    socket: Option<TcpStream>,
    /// Sealed, and not sent yet.
    out: Vec<u8>,
    heard: Vec<u8>,
    /// The first word that it has to hear.
    since: usize,
    /// It did nothing wrong and did not leave.
    stays: bool,
    /// It ends its side as soon as everything is sent.
    is_leaving: bool,
}

/// Both ends of a connection after the handshake.
fn connected(
    (server, trusting): &(Arc<ServerConfig>, ClientConfig),
) -> (TcpStream, Box<Tls>, ClientConnection, TcpStream) {
    let (near, far) = pair();
    far.set_nonblocking(true).unwrap();
    let (mut tls, mut client) = (Box::new(Tls::new(server.clone()).unwrap()), client(trusting.clone()));
    let (mut scratch, mut plain) = (vec![0; TLS_RECORD_BYTES_MAX], Vec::new());
    let began = Instant::now();
    while client.is_handshaking() || tls.is_resumed().is_none() {
        assert!(began.elapsed() < PATIENCE, "no handshake");
        while client.wants_write() {
            client.write_tls(&mut &far).unwrap();
        }
        let _ = tls.receive(&mut &near, &mut scratch, &mut plain);
        assert!(tls.flush(&mut &near).unwrap());
        if client.read_tls(&mut &far).is_ok() {
            client.process_new_packets().unwrap();
        }
    }
    while client.wants_write() {
        client.write_tls(&mut &far).unwrap();
    }
    (near, tls, client, far)
}

impl Peer {
    fn seals(&mut self, plain: &[u8]) {
        self.connection.writer().write_all(plain).unwrap();
        self.seal();
    }

    fn seal(&mut self) {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.out).unwrap();
        }
    }

    /// Sends so many bytes at most.
    fn sends(&mut self, most: usize) {
        let Some(socket) = &mut self.socket else { return };
        let most = most.min(self.out.len());
        match socket.write(&self.out[..most]) {
            Ok(count) => drop(self.out.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => {
                assert!(!self.stays, "{error}");
                self.out.clear();
            }
        }
        if self.is_leaving && self.out.is_empty() {
            let _ = socket.shutdown(Shutdown::Write);
        }
    }

    /// Reads so many sealed bytes at most.
    fn reads(&mut self, most: usize) {
        let Some(socket) = &mut self.socket else { return };
        let mut buffer = vec![0; most];
        let (mut sealed, is_over) = match socket.read(&mut buffer) {
            Ok(count) => (&buffer[..count], count == 0),
            Err(error) => (&[][..], error.kind() != ErrorKind::WouldBlock),
        };
        assert!(!is_over || !self.stays, "it is let go for nothing");
        // Behind the peer's goodbye nothing is read.
        while !sealed.is_empty() && self.connection.read_tls(&mut sealed).is_ok_and(|count| count > 0) {
            let processed = self.connection.process_new_packets();
            assert!(processed.is_ok() || !self.stays, "{processed:?}");
            let _ = self.connection.reader().read_to_end(&mut self.heard);
            if processed.is_err() {
                break;
            }
        }
        // Answers to new keys.
        if self.stays {
            self.seal();
        }
    }

    /// The numbers of the words that it has heard, in whole frames.
    fn words(&self) -> Vec<usize> {
        let (mut rest, mut words) = (&self.heard[..], Vec::new());
        while let Some((payload, _, after)) = payload_of_first(rest) {
            let text = payload.and_then(|payload| std::str::from_utf8(payload).ok()).unwrap_or_default();
            let number = text.strip_prefix("{\"n\":").and_then(|text| text.split('}').next());
            words.extend(number.map(|number| number.parse::<usize>().unwrap()));
            rest = after;
        }
        words
    }
}

/// A frame of the room, of any length.
fn word(number: usize, random: &mut StdRng) -> Vec<u8> {
    let longest = if random.random_bool(0.1) { 40_000 } else { 400 };
    let text = format!("{{\"n\":{number}}}{}", " ".repeat(random.random_range(0..longest)));
    let mut frame = vec![0x81];
    match u16::try_from(text.len()).unwrap() {
        short @ ..126 => frame.push(u8::try_from(short).unwrap()),
        long => frame.extend([&[126][..], &long.to_be_bytes()].concat()),
    }
    frame.extend(text.as_bytes());
    frame
}

struct World {
    random: StdRng,
    shared: Shared,
    room: RoomId,
    peers: Vec<Peer>,
    said: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let (random, shared) = (StdRng::seed_from_u64(seed), shared_with(1024 * 1024));
        Self { random, shared, room: RoomId::fresh(), peers: Vec::new(), said: 0 }
    }

    fn come(&mut self, configs: &Configs) {
        let (near, tls, connection, far) = connected(&configs[self.random.random_range(0..2)]);
        let opening = Opening::Judged(Ok(entry(self.room)));
        self.shared.adopt(near, Some(tls), &mut [], Negotiation::default(), opening);
        let (socket, since) = (Some(far), self.said);
        let (out, heard) = (Vec::new(), Vec::new());
        self.peers.push(Peer { connection, socket, out, heard, since, stays: true, is_leaving: false });
    }

    fn say(&mut self) {
        let frame = word(self.said, &mut self.random);
        self.said += 1;
        let mut shard = self.shared.shard.borrow_mut();
        if let Some(live) = shard.core.registry.slot(&Topic::Room(self.room)) {
            shard.core.fan_out(live, &FrameSet::new(&frame[..]), Class::Durable, Except::Nobody, None);
        }
    }

    fn step(&mut self, configs: &Configs) {
        let random = &mut self.random;
        let (number, what) = (random.random_range(0..self.peers.len()), random.random_range(0..100));
        let peer = &mut self.peers[number];
        match what {
            // A ping, masked with zeros.
            0..20 if peer.stays => {
                let payload = vec![b'p'; random.random_range(0..126)];
                peer.seals(&[&[0x89, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0][..], &payload].concat());
            }
            20..32 if peer.stays => {
                let text =
                    format!("{{\"type\":\"ping\",\"timestamp\":\"{}\"}}", "x".repeat(random.random_range(0..3000)));
                let length = u16::try_from(text.len()).unwrap().to_be_bytes();
                match u8::try_from(text.len()) {
                    Ok(short @ ..126) => peer.seals(&[&[0x81, 0x80 | short, 0, 0, 0, 0], text.as_bytes()].concat()),
                    _ => peer.seals(&[&[0x81, 0xfe, length[0], length[1], 0, 0, 0, 0], text.as_bytes()].concat()),
                }
            }
            32..56 => self.say(),
            56..60 if peer.stays && peer.connection.refresh_traffic_keys().is_ok() => peer.seal(),
            60..63 => {
                let garbage: Vec<u8> = (0..random.random_range(1..60)).map(|_| random.random()).collect();
                // Many begin as a record of some kind, one of a handshake among them.
                let header = [random.random_range(20..25), 3, 3, 0, random.random()];
                peer.out.extend(if random.random_bool(0.5) { &header[..] } else { &[] });
                peer.out.extend(garbage);
                peer.stays = false;
            }
            63..66 if !peer.out.is_empty() => {
                let place = random.random_range(0..peer.out.len());
                peer.out[place] ^= 1_u8 << random.random_range(0..8_u32);
                peer.stays = false;
            }
            66..69 if peer.stays => {
                peer.connection.send_close_notify();
                peer.seal();
                (peer.stays, peer.is_leaving) = (false, random.random_bool(0.7));
            }
            69..72 => {
                // In the middle of a record, if there is one.
                peer.out.truncate(random.random_range(0..=peer.out.len()));
                (peer.stays, peer.is_leaving) = (false, true);
            }
            72..75 => {
                peer.stays = false;
                if let Some(socket) = peer.socket.take().filter(|_| random.random_bool(0.5)) {
                    let _ = socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO));
                }
            }
            75..80 => self.come(configs),
            _ => {}
        }
        for peer in &mut self.peers {
            if self.random.random_bool(0.6) {
                let most = [1, 5, 6, 40, 2000, usize::MAX][self.random.random_range(0..6)];
                peer.sends(most);
            }
            if self.random.random_bool(0.3) {
                let most = [1, 5, 100, 3000, 100_000][self.random.random_range(0..5)];
                peer.reads(most);
            }
        }
        self.turn();
    }

    fn turn(&mut self) {
        self.shared.turn();
        assert!(!self.shared.is_broken());
        self.shared.shard.borrow().core.check_invariants();
    }

    /// All who stay hear everything, then everybody goes.
    fn settle(&mut self) {
        let (began, last) = (Instant::now(), self.said);
        self.say();
        let has_all = |peer: &Peer| !peer.stays || peer.words().last() == Some(&last);
        while !self.peers.iter().all(has_all) {
            assert!(began.elapsed() < PATIENCE, "somebody does not hear the last word");
            self.peers.iter_mut().for_each(|peer| {
                peer.sends(usize::MAX);
                peer.reads(100_000);
            });
            self.turn();
        }
        for peer in &self.peers {
            let words = peer.words();
            let expected = peer.since..if peer.stays { last + 1 } else { peer.since + words.len() };
            assert!(words.iter().copied().eq(expected), "from {} on: {words:?}, stays: {}", peer.since, peer.stays);
        }
        self.peers.iter_mut().for_each(|peer| peer.stays = false);
        self.peers.iter_mut().for_each(|peer| drop(peer.socket.take()));
        while self.shared.shard.borrow().core.live > 0 {
            assert!(began.elapsed() < PATIENCE, "a session outlives its socket");
            self.turn();
        }
        let shard = self.shared.shard.borrow();
        assert_eq!((shard.sockets.sealed_bytes(), shard.sockets.unopened_bytes()), (0, 0));
    }
}

#[test]
fn whatever_encrypted_sockets_do_who_stays_hears_everything_and_nothing_is_left() {
    let setting = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let from = setting("PREGON_SIMULATE_FROM").unwrap_or(0);
    let configs = [configs(&[&TLS13]), configs(&[&TLS12])];
    let (mut stayed, mut gone) = (0, 0);
    for seed in from..from + setting("PREGON_SIMULATE_SEEDS").unwrap_or(SEEDS) {
        let run = || {
            let mut world = World::new(seed);
            (0..CLIENTS).for_each(|_| world.come(&configs));
            (0..STEPS).for_each(|_| world.step(&configs));
            let stays = world.peers.iter().filter(|peer| peer.stays).count();
            world.settle();
            (stays, world.peers.len() - stays)
        };
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Ok((some, others)) => (stayed, gone) = (stayed + some, gone + others),
            Err(_) => panic!("seed {seed} fails"),
        }
    }
    eprintln!("{stayed} stayed, {gone} did not");
    assert!(stayed > 0 && gone > 0);
}
