//! Watches a server during a load: another room's pongs, its health and metrics, its memory, and whether it lives.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::busy::Busy;
use crate::crowd::{Frames, masked, upgrade};
use crate::support::Server;

/// Resident memory that no load may exceed.
pub const MEMORY_BYTES_MAX: u64 = 400_000_000;
/// At this size a load is stopped: it has failed, and the machine must survive.
const ALARM_BYTES: u64 = 2_500_000_000;
/// The 99th percentile in another room. An unoptimised build shares two cores with its clients and other programs.
pub const PONG_MAX: Duration = if cfg!(debug_assertions) { Duration::from_secs(1) } else { Duration::from_millis(200) };
/// The longest time that `/healthz` and `/metrics` may take.
pub const ANSWER_MAX: Duration = if cfg!(debug_assertions) { Duration::from_secs(4) } else { Duration::from_secs(1) };
const PING_EVERY: Duration = Duration::from_millis(20);
const ASK_EVERY: Duration = Duration::from_millis(50);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long a single answer is waited for.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// The threads that watch.
pub struct Watch {
    /// Set when the load has failed and must end.
    pub alarm: Arc<AtomicBool>,
    began: Instant,
    busy: Busy,
    is_over: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    pings: JoinHandle<Pings>,
    answers: JoinHandle<Answers>,
    memory: JoinHandle<()>,
}

/// The results of pings in another room.
#[derive(Default)]
struct Pings {
    latencies: Vec<Duration>,
    fault: Option<String>,
}

/// The results of requests.
#[derive(Default)]
struct Answers {
    count: usize,
    longest: Duration,
    fault: Option<String>,
}

impl Watch {
    /// Begins to watch; `path` is a socket in a room that has no part in the load.
    pub fn begin(server: &Server, path: &str) -> Self {
        server.forget_peak();
        let socket = greeted(server, path);
        let alarm = Arc::new(AtomicBool::new(false));
        let is_over = Arc::new(AtomicBool::new(false));
        let peak = Arc::new(AtomicU64::new(0));
        let pings = std::thread::spawn({
            let alarm = alarm.clone();
            let is_over = is_over.clone();
            move || ping(socket, &alarm, &is_over)
        });
        let answers = std::thread::spawn({
            let address = server.address().to_owned();
            let is_over = is_over.clone();
            move || ask(&address, &is_over)
        });
        let memory = std::thread::spawn({
            let pid = server.pid();
            let alarm = alarm.clone();
            let is_over = is_over.clone();
            let peak = peak.clone();
            move || look_at_memory(pid, &alarm, &is_over, &peak)
        });
        Self { alarm, began: Instant::now(), busy: Busy::now(server.pid()), is_over, peak, pings, answers, memory }
    }

    /// Ends the watch, prints the results, and returns the faults.
    pub fn end(self, name: &str, server: &mut Server) -> Vec<String> {
        let took = self.began.elapsed();
        let stretch = self.busy.stretch(server.pid());
        self.is_over.store(true, Ordering::Relaxed);
        let pings = self.pings.join().unwrap();
        let answers = self.answers.join().unwrap();
        self.memory.join().unwrap();
        let mut faults = Vec::new();
        // If the sockets of a process end, the process is about to end.
        let broken_at = Instant::now();
        while pings.fault.is_some() && server.ended().is_none() && broken_at.elapsed() < Duration::from_secs(5) {
            std::thread::yield_now();
        }
        if let Some(status) = server.ended() {
            faults.push(format!("the server ended: {status}"));
        }
        let peak = self.peak.load(Ordering::Relaxed);
        let latency =
            |hundredth: usize| pings.latencies.get(pings.latencies.len().saturating_sub(1) * hundredth / 100).copied();
        let [p50, p99, max] = [50, 99, 100].map(|hundredth| latency(hundredth).unwrap_or(Duration::MAX));
        eprintln!(
            "{name}: {took:.1?}, peak {} MB, {} pongs: p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}; {} answers, the \
             longest after {:.1?}; other programs make times {stretch:.2} times as long",
            peak / 1_000_000,
            pings.latencies.len(),
            answers.count,
            answers.longest
        );
        if peak > MEMORY_BYTES_MAX {
            faults.push(format!("{} MB were resident", peak / 1_000_000));
        }
        if p99 > PONG_MAX.mul_f64(stretch) {
            faults.push(format!("another room's pong took {p99:?} (p99), {max:?} at most"));
        }
        if answers.longest > ANSWER_MAX.mul_f64(stretch) {
            faults.push(format!("an answer took {:?}", answers.longest));
        }
        faults.extend([pings.fault, answers.fault].into_iter().flatten());
        faults
    }
}

