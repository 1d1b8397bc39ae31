//! Appends this node's events to the bus and rings its bells. Nobody waits for it: what cannot be appended is read from the
//! log by the others.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use metrics::Counter;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::clock::Timestamp;
use crate::cluster::bus::{Bus, BusError, Writer};
use crate::cluster::clocks::Clocks;
use crate::cluster::link::{Link, Part};
use crate::cluster::peers::Peers;
use crate::cluster::ports::SayAbout;
use crate::cluster::roster::Own;
use crate::cluster::wire::{About, Bell, Entry, News, NodeId, Person, Rung};
use crate::domain::event::Committed;
use crate::domain::user::Account;
use crate::engine::shard::port::{Elsewhere, Except, Publication};
use crate::ids::{PARTITIONS, RoomId, UserId};
use crate::limits::{BARS_WAITING_MAX, BUS_BATCH_MAX, BUS_WAITING_MAX, NODE_BEAT_EVERY, ROSTER_EVERY};

enum Outgoing {
    Event(Arc<Committed>),
    Ephemeral(Arc<Publication>),
    Bell(Bell),
}

impl Outgoing {
    /// It changes who has sockets here.
    fn is_change(&self) -> bool {
        matches!(self, Self::Bell(Bell::Came(..) | Bell::Counted(..) | Bell::Went(..)))
    }
}

/// Where events and frames go.
#[derive(Clone)]
pub struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    own: Arc<Own>,
    bars: Arc<Bars>,
}

/// Where they come out.
pub(super) struct Queue {
    waiting: mpsc::Receiver<Outgoing>,
    bars: Arc<Bars>,
}

pub(super) fn queue() -> (Outbox, Queue) {
    let (queue, waiting) = mpsc::channel(BUS_WAITING_MAX);
    let bars = Arc::<Bars>::default();
    (Outbox { queue, own: Arc::default(), bars: Arc::clone(&bars) }, Queue { waiting, bars })
}

/// Clients with tokens that were refused too often since the last beat. Whoever tries many tokens brings many of them, and they
/// must not take the place of events.
#[derive(Debug, Default)]
struct Bars(Mutex<Vec<u64>>);

impl Bars {
    /// False if too many wait.
    fn add(&self, key: u64) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = waiting.len() < BARS_WAITING_MAX;
        if has_room {
            waiting.push(key);
        }
        has_room
    }

    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
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

    /// A user's profile was changed here, and it is stored.
    pub fn profile_changed(&self, user: UserId) {
        self.ring(Outgoing::Bell(Bell::Profile(user)));
    }

    /// A token was refused here too often to a client. The next beat names all of them. Never blocks; if too many wait, the others
    /// are not told.
    pub fn barred(&self, key: u64) {
        if !self.bars.add(key) {
            metrics::counter!("pregon_bus_dropped_total", "what" => "bar").increment(1);
        }
    }

    /// Who has sockets here.
    pub(super) fn own(&self) -> &Arc<Own> {
        &self.own
    }

    /// Rings once the bells before it have been rung.
    pub(super) fn ring_bell(&self, bell: Bell) {
        self.ring(Outgoing::Bell(bell));
    }

    fn ring_change(&self, bell: Bell) {
        if !self.ring(Outgoing::Bell(bell)) {
            self.own.told(1);
        }
    }

    fn ring(&self, outgoing: Outgoing) -> bool {
        let is_taken = self.queue.try_send(outgoing).is_ok();
        if !is_taken {
            metrics::counter!("pregon_bus_dropped_total", "what" => "ephemeral").increment(1);
        }
        is_taken
    }
}

/// If the queue is full, this is dropped. The next telling of the roster settles who is where.
impl Elsewhere for Outbox {
    fn ephemeral(&self, publication: &Arc<Publication>) {
        self.ring(Outgoing::Ephemeral(Arc::clone(publication)));
    }

    fn came(&self, room: RoomId, account: &Arc<Account>, is_told: bool) {
        self.own.came(room, account, is_told);
        self.ring_change(match is_told {
            true => Bell::Came(room, Person(account.id, account.username.clone())),
            false => Bell::Counted(room, account.id),
        });
    }

    fn went(&self, room: RoomId, user: UserId) {
        self.own.went(room, user);
        self.ring_change(Bell::Went(room, user));
    }
}

/// The task.
pub(super) struct Sender {
    pub bus: Arc<dyn Bus>,
    pub node: NodeId,
    pub link: Arc<Link>,
    pub peers: Arc<Peers>,
    pub own: Arc<Own>,
    pub about: SayAbout,
    pub queue: Queue,
    pub clocks: Clocks,
    pub state: State,
}

