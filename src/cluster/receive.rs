//! Reads what other nodes append, and hears what they ring.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::Histogram;
use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::clock::Timestamp;
use crate::cluster::asking::Others;
use crate::cluster::bus::{Bus, BusError, Positions, Reader};
use crate::cluster::clocks::Clocks;
use crate::cluster::link::{Link, Part};
use crate::cluster::look::Looks;
use crate::cluster::peers::Peers;
use crate::cluster::ports::{AnswerAsk, Barred, Hear, HearEphemeral, LoginsEnded, ProfileChanged};
use crate::cluster::roster::Rosters;
use crate::cluster::send::Outbox;
use crate::cluster::whereabouts::Whereabouts;
use crate::cluster::wire::{Bell, Entry, News, NodeId, Rung};
use crate::engine::session::outbox::Class;
use crate::engine::shard::port::{Except, Publication};
use crate::ids::PARTITIONS;
use crate::limits::PUBLICATION_BYTES_MAX;
use crate::protocol::form::{Also, FrameSet};
use crate::protocol::ws::frame::are_whole_texts;

/// The task that reads streams.
pub(super) struct Receiver {
    pub bus: Arc<dyn Bus>,
    pub node: NodeId,
    pub link: Arc<Link>,
    pub looks: Looks,
    pub hear: Hear,
    pub clocks: Clocks,
    /// How far streams were read; if it is not known, the next connection begins where they end.
    pub positions: Option<Positions>,
    pub last_read: Timestamp,
    pub has_failed: bool,
    /// `pregon_bus_lag_seconds`.
    pub lag: [Histogram; PARTITIONS],
}

/// The histograms of how long events took.
pub(super) fn lag_by_partition() -> [Histogram; PARTITIONS] {
    std::array::from_fn(|partition| metrics::histogram!("pregon_bus_lag_seconds", "partition" => partition.to_string()))
}

impl Receiver {
    /// Reads for as long as the runtime lives.
    pub async fn run(mut self) {
        loop {
            let Err(error) = self.live().await;
            self.failed(&error);
            sleep(self.link.pause(Part::Receiver)).await;
        }
    }

    async fn live(&mut self) -> Result<std::convert::Infallible, BusError> {
        let mut reader = self.connect().await?;
        loop {
            self.read(&mut *reader).await?;
        }
    }

    /// A connection, and where to go on.
    pub async fn connect(&mut self) -> Result<Box<dyn Reader>, BusError> {
        let mut reader = self.bus.reader().await?;
        let ends = reader.ends().await?;
        let known = self.positions.get_or_insert_with(|| ends.clone());
        // A Redis that lost its end, or everything, counts from an earlier place.
        for (known, end) in known.0.iter_mut().zip(&ends.0) {
            if is_behind(end, known) {
                known.clone_from(end);
            }
        }
        // What was trimmed meanwhile is found in the log.
        self.looks.ask(self.last_read);
        Ok(reader)
    }

    /// Waits a while for entries, and hands over what others wrote.
    pub async fn read(&mut self, reader: &mut dyn Reader) -> Result<(), BusError> {
        let Some(known) = &mut self.positions else { return Ok(()) };
        let entries = reader.read_after(known).await?;
        let now = self.clocks.wall();
        self.last_read = now;
        if self.link.set(Part::Receiver, true) && std::mem::take(&mut self.has_failed) {
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
            for event in &events {
                let lag = &self.lag[event.topic.partition()];
                lag.record(Duration::from_micros(u64::try_from(now.0 - event.at.0).unwrap_or(0)));
            }
            block_in_place(|| (self.hear)(events));
        }
        Ok(())
    }

    pub fn failed(&mut self, error: &BusError) {
        self.link.set(Part::Receiver, false);
        if !std::mem::replace(&mut self.has_failed, true) {
            tracing::error!(%error, "Redis is away: other nodes' events are read from the database until it is back");
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
    pub profile_changed: ProfileChanged,
    pub barred: Barred,
    /// This node's own name.
    pub name: Box<str>,
    pub others: Arc<Others>,
    pub whereabouts: Arc<Whereabouts>,
    /// Where this node's own bells go.
    pub outbox: Outbox,
    pub answer: AnswerAsk,
    pub clocks: Clocks,
}

impl Listener {
    /// Listens for as long as the runtime lives.
    pub async fn run(self) {
        loop {
            let Err(error) = self.live().await;
            self.failed(&error);
            sleep(self.link.pause(Part::Listener)).await;
        }
    }

    pub fn failed(&self, error: &BusError) {
        if self.link.set(Part::Listener, false) {
            tracing::warn!(%error, "what other nodes ring is not heard");
        }
    }

    async fn live(&self) -> Result<std::convert::Infallible, BusError> {
        let mut listener = self.bus.listener().await?;
        // Our own beat comes back: that it does shows that the connection lives.
        let patience = crate::limits::NODE_SILENCE;
        loop {
            let heard = tokio::time::timeout(patience, listener.heard()).await;
            self.hear(&heard.map_err(|_| BusError("not even our own beat comes back".into()))??);
        }
    }

    /// Does what a bell says.
    pub fn hear(&self, heard: &Bytes) {
        let moment = self.clocks.steady();
        self.link.set(Part::Listener, true);
        let Ok((Rung { node, bell, about }, tail)) = Rung::read(heard) else {
            metrics::counter!("pregon_bus_unreadable_total").increment(1);
            return;
        };
        if node == self.node {
            return;
        }
        match bell {
            Bell::Beat => {
                if self.peers.heard(node, moment) {
                    tracing::info!(node = %node.0, "another node is there");
                }
                if let Some(about) = about {
                    if about.roster.is_some_and(|sum| self.rosters.is_wanted(node, sum)) {
                        self.outbox.ring_bell(Bell::RosterWanted(node));
                    }
                    self.peers.told(node, about);
                }
            }
            Bell::Gone => {
                self.peers.gone(node);
                self.rosters.change(|others| others.forget(node));
            }
            bell @ (Bell::Came(..) | Bell::Counted(..) | Bell::Went(..) | Bell::Roster { .. }) => {
                self.rosters.change(|others| others.hear(node, bell));
            }
            Bell::RosterWanted(node) if node == self.node => self.peers.want_roster(),
            Bell::RosterWanted(_) => {}
            Bell::LoginsEnded => (self.logins_ended)(),
            Bell::Profile(user) => (self.profile_changed)(user),
            Bell::Barred(key) => (self.barred)(key),
            Bell::BarredAll(keys) => keys.into_iter().for_each(|key| (self.barred)(key)),
            Bell::Ask { id, name, ask } if name.as_deref().is_none_or(|name| *name == *self.name) => {
                self.others.asked(id, *ask, &self.answer);
            }
            Bell::Ask { .. } => {}
            Bell::Answer { id, answer } => self.others.answered(node, id, *answer),
            Bell::WhoIsThere { id, users } => self.whereabouts.asked(id, users),
            Bell::TheseAre { id, users } => self.whereabouts.answered(node, id, users),
            // Sent on as it is, it would break the connections of all who listen.
            Bell::Ephemeral { .. } if tail.len() > PUBLICATION_BYTES_MAX || !are_whole_texts(&tail) => {
                metrics::counter!("pregon_bus_unreadable_total").increment(1);
            }
            Bell::Ephemeral { topic, except } => (self.hear_ephemeral)(Publication {
                topic,
                frames: FrameSet::new(tail).and(Also::Wrapped(topic)),
                class: Class::Ephemeral,
                except: except.map_or(Except::Nobody, Except::User),
                origin: None,
                born: moment,
            }),
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
