//! Members of a room talk over several nodes while something fails, and every message is accounted for.
//!
//! A message is acknowledged when its sender hears it back. Each listener then has to hear it exactly once, and all in one
//! order. A listener whose node stops goes to another one, and what is acknowledged after it is there counts.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::nodes::cluster::{Cluster, text_of};
use crate::support::{PATIENCE, Socket};

/// Messages that are said after the fault has passed.
const AFTER: usize = 40;
/// How long a client waits before it tries again what was refused.
const AGAIN: Duration = Duration::from_millis(20);
/// How the last message begins.
const END: &str = "end";

/// What came of a talk.
#[derive(Debug)]
pub struct Report {
    pub acknowledged: usize,
    /// What the listener heard that heard least.
    pub received: usize,
    pub lost: usize,
    pub doubled: usize,
    /// The longest time in which a listener heard nothing.
    pub silence: Duration,
    /// Times that a listener had to go to another node.
    pub moved: usize,
    /// The longest time by which this program itself was woken too late: the machine had other things to do.
    pub late: Duration,
}

impl Report {
    /// Prints a line of the table, and checks that nothing was lost and nobody waited longer than this.
    pub fn check(&self, fault: &str, patience: Duration) {
        let Self { acknowledged, received, lost, doubled, silence, .. } = self;
        eprintln!("| {fault} | {acknowledged} | {received} | {lost} | {doubled} | {} ms |", silence.as_millis());
        assert_eq!((*lost, *doubled), (0, 0), "{fault}: {self:?}");
        // A machine that lets this program wait lets the nodes wait, too, each in turn. Never more than four times as long.
        let patience = (patience + 10 * self.late).min(4 * patience);
        assert!(*silence <= patience, "{fault}: {silence:?}, and this program itself was {:?} late", self.late);
    }

    /// Each message was heard by each listener, which stayed where it was.
    pub fn check_of_stayers(&self, fault: &str, patience: Duration) {
        self.check(fault, patience);
        assert_eq!((self.moved, self.received), (0, self.acknowledged), "{fault}");
    }
}

/// What was acknowledged until now, in order.
#[derive(Default)]
struct Progress(Mutex<Vec<String>>);

impl Progress {
    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Where a user may connect: the nodes' addresses, the favourite first.
struct Way {
    addresses: Vec<String>,
    path: String,
}

impl Way {
    fn new(cluster: &Cluster, node: usize, user: usize) -> Self {
        let mut addresses: Vec<_> = cluster.nodes.iter().map(|node| node.address().to_owned()).collect();
        addresses.rotate_left(node);
        Self { addresses, path: cluster.nodes[node].chat_path(0, user) }
    }

