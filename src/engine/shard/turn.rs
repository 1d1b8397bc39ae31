//! A turn of the loop: looks at the input, walks a stretch, and looks again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::core::Core;
use super::encryption::Pace;
use super::port::Opening;
use super::visit::Opened;
use crate::clock::Timestamp;
use crate::engine::net::sockets::{Handler, Sockets};
use crate::engine::net::stream::Stream;
use crate::engine::net::stretch::Sent;
use crate::engine::net::tls::Tls;
use crate::limits::{TLS_HANDSHAKES_TURN, TURN_ROUNDS_MAX, TURN_TIME_MAX, TURN_VISITS_MAX};
use crate::protocol::ws::negotiation::Negotiation;
use crate::telemetry::alarm;

/// How often the shard looks at the clock: much more often than the grace of presence needs, and so seldom that it
/// costs nothing.
pub(super) const TICK: Duration = Duration::from_millis(250);

/// A shard: its sockets and its state.
pub(super) struct Shard {
    sockets: Sockets,
    core: Core,
    outcomes: Vec<Sent>,
    ticked: Instant,
}

/// A shard as the tasks of its runtime share it. It is borrowed for a turn or an adoption, and never across an await.
pub(super) struct Shared {
    shard: RefCell<Shard>,
    /// Notified when something was adopted, so that the shard takes a turn.
    wake: Notify,
    /// Counts listeners, and connections that hyper still serves: those with a request under way, and those that wait
    /// for one.
    connections: Cell<usize>,
    /// The shard panicked while it was being changed. It must not run any more, and the process ends.
    is_broken: Cell<bool>,
    /// Becomes true when no shard has a session left: requests under way are finished, and nothing new begins.
    last_call: watch::Sender<bool>,
    /// How long TLS handshakes compute between two turns.
    pace: Pace,
}

/// Counts a connection for as long as it is served.
pub(super) struct Served(Rc<Shared>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.connections.set(self.0.connections.get() - 1);
        self.0.wake.notify_one();
    }
}

impl Shared {
    pub(super) fn new(shard: Shard) -> Self {
        let (shard, connections) = (RefCell::new(shard), Cell::new(0));
        let is_broken = Cell::new(false);
        let pace = Pace::new(TLS_HANDSHAKES_TURN);
        Self { shard, wake: Notify::new(), connections, is_broken, last_call: watch::Sender::new(false), pace }
    }

    /// Where TLS handshakes wait for their turns to compute.
    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Counts a listener or a connection. The shard does not end before the returned [`Served`] is dropped.
    pub(super) fn serve(self: &Rc<Self>) -> (Served, watch::Receiver<bool>) {
        self.connections.set(self.connections.get() + 1);
        (Served(self.clone()), self.last_call.subscribe())
    }

    /// Makes a connected socket a session. `read_already` are the bytes that came behind its handshake.
    pub(super) fn adopt(
        &self,
        socket: std::net::TcpStream,
        tls: Option<Box<Tls>>,
        read_already: &mut [u8],
        negotiation: Negotiation,
        opened: impl Into<Opened>,
    ) {
        // This runs in a task of the connection: nobody would notice its panic, and the shard would be half changed.
        let mut shard = self.shard.borrow_mut();
        let adopt = || shard.adopt(socket, tls, read_already, negotiation, opened.into());
        if !alarm::guard("a shard that adopts a socket", adopt) {
            self.is_broken.set(true);
        }
        self.wake.notify_one();
    }

    /// True if the shard panicked while it was being changed: it must not run any more.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.get()
    }

    /// Waits until a socket was adopted, a connection ended, or handshakes have computed enough.
    pub(super) async fn woken(&self) {
        tokio::select! {
            () = self.wake.notified() => {}
            () = self.pace.used_up() => {}
        }
    }

    /// Takes a turn. Returns whether there is more to do, and whether the shard is over.
    pub(super) fn turn(&self) -> (bool, bool) {
        let mut shard = self.shard.borrow_mut();
        let has_more = shard.turn();
        self.pace.renew();
        if shard.core.is_last_call() {
            self.last_call.send_if_modified(|is_last| !std::mem::replace(is_last, true));
        }
        (has_more, shard.core.is_over() && self.connections.get() == 0)
    }
}

