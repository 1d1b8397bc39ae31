//! The TLS handshakes of a shard that are under way: how many there may be, how long each may take, and what becomes of them.
//!
//! A connection takes a place when its client has begun to speak: silent ones wait as they do without TLS, and keep nobody out.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::held::Holding;
use super::{Failure, Pace, TlsSocket, plain_http, shake_hands};
use crate::engine::net::tls::Tls;
use crate::engine::shard::port::Address;
use crate::limits::{LAST_REQUEST_PATIENCE, TLS_PLAIN_ANSWERS_MAX};
use crate::telemetry;

/// How long handshakes may take, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine::shard) struct Terms {
    /// Handshakes under way at the same time.
    pub most: usize,
    /// How long each may take, from the connection's beginning.
    pub patience: Duration,
    /// How long while there are as many as there may be.
    pub hurried: Duration,
}

/// Where connections become encrypted.
pub(in crate::engine::shard) struct Doorway {
    config: Arc<ServerConfig>,
    terms: Terms,
    /// Those under way, the oldest first.
    under_way: RefCell<BTreeMap<u64, Rc<UnderWay>>>,
    count: Cell<u64>,
    /// How many wait for a place.
    waiting: Cell<usize>,
    /// One has ended: the first of those that wait may begin.
    ended: Notify,
    /// Answers to requests without encryption that are under way.
    plain_answers: Cell<usize>,
    holding: Arc<Holding>,
}

struct UnderWay {
    began: Instant,
    address: Address,
    gives_way: Notify,
}

/// One handshake's place; dropping it makes room.
struct Place<'a> {
    doorway: &'a Doorway,
    number: u64,
    under_way: Rc<UnderWay>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.doorway.leave(self.number) {
            self.doorway.ended.notify_one();
        }
    }
}

/// Counts something for as long as it lives.
struct Counted<'a>(&'a Cell<usize>);

