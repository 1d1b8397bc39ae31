//! Appends this node's events to the bus and rings its bells. Nobody waits for it: what cannot be appended is read from the
//! log by the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::clock::Timestamp;
use crate::cluster::bus::{Bus, BusError, PARTITIONS, Writer};
use crate::cluster::link::{Link, Part};
use crate::cluster::peers::Peers;
use crate::cluster::roster::Own;
use crate::cluster::wire::{Bell, Entry, News, NodeId, Person, Rung};
use crate::domain::event::Committed;
use crate::domain::user::Account;
use crate::engine::shard::port::{Elsewhere, Except, Publication};
use crate::ids::{RoomId, Topic, UserId};
use crate::limits::{BUS_BATCH_MAX, BUS_WAITING_MAX, NODE_BEAT_EVERY, ROSTER_EVERY};

/// How long a failed connection waits for the next attempt.
const PAUSE: Duration = Duration::from_millis(200);

enum Outgoing {
    Event(Arc<Committed>),
    Ephemeral(Arc<Publication>),
    Bell(Bell),
}

/// Where events and frames go.
#[derive(Clone)]
pub struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    own: Arc<Own>,
}

/// Where they come out.
pub(super) struct Queue(mpsc::Receiver<Outgoing>);

pub(super) fn queue() -> (Outbox, Queue) {
    let (sender, receiver) = mpsc::channel(BUS_WAITING_MAX);
    (Outbox { queue: sender, own: Arc::default() }, Queue(receiver))
}

impl Outbox {
    /// Events that were committed here. Never blocks; if the queue is full, the others find them in the log.
    pub fn events(&self, events: &[Arc<Committed>]) {
        for event in events {
            if self.queue.try_send(Outgoing::Event(Arc::clone(event))).is_err() {
                metrics::counter!("pregon_bus_dropped_total", "what" => "event").increment(1);
            }
        }
    }

    /// Logins were ended here, and it is stored.
    pub fn logins_ended(&self) {
        self.ring(Outgoing::Bell(Bell::LoginsEnded));
    }

    /// Who has sockets here.
    pub(super) fn own(&self) -> &Arc<Own> {
        &self.own
    }

    fn ring(&self, outgoing: Outgoing) {
        if self.queue.try_send(outgoing).is_err() {
            metrics::counter!("pregon_bus_dropped_total", "what" => "ephemeral").increment(1);
        }
    }
}

/// If the queue is full, this is dropped. The next telling of the roster settles who is where.
impl Elsewhere for Outbox {
    fn ephemeral(&self, publication: &Arc<Publication>) {
        self.ring(Outgoing::Ephemeral(Arc::clone(publication)));
    }

    fn came(&self, room: RoomId, account: &Arc<Account>, is_told: bool) {
        self.own.came(room, account, is_told);
        self.ring(Outgoing::Bell(match is_told {
            true => Bell::Came(room, Person(account.id, account.username.clone())),
            false => Bell::Counted(room, account.id),
        }));
    }

    fn went(&self, room: RoomId, user: UserId) {
        self.own.went(room, user);
        self.ring(Outgoing::Bell(Bell::Went(room, user)));
    }
}

/// The task.
pub(super) struct Sender {
    pub bus: Arc<dyn Bus>,
    pub node: NodeId,
    pub link: Arc<Link>,
    pub peers: Arc<Peers>,
    pub own: Arc<Own>,
    pub queue: Queue,
    /// The number of the last telling of the roster.
    pub round: u64,
}

