//! Handshakes that come to nothing, how many there may be, and sockets as hyper reads them.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::engine::net::tls::by_hand::configs;
use crate::engine::shard::port::Address;

const TERMS: Terms = Terms { most: 4, patience: Duration::from_millis(1500), hurried: Duration::from_millis(200) };

/// The header of a record that never comes.
const HALF: [u8; 6] = [22, 3, 1, 2, 0, 1];

/// A door, and a client's way to it.
struct House {
    doorway: Rc<Doorway>,
    pace: Rc<Pace>,
    listener: TcpListener,
    connector: TlsConnector,
    last_call: watch::Sender<bool>,
    /// What its connections hold.
    held: Arc<AtomicUsize>,
}

impl House {
    async fn new(terms: Terms) -> Self {
        let (server, client) = configs(&[&TLS13, &TLS12]);
        let held = Arc::new(AtomicUsize::new(0));
        let told = held.clone();
        let holding = Holding::new(64 * 1024, move |bytes| told.store(bytes, Ordering::Relaxed));
        Self {
            held,
            doorway: Rc::new(Doorway::new(server, terms, holding)),
            pace: Rc::new(Pace::new(Duration::from_millis(2))),
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            connector: TlsConnector::from(Arc::new(client)),
            last_call: watch::Sender::new(false),
        }
    }

    /// A client's connection, and what becomes of it at the door.
    async fn visitor(&self) -> (TcpStream, JoinHandle<Option<TlsSocket>>) {
        self.visitor_from(1).await
    }

    /// The same from another address.
    async fn visitor_from(&self, address: u32) -> (TcpStream, JoinHandle<Option<TlsSocket>>) {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).await.unwrap();
        let (socket, peer): (TcpStream, SocketAddr) = self.listener.accept().await.unwrap();
        let (doorway, pace, mut last_call) = (self.doorway.clone(), self.pace.clone(), self.last_call.subscribe());
        let of = (peer, Address(NonZeroU32::new(address)));
        let entered = async move {
            let renewed = async {
                loop {
                    pace.used_up().await;
                    pace.renew();
                }
            };
            tokio::select! {
                entered = doorway.enter(socket, of, &pace, &mut last_call) => entered,
                () = renewed => None,
            }
        };
        (client, spawn_local(entered))
    }

    /// A client that has begun a handshake and says no more.
    async fn half_from(&self, address: u32) -> (TcpStream, JoinHandle<Option<TlsSocket>>) {
        let before = self.doorway.begun();
        let (mut client, entered) = self.visitor_from(address).await;
        client.write_all(&HALF).await.unwrap();
        while self.doorway.begun() == before {
            tokio::task::yield_now().await;
        }
        (client, entered)
    }

    async fn shaken(&self) -> (TlsStream<TcpStream>, TlsSocket) {
        self.shaken_from(1).await
    }

    async fn shaken_from(&self, address: u32) -> (TlsStream<TcpStream>, TlsSocket) {
        let (client, entered) = self.visitor_from(address).await;
        let client = self.connector.connect("localhost".try_into().unwrap(), client).await.unwrap();
        (client, entered.await.unwrap().expect("it comes in"))
    }
}

/// Runs in one thread, as a shard does.
async fn run(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(tokio::time::timeout(Duration::from_secs(20), test)).await.expect("it hangs");
}

/// How long it takes until the server closes.
async fn closes_after(client: &mut TcpStream) -> Duration {
    let began = Instant::now();
    while client.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
    began.elapsed()
}