    /// A greeted socket on the first node that takes one.
    async fn connect(&self) -> Socket {
        let began = Instant::now();
        loop {
            for address in &self.addresses {
                let Some(mut socket) = Socket::reach(address, &self.path).await else { continue };
                while let Some(frame) = socket.try_next_json().await {
                    if frame["type"] == "connection_success" {
                        return socket;
                    }
                }
            }
            assert!(began.elapsed() < PATIENCE, "no node takes a socket");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Listeners and speakers at work.
pub struct Talk {
    progress: Arc<Progress>,
    over: watch::Sender<bool>,
    speaking: JoinHandle<()>,
    listening: Vec<JoinHandle<Heard>>,
    watch: JoinHandle<Duration>,
}

/// What a listener heard, and the longest time in which it heard nothing.
struct Heard {
    stays: Vec<Stay>,
    silence: Duration,
}

/// The time on one node.
struct Stay {
    /// Messages that were acknowledged when it began.
    from: usize,
    texts: Vec<String>,
}

impl Talk {
    /// A listener on each node, and two members who speak in turns, on these nodes.
    pub async fn begin(cluster: &Cluster, speakers: [usize; 2]) -> Self {
        let progress = Arc::<Progress>::default();
        let (over, is_over) = watch::channel(false);
        let mut listening = Vec::new();
        for node in 0..cluster.nodes.len() {
            let way = Way::new(cluster, node, 0);
            let socket = way.connect().await;
            listening.push(tokio::spawn(listen(way, socket, Arc::clone(&progress))));
        }
        let ways = [Way::new(cluster, speakers[0], 1), Way::new(cluster, speakers[1], 2)];
        let watch = tokio::spawn(watch_the_clock(is_over.clone()));
        let speaking = tokio::spawn(speak(ways, Arc::clone(&progress), is_over));
        Self { progress, over, speaking, listening, watch }
    }

    /// Waits until so many more messages are acknowledged.
    pub async fn go_on(&self, count: usize) {
        let (began, first) = (Instant::now(), self.progress.count());
        while self.progress.count() < first + count {
            assert!(began.elapsed() < PATIENCE, "nobody speaks: {} messages", self.progress.count());
            assert!(!self.speaking.is_finished(), "the speakers have failed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Says some more, and counts.
    pub async fn end(self) -> Report {
        self.over.send_replace(true);
        self.speaking.await.unwrap();
        let acknowledged = std::mem::take(&mut *self.progress.0.lock().unwrap());
        let mut heard = Vec::new();
        for listener in self.listening {
            heard.push(listener.await.unwrap());
        }
        agree(&heard);
        let counts = heard.iter().map(|heard| count(heard, &acknowledged));
        let (lost, doubled, received) = counts.fold((0, 0, usize::MAX), |all, (lost, doubled, received)| {
            (all.0 + lost, all.1 + doubled, all.2.min(received))
        });
        let silence = heard.iter().map(|heard| heard.silence).max().unwrap();
        let moved = heard.iter().map(|heard| heard.stays.len() - 1).sum();
        let late = self.watch.await.unwrap();
        Report { acknowledged: acknowledged.len(), received, lost, doubled, silence, moved, late }
    }
}

/// How late a short sleep ends at most until the talk is over.
async fn watch_the_clock(over: watch::Receiver<bool>) -> Duration {
    let mut late = Duration::ZERO;
    while !*over.borrow() {
        let asleep = Instant::now();
        tokio::time::sleep(AGAIN).await;
        late = late.max(asleep.elapsed().saturating_sub(AGAIN));
    }
    late
}

async fn speak(ways: [Way; 2], progress: Arc<Progress>, over: watch::Receiver<bool>) {
    let mut sockets = [ways[0].connect().await, ways[1].connect().await];
    let (mut number, mut after) = (0, 0);
    while after < AFTER {
        after += usize::from(*over.borrow());
        // Each waits for the message of the one before, so the order is known.
        let turn = number % 2;
        say(&ways[turn], &mut sockets[turn], &format!("message {number}"), &progress).await;
        number += 1;
    }
    say(&ways[0], &mut sockets[0], END, &progress).await;
}

/// Says something until it is heard back. A message that was refused, or whose answer was lost, may be stored all the same:
/// each attempt has words of its own.
async fn say(way: &Way, socket: &mut Socket, text: &str, progress: &Progress) {
    for attempt in 0_usize.. {
        let text = format!("{text}, attempt {attempt}");
        if !socket.try_send(json!({"type": "chat_message", "content": text})).await {
            *socket = way.connect().await;
            continue;
        }
        loop {
            match socket.try_next_json().await {
                Some(frame) if frame["type"] == "chat_message" && text_of(&frame) == text => {
                    return progress.0.lock().unwrap().push(text);
                }
                Some(frame) if frame["type"] == "error" => {
                    tokio::time::sleep(AGAIN).await;
                    break;
                }
                Some(_) => {}
                None => {
                    *socket = way.connect().await;
                    break;
                }
            }
        }
    }
}

async fn listen(way: Way, mut socket: Socket, progress: Arc<Progress>) -> Heard {
    let mut heard = Heard { stays: vec![Stay { from: 0, texts: Vec::new() }], silence: Duration::ZERO };
    let mut last = Instant::now();
    loop {
        let Some(frame) = socket.try_next_json().await else {
            socket = way.connect().await;
            heard.stays.push(Stay { from: progress.count(), texts: Vec::new() });
            continue;
        };
        if frame["type"] != "chat_message" {
            continue;
        }
        let text = text_of(&frame);
        heard.silence = heard.silence.max(last.elapsed());
        last = Instant::now();
        let is_end = text.starts_with(END);
        heard.stays.last_mut().unwrap().texts.push(text);
        if is_end {
            return heard;
        }
    }
}

/// Whoever stayed has heard everything in the order of everybody else, also what was stored but not acknowledged.
fn agree(heard: &[Heard]) {
    let mut stayers = heard.iter().filter(|heard| heard.stays.len() == 1).map(|heard| &heard.stays[0].texts);
    let Some(first) = stayers.next() else { return };
    stayers.for_each(|texts| assert_eq!(texts, first, "two listeners differ"));
}

/// How many messages a listener lacks, has twice, and has.
fn count(heard: &Heard, acknowledged: &[String]) -> (usize, usize, usize) {
    let places: HashMap<&str, usize> =
        acknowledged.iter().enumerate().map(|(place, text)| (text.as_str(), place)).collect();
    let (mut lost, mut doubled, mut all) = (0, 0, HashSet::new());
    for (number, stay) in heard.stays.iter().enumerate() {
        let mut seen = HashSet::new();
        let mut next = None;
        for text in &stay.texts {
            if !seen.insert(text) {
                doubled += 1;
                continue;
            }
            let Some(place) = places.get(text.as_str()).copied() else { continue };
            all.insert(place);
            // The message that was under way when it came may have been told before.
            let expected = next.unwrap_or_else(|| if number == 0 { 0 } else { place.min(stay.from + 1) });
            assert!(place >= expected, "out of order: {text:?} is number {place} and comes after number {expected}");
            lost += place - expected;
            next = Some(place + 1);
        }
        if number + 1 == heard.stays.len() {
            lost += acknowledged.len() - next.unwrap_or(acknowledged.len());
        }
    }
    (lost, doubled, all.len())
}

#[test]
fn the_oracle_counts_what_is_missing_and_what_is_there_twice() {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let said = texts(&["a", "b", "c", "d", "end"]);
    let stay = |from, heard: &[&str]| Stay { from, texts: texts(heard) };
    let heard = |stays| Heard { stays, silence: Duration::ZERO };
    assert_eq!(count(&heard(vec![stay(0, &["a", "x", "b", "c", "d", "end"])]), &said), (0, 0, 5));
    assert_eq!(count(&heard(vec![stay(0, &["b", "d", "end"])]), &said), (2, 0, 3));
    assert_eq!(count(&heard(vec![stay(0, &["a", "b", "c", "d"])]), &said), (1, 0, 4));
    assert_eq!(count(&heard(vec![stay(0, &["a", "x", "x", "b", "c", "d", "end"])]), &said), (0, 1, 5));
    // What was under way when it came to another node counts from the next message on.
    assert_eq!(count(&heard(vec![stay(0, &["a"]), stay(2, &["d", "end"])]), &said), (0, 0, 3));
    assert_eq!(count(&heard(vec![stay(0, &["a"]), stay(1, &["d", "end"])]), &said), (1, 0, 3));
}