impl Sender {
    /// Sends until `stop` is true and everything is sent, then says farewell.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut has_failed = false;
        // The others have to look at the log from then on, because something was not appended.
        let mut lost_since = None;
        loop {
            let error = match self.bus.writer().await {
                Ok(writer) => match self.live(writer, &mut lost_since, &mut has_failed, &mut stop).await {
                    Ok(()) => return,
                    Err(error) => error,
                },
                Err(error) => error,
            };
            self.link.set(Part::Sender, false);
            lost_since.get_or_insert_with(Timestamp::now);
            if !std::mem::replace(&mut has_failed, true) {
                tracing::error!(%error, "Redis is away: other nodes read this one's events from the database until it is back");
            }
            // What waits is in the log. Frames that are not stored are lost.
            while let Ok(outgoing) = self.queue.0.try_recv() {
                note_loss(&outgoing, &mut lost_since);
            }
            if *stop.borrow() {
                return;
            }
            sleep(PAUSE).await;
        }
    }

    async fn live(
        &mut self,
        mut writer: Box<dyn Writer>,
        lost_since: &mut Option<Timestamp>,
        has_failed: &mut bool,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), BusError> {
        let mut beats = interval(NODE_BEAT_EVERY);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        let mut told_roster = None::<Instant>;
        loop {
            tokio::select! {
                count = self.queue.0.recv_many(&mut batch, BUS_BATCH_MAX) => {
                    if count == 0 {
                        return Ok(());
                    }
                    let sent = self.send(&mut *writer, &batch).await;
                    if sent.is_err() {
                        batch.iter().for_each(|outgoing| note_loss(outgoing, lost_since));
                    }
                    batch.clear();
                    sent?;
                }
                _ = beats.tick() => {
                    let mut bells = vec![self.rung(Bell::Beat, &[])];
                    let is_wanted = self.peers.take_newcomers();
                    if is_wanted || told_roster.is_none_or(|told| told.elapsed() >= ROSTER_EVERY) {
                        told_roster = Some(Instant::now());
                        self.round += 1;
                        bells.extend(self.own.tell(self.round).into_iter().map(|bell| self.rung(bell, &[])));
                    }
                    writer.ring(&bells).await?;
                    if let Some(since) = lost_since.take() {
                        let entry = Entry { node: self.node, news: News::Look(since) }.write();
                        if let Err(error) = writer.append(&[(0, entry)]).await {
                            *lost_since = Some(since);
                            return Err(error);
                        }
                    }
                    if self.link.set(Part::Sender, true) && std::mem::take(has_failed) {
                        tracing::info!("Redis takes this node's events again");
                    }
                }
                () = stopped(stop) => {
                    while let Ok(outgoing) = self.queue.0.try_recv() {
                        batch.push(outgoing);
                    }
                    self.send(&mut *writer, &batch).await?;
                    return writer.ring(&[self.rung(Bell::Gone, &[])]).await;
                }
            }
        }
    }

    async fn send(&self, writer: &mut dyn Writer, batch: &[Outgoing]) -> Result<(), BusError> {
        let (mut entries, mut bells) = (Vec::new(), Vec::new());
        for outgoing in batch {
            match outgoing {
                Outgoing::Event(event) => {
                    let entry = Entry { node: self.node, news: News::Event(Arc::clone(event)) };
                    entries.push((partition_of(event.topic), entry.write()));
                }
                Outgoing::Ephemeral(publication) if self.peers.are_there() => {
                    let except = match publication.except {
                        Except::User(user) => Some(user),
                        // The socket that is left out is here.
                        Except::Nobody | Except::Session(_) | Except::AllBut(_) => None,
                    };
                    let bell = Bell::Ephemeral { topic: publication.topic, except };
                    bells.push(self.rung(bell, publication.frames.usual()));
                }
                Outgoing::Bell(bell) if self.peers.are_there() => bells.push(self.rung(bell.clone(), &[])),
                Outgoing::Ephemeral(_) | Outgoing::Bell(_) => {}
            }
        }
        if !entries.is_empty() {
            let began = Instant::now();
            writer.append(&entries).await?;
            metrics::counter!("pregon_bus_appended_total").increment(entries.len() as u64);
            metrics::histogram!("pregon_bus_append_seconds").record(began.elapsed());
        }
        if bells.is_empty() { Ok(()) } else { writer.ring(&bells).await }
    }

    fn rung(&self, bell: Bell, tail: &[u8]) -> Bytes {
        Rung { node: self.node, bell }.write(tail)
    }
}

/// Ready when the server stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that nobody can stop it in order any more.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn note_loss(outgoing: &Outgoing, lost_since: &mut Option<Timestamp>) {
    if let Outgoing::Event(event) = outgoing {
        *lost_since = Some(lost_since.map_or(event.at, |since| since.min(event.at)));
    }
}

/// The stream of a topic, the same on all nodes.
fn partition_of(topic: Topic) -> usize {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(topic);
    usize::try_from(hash % PARTITIONS as u64).unwrap_or(0)
}