impl Shard {
    /// It has no sessions yet.
    pub(super) fn new(sockets: Sockets, core: Core) -> Self {
        Self { sockets, core, outcomes: Vec::new(), ticked: Instant::now() }
    }

    fn adopt(
        &mut self,
        socket: std::net::TcpStream,
        tls: Option<Box<Tls>>,
        read_already: &mut [u8],
        negotiation: Negotiation,
        Opened { opening, address }: Opened,
    ) {
        let Self { sockets, core, .. } = self;
        core.moment = Instant::now();
        let index = core.reserve();
        let has_ended = tls.as_ref().is_some_and(|tls| tls.end().is_some());
        if let Err(error) = sockets.adopt(index, Stream::tcp(socket), tls) {
            tracing::warn!(%error, "a socket could not be adopted");
            core.free.push(index);
            core.ports.gate.disconnected(address);
            return;
        }
        core.counts_under(index, address);
        match opening {
            Opening::Judged(admission) => core.begin(index, negotiation, admission, Timestamp::now()),
            Opening::Many { credential, client } => {
                core.begin_many(index, negotiation, credential, Some(client));
            }
            Opening::Echo => core.begin_echo(index, negotiation),
        }
        if !read_already.is_empty() {
            core.received(index, read_already);
        }
        if has_ended {
            // The peer's goodbye came with the rest, and no further event may come.
            core.closed(index);
        }
    }

    /// Looks and walks in rounds. True if there is more to do.
    fn turn(&mut self) -> bool {
        let began = Instant::now();
        self.core.moment = began;
        if began.saturating_duration_since(self.ticked) >= TICK {
            self.ticked = began;
            self.core.tick(began, &self.sockets);
        }
        let mut has_more = true;
        let mut visits = 0;
        for _ in 0..TURN_ROUNDS_MAX {
            let is_flooded = self.core.is_flooded();
            let has_mail = is_flooded || self.core.take_mail();
            self.core.answer_asked(&self.sockets);
            let has_input = is_flooded || self.look();
            let has_lists = self.core.work_on_feeds();
            self.core.wake_the_told();
            let visited = self.core.walk_a_stretch(&mut self.sockets, &mut self.outcomes);
            self.bury();
            visits += visited;
            has_more = has_mail || has_input || has_lists || visited > 0;
            if !has_more || visits >= TURN_VISITS_MAX || began.elapsed() >= TURN_TIME_MAX {
                break;
            }
        }
        // Sessions that the last walk ended have left their rooms, and other shards are told of it.
        self.core.wake_the_told();
        if visits > 0 {
            self.core.stats.turn_took(began.elapsed());
        }
        has_more
    }

    /// Looks at the sockets, unless another shard has no room yet for what came of earlier input.
    fn look(&mut self) -> bool {
        if !self.core.retry_overflow() {
            return true;
        }
        // Mail may not use the whole intake: at least one socket is read.
        self.core.intake = self.core.intake.max(1);
        self.sockets.look(&mut self.core).unwrap_or_else(|error| {
            tracing::error!(%error, "the kernel refuses to tell which sockets are ready");
            false
        })
    }

    /// Closes the sockets of sessions that are over, and the sending side of sessions that have said everything.
    fn bury(&mut self) {
        for index in self.core.finished.drain(..) {
            self.sockets.finish(index);
        }
        for (index, with_reset) in std::mem::take(&mut self.core.over) {
            if self.core.slots[index as usize].is_none() {
                continue;
            }
            if with_reset {
                self.sockets.reset(index);
            } else {
                self.sockets.close(index);
            }
            self.core.vacate(index);
        }
    }
}

#[cfg(test)]
mod tests;
