//! The attackers, each a task of its own on a thread of its own.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::options::AbuseOptions;
use crate::fixture::Fixture;
use crate::frames;

const SLOW_HANDSHAKES: &str = "slow handshakes";
const FLOODERS: &str = "flooders";
const BOMBS: &str = "compressed bombs";
const STALLED: &str = "stalled readers";

/// Between two attempts of an attacker that was sent away.
const AGAIN: Duration = Duration::from_secs(1);
/// A flooder sends so many frames at once, and then after so long again: 1,000 frames a second.
const FLOOD_FRAMES: usize = 20;
const FLOOD_EVERY: Duration = Duration::from_millis(20);
/// What a bomb becomes.
const BOMB_BYTES: usize = 64 << 20;
/// How long an attacker waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Attackers come from addresses of their own, this many from each.
const PER_SOURCE: usize = 100;

/// Who attacks, and where.
pub struct Attack {
    server: SocketAddr,
    slow_handshakes: usize,
    /// Paths with tokens.
    flooders: Vec<String>,
    bombs: Vec<String>,
    stalled: Vec<String>,
}

impl Attack {
    /// The attackers of these options; `fixture` has rooms for them behind those of the members, and a seat more in each room.
    pub fn new(options: &AbuseOptions, fixture: &Fixture, server: SocketAddr) -> Self {
        let seats = options.members + 1;
        let theirs = |number: usize| {
            let room = options.rooms + number / seats;
            (&fixture.rooms[room].id, &fixture.user(room, number % seats).token)
        };
        let flooder = |number| {
            let (room, token) = theirs(number);
            format!("/ws/chat/{room}/?token={token}")
        };
        let bomb = |number| format!("/ws/feed/?token={}", theirs(options.flooders + number).1);
        let stalled = |room: usize| {
            let token = &fixture.user(room, options.members).token;
            format!("/ws/chat/{}/?token={token}", fixture.rooms[room].id)
        };
        Self {
            server,
            slow_handshakes: options.slow_handshakes,
            flooders: (0..options.flooders).map(flooder).collect(),
            bombs: (0..options.bombs).map(bomb).collect(),
            stalled: (0..options.stalled).map(stalled).collect(),
        }
    }
}

type Counts = BTreeMap<&'static str, BTreeMap<String, u64>>;

/// The attack under way.
pub struct Crowds {
    thread: JoinHandle<()>,
    stop: watch::Sender<bool>,
    counts: Arc<Mutex<Counts>>,
}

impl Crowds {
    /// All attackers begin at once.
    pub fn begin(attack: Attack) -> Self {
        let (stop, stopped) = watch::channel(false);
        let counts = Arc::<Mutex<Counts>>::default();
        let told = Arc::clone(&counts);
        let thread = std::thread::spawn(move || run(attack, stopped, &told));
        Self { thread, stop, counts }
    }

    /// Ends the attack: what each kind of attackers did, and how the server answered.
    pub fn end(self) -> Counts {
        // The thread may have failed: then there is nobody to tell.
        let _ = self.stop.send(true);
        if self.thread.join().is_err() {
            eprintln!("loadtest: the attackers' thread ended early");
        }
        std::mem::take(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn run(attack: Attack, mut stopped: watch::Receiver<bool>, counts: &Arc<Mutex<Counts>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("loadtest: the attackers cannot begin: {error}");
            return;
        }
    };
    let _context = runtime.enter();
    let mut number = 0;
    let mut attacker = |kind| {
        number += 1;
        let block = u8::try_from(number / PER_SOURCE).unwrap_or(u8::MAX);
        Attacker { kind, server: attack.server, source: Ipv4Addr::new(127, 200, block, 1), counts: Arc::clone(counts) }
    };
    for _ in 0..attack.slow_handshakes {
        spawn(attacker(SLOW_HANDSHAKES), |attacker| async move { attacker.shake_hands_slowly().await });
    }
    for path in attack.flooders {
        let path = Arc::<str>::from(path);
        spawn(attacker(FLOODERS), move |attacker| {
            let path = Arc::clone(&path);
            async move { attacker.flood(&path).await }
        });
    }
    let bomb = Arc::<[u8]>::from(bomb());
    for path in attack.bombs {
        let (path, bomb) = (Arc::<str>::from(path), Arc::clone(&bomb));
        spawn(attacker(BOMBS), move |attacker| {
            let (path, bomb) = (Arc::clone(&path), Arc::clone(&bomb));
            async move { attacker.throw(&path, &bomb).await }
        });
    }
    for path in attack.stalled {
        let path = Arc::<str>::from(path);
        spawn(attacker(STALLED), move |attacker| {
            let path = Arc::clone(&path);
            async move { attacker.stall(&path).await }
        });
    }
    // An error means that the other end is gone, which ends the attack, too.
    let _ = runtime.block_on(stopped.wait_for(|is_stopped| *is_stopped));
    runtime.shutdown_background();
}

/// Repeats what an attacker does, with a pause after each time.
fn spawn<F: Future<Output = io::Result<String>> + Send + 'static>(
    attacker: Attacker,
    act: impl Fn(Attacker) -> F + Send + 'static,
) {
    tokio::spawn(async move {
        loop {
            let outcome = act(attacker.clone()).await;
            let what = outcome.unwrap_or_else(|error| error.kind().to_string());
            attacker.count(&what, 1);
            sleep(AGAIN).await;
        }
    });
}

#[derive(Clone)]
struct Attacker {
    kind: &'static str,
    server: SocketAddr,
    source: Ipv4Addr,
    counts: Arc<Mutex<Counts>>,
}

