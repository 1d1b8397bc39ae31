//! The other nodes, by what they ring: who lives, and who has fallen silent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::cluster::wire::{About, NodeId};
use crate::limits::{NODE_DOUBT, NODE_LEASE, NODE_SILENCE};

/// The other nodes, for all tasks that have to do with them.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: Mutex<Known>,
    /// A node came that does not know yet who has sockets here.
    has_newcomers: AtomicBool,
    /// A node has missed a change of who has sockets here.
    is_roster_wanted: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    /// When each was last heard that lives, or is doubted.
    live: HashMap<NodeId, Instant>,
    /// What those say of themselves that have said it.
    about: HashMap<NodeId, About>,
    /// Nodes that count as dead. One may be cut off from Redis only, and write on.
    lost: HashMap<NodeId, Instant>,
}

impl Peers {
    /// A node rang. True if it was not known.
    pub fn heard(&self, node: NodeId, now: Instant) -> bool {
        let mut peers = self.lock();
        peers.lost.remove(&node);
        let is_new = peers.live.insert(node, now).is_none();
        if is_new {
            self.has_newcomers.store(true, Ordering::Release);
        }
        is_new
    }

    /// A node said what it is.
    pub fn told(&self, node: NodeId, about: About) {
        self.lock().about.insert(node, about);
    }

    /// Nodes that live, or are doubted, with what they say of themselves.
    pub fn known(&self) -> HashMap<NodeId, Option<About>> {
        let peers = self.lock();
        peers.live.keys().map(|node| (*node, peers.about.get(node).cloned())).collect()
    }

    /// The sessions of each node that can take more: it is not doubted, and does not end.
    pub fn takers(&self, now: Instant) -> Vec<u64> {
        let peers = self.lock();
        let is_heard = |node: &NodeId| {
            peers.live.get(node).is_some_and(|heard| now.saturating_duration_since(*heard) < NODE_SILENCE)
        };
        let takers = peers.about.iter().filter(|(node, about)| !about.is_draining && is_heard(node));
        takers.map(|(_, about)| about.sessions).collect()
    }

    /// Whether nodes came since this was last asked.
    pub fn take_newcomers(&self) -> bool {
        self.has_newcomers.swap(false, Ordering::AcqRel)
    }

    /// A node has missed something of who has sockets here.
    pub fn want_roster(&self) {
        self.is_roster_wanted.store(true, Ordering::Release);
    }

    /// Whether one has since this was last asked.
    pub fn take_wanted(&self) -> bool {
        self.is_roster_wanted.swap(false, Ordering::AcqRel)
    }

    /// A node said farewell.
    pub fn gone(&self, node: NodeId) {
        let mut peers = self.lock();
        peers.live.remove(&node);
        peers.about.remove(&node);
        peers.lost.remove(&node);
    }

    /// There is another node.
    pub fn are_there(&self) -> bool {
        !self.lock().live.is_empty()
    }

    /// A node is silent that has not said farewell: it may be cut off from Redis, and what it commits does not come by the bus.
    /// Those that have been silent for a lease are returned once: they count as dead, and are doubted for a while longer.
    pub fn is_one_silent(&self, now: Instant) -> (bool, Vec<NodeId>) {
        let mut peers = self.lock();
        let Known { live, about, lost } = &mut *peers;
        let silence = |heard: &Instant| now.saturating_duration_since(*heard);
        let dead: Vec<_> = live.extract_if(|_, heard| silence(heard) >= NODE_LEASE).collect();
        dead.iter().for_each(|(node, _)| drop(about.remove(node)));
        lost.extend(dead.iter().copied());
        lost.retain(|_, heard| silence(heard) < NODE_DOUBT);
        metrics::gauge!("pregon_bus_peers").set(u32::try_from(live.len()).unwrap_or(u32::MAX));
        let is_one_silent = !lost.is_empty() || live.values().any(|heard| silence(heard) >= NODE_SILENCE);
        (is_one_silent, dead.into_iter().map(|(node, _)| node).collect())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_is_doubted_or_drains_takes_nobody() {
        let (peers, now) = (Peers::default(), Instant::now());
        for (sessions, is_draining, heard) in [(1, false, now), (2, true, now), (3, false, now - NODE_SILENCE)] {
            let node = NodeId(uuid::Uuid::now_v7());
            peers.heard(node, heard);
            peers.told(node, About { name: "n".into(), sessions, is_draining, roster: None });
        }
        // It has not said yet what it has.
        peers.heard(NodeId(uuid::Uuid::now_v7()), now);
        assert_eq!(peers.takers(now), [1]);
        assert_eq!(peers.takers(now + NODE_SILENCE), [0_u64; 0]);
        assert_eq!(peers.known().len(), 4, "operators may ask all of them");
    }

    #[test]
    fn who_is_silent_counts_as_dead_after_a_lease_and_is_doubted_for_longer() {
        let (peers, now, node) = (Peers::default(), Instant::now(), NodeId(uuid::Uuid::now_v7()));
        assert!(peers.heard(node, now) && !peers.heard(node, now));
        assert!(peers.take_newcomers() && !peers.take_newcomers());
        assert_eq!(peers.is_one_silent(now + NODE_SILENCE - Duration::from_millis(1)), (false, vec![]));
        assert_eq!(peers.is_one_silent(now + NODE_SILENCE), (true, vec![]));
        assert_eq!(peers.is_one_silent(now + NODE_LEASE), (true, vec![node]));
        assert!(!peers.are_there());
        assert_eq!(peers.is_one_silent(now + NODE_LEASE), (true, vec![]), "it may be cut off and write on");
        assert_eq!(peers.is_one_silent(now + NODE_DOUBT), (false, vec![]));
        // It was cut off, and is back.
        peers.heard(node, now);
        assert_eq!(peers.is_one_silent(now + NODE_LEASE), (true, vec![node]));
        assert!(peers.heard(node, now + NODE_LEASE));
        assert_eq!(peers.is_one_silent(now + NODE_LEASE), (false, vec![]));
        peers.is_one_silent(now + 2 * NODE_LEASE);
        peers.gone(node);
        assert_eq!(peers.is_one_silent(now + 2 * NODE_LEASE), (false, vec![]));
    }
}
