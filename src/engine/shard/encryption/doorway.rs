//! The TLS handshakes of a shard that are under way: how many there may be, how long each may take, and what becomes of them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::{Failure, Pace, TlsSocket, plain_http, shake_hands};
use crate::engine::net::tls::Tls;
use crate::limits::LAST_REQUEST_PATIENCE;
use crate::telemetry;

/// How long handshakes may take, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine::shard) struct Terms {
    /// Handshakes under way at the same time.
    pub most: usize,
    /// How long each may take.
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
    /// One has ended.
    ended: Notify,
}

struct UnderWay {
    began: Instant,
    gives_way: Notify,
}

/// One handshake's place; dropping it makes room.
pub(in crate::engine::shard) struct Place {
    doorway: Rc<Doorway>,
    number: u64,
    under_way: Rc<UnderWay>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.doorway.under_way.borrow_mut().remove(&self.number);
        metrics::gauge!("pregon_tls_handshakes_under_way").decrement(1.0);
        self.doorway.ended.notify_waiters();
    }
}

impl Doorway {
    pub(in crate::engine::shard) fn new(config: Arc<ServerConfig>, terms: Terms) -> Self {
        Self { config, terms, under_way: RefCell::default(), count: Cell::new(0), ended: Notify::new() }
    }

    /// Waits until another handshake may begin. While there is no room, the oldest has to give way as soon as it has had some time.
    pub(in crate::engine::shard) async fn room(&self) {
        loop {
            // Asked for before the look, so that no end is missed in between.
            let ended = self.ended.notified();
            let oldest = {
                let under_way = self.under_way.borrow();
                if under_way.len() < self.terms.most {
                    return;
                }
                under_way.first_key_value().map(|(_, oldest)| oldest.clone())
            };
            let Some(oldest) = oldest else { return };
            tokio::select! {
                () = ended => {}
                () = sleep(self.terms.hurried.saturating_sub(oldest.began.elapsed())) => {
                    oldest.gives_way.notify_one();
                    // Its task ends it in a moment.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// Takes a place for a connection that was just accepted. Its time begins.
    pub(in crate::engine::shard) fn place(self: &Rc<Self>) -> Place {
        let under_way = Rc::new(UnderWay { began: Instant::now(), gives_way: Notify::new() });
        let number = self.count.replace(self.count.get() + 1);
        self.under_way.borrow_mut().insert(number, under_way.clone());
        metrics::gauge!("pregon_tls_handshakes_under_way").increment(1.0);
        Place { doorway: self.clone(), number, under_way }
    }
}

impl Place {
    /// Shakes hands. `None` if nothing came of it; the client has been told, as far as it can be.
    pub(in crate::engine::shard) async fn enter(
        self,
        socket: TcpStream,
        peer: SocketAddr,
        pace: &Pace,
        last_call: &mut watch::Receiver<bool>,
    ) -> Option<TlsSocket> {
        let outcome = self.shake(&socket, pace, last_call).await;
        drop(self);
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
            Outcome::Done(tls, plain) => return Some(TlsSocket::new(socket, tls, plain)),
            Outcome::Failed(Failure::Refused(why)) => telemetry::tls_refused(why, peer.ip()),
            Outcome::Failed(Failure::PlainHttp) => {
                telemetry::tls_refused("an HTTP request without encryption", peer.ip());
                plain_http::answer(socket).await;
            }
            Outcome::Late => telemetry::limit_hit("handshake's time", peer.ip()),
            Outcome::Crowded => telemetry::limit_hit("TLS handshakes", peer.ip()),
            Outcome::Failed(Failure::Gone) => {}
        }
        None
    }

    async fn shake(&self, socket: &TcpStream, pace: &Pace, last_call: &mut watch::Receiver<bool>) -> Outcome {
        let Doorway { config, terms, .. } = &*self.doorway;
        tokio::select! {
            biased;
            shaken = shake_hands(socket, config.clone(), pace) => match shaken {
                Ok((tls, plain)) => Outcome::Done(tls, plain),
                Err(failure) => Outcome::Failed(failure),
            },
            () = self.under_way.gives_way.notified() => Outcome::Crowded,
            () = sleep(terms.patience) => Outcome::Late,
            () = async {
                drop(last_call.wait_for(|is_last| *is_last).await);
                sleep(LAST_REQUEST_PATIENCE).await;
            } => Outcome::Late,
        }
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