impl Attacker {
    fn count(&self, what: &str, count: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_kind = counts.entry(self.kind).or_default();
        match of_kind.get_mut(what) {
            Some(sum) => *sum += count,
            None => drop(of_kind.insert(what.to_owned(), count)),
        }
    }

    async fn dial(&self, receive_bytes: Option<u32>) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if self.server.ip().is_loopback() {
            socket.bind(SocketAddr::new(IpAddr::V4(self.source), 0))?;
        }
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.connect(self.server).await
    }

    /// Opens a socket; the error is the status of a refusal.
    async fn open(&self, path: &str, extension: &str, receive_bytes: Option<u32>) -> io::Result<TcpStream> {
        let mut stream = self.dial(receive_bytes).await?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{extension}\r\n",
            self.server
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < 8192 {
            head.push(timeout(PATIENCE, stream.read_u8()).await??);
        }
        if head.starts_with(b"HTTP/1.1 101") {
            return Ok(stream);
        }
        let status = String::from_utf8_lossy(head.get(9..12).unwrap_or_default()).into_owned();
        self.count(&format!("refused with {status}"), 1);
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    /// One header byte a second, for as long as the server waits.
    async fn shake_hands_slowly(self) -> io::Result<String> {
        let mut stream = self.dial(None).await?;
        self.count("begun", 1);
        stream.write_all(b"GET /ws/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await?;
        let mut answer = [0; 512];
        loop {
            match timeout(Duration::from_secs(1), stream.read(&mut answer)).await {
                Err(_) => stream.write_all(b"a").await?,
                Ok(Ok(0)) => return Ok("closed by the server".into()),
                Ok(Ok(count)) => {
                    let status = String::from_utf8_lossy(answer[..count].get(9..12).unwrap_or_default()).into_owned();
                    return Ok(format!("answered with {status}"));
                }
                Ok(Err(error)) => return Err(error),
            }
        }
    }

    /// Signals to a room, as fast as the pace of the flood allows.
    async fn flood(self, path: &str) -> io::Result<String> {
        let stream = self.open(path, "", None).await?;
        self.count("opened", 1);
        let (mut reader, mut writer) = stream.into_split();
        let frame =
            frames::framed(0x80 | frames::TEXT, br#"{"type":"signal","data":{"flood":"all the time"},"echo":true}"#);
        let flood = frame.repeat(FLOOD_FRAMES);
        let flooding = async {
            loop {
                writer.write_all(&flood).await?;
                self.count("frames sent", FLOOD_FRAMES as u64);
                sleep(FLOOD_EVERY).await;
            }
            #[expect(unreachable_code, reason = "it says what the loop's errors are")]
            io::Result::Ok(())
        };
        tokio::select! {
            ending = ending(&mut reader) => ending,
            // The reader says why, if the server did.
            Err(error) = flooding => match timeout(AGAIN, ending(&mut reader)).await {
                Ok(ending) => ending,
                Err(_) => Err(error),
            },
        }
    }

    /// A message that is small on the wire.
    async fn throw(self, path: &str, bomb: &[u8]) -> io::Result<String> {
        let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
        let mut stream = self.open(path, offer, None).await?;
        stream.write_all(bomb).await?;
        self.count("thrown", 1);
        ending(&mut stream).await
    }

    /// Reads nothing for as long as the attack lasts. Ended by the server, it is only seen when it writes.
    async fn stall(self, path: &str) -> io::Result<String> {
        let mut stream = self.open(path, "", Some(4096)).await?;
        self.count("stalled", 1);
        let ping = frames::masked(frames::PING, b"");
        loop {
            sleep(Duration::from_secs(5)).await;
            stream.write_all(&ping).await?;
        }
    }
}

/// Reads to the end: the close code, if there is one.
async fn ending(stream: &mut (impl AsyncReadExt + Unpin)) -> io::Result<String> {
    let mut buffer = vec![0; 64 * 1024];
    let mut rest = Vec::new();
    loop {
        let count = timeout(PATIENCE, stream.read(&mut buffer)).await??;
        if count == 0 {
            return Ok("closed without a code".into());
        }
        rest.extend_from_slice(&buffer[..count]);
        // Servers' frames are not masked: opcode, length, payload.
        let mut at = 0;
        while let Some([first, second]) = rest.get(at..at + 2) {
            let (head, length) = match second & 0x7f {
                126 => match rest.get(at + 2..at + 4) {
                    Some([high, low]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
                    _ => break,
                },
                127 => match rest.get(at + 2..at + 10).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()) {
                    Some(bytes) => (10, usize::try_from(u64::from_be_bytes(bytes)).unwrap_or(usize::MAX / 2)),
                    None => break,
                },
                short => (2, usize::from(short)),
            };
            let Some(payload) = rest.get(at + head..at + head + length) else { break };
            if first & 0x0f == frames::CLOSE {
                let code = payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
                return Ok(format!("closed with {code}"));
            }
            at += head + length;
        }
        rest.drain(..at);
    }
}

/// A compressed text frame that becomes [`BOMB_BYTES`] of spaces.
fn bomb() -> Vec<u8> {
    let mut stream = Compress::new(Compression::best(), false);
    let mut deflated = Vec::with_capacity(BOMB_BYTES / 500);
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..BOMB_BYTES / zeros.len() {
        deflated.reserve(zeros.len() / 100);
        if stream.compress_vec(&zeros, &mut deflated, FlushCompress::Sync).is_err() {
            break;
        }
    }
    deflated.truncate(deflated.len().saturating_sub(4));
    frames::framed(0x80 | frames::COMPRESSED | frames::TEXT, &deflated)
}