#[tokio::test]
async fn half_a_handshake_is_ended_at_its_deadline() {
    run(async {
        let house = House::new(TERMS).await;
        let (mut silent, first) = house.visitor().await;
        let (mut half, second) = house.visitor().await;
        half.write_all(&HALF).await.unwrap();
        let (silent, half) = tokio::join!(closes_after(&mut silent), closes_after(&mut half));
        for passed in [silent, half] {
            assert!(passed >= TERMS.patience - Duration::from_millis(20), "{passed:?}");
        }
        assert!(first.await.unwrap().is_none() && second.await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn silent_connections_take_no_place() {
    run(async {
        let house = House::new(Terms { patience: Duration::from_secs(60), ..TERMS }).await;
        let mut silent = Vec::new();
        for _ in 0..3 * TERMS.most {
            silent.push(house.visitor().await);
        }
        let began = Instant::now();
        let (_client, _socket) = house.shaken().await;
        assert!(began.elapsed() < TERMS.hurried, "{:?}", began.elapsed());
        assert!(silent.iter().all(|(_, entered)| !entered.is_finished()));
    })
    .await;
}

#[tokio::test]
async fn who_has_most_places_gives_one_to_others_at_once_and_to_nobody_who_has_as_many() {
    run(async {
        let house = House::new(Terms { hurried: Duration::from_secs(60), ..TERMS }).await;
        let mut halves = vec![house.half_from(2).await];
        for _ in 1..TERMS.most {
            halves.push(house.half_from(1).await);
        }
        let (_client, _socket) = house.shaken_from(3).await;
        let over = |halves: &[(TcpStream, JoinHandle<Option<TlsSocket>>)]| -> Vec<bool> {
            halves.iter().map(|(_, entered)| entered.is_finished()).collect()
        };
        assert_eq!(over(&halves), [false, true, false, false], "the oldest of the address with most");
        // Two of 1, one of 2, one of 3: another one of 3 would have as many as 1.
        let _half = house.half_from(3).await;
        let (mut waits, entered) = house.visitor_from(3).await;
        waits.write_all(&HALF).await.unwrap();
        while house.doorway.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(over(&halves), [false, true, false, false]);
        // A place that becomes free is its.
        let before = house.doorway.begun();
        drop(halves);
        while house.doorway.begun() == before {
            tokio::task::yield_now().await;
        }
        assert!(!entered.is_finished());
    })
    .await;
}

#[tokio::test]
async fn who_is_slow_gives_way_when_there_is_no_room_and_not_before_it_had_some_time() {
    run(async {
        let house = House::new(TERMS).await;
        let mut slow = Vec::new();
        let began = Instant::now();
        for address in 1..=TERMS.most {
            slow.push(house.half_from(u32::try_from(address).unwrap()).await);
        }
        let (_client, _socket) = house.shaken_from(9).await;
        assert!(began.elapsed() >= TERMS.hurried - Duration::from_millis(50), "{:?}", began.elapsed());
        assert!(began.elapsed() < TERMS.patience, "{:?}", began.elapsed());
        assert!(slow.remove(0).1.await.unwrap().is_none(), "the first to come goes first");
        assert!(slow.iter().all(|(_, entered)| !entered.is_finished()));
    })
    .await;
}

#[tokio::test]
async fn at_the_last_call_half_handshakes_have_a_second() {
    run(async {
        let house = House::new(Terms { patience: Duration::from_secs(60), ..TERMS }).await;
        let (mut silent, entered) = house.visitor().await;
        house.last_call.send_replace(true);
        assert!(closes_after(&mut silent).await < Duration::from_secs(5));
        assert!(entered.await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_request_without_encryption_is_told_what_to_do() {
    run(async {
        let house = House::new(TERMS).await;
        let (mut client, entered) = house.visitor().await;
        client.write_all(b"GET /ws/ HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
        drop(client);
        assert!(entered.await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn what_is_long_goes_both_ways_in_records_and_the_rest_goes_to_the_engine() {
    run(async {
        let house = House::new(TERMS).await;
        let (mut client, mut socket) = house.shaken().await;
        let said: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
        let told = said.clone();
        let client = spawn_local(async move {
            client.write_all(&said).await.unwrap();
            client.flush().await.unwrap();
            let mut heard = vec![0; said.len()];
            client.read_exact(&mut heard).await.unwrap();
            client.write_all(b"one piece, and another").await.unwrap();
            client.flush().await.unwrap();
            let mut rest = Vec::new();
            // Without `close_notify` this would be an error.
            client.read_to_end(&mut rest).await.unwrap();
            (heard, rest)
        });
        let mut heard = Vec::new();
        while heard.len() < told.len() {
            let read = read_some(&mut socket, 1000).await;
            assert!(!read.is_empty());
            heard.extend(read);
        }
        assert!(heard == told);
        let mut sent = 0;
        while sent < told.len() {
            sent +=
                std::future::poll_fn(|context| Pin::new(&mut socket).poll_write(context, &told[sent..])).await.unwrap();
        }
        std::future::poll_fn(|context| Pin::new(&mut socket).poll_flush(context)).await.unwrap();
        assert_eq!(socket.tls.unsent_bytes(), 0);
        // hyper reads a part; the rest was opened with it.
        assert_eq!(read_some(&mut socket, 10).await, b"one piece,");
        assert_eq!(&socket.plain[socket.read..], b" and another");
        std::future::poll_fn(|context| Pin::new(&mut socket).poll_shutdown(context)).await.unwrap();
        let (_, _, unread) = socket.into_parts();
        assert_eq!(unread, b" and another");
        assert_eq!(client.await.unwrap(), (told, Vec::new()));
    })
    .await;
}

/// A record that does not end is held and counted, and is too much if it is one of many.
#[tokio::test]
async fn what_is_held_for_http_is_counted_and_bounded() {
    run(async {
        let house = House::new(TERMS).await;
        let mut shaken = Vec::new();
        for number in 0..5_usize {
            let (mut client, mut socket) = house.shaken().await;
            // A record of 16,000 bytes begins.
            let begun = [&[23, 3, 3, 0x3e, 0x80][..], &vec![0; 15_000 + number]].concat();
            client.get_mut().0.write_all(&begun).await.unwrap();
            let before = house.held.load(Ordering::Relaxed);
            let mut buffer = [0; 16];
            let reads = async {
                let mut into = hyper::rt::ReadBuf::new(&mut buffer);
                std::future::poll_fn(|context| Pin::new(&mut socket).poll_read(context, into.unfilled())).await
            };
            let comes = async {
                while house.held.load(Ordering::Relaxed) < before + begun.len() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                read = reads => assert_eq!((number, read.is_err()), (4, true), "the largest of too many goes"),
                () = comes => assert!(number < 4),
            }
            shaken.push((client, socket));
        }
        assert!(house.held.load(Ordering::Relaxed) <= 64 * 1024);
        drop(shaken);
        assert_eq!(house.held.load(Ordering::Relaxed), 0);
    })
    .await;
}

/// At most so many bytes, as hyper would read them.
async fn read_some(socket: &mut TlsSocket, most: usize) -> Vec<u8> {
    let mut buffer = vec![0; most];
    let mut into = hyper::rt::ReadBuf::new(&mut buffer);
    std::future::poll_fn(|context| Pin::new(&mut *socket).poll_read(context, into.unfilled())).await.unwrap();
    into.filled().to_vec()
}
