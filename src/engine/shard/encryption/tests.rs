//! Handshakes that come to nothing, how many there may be, and sockets as hyper reads them.

use std::net::SocketAddr;
use std::rc::Rc;
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

const TERMS: Terms = Terms { most: 4, patience: Duration::from_millis(1500), hurried: Duration::from_millis(200) };

/// A door, and a client's way to it.
struct House {
    doorway: Rc<Doorway>,
    pace: Rc<Pace>,
    listener: TcpListener,
    connector: TlsConnector,
    last_call: watch::Sender<bool>,
}

impl House {
    async fn new(terms: Terms) -> Self {
        let (server, client) = configs(&[&TLS13, &TLS12]);
        Self {
            doorway: Rc::new(Doorway::new(server, terms)),
            pace: Rc::new(Pace::new(Duration::from_millis(2))),
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            connector: TlsConnector::from(Arc::new(client)),
            last_call: watch::Sender::new(false),
        }
    }

    /// A client's connection, and what becomes of it at the door.
    async fn visitor(&self) -> (TcpStream, JoinHandle<Option<TlsSocket>>) {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).await.unwrap();
        let (socket, peer): (TcpStream, SocketAddr) = self.listener.accept().await.unwrap();
        let (place, pace, mut last_call) = (self.doorway.place(), self.pace.clone(), self.last_call.subscribe());
        let entered = async move {
            let renewed = async {
                loop {
                    pace.used_up().await;
                    pace.renew();
                }
            };
            tokio::select! {
                entered = place.enter(socket, peer, &pace, &mut last_call) => entered,
                () = renewed => None,
            }
        };
        (client, spawn_local(entered))
    }

    async fn shaken(&self) -> (TlsStream<TcpStream>, TlsSocket) {
        let (client, entered) = self.visitor().await;
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
        // The header of a record that never comes.
        half.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        let (silent, half) = tokio::join!(closes_after(&mut silent), closes_after(&mut half));
        for passed in [silent, half] {
            assert!(passed >= TERMS.patience - Duration::from_millis(20), "{passed:?}");
        }
        assert!(first.await.unwrap().is_none() && second.await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn who_is_slow_gives_way_when_there_is_no_room_and_not_before_it_had_some_time() {
    run(async {
        let house = House::new(TERMS).await;
        let mut slow = Vec::new();
        for _ in 0..TERMS.most - 1 {
            slow.push(house.visitor().await);
        }
        tokio::time::timeout(Duration::from_millis(50), house.doorway.room()).await.expect("there is room for one");
        let began = Instant::now();
        slow.push(house.visitor().await);
        house.doorway.room().await;
        assert!(began.elapsed() >= TERMS.hurried - Duration::from_millis(50), "{:?}", began.elapsed());
        assert!(began.elapsed() < TERMS.patience, "{:?}", began.elapsed());
        assert!(slow.remove(0).1.await.unwrap().is_none(), "the first to come goes first");
        assert!(slow.iter().all(|(_, entered)| !entered.is_finished()));
        let (_client, _socket) = house.shaken().await;
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

/// At most so many bytes, as hyper would read them.
async fn read_some(socket: &mut TlsSocket, most: usize) -> Vec<u8> {
    let mut buffer = vec![0; most];
    let mut into = hyper::rt::ReadBuf::new(&mut buffer);
    std::future::poll_fn(|context| Pin::new(&mut *socket).poll_read(context, into.unfilled())).await.unwrap();
    into.filled().to_vec()
}
