//! The other nodes, by what they ring: who lives, and who has fallen silent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::cluster::wire::NodeId;
use crate::limits::{NODE_LEASE, NODE_SILENCE};

/// When each was last heard.
#[derive(Debug, Default)]
pub(super) struct Peers {
    heard: Mutex<HashMap<NodeId, Instant>>,
    /// A node came that does not know yet who has sockets here.
    has_newcomers: AtomicBool,
}

impl Peers {
    /// A node rang. True if it was not known.
    pub fn heard(&self, node: NodeId, now: Instant) -> bool {
        let is_new = self.lock().insert(node, now).is_none();
        if is_new {
            self.has_newcomers.store(true, Ordering::Release);
        }
        is_new
    }

    /// Whether nodes came since this was last asked.
    pub fn take_newcomers(&self) -> bool {
        self.has_newcomers.swap(false, Ordering::AcqRel)
    }

    /// A node said farewell.
    pub fn gone(&self, node: NodeId) {
        self.lock().remove(&node);
    }

    /// There is another node.
    pub fn are_there(&self) -> bool {
        !self.lock().is_empty()
    }

    /// A node is silent that has not said farewell: it may be cut off from Redis, and what it commits does not come by the bus.
    /// Those that are silent for longer than a lease are forgotten, and returned.
    pub fn is_one_silent(&self, now: Instant) -> (bool, Vec<NodeId>) {
        let mut peers = self.lock();
        let is_dead = |heard: &Instant| now.saturating_duration_since(*heard) >= NODE_LEASE;
        let dead: Vec<NodeId> = peers.iter().filter(|(_, heard)| is_dead(heard)).map(|(node, _)| *node).collect();
        peers.retain(|_, heard| !is_dead(heard));
        metrics::gauge!("pregon_bus_peers").set(u32::try_from(peers.len()).unwrap_or(u32::MAX));
        (peers.values().any(|heard| now.saturating_duration_since(*heard) >= NODE_SILENCE), dead)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<NodeId, Instant>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_is_silent_is_doubted_for_a_lease_and_then_forgotten() {
        let (peers, now, node) = (Peers::default(), Instant::now(), NodeId(uuid::Uuid::now_v7()));
        assert!(peers.heard(node, now) && !peers.heard(node, now));
        assert!(peers.take_newcomers() && !peers.take_newcomers());
        assert_eq!(peers.is_one_silent(now + NODE_SILENCE - Duration::from_millis(1)), (false, vec![]));
        assert_eq!(peers.is_one_silent(now + NODE_SILENCE), (true, vec![]));
        assert_eq!(peers.is_one_silent(now + NODE_LEASE), (false, vec![node]));
        peers.heard(node, now);
        peers.gone(node);
        assert!(!peers.are_there());
    }
}
