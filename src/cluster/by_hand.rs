//! A node's part in its cluster without a runtime: a test has each task take its turn, by its own clock.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::clock::Timestamp;
use crate::cluster::bus::{Bus, Listener as Ear, Reader, Writer};
use crate::cluster::clocks::Clocks;
use crate::cluster::link::Part;
use crate::cluster::look::{Look, Looks};
use crate::cluster::ports::{Hear, SayAbout};
use crate::cluster::receive::{self, Listener, Receiver};
use crate::cluster::roster::Rosters;
use crate::cluster::send::{Sender, State};
use crate::cluster::whereabouts::Whereabouts;
use crate::cluster::wire::{About, NodeId};
use crate::cluster::{Cluster, begin, fill};
use crate::fanout::publisher::Fanout;
use crate::limits::{LOOK_EVERY, NODE_BEAT_EVERY, NODE_SILENCE};
use crate::store::Events;

/// A future that needs no runtime.
pub(crate) type Doing<T> = Pin<Box<dyn Future<Output = T>>>;

/// Polls once.
pub(crate) fn poll<T>(doing: &mut Doing<T>) -> Option<T> {
    match doing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// A task that rests between its turns. A turn that waits goes on when the next is due.
enum Task<T> {
    Rests(T),
    Works(Doing<T>),
    Gone,
}

impl<T: 'static> Task<T> {
    fn turn<F: Future<Output = T> + 'static>(&mut self, work: impl FnOnce(T) -> F) {
        let mut doing: Doing<T> = match std::mem::replace(self, Self::Gone) {
            Self::Rests(task) => Box::pin(work(task)),
            Self::Works(doing) => doing,
            Self::Gone => panic!("a turn did not come back"),
        };
        // A query is several polls, and hardly more time.
        *self = match (0..4).find_map(|_| poll(&mut doing)) {
            Some(task) => Self::Rests(task),
            None => Self::Works(doing),
        };
    }
}

struct Sending {
    sender: Sender,
    writer: Option<Box<dyn Writer>>,
    beat_at: Instant,
    again_at: Instant,
}

impl Sending {
    async fn turn(mut self) -> Self {
        let now = self.sender.clocks.steady();
        if now < self.again_at {
            return self;
        }
        let done = match &mut self.writer {
            None => {
                self.beat_at = now;
                self.sender.connect().await.map(|writer| self.writer = Some(writer))
            }
            Some(writer) if now >= self.beat_at => {
                self.beat_at = now + NODE_BEAT_EVERY;
                self.sender.beat(&mut **writer).await
            }
            Some(writer) => self.sender.append_waiting(&mut **writer).await,
        };
        if let Err(error) = done {
            self.sender.failed(&error);
            self.writer = None;
            self.again_at = self.sender.clocks.steady() + self.sender.link.pause(Part::Sender);
        }
        self
    }
}

struct Reading {
    receiver: Receiver,
    reader: Option<Box<dyn Reader>>,
    again_at: Instant,
}

impl Reading {
    async fn turn(mut self) -> Self {
        if self.receiver.clocks.steady() < self.again_at {
            return self;
        }
        let done = match &mut self.reader {
            None => self.receiver.connect().await.map(|reader| self.reader = Some(reader)),
            Some(reader) => self.receiver.read(&mut **reader).await,
        };
        if let Err(error) = done {
            self.receiver.failed(&error);
            self.reader = None;
            self.again_at = self.receiver.clocks.steady() + self.receiver.link.pause(Part::Receiver);
        }
        self
    }
}

struct Hearing {
    listener: Listener,
    ear: Option<Box<dyn Ear>>,
    heard_at: Instant,
    again_at: Instant,
}

impl Hearing {
    async fn turn(mut self) -> Self {
        let now = self.listener.clocks.steady();
        if now < self.again_at {
            return self;
        }
        let Some(ear) = &mut self.ear else {
            match self.listener.bus.listener().await {
                Ok(ear) => self.ear = Some(ear),
                Err(error) => {
                    self.listener.failed(&error);
                    self.again_at = self.listener.clocks.steady() + self.listener.link.pause(Part::Listener);
                }
            }
            self.heard_at = self.listener.clocks.steady();
            return self;
        };
        loop {
            // It may be dropped while it waits.
            let heard = ear.heard().as_mut().poll(&mut Context::from_waker(Waker::noop()));
            let error = match heard {
                Poll::Ready(Ok(bell)) => {
                    self.listener.hear(&bell);
                    self.heard_at = now;
                    continue;
                }
                Poll::Ready(Err(error)) => error,
                Poll::Pending if now.saturating_duration_since(self.heard_at) < NODE_SILENCE => return self,
                Poll::Pending => crate::cluster::bus::BusError("not even our own beat comes back".into()),
            };
            self.listener.failed(&error);
            self.ear = None;
            self.again_at = now + self.listener.link.pause(Part::Listener);
            return self;
        }
    }
}

struct Looking {
    look: Look,
    next: Instant,
}

