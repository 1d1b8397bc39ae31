//! Other processes beside this one: what nodes tell each other, and the connection to Redis.

mod asking;
pub mod balance;
pub mod bus;
#[cfg(test)]
pub(crate) mod by_hand;
mod clocks;
mod entries;
mod fill;
mod link;
mod look;
mod peers;
mod ports;
mod receive;
pub mod redis;
mod roster;
mod send;
mod spread;
pub mod streams;
pub mod whereabouts;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Timestamp;
pub use crate::cluster::asking::{Others, Replies};
use crate::cluster::bus::Bus;
use crate::cluster::link::Link;
pub use crate::cluster::ports::{
    AnswerAsk, Barred, Hear, HearEphemeral, HearPresence, LoginsEnded, ProfileChanged, SayAbout,
};
use crate::cluster::roster::Rosters;
pub use crate::cluster::send::Outbox;
use crate::cluster::whereabouts::Whereabouts;
use crate::cluster::wire::NodeId;
use crate::fanout::publisher::{Fanout, ReadMissing};
use crate::limits::COMMIT_MAX;
use crate::store::{Events, Store, StoreError};
use crate::telemetry::alarm;

/// How long the last words of a node may take.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the cluster needs of the rest of the server.
pub struct Ways {
    /// The log.
    pub store: Arc<dyn Store>,
    /// Where events are put in order.
    pub fanout: Arc<Fanout>,
    /// Takes events.
    pub hear: Hear,
    /// Takes frames.
    pub hear_ephemeral: HearEphemeral,
    /// Takes presence.
    pub hear_presence: HearPresence,
    /// Looks for sockets of logins that ended.
    pub logins_ended: LoginsEnded,
    /// Forgets what was known of a user.
    pub profile_changed: ProfileChanged,
    /// Bars a client with a token.
    pub barred: Barred,
    /// Answers what an operator asks.
    pub answer: AnswerAsk,
    /// Says what this node is.
    pub about: SayAbout,
}

/// The part of a node in its cluster, before it starts.
pub struct Cluster {
    node: NodeId,
    began: Timestamp,
    link: Arc<Link>,
    peers: Arc<peers::Peers>,
    others: Arc<Others>,
    whereabouts: Arc<Whereabouts>,
    outbox: Outbox,
    queue: send::Queue,
    missing: fill::Questions,
    reader: fill::Reader,
}

/// The tasks of a node in its cluster.
pub struct Work {
    stop: watch::Sender<bool>,
    sender: JoinHandle<()>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

impl Cluster {
    /// A node that has told and heard nothing yet.
    pub fn new() -> Self {
        let (outbox, queue) = send::queue();
        let (missing, reader) = fill::questions();
        let (node, began) = (NodeId(uuid::Uuid::now_v7()), Timestamp::now());
        let (link, peers) = (Arc::<Link>::default(), Arc::<peers::Peers>::default());
        let others = Arc::new(Others::new(peers.clone(), link.clone(), outbox.clone()));
        let whereabouts = Arc::new(Whereabouts::new(peers.clone(), link.clone(), outbox.clone()));
        Self { node, began, link, peers, others, whereabouts, outbox, queue, missing, reader }
    }

    /// Where this node's events and frames go.
    pub fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// The way to the other nodes, for operators.
    pub fn others(&self) -> Arc<Others> {
        self.others.clone()
    }

    /// The way to ask other nodes who has sockets there.
    pub fn whereabouts(&self) -> Arc<Whereabouts> {
        self.whereabouts.clone()
    }

    /// What [`Fanout::join_others`] wants.
    pub fn read_missing(&self) -> (Timestamp, ReadMissing) {
        (self.began, self.missing.port())
    }

    /// Tells whether the bus works.
    pub fn is_up(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let link = self.link.clone();
        Arc::new(move || link.is_up())
    }

    /// Starts the tasks. When this returns, everything that other nodes append will be read here; if the bus does not answer,
    /// the log is read until it does.
    pub async fn start(self, bus: Arc<dyn Bus>, ways: Ways, control: &Handle) -> Work {
        let (stop, stopped) = watch::channel(false);
        let Self { node, began, link, peers, others, whereabouts, outbox, queue, reader, .. } = self;
        let clocks = clocks::Clocks::default();
        let Ways { store, fanout, hear, hear_ephemeral, hear_presence, .. } = ways;
        let (logins_ended, profile_changed, barred) = (ways.logins_ended, ways.profile_changed, ways.barred);
        let (answer, about) = (ways.answer, ways.about);
        let rosters = Arc::new(Rosters::new(hear_presence));
        let looks = look::Looks::default();
        let ends = async { bus.reader().await?.ends().await };
        let (positions, begun) = tokio::join!(ends, begin(&*store, &fanout, began));
        let began = begun.unwrap_or_else(|error| {
            tracing::warn!(%error, "the log cannot be read: what was committed by clocks that are behind may be missed");
            began
        });
        let positions = positions.inspect_err(|error| {
            tracing::error!(%error, "Redis is away: until it is back, other nodes' events are read from the database");
        });
        let watched = |name: &'static str, task: futures_util::future::BoxFuture<'static, ()>| {
            control.spawn(alarm::watched(name, task))
        };
        watched("the reading of missing events", Box::pin(reader.run(store.clone(), fanout.clone())));
        let look = look::Look::new(
            (store, fanout),
            (link.clone(), peers.clone()),
            (looks.clone(), rosters.clone()),
            (began, clocks.clone()),
        );
        watched("the look at the log", Box::pin(look.run()));
        let receiver = receive::Receiver {
            bus: bus.clone(),
            node,
            link: link.clone(),
            looks,
            hear,
            last_read: clocks.wall(),
            has_failed: positions.is_err(),
            positions: positions.ok(),
            clocks: clocks.clone(),
            lag: receive::lag_by_partition(),
        };
        watched("the reader of the bus", Box::pin(receiver.run()));
        let (links, known) = (link.clone(), peers.clone());
        let listener = receive::Listener {
            bus: bus.clone(),
            node,
            link: links,
            peers: known,
            rosters,
            hear_ephemeral,
            logins_ended,
            profile_changed,
            barred,
            name: about().name,
            others,
            whereabouts,
            outbox: outbox.clone(),
            answer,
            clocks: clocks.clone(),
        };
        watched("the listener of the bus", Box::pin(listener.run()));
        let own = outbox.own().clone();
        let state = send::State::new();
        let sender = send::Sender { bus, node, link, peers, own, about, queue, clocks, state };
        let sender = watched("the sender of the bus", Box::pin(sender.run(stopped)));
        drop(outbox);
        Work { stop, sender }
    }
}

/// Has publishers know where topics are. Returns since when things that are not known are news.
async fn begin(log: &dyn Events, fanout: &Fanout, began: Timestamp) -> Result<Timestamp, StoreError> {
    let since = began.minus(COMMIT_MAX);
    let heads = log.heads_since(since).await?;
    tokio::task::block_in_place(|| fanout.begin(&heads));
    Ok(since)
}

impl Work {
    /// Appends what was handed over before, and says farewell.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        if tokio::time::timeout(FAREWELL, self.sender).await.is_err() {
            tracing::warn!("other nodes were not told that this one ends: they notice it by its silence");
        }
    }
}