impl Server {
    /// The process's exit status, if it ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

fn greeted(server: &Server, path: &str) -> (TcpStream, Frames) {
    let mut socket = upgrade(server, path, |_| {});
    let mut frames = Frames::default();
    let mut buffer = [0; 4096];
    while frames.next().is_none() {
        let count = socket.read(&mut buffer).unwrap();
        assert!(count > 0, "{path}");
        frames.feed(&buffer[..count]);
    }
    (socket, frames)
}

/// Pings at a steady pace, whether or not the last one was answered. For one that is never answered its age counts.
fn ping((socket, mut frames): (TcpStream, Frames), alarm: &AtomicBool, is_over: &Arc<AtomicBool>) -> Pings {
    let sent = Arc::new(Mutex::new(Vec::<Instant>::new()));
    let mut hand = socket.try_clone().unwrap();
    let sending = std::thread::spawn({
        let sent = sent.clone();
        let is_over = is_over.clone();
        move || {
            while !is_over.load(Ordering::Relaxed) {
                let number = sent.lock().unwrap().len();
                let frame = masked(1, format!(r#"{{"type":"ping","timestamp":{number}}}"#).as_bytes());
                sent.lock().unwrap().push(Instant::now());
                if hand.write_all(&frame).is_err() {
                    return;
                }
                std::thread::sleep(PING_EVERY);
            }
        }
    });
    let mut pings = Pings::default();
    let mut socket = socket;
    socket.set_read_timeout(Some(PING_EVERY)).unwrap();
    let mut buffer = [0; 16 * 1024];
    let mut over_at = None;
    loop {
        let answered = pings.latencies.len();
        if is_over.load(Ordering::Relaxed) {
            let over_at = *over_at.get_or_insert_with(Instant::now);
            let is_late = over_at.elapsed() > ANSWER_PATIENCE;
            if (sending.is_finished() && answered == sent.lock().unwrap().len()) || is_late {
                break;
            }
        }
        match socket.read(&mut buffer) {
            Ok(count @ 1..) => frames.feed(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            ended => {
                pings.fault = Some(format!("another room's socket ended: {ended:?}"));
                alarm.store(true, Ordering::Relaxed);
                break;
            }
        }
        while let Some((opcode, payload)) = frames.next() {
            let frame: Value = if opcode == 1 { serde_json::from_slice(payload).unwrap() } else { Value::Null };
            if frame["type"] == "pong" {
                let number = frame["timestamp"].as_u64().unwrap() as usize;
                assert_eq!(number, pings.latencies.len(), "pongs come in order, once");
                pings.latencies.push(sent.lock().unwrap()[number].elapsed());
            }
        }
    }
    let unanswered: Vec<Duration> =
        sent.lock().unwrap()[pings.latencies.len()..].iter().map(Instant::elapsed).collect();
    pings.latencies.extend(unanswered);
    pings.latencies.sort_unstable();
    pings
}

/// Requests health and metrics in turn, each on a connection of its own.
fn ask(address: &str, is_over: &AtomicBool) -> Answers {
    let mut answers = Answers::default();
    while !is_over.load(Ordering::Relaxed) {
        for path in ["/healthz", "/metrics"] {
            let began = Instant::now();
            if let Err(error) = get(address, path) {
                answers.fault = Some(format!("{path} after {:?}: {error}", began.elapsed()));
                return answers;
            }
            answers.longest = answers.longest.max(began.elapsed());
            answers.count += 1;
        }
        std::thread::sleep(ASK_EVERY);
    }
    answers
}

fn get(address: &str, path: &str) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let mut socket = TcpStream::connect(address).map_err(said)?;
    socket.set_read_timeout(Some(ANSWER_PATIENCE)).map_err(said)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).map_err(said)?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).map_err(said)?;
    let first = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    if first == b"HTTP/1.1 200 OK" { Ok(()) } else { Err(format!("{:?}", String::from_utf8_lossy(first))) }
}

/// Follows the memory, and stops a load that needs far too much.
fn look_at_memory(pid: u32, alarm: &AtomicBool, is_over: &AtomicBool, peak: &AtomicU64) {
    loop {
        // After the process's end these lines are missing; earlier values stay.
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak.fetch_max(kilobytes.unwrap_or_default() * 1024, Ordering::Relaxed);
        if peak.load(Ordering::Relaxed) > ALARM_BYTES {
            alarm.store(true, Ordering::Relaxed);
        }
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
