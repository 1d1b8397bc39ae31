//! A shard's encrypted sockets over real TCP, by both ways of sending.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use rustls::version::TLS13;
use rustls::{ClientConnection, StreamOwned};

use super::*;
use crate::engine::net::send::Io;
use crate::engine::net::sockets::{Handler, Sockets};
use crate::engine::net::stretch::Transmit;
use crate::engine::net::tls::by_hand::{client, configs};
use crate::limits::TLS_RECORD_BYTES_MAX;

type Client = StreamOwned<ClientConnection, TcpStream>;

/// The server's ends of some connections, with their handshakes done, and the clients.
fn connected(count: usize) -> (Vec<(TcpStream, Box<Tls>)>, Vec<Client>) {
    let (server, trusting) = configs(&[&TLS13]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (0..count)
        .map(|_| {
            let trusting = trusting.clone();
            let peer = std::thread::spawn(move || {
                let mut stream = StreamOwned::new(client(trusting), TcpStream::connect(address).unwrap());
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock).unwrap();
                }
                stream
            });
            let socket = listener.accept().unwrap().0;
            let (mut tls, mut plain) = (Box::new(Tls::new(server.clone()).unwrap()), Vec::new());
            let mut scratch = vec![0; TLS_RECORD_BYTES_MAX];
            while tls.is_resumed().is_none() {
                tls.receive(&mut &socket, &mut scratch, &mut plain).unwrap();
                assert!(tls.flush(&mut &socket).unwrap());
            }
            socket.set_nonblocking(true).unwrap();
            ((socket, tls), peer.join().unwrap())
        })
        .unzip()
}

fn senders() -> Vec<Sender> {
    let mut all = vec![Sender::OneByOne];
    // Where the kernel forbids io_uring there is nothing to test.
    all.extend(Sender::new(Io::Uring, 8));
    all
}

/// Sockets with such connections under the numbers from 0.
fn sockets(sender: Sender, ends: Vec<(TcpStream, Box<Tls>)>, unopened_bytes_max: usize) -> Sockets {
    let mut sockets = Sockets::new(64 * 1024, 8, unopened_bytes_max, sender).unwrap();
    for (token, (socket, tls)) in (0..).zip(ends) {
        sockets.adopt(token, Stream::tcp(socket), Some(tls)).unwrap();
    }
    sockets
}

#[derive(Default)]
struct Heard {
    bytes: Vec<(u32, Vec<u8>)>,
    writable: Vec<u32>,
    closed: Vec<u32>,
    hoarders: Vec<u32>,
}

impl Handler for Heard {
    fn has_room(&self) -> bool {
        true
    }

    fn takes_input(&self, _: u32) -> bool {
        true
    }

    fn received(&mut self, token: u32, bytes: &mut [u8]) {
        self.bytes.push((token, bytes.to_vec()));
    }

    fn writable(&mut self, token: u32) {
        self.writable.push(token);
    }

    fn closed(&mut self, token: u32) {
        self.closed.push(token);
    }

    fn hoards(&mut self, token: u32, can_be_told: bool) {
        assert!(can_be_told);
        self.hoarders.push(token);
    }
}

/// Looks until it is so.
fn look_until(sockets: &mut Sockets, heard: &mut Heard, is_so: impl Fn(&Heard) -> bool) {
    let began = Instant::now();
    while !is_so(heard) {
        assert!(began.elapsed() < Duration::from_secs(20), "it never comes");
        sockets.look(heard).unwrap();
    }
}

#[test]
fn every_visit_of_a_stretch_is_sealed_for_its_own_peer() {
    for sender in senders() {
        let (ends, clients) = connected(8);
        let mut sockets = sockets(sender, ends, 0);
        let mut stretch = Stretch::default();
        let words: Vec<String> = (0..8).map(|number| format!("words for {number}")).collect();
        for token in 0..8 {
            // Every other visit gathers.
            let parts =
                [IoSlice::new(words[token as usize].as_bytes()), IoSlice::new(b", "), IoSlice::new(b"and more")];
            stretch.visit(token, if token % 2 == 0 { &parts } else { &parts[..1] });
        }
        let mut outcomes = Vec::new();
        sockets.send(&stretch, &mut outcomes);
        assert_eq!(outcomes, [Sent::All; 8], "{sockets:?}");
        assert_eq!((sockets.sealed_bytes(), sockets.unopened_bytes()), (0, 0));
        for token in 0..8 {
            sockets.close(token);
        }
        for ((number, mut client), words) in clients.into_iter().enumerate().zip(&words) {
            let mut heard = String::new();
            // An end without `close_notify` would be an error.
            client.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, if number % 2 == 0 { format!("{words}, and more") } else { words.clone() });
        }
    }
}

