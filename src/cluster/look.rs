//! Looks at the log for events that did not come by the bus: often while Redis is away or a node is silent, seldom otherwise.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Timestamp;
use crate::cluster::clocks::Clocks;
use crate::cluster::link::Link;
use crate::cluster::peers::Peers;
use crate::cluster::roster::Rosters;
use crate::fanout::publisher::Fanout;
use crate::fanout::sequence::Reach;
use crate::limits::{COMMIT_MAX, IN_FLIGHT_MAX, LOOK_DEEP_EVERY, LOOK_EVERY, LOOK_EVERY_CALM};
use crate::store::{Events, StoreError};

/// Looks that were asked for: since when.
#[derive(Clone, Default)]
pub(super) struct Looks(Arc<(Mutex<Option<Timestamp>>, Notify)>);

impl Looks {
    /// Asks for a look at everything since `since`.
    pub fn ask(&self, since: Timestamp) {
        let mut asked = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        *asked = Some(asked.map_or(since, |before| before.min(since)));
        drop(asked);
        self.0.1.notify_one();
    }

    /// Somebody waits for one.
    #[cfg(test)]
    pub fn is_asked(&self) -> bool {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn take(&self) -> Option<Timestamp> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// When to look, and how far back.
#[derive(Debug)]
struct Plan {
    last: Instant,
    /// When the log was last read for events whose commit took long.
    deep: (Timestamp, Instant),
    /// What was committed before then is known, because the log was read.
    read_until: Timestamp,
    /// Something may have been missed since.
    is_shaky: bool,
}

/// Why there might be something to find.
#[derive(Debug, Clone, Copy)]
struct Reasons {
    asked: Option<Timestamp>,
    is_down: bool,
    is_one_silent: bool,
}

impl Plan {
    /// Since when the log is to be read; `None` if not now.
    fn due(&mut self, why: Reasons, now: Timestamp, moment: Instant) -> Option<Timestamp> {
        self.is_shaky |= why.is_shaky();
        let is_calm = why.asked.is_none() && !self.is_shaky;
        if is_calm && moment.saturating_duration_since(self.last) < LOOK_EVERY_CALM {
            return None;
        }
        self.last = moment;
        // An event's time is taken before its commit, by the clock of the node that commits it.
        let reach = now.min(why.asked.unwrap_or(now)).min(self.read_until);
        let (deep, deep_at) = self.deep;
        let is_deep = moment.saturating_duration_since(deep_at) >= LOOK_DEEP_EVERY;
        Some(if is_deep { reach.min(deep).minus(COMMIT_MAX) } else { reach.minus(IN_FLIGHT_MAX) })
    }

    /// The log was read since `since` at `now`, or a little later.
    fn done(&mut self, why: Reasons, since: Timestamp, now: Timestamp, moment: Instant) {
        if since <= self.deep.0.minus(COMMIT_MAX) {
            self.deep = (now, moment);
        }
        self.read_until = now;
        self.is_shaky = why.is_shaky();
    }
}

impl Reasons {
    fn is_shaky(self) -> bool {
        self.is_down || self.is_one_silent
    }
}

/// The task.
pub(super) struct Look {
    pub log: Arc<dyn Events>,
    pub fanout: Arc<Fanout>,
    pub link: Arc<Link>,
    pub peers: Arc<Peers>,
    pub looks: Looks,
    pub rosters: Arc<Rosters>,
    /// When this process began.
    pub began: Timestamp,
    pub clocks: Clocks,
    plan: Plan,
    is_failing: bool,
}

impl Look {
    /// Nothing was looked at yet.
    pub fn new(
        (log, fanout): (Arc<dyn Events>, Arc<Fanout>),
        (link, peers): (Arc<Link>, Arc<Peers>),
        (looks, rosters): (Looks, Arc<Rosters>),
        (began, clocks): (Timestamp, Clocks),
    ) -> Self {
        let now = clocks.steady();
        let plan = Plan { last: now, deep: (began, now), read_until: began, is_shaky: false };
        Self { log, fanout, link, peers, looks, rosters, began, clocks, plan, is_failing: false }
    }

    /// Looks for as long as the runtime lives.
    pub async fn run(mut self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let looks = self.looks.clone();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = looks.0.1.notified() => {}
            }
            if !self.turn().await {
                // Not at once.
                ticks.reset();
                ticks.tick().await;
            }
        }
    }

    /// Looks if it is time to. False if the log could not be read.
    pub async fn turn(&mut self) -> bool {
        let (is_one_silent, dead) = self.peers.is_one_silent(self.clocks.steady());
        for node in dead {
            tracing::warn!(node = %node.0, "a node is silent for so long that it counts as dead");
            self.rosters.change(|others| others.forget(node));
        }
        let why = Reasons { asked: self.looks.take(), is_down: !self.link.is_up(), is_one_silent };
        let now = self.clocks.wall();
        let moment = self.clocks.steady();
        let Some(since) = self.plan.due(why, now, moment) else { return true };
        match self.look(Reach { since: since.max(self.began), until: now }).await {
            Ok(()) => {
                self.plan.done(why, since, now, moment);
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the log can be read again");
                }
                true
            }
            Err(error) => {
                if let Some(asked) = why.asked {
                    self.looks.ask(asked);
                }
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "the log cannot be read: what other nodes write comes later");
                }
                false
            }
        }
    }

    async fn look(&self, reach: Reach) -> Result<(), StoreError> {
        let heads = self.log.heads_since(reach.since).await?;
        metrics::counter!("pregon_bus_looks_total").increment(1);
        block_in_place(|| self.fanout.look(&heads, reach));
        Ok(())
    }
}
