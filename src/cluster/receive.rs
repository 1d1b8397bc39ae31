//! Reads what other nodes append, and hears what they ring.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::clock::Timestamp;
use crate::cluster::bus::{Bus, BusError, Positions};
use crate::cluster::link::{Link, Part};
use crate::cluster::look::Looks;
use crate::cluster::peers::Peers;
use crate::cluster::ports::{Hear, HearEphemeral, LoginsEnded};
use crate::cluster::roster::Rosters;
use crate::cluster::wire::{Bell, Entry, News, NodeId, Rung};

use crate::engine::session::outbox::Class;
use crate::engine::shard::port::{Except, Publication};
use crate::protocol::form::{Also, FrameSet};

/// How long a failed connection waits for the next attempt.
const PAUSE: Duration = Duration::from_millis(200);

/// The task that reads streams.
pub(super) struct Receiver {
    pub bus: Arc<dyn Bus>,
    pub node: NodeId,
    pub link: Arc<Link>,
    pub looks: Looks,
    pub hear: Hear,
}

impl Receiver {
    /// Reads for as long as the runtime lives, from `positions` on; if they are not known, from where the streams end.
    pub async fn run(self, mut positions: Option<Positions>) {
        let mut last_read = Timestamp::now();
        let mut has_failed = positions.is_none();
        loop {
            let Err(error) = self.live(&mut positions, &mut last_read, &mut has_failed).await;
            self.link.set(Part::Receiver, false);
            if !std::mem::replace(&mut has_failed, true) {
                tracing::error!(%error, "Redis is away: other nodes' events are read from the database until it is back");
            }
            sleep(PAUSE).await;
        }
    }

    async fn live(
        &self,
        positions: &mut Option<Positions>,
        last_read: &mut Timestamp,
        has_failed: &mut bool,
    ) -> Result<std::convert::Infallible, BusError> {
        let mut reader = self.bus.reader().await?;
        let ends = reader.ends().await?;
        let known = positions.get_or_insert_with(|| ends.clone());
        // A Redis that lost its end, or everything, counts from an earlier place.
        for (known, end) in known.0.iter_mut().zip(&ends.0) {
            if is_behind(end, known) {
                known.clone_from(end);
            }
        }
        // What was trimmed meanwhile is found in the log.
        self.looks.ask(*last_read);
        loop {
            let entries = reader.read_after(known).await?;
            *last_read = Timestamp::now();
            if self.link.set(Part::Receiver, true) && std::mem::take(has_failed) {
                tracing::info!("other nodes' events come by Redis again");
            }
            let mut events = Vec::with_capacity(entries.len());
            for entry in entries {
                match Entry::read(&entry) {
                    Ok(entry) if entry.node == self.node => {}
                    Ok(Entry { news: News::Event(event), .. }) => events.push(event),
                    Ok(Entry { news: News::Look(since), .. }) => self.looks.ask(since),
                    Err(error) => {
                        metrics::counter!("pregon_bus_unreadable_total").increment(1);
                        tracing::warn!(
                            error = error.0,
                            "an entry of the bus cannot be read: do all nodes have one version?"
                        );
                    }
                }
            }
            if !events.is_empty() {
                let now = Timestamp::now();
                let lag = metrics::histogram!("pregon_bus_lag_seconds");
                for event in &events {
                    lag.record(Duration::from_micros(u64::try_from(now.0 - event.at.0).unwrap_or(0)));
                }
                block_in_place(|| (self.hear)(events));
            }
        }
    }
}

/// Is the place `one` of a stream before the place `other`?
fn is_behind(one: &str, other: &str) -> bool {
    let parsed = |id: &str| {
        let (time, number) = id.split_once('-')?;
        Some((time.parse::<u64>().ok()?, number.parse::<u64>().ok()?))
    };
    parsed(one) < parsed(other)
}

/// The task that hears bells.
pub(super) struct Listener {
    pub bus: Arc<dyn Bus>,
    pub node: NodeId,
    pub link: Arc<Link>,
    pub peers: Arc<Peers>,
    pub rosters: Arc<Rosters>,
    pub hear_ephemeral: HearEphemeral,
    pub logins_ended: LoginsEnded,
}

impl Listener {
    /// Listens for as long as the runtime lives.
    pub async fn run(self) {
        loop {
            let Err(error) = self.live().await;
            if self.link.set(Part::Listener, false) {
                tracing::warn!(%error, "what other nodes ring is not heard");
            }
            sleep(PAUSE).await;
        }
    }

    async fn live(&self) -> Result<std::convert::Infallible, BusError> {
        let mut listener = self.bus.listener().await?;
        // Our own beat comes back: that it does shows that the connection lives.
        let patience = crate::limits::NODE_SILENCE;
        loop {
            let heard = tokio::time::timeout(patience, listener.heard()).await;
            let heard = heard.map_err(|_| BusError("not even our own beat comes back".into()))??;
            self.link.set(Part::Listener, true);
            let Ok((Rung { node, bell }, tail)) = Rung::read(&heard) else {
                metrics::counter!("pregon_bus_unreadable_total").increment(1);
                continue;
            };
            if node == self.node {
                continue;
            }
            match bell {
                Bell::Beat => {
                    if self.peers.heard(node, Instant::now()) {
                        tracing::info!(node = %node.0, "another node is there");
                    }
                }
                Bell::Gone => {
                    self.peers.gone(node);
                    self.rosters.change(|others| others.forget(node));
                }
                bell @ (Bell::Came(..) | Bell::Counted(..) | Bell::Went(..) | Bell::Roster { .. }) => {
                    self.rosters.change(|others| others.hear(node, bell));
                }
                Bell::LoginsEnded => (self.logins_ended)(),
                Bell::Ephemeral { topic, except } => (self.hear_ephemeral)(Publication {
                    topic,
                    frames: FrameSet::new(tail).and(Also::Wrapped(topic)),
                    class: Class::Ephemeral,
                    except: except.map_or(Except::Nobody, Except::User),
                    origin: None,
                    born: Instant::now(),
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_stream_are_compared_as_numbers() {
        assert!(is_behind("9-5", "10-0") && is_behind("10-9", "10-10") && !is_behind("10-0", "10-0"));
    }
}