#[test]
fn what_a_full_socket_leaves_is_kept_sent_first_and_told_of_when_it_is_gone() {
    let much: Vec<u8> = (0..8 * 1024 * 1024_u32).map(|number| (number % 251) as u8).collect();
    for sender in senders() {
        let (ends, mut clients) = connected(2);
        let (mut sockets, mut heard) = (sockets(sender, ends, 0), Heard::default());
        look_until(&mut sockets, &mut heard, |heard| heard.writable.len() == 2);
        heard.writable.clear();
        let (mut taken, mut outcomes) = (0, Vec::new());
        let full = loop {
            let mut stretch = Stretch::default();
            stretch.visit(0, &[IoSlice::new(&much[taken..taken + 40_000])]);
            stretch.visit(1, &[IoSlice::new(b"hello")]);
            sockets.send(&stretch, &mut outcomes);
            assert_eq!(outcomes[1], Sent::All);
            match outcomes[0] {
                Sent::First(count) => {
                    assert_eq!(count, TLS_VISIT_BYTES_MAX);
                    taken += count;
                }
                Sent::Part(count) => break count,
                other => panic!("{other:?} after {taken}"),
            }
        };
        assert_eq!(full, TLS_VISIT_BYTES_MAX, "what was sealed is taken");
        taken += full;
        let kept = sockets.sealed_bytes();
        assert!(kept > 0 && kept <= TLS_RECORD_BYTES_MAX && kept == sockets.sealed_bytes_of(0), "{kept}");
        assert!(sockets.unacknowledged_bytes(0).is_some_and(|bytes| bytes > kept));
        // A visit to a full socket takes nothing, and one beside it everything.
        let mut stretch = Stretch::default();
        stretch.visit(0, &[IoSlice::new(b"not yet")]);
        stretch.visit(1, &[IoSlice::new(b"!")]);
        sockets.send(&stretch, &mut outcomes);
        assert_eq!((outcomes[0], outcomes[1], sockets.sealed_bytes()), (Sent::Part(0), Sent::All, kept));
        sockets.look(&mut heard).unwrap();
        assert_eq!(heard.writable, [0; 0], "there is no room");
        sockets.finish(0);
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            clients[0].read_to_end(&mut all).unwrap();
            all
        });
        // The rest, the goodbye and the end of the stream go without another visit.
        look_until(&mut sockets, &mut heard, |heard| heard.writable == [0]);
        assert_eq!(sockets.sealed_bytes(), 0);
        let all = reader.join().unwrap();
        assert!(all == much[..taken], "{} bytes of {taken}", all.len());
    }
}

#[test]
fn records_in_one_read_are_one_piece_and_an_end_is_heard_behind_them() {
    let (ends, mut clients) = connected(1);
    let (mut sockets, mut heard) = (sockets(Sender::OneByOne, ends, 1024 * 1024), Heard::default());
    for word in [b"one ", b"two "] {
        clients[0].conn.writer().write_all(word).unwrap();
    }
    clients[0].conn.send_close_notify();
    let mut bytes = Vec::new();
    while clients[0].conn.wants_write() {
        clients[0].conn.write_tls(&mut bytes).unwrap();
    }
    clients[0].sock.write_all(&bytes).unwrap();
    look_until(&mut sockets, &mut heard, |heard| !heard.closed.is_empty());
    assert_eq!(heard.bytes, [(0, b"one two ".to_vec())]);
    sockets.close(0);
    assert_eq!(clients[0].read(&mut [0; 8]).unwrap(), 0);
}

#[test]
fn who_holds_most_of_unfinished_records_goes_first() {
    const MOST: usize = 4 * TLS_RECORD_BYTES_MAX;
    let (ends, mut clients) = connected(8);
    let (mut sockets, mut heard) = (sockets(Sender::OneByOne, ends, MOST), Heard::default());
    for (number, client) in clients.iter_mut().enumerate() {
        // A record of 16,000 bytes begins, and so much of it comes.
        let size = if number == 5 { 14_000 } else { 9_000 + number };
        client.sock.write_all(&[&[23, 3, 3, 0x3e, 0x80][..], &vec![0; size]].concat()).unwrap();
        let began = Instant::now();
        let before = (sockets.unopened_bytes(), heard.hoarders.len());
        while (sockets.unopened_bytes(), heard.hoarders.len()) == before {
            assert!(began.elapsed() < Duration::from_secs(20), "{number} is never read");
            sockets.look(&mut heard).unwrap();
        }
        assert!(sockets.unopened_bytes() <= MOST, "{}", sockets.unopened_bytes());
    }
    assert!(heard.hoarders.contains(&5) && !heard.hoarders.contains(&0), "{:?}", heard.hoarders);
    // It is told so, and what it sends is not understood any more.
    let mut stretch = Stretch::with_capacity(1);
    let words = [IoSlice::new(b"too much")];
    stretch.visit(5, &words);
    let mut outcomes = Vec::new();
    sockets.send(&stretch, &mut outcomes);
    assert_eq!(outcomes, [Sent::All]);
    let mut told = [0; 8];
    clients[5].read_exact(&mut told).unwrap();
    assert_eq!(&told, b"too much");
    clients[5].sock.write_all(&[0; 30_000]).unwrap();
    clients[5].sock.shutdown(std::net::Shutdown::Write).unwrap();
    look_until(&mut sockets, &mut heard, |heard| heard.closed == [5]);
    assert!(heard.bytes.is_empty());
    assert!(sockets.as_raw_fd() > 0);
    for token in 0..8 {
        sockets.reset(token);
    }
    assert_eq!((sockets.unopened_bytes(), sockets.sealed_bytes()), (0, 0));
}
