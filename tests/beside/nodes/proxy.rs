//! A TCP proxy between a node and Redis that fails as networks do: it resets, falls silent, or is slow.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// What the proxy does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Passes them on, each way so much later, and up to half as much more.
    Pass(Duration),
    /// Ends all connections, and every new one.
    Reset,
    /// Takes connections, and lets nothing through. What waits comes late, as after a lost route: TCP repeats it.
    Swallow,
}

/// A way to Redis that can be cut.
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    /// One that leads to this port of 127.0.0.1. It ends with the test's runtime.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, watched) = watch::channel(Mode::Pass(Duration::ZERO));
        tokio::spawn(serve(listener, port, watched));
        Self { address, mode }
    }

    /// `redis://127.0.0.1:<port>/0`.
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// Ends all connections, and takes no new one.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Reset);
    }

    /// Nothing comes through any more, and nobody is told.
    pub fn fall_silent(&self) {
        self.mode.send_replace(Mode::Swallow);
    }

    /// Everything takes so much longer each way, and up to half as much more.
    pub fn delay(&self, latency: Duration) {
        self.mode.send_replace(Mode::Pass(latency));
    }

    /// Works again.
    pub fn heal(&self) {
        self.mode.send_replace(Mode::Pass(Duration::ZERO));
    }
}

async fn serve(listener: TcpListener, port: u16, mode: watch::Receiver<Mode>) {
    let dice = Arc::new(AtomicU64::new(1));
    while let Ok((client, _)) = listener.accept().await {
        tokio::spawn(link(client, port, mode.clone(), Arc::clone(&dice)));
    }
}

/// One connection, until one side or the proxy ends it.
async fn link(client: TcpStream, port: u16, mut mode: watch::Receiver<Mode>, dice: Arc<AtomicU64>) {
    let passing = {
        let mut mode = mode.clone();
        async move {
            // A connection that is made in silence is made when the silence ends.
            let _ = mode.wait_for(|mode| *mode != Mode::Swallow).await;
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            tokio::select! {
                () = pass(from_client, to_server, mode.clone(), &dice) => {}
                () = pass(from_server, to_client, mode.clone(), &dice) => {}
            }
        }
    };
    tokio::select! {
        () = passing => {}
        _ = mode.wait_for(|mode| *mode == Mode::Reset) => {}
    }
}

/// One direction.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>, dice: &AtomicU64) {
    let (late, mut due) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let watched = mode.clone();
    let reading = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let latency = match *watched.borrow() {
                Mode::Pass(latency) => latency,
                Mode::Reset | Mode::Swallow => Duration::ZERO,
            };
            let at = Instant::now() + latency + latency.mul_f64(thrown(dice) / 2.0);
            if late.send((at, buffer[..length].to_vec())).is_err() {
                return;
            }
        }
    };
    let writing = async {
        // Bytes keep their order: one that is due early waits for those before it.
        while let Some((at, bytes)) = due.recv().await {
            sleep_until(at).await;
            let _ = mode.wait_for(|mode| *mode != Mode::Swallow).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(reading, writing);
}

/// A number from 0 to 1, the same in every run.
fn thrown(dice: &AtomicU64) -> f64 {
    let number = dice.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let top = u32::try_from(number >> 32).unwrap_or(u32::MAX);
    f64::from(top) / f64::from(u32::MAX)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_passes_delays_falls_silent_and_resets() {
    let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = echo.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = echo.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    let proxy = Proxy::to(port).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let mut answer = [0; 2];
    stream.write_all(b"hi").await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"hi");
    proxy.delay(Duration::from_millis(50));
    let began = Instant::now();
    stream.write_all(b"ho").await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(100) && &answer == b"ho");
    proxy.fall_silent();
    stream.write_all(b"he").await.unwrap();
    let silence = tokio::time::timeout(Duration::from_millis(100), stream.read_exact(&mut answer)).await;
    assert!(silence.is_err(), "{silence:?}");
    proxy.heal();
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"he");
    proxy.cut();
    assert!(matches!(stream.read(&mut answer).await, Ok(0) | Err(_)));
    let mut refused = TcpStream::connect(proxy.address).await.unwrap();
    assert!(matches!(refused.read(&mut answer).await, Ok(0) | Err(_)));
}