/// What the task remembers.
#[derive(Debug)]
pub(super) struct State {
    /// The number of the last telling of the roster.
    round: u64,
    /// When the roster was last told.
    told_roster: Option<Instant>,
    /// The others have to look at the log from then on, because something was not appended.
    lost_since: Option<Timestamp>,
    has_failed: bool,
    /// `pregon_bus_appended_total`.
    appended: [Counter; PARTITIONS],
}

impl State {
    /// Nothing was sent yet.
    pub fn new() -> Self {
        let appended = std::array::from_fn(
            |partition| metrics::counter!("pregon_bus_appended_total", "partition" => partition.to_string()),
        );
        Self { round: 0, told_roster: None, lost_since: None, has_failed: false, appended }
    }
}

impl Sender {
    /// Sends until `stop` is true and everything is sent, then says farewell.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            match self.live(&mut stop).await {
                Ok(()) => return,
                Err(error) => self.failed(&error),
            }
            if *stop.borrow() {
                return;
            }
            sleep(self.link.pause(Part::Sender)).await;
        }
    }

    async fn live(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), BusError> {
        let mut writer = self.connect().await?;
        let mut beats = interval(NODE_BEAT_EVERY);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                count = self.queue.waiting.recv_many(&mut batch, BUS_BATCH_MAX) => {
                    if count == 0 {
                        return Ok(());
                    }
                    self.append(&mut *writer, std::mem::take(&mut batch)).await?;
                }
                _ = beats.tick() => self.beat(&mut *writer).await?,
                () = stopped(stop) => return self.say_farewell(&mut *writer).await,
            }
        }
    }

    /// A connection.
    pub async fn connect(&mut self) -> Result<Box<dyn Writer>, BusError> {
        self.bus.writer().await
    }

    /// Sends a batch. If that fails, the others are told to look for it later.
    async fn append(&mut self, writer: &mut dyn Writer, batch: Vec<Outgoing>) -> Result<(), BusError> {
        let sent = self.send(writer, &batch).await;
        self.own.told(batch.iter().filter(|outgoing| outgoing.is_change()).count());
        if sent.is_err() {
            batch.iter().for_each(|outgoing| note_loss(outgoing, &mut self.state.lost_since));
        }
        sent
    }

    /// Sends what waits.
    #[cfg(test)]
    pub async fn append_waiting(&mut self, writer: &mut dyn Writer) -> Result<(), BusError> {
        let batch: Vec<_> = std::iter::from_fn(|| self.queue.waiting.try_recv().ok()).take(BUS_BATCH_MAX).collect();
        self.append(writer, batch).await
    }

    /// Tells that this node lives, who has sockets here if somebody does not know it, and where the others have to look.
    pub async fn beat(&mut self, writer: &mut dyn Writer) -> Result<(), BusError> {
        let (moment, mut bells) = (self.clocks.steady(), vec![self.rung(Bell::Beat, &[])]);
        let is_old = |told: Instant| moment.saturating_duration_since(told) >= ROSTER_EVERY;
        let is_missed = self.state.told_roster.is_none_or(is_old) && self.peers.take_wanted();
        if self.peers.take_newcomers() || is_missed {
            self.state.told_roster = Some(moment);
            self.state.round += 1;
            bells.extend(self.own.tell(self.state.round).into_iter().map(|bell| self.rung(bell, &[])));
        }
        let bars = self.queue.bars.take();
        if !bars.is_empty() && self.peers.are_there() {
            bells.push(self.rung(Bell::BarredAll(bars), &[]));
        }
        writer.ring(&bells).await?;
        if let Some(since) = self.state.lost_since.take() {
            let entry = Entry { node: self.node, news: News::Look(since) }.write();
            if let Err(error) = writer.append(&[(0, entry)]).await {
                self.state.lost_since = Some(since);
                return Err(error);
            }
        }
        if self.link.set(Part::Sender, true) && std::mem::take(&mut self.state.has_failed) {
            tracing::info!("Redis takes this node's events again");
        }
        Ok(())
    }

    async fn say_farewell(&mut self, writer: &mut dyn Writer) -> Result<(), BusError> {
        let batch: Vec<_> = std::iter::from_fn(|| self.queue.waiting.try_recv().ok()).collect();
        self.send(writer, &batch).await?;
        writer.ring(&[self.rung(Bell::Gone, &[])]).await
    }

    /// The connection is lost, and with it what waits: events are in the log, and frames that are not stored are lost.
    pub fn failed(&mut self, error: &BusError) {
        let now = self.clocks.wall();
        self.link.set(Part::Sender, false);
        self.state.lost_since.get_or_insert(now);
        if !std::mem::replace(&mut self.state.has_failed, true) {
            tracing::error!(%error, "Redis is away: other nodes read this one's events from the database until it is back");
        }
        while let Ok(outgoing) = self.queue.waiting.try_recv() {
            note_loss(&outgoing, &mut self.state.lost_since);
            self.own.told(usize::from(outgoing.is_change()));
        }
        drop(self.queue.bars.take());
    }

    async fn send(&self, writer: &mut dyn Writer, batch: &[Outgoing]) -> Result<(), BusError> {
        let (mut entries, mut bells) = (Vec::new(), Vec::new());
        for outgoing in batch {
            match outgoing {
                Outgoing::Event(event) => {
                    let entry = Entry { node: self.node, news: News::Event(Arc::clone(event)) };
                    entries.push((event.topic.partition(), entry.write()));
                }
                Outgoing::Ephemeral(publication) if self.peers.are_there() => {
                    let except = match publication.except {
                        Except::User(user) | Except::UserAndNewcomers(user) => Some(user),
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
            for (partition, _) in &entries {
                self.state.appended[*partition].increment(1);
            }
            metrics::histogram!("pregon_bus_append_seconds").record(began.elapsed());
        }
        if bells.is_empty() { Ok(()) } else { writer.ring(&bells).await }
    }

    fn rung(&self, bell: Bell, tail: &[u8]) -> Bytes {
        let about = matches!(bell, Bell::Beat).then(|| About { roster: self.own.sum(), ..(self.about)() });
        Rung { node: self.node, bell, about }.write(tail)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::bus::{Listener, Reader};

    /// Nobody reads, and all that is rung is kept.
    #[derive(Default, Clone)]
    struct Rang(Arc<Mutex<Vec<Bytes>>>);

    #[async_trait::async_trait]
    impl Bus for Rang {
        async fn writer(&self) -> Result<Box<dyn Writer>, BusError> {
            Ok(Box::new(self.clone()))
        }
        async fn reader(&self) -> Result<Box<dyn Reader>, BusError> {
            Err(BusError("none".into()))
        }
        async fn listener(&self) -> Result<Box<dyn Listener>, BusError> {
            Err(BusError("none".into()))
        }
    }

    #[async_trait::async_trait]
    impl Writer for Rang {
        async fn append(&mut self, _: &[(usize, Bytes)]) -> Result<(), BusError> {
            Ok(())
        }
        async fn ring(&mut self, bells: &[Bytes]) -> Result<(), BusError> {
            self.0.lock().unwrap().extend_from_slice(bells);
            Ok(())
        }
    }

    impl Rang {
        /// Who was barred, bell by bell.
        fn bars(&self) -> Vec<Vec<u64>> {
            let rung = std::mem::take(&mut *self.0.lock().unwrap());
            let bells = rung.iter().map(|bell| Rung::read(bell).unwrap().0.bell);
            let bars = bells.filter_map(|bell| match bell {
                Bell::Barred(key) => Some(vec![key]),
                Bell::BarredAll(keys) => Some(keys),
                _ => None,
            });
            bars.collect()
        }
    }

    /// Whoever tries many tokens has many barred at once.
    #[tokio::test]
    async fn who_is_barred_is_told_in_one_bell_with_the_next_beat() {
        let (rang, (outbox, queue)) = (Rang::default(), queue());
        let about: SayAbout = Arc::new(|| About { name: "".into(), sessions: 0, is_draining: false, roster: None });
        let peers = Arc::<Peers>::default();
        let mut sender = Sender {
            bus: Arc::new(rang.clone()),
            node: NodeId(uuid::Uuid::now_v7()),
            link: Arc::default(),
            peers: Arc::clone(&peers),
            own: outbox.own().clone(),
            about,
            queue,
            clocks: Clocks::default(),
            state: State::new(),
        };
        let mut writer = sender.connect().await.unwrap();
        outbox.barred(1);
        sender.beat(&mut *writer).await.unwrap();
        assert_eq!(rang.bars(), [[0_u64; 0]; 0], "nobody is there");
        peers.heard(NodeId(uuid::Uuid::now_v7()), Instant::now());
        let many: Vec<u64> = (0..=BARS_WAITING_MAX as u64).collect();
        many.iter().for_each(|key| outbox.barred(*key));
        sender.append_waiting(&mut *writer).await.unwrap();
        sender.beat(&mut *writer).await.unwrap();
        assert_eq!(rang.bars(), [&many[..BARS_WAITING_MAX]], "once, and no more than may wait");
        sender.beat(&mut *writer).await.unwrap();
        outbox.barred(2);
        sender.failed(&BusError("away".into()));
        sender.beat(&mut *writer).await.unwrap();
        assert_eq!(rang.bars(), [[0_u64; 0]; 0], "what was lost with Redis is not told late");
    }
}
