//! Looks at the log for events that did not come by the bus: often while Redis is away or a node is silent, seldom otherwise.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Timestamp;
use crate::cluster::link::Link;
use crate::cluster::peers::Peers;
use crate::cluster::roster::Rosters;
use crate::fanout::publisher::Fanout;
use crate::limits::{IN_FLIGHT_MAX, LOOK_EVERY, LOOK_EVERY_CALM};
use crate::store::{Store, StoreError};

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

    fn take(&self) -> Option<Timestamp> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The task.
pub(super) struct Look {
    pub store: Arc<dyn Store>,
    pub fanout: Arc<Fanout>,
    pub link: Arc<Link>,
    pub peers: Arc<Peers>,
    pub looks: Looks,
    pub rosters: Arc<Rosters>,
    /// When this process began.
    pub began: Timestamp,
}

impl Look {
    /// Looks for as long as the runtime lives.
    pub async fn run(self) {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        let mut shaky_since: Option<Timestamp> = None;
        let mut is_failing = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.looks.0.1.notified() => {}
            }
            let (is_one_silent, dead) = self.peers.is_one_silent(Instant::now());
            for node in dead {
                tracing::warn!(node = %node.0, "a node is silent for so long that it counts as dead");
                self.rosters.change(|others| others.forget(node));
            }
            let asked = self.looks.take();
            let now = Timestamp::now();
            let is_shaky = self.link.down_since().is_some() || is_one_silent;
            if is_shaky {
                shaky_since.get_or_insert(self.link.down_since().unwrap_or(now).min(now));
            }
            if asked.is_none() && !is_shaky && shaky_since.is_none() && last.elapsed() < LOOK_EVERY_CALM {
                continue;
            }
            last = Instant::now();
            // An event's time is taken before its commit, by the clock of the node that commits it.
            let reach = now.min(asked.unwrap_or(now)).min(shaky_since.unwrap_or(now));
            let since = reach.minus(IN_FLIGHT_MAX).max(self.began);
            match self.look(since).await {
                Ok(()) => {
                    if !is_shaky {
                        shaky_since = None;
                    } else if let Some(shaky) = &mut shaky_since {
                        // Everything until now is known.
                        *shaky = (*shaky).max(now);
                    }
                    if std::mem::take(&mut is_failing) {
                        tracing::info!("the log can be read again");
                    }
                }
                Err(error) => {
                    if let Some(asked) = asked {
                        self.looks.ask(asked);
                    }
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "the log cannot be read: what other nodes write comes later");
                    }
                    // Not at once.
                    ticks.reset();
                    ticks.tick().await;
                }
            }
        }
    }

    async fn look(&self, since: Timestamp) -> Result<(), StoreError> {
        let heads = self.store.heads_since(since).await?;
        metrics::counter!("pregon_bus_looks_total").increment(1);
        if !heads.is_empty() {
            block_in_place(|| self.fanout.look(heads, since));
        }
        Ok(())
    }
}