impl<'a> Counted<'a> {
    fn one(of: &'a Cell<usize>) -> Self {
        of.set(of.get() + 1);
        Self(of)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Doorway {
    pub(in crate::engine::shard) fn new(config: Arc<ServerConfig>, terms: Terms, holding: Holding) -> Self {
        Self {
            config,
            terms,
            under_way: RefCell::default(),
            count: Cell::new(0),
            waiting: Cell::new(0),
            ended: Notify::new(),
            plain_answers: Cell::new(0),
            holding: Arc::new(holding),
        }
    }

    /// Shakes hands with a client that is counted under `address`. `None` if nothing came of it; the client has been told, as far
    /// as it can be.
    pub(in crate::engine::shard) async fn enter(
        &self,
        socket: TcpStream,
        (peer, address): (SocketAddr, Address),
        pace: &Pace,
        last_call: &mut watch::Receiver<bool>,
    ) -> Option<TlsSocket> {
        let outcome = tokio::select! {
            biased;
            outcome = self.shake(&socket, address, pace) => outcome,
            () = sleep(self.terms.patience) => Outcome::Late,
            () = async {
                drop(last_call.wait_for(|is_last| *is_last).await);
                sleep(LAST_REQUEST_PATIENCE).await;
            } => Outcome::Late,
        };
        let result = match &outcome {
            Outcome::Done(tls, _) if tls.is_resumed() == Some(true) => "resumed",
            Outcome::Done(..) => "full",
            Outcome::Failed(Failure::Gone) => "gone",
            Outcome::Failed(Failure::Refused(_)) => "refused",
            Outcome::Failed(Failure::PlainHttp) => "plain http",
            Outcome::Late => "late",
            Outcome::Crowded => "crowded",
        };
        metrics::counter!("pregon_tls_handshakes_total", "result" => result).increment(1);
        match outcome {
            Outcome::Done(tls, plain) => {
                return Some(TlsSocket::new(socket, tls, plain, Holding::share(&self.holding)));
            }
            Outcome::Failed(Failure::Refused(why)) => telemetry::tls_refused(why, peer.ip()),
            Outcome::Failed(Failure::PlainHttp) => {
                telemetry::tls_refused("an HTTP request without encryption", peer.ip());
                if self.plain_answers.get() < TLS_PLAIN_ANSWERS_MAX {
                    let _counted = Counted::one(&self.plain_answers);
                    plain_http::answer(socket).await;
                }
            }
            Outcome::Late => telemetry::limit_hit("handshake's time", peer.ip()),
            Outcome::Crowded => telemetry::limit_hit("TLS handshakes", peer.ip()),
            Outcome::Failed(Failure::Gone) => {}
        }
        None
    }

    async fn shake(&self, socket: &TcpStream, address: Address, pace: &Pace) -> Outcome {
        let mut first = [0];
        match socket.peek(&mut first).await {
            Ok(0) | Err(_) => return Outcome::Failed(Failure::Gone),
            // Records of a handshake begin with 22 (RFC 8446 §5.1), requests with a method's name.
            Ok(_) if first[0].is_ascii_uppercase() => return Outcome::Failed(Failure::PlainHttp),
            Ok(_) => {}
        }
        let place = self.place(address).await;
        tokio::select! {
            biased;
            shaken = shake_hands(socket, self.config.clone(), pace) => match shaken {
                Ok((tls, plain)) => Outcome::Done(tls, plain),
                Err(failure) => Outcome::Failed(failure),
            },
            () = place.under_way.gives_way.notified() => Outcome::Crowded,
        }
    }

    /// Waits for a place. Where there is none, the address with the most places gives one to a client of an address with fewer, at
    /// once; else the oldest gives way as soon as it has had some time.
    async fn place(&self, address: Address) -> Place<'_> {
        let mut is_first = self.waiting.get() == 0;
        loop {
            if is_first && self.under_way.borrow().len() < self.terms.most {
                return self.begin(address);
            }
            if let Some(number) = self.who_gives_way(address) {
                if let Some(other) = self.under_way.borrow().get(&number) {
                    other.gives_way.notify_one();
                }
                self.leave(number);
                return self.begin(address);
            }
            let _counted = Counted::one(&self.waiting);
            let oldest = self.under_way.borrow().first_key_value().map(|(_, oldest)| oldest.began);
            tokio::select! {
                () = self.ended.notified() => is_first = true,
                () = sleep_until(oldest.unwrap_or_else(Instant::now) + self.terms.hurried) => {}
            }
        }
    }

    fn begin(&self, address: Address) -> Place<'_> {
        let under_way = Rc::new(UnderWay { began: Instant::now(), address, gives_way: Notify::new() });
        let number = self.count.replace(self.count.get() + 1);
        self.under_way.borrow_mut().insert(number, under_way.clone());
        metrics::gauge!("pregon_tls_handshakes_under_way").increment(1.0);
        Place { doorway: self, number, under_way }
    }

    /// A place is free. False if it was free already.
    fn leave(&self, number: u64) -> bool {
        let has_left = self.under_way.borrow_mut().remove(&number).is_some();
        if has_left {
            metrics::gauge!("pregon_tls_handshakes_under_way").decrement(1.0);
        }
        has_left
    }

    /// The place that is taken from somebody for a client of this address, when all are taken.
    fn who_gives_way(&self, address: Address) -> Option<u64> {
        let under_way = self.under_way.borrow();
        if under_way.len() < self.terms.most {
            return None;
        }
        let mut of: HashMap<Address, (usize, u64)> = HashMap::new();
        for (number, one) in &*under_way {
            of.entry(one.address).or_insert((0, *number)).0 += 1;
        }
        let own = of.get(&address).map_or(0, |(count, _)| *count);
        let (most, oldest_of_most) =
            of.into_values().max_by_key(|(count, oldest)| (*count, std::cmp::Reverse(*oldest)))?;
        if most > own + 1 {
            return Some(oldest_of_most);
        }
        let (number, oldest) = under_way.first_key_value()?;
        (oldest.began.elapsed() >= self.terms.hurried).then_some(*number)
    }
}

#[cfg(test)]
impl Doorway {
    /// How many handshakes ever had a place.
    pub(super) fn begun(&self) -> u64 {
        self.count.get()
    }

    /// How many wait for one.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.get()
    }
}

/// What became of a handshake.
enum Outcome {
    Done(Box<Tls>, Vec<u8>),
    Failed(Failure),
    Late,
    /// It had to give way to others.
    Crowded,
}