impl Looking {
    async fn turn(mut self) -> Self {
        let now = self.look.clocks.steady();
        if now >= self.next || self.look.looks.is_asked() {
            let is_done = self.look.turn().await;
            let now = self.look.clocks.steady();
            self.next = now + if is_done { LOOK_EVERY } else { 2 * LOOK_EVERY };
        }
        self
    }
}

/// The tasks of a node.
pub(crate) struct ByHand {
    sending: Task<Sending>,
    reading: Task<Reading>,
    hearing: Task<Hearing>,
    looking: Task<Looking>,
    filling: Task<fill::Reader>,
    log: Arc<dyn Events>,
    fanout: Arc<Fanout>,
}

impl Cluster {
    /// A node with this name that began at this time.
    pub(crate) fn named(name: uuid::Uuid, began: Timestamp) -> Self {
        Self { node: NodeId(name), began, ..Self::new() }
    }

    /// Its tasks, for a test to have them work.
    pub(crate) fn by_hand(
        self,
        bus: &Arc<dyn Bus>,
        (log, fanout): (Arc<dyn Events>, Arc<Fanout>),
        hear: Hear,
        wall: impl Fn() -> Timestamp + Send + Sync + 'static,
        steady: impl Fn() -> Instant + Send + Sync + 'static,
    ) -> ByHand {
        let clocks = Clocks::new(wall, steady);
        let Self { node, began, link, peers, others, outbox, queue, reader, .. } = self;
        let (looks, now) = (Looks::default(), clocks.steady());
        let (kept, told) = (Arc::clone(&log), Arc::clone(&fanout));
        let mut begun: Doing<_> = Box::pin(async move { begin(&*kept, &told, began).await });
        let began = std::iter::repeat_with(|| poll(&mut begun)).flatten().next().and_then(Result::ok).unwrap_or(began);
        let rosters = Arc::new(Rosters::new(Arc::new(|_, _| ())));
        let look = Look::new(
            (Arc::clone(&log), Arc::clone(&fanout)),
            (Arc::clone(&link), Arc::clone(&peers)),
            (looks.clone(), Arc::clone(&rosters)),
            (began, clocks.clone()),
        );
        let ends = bus.clone();
        let mut ends: Doing<_> = Box::pin(async move { ends.reader().await?.ends().await });
        let positions = poll(&mut ends).and_then(Result::ok);
        let receiver = Receiver {
            bus: Arc::clone(bus),
            node,
            link: Arc::clone(&link),
            looks,
            hear,
            last_read: clocks.wall(),
            has_failed: positions.is_none(),
            positions,
            clocks: clocks.clone(),
            lag: receive::lag_by_partition(),
        };
        let listener = Listener {
            bus: Arc::clone(bus),
            node,
            link: Arc::clone(&link),
            peers: Arc::clone(&peers),
            rosters,
            hear_ephemeral: Arc::new(|_| ()),
            logins_ended: Arc::new(|| ()),
            profile_changed: Arc::new(|_| ()),
            barred: Arc::new(|_| ()),
            name: "".into(),
            others,
            whereabouts: Arc::new(Whereabouts::new(peers.clone(), link.clone(), outbox.clone())),
            outbox: outbox.clone(),
            answer: Arc::new(|_| Box::pin(std::future::pending())),
            clocks: clocks.clone(),
        };
        let (own, state) = (outbox.own().clone(), State::new());
        let about: SayAbout = Arc::new(|| About { name: "".into(), sessions: 0, is_draining: false, roster: None });
        let sender = Sender { bus: Arc::clone(bus), node, link, peers, own, about, queue, clocks, state };
        ByHand {
            sending: Task::Rests(Sending { sender, writer: None, beat_at: now, again_at: now }),
            reading: Task::Rests(Reading { receiver, reader: None, again_at: now }),
            hearing: Task::Rests(Hearing { listener, ear: None, heard_at: now, again_at: now }),
            looking: Task::Rests(Looking { look, next: now }),
            filling: Task::Rests(reader),
            log,
            fanout,
        }
    }
}

impl ByHand {
    /// The sender's turn.
    pub(crate) fn send(&mut self) {
        self.sending.turn(Sending::turn);
    }

    /// The receiver's turn.
    pub(crate) fn receive(&mut self) {
        self.reading.turn(Reading::turn);
    }

    /// The listener's turn.
    pub(crate) fn listen(&mut self) {
        self.hearing.turn(Hearing::turn);
    }

    /// The look's turn.
    pub(crate) fn look(&mut self) {
        self.looking.turn(Looking::turn);
    }

    /// The turn of the task that reads missing events.
    pub(crate) fn fill(&mut self) {
        let (log, fanout) = (Arc::clone(&self.log), Arc::clone(&self.fanout));
        self.filling.turn(|mut questions| async move {
            let asked = questions.take();
            if !asked.is_empty() {
                fill::answer(asked, &*log, &fanout).await;
            }
            questions
        });
    }
}
