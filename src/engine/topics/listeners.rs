//! Which shards listen to a topic: one word that these shards share, so that none of them has to look it up.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ids::ShardId;

/// The shards that have listeners of a topic: one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardSet(pub u64);

impl ShardSet {
    /// The set with this shard added.
    #[must_use]
    pub fn with(self, shard: ShardId) -> Self {
        Self(self.0 | 1 << shard.0)
    }

    /// The set without this shard.
    #[must_use]
    pub fn without(self, shard: ShardId) -> Self {
        Self(self.0 & !(1 << shard.0))
    }

    /// Is this shard in the set?
    pub fn contains(self, shard: ShardId) -> bool {
        self.0 & (1 << shard.0) != 0
    }

    /// True if no shard listens.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The shards, ascending.
    pub fn iter(self) -> impl Iterator<Item = ShardId> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let next = u8::try_from(left.trailing_zeros()).ok().filter(|_| left != 0)?;
            left &= left - 1;
            Some(ShardId(next))
        })
    }
}

/// The shards of one topic, as they all see it at any moment.
///
/// A shard joins before it greets its first session, so every frame after the greeting reaches that session. When the last
/// shard has left, the value is over for good, and the next session to come gets a new one.
#[derive(Debug, Default)]
pub struct Listeners(AtomicU64);

impl Listeners {
    /// A topic whose first listener is on this shard.
    pub fn of(shard: ShardId) -> Self {
        Self(AtomicU64::new(ShardSet::default().with(shard).0))
    }

    /// The shards that listen now.
    pub fn now(&self) -> ShardSet {
        ShardSet(self.0.load(Ordering::SeqCst))
    }

    /// Adds a shard that has a listener now.
    pub fn join(&self, shard: ShardId) {
        self.0.fetch_or(ShardSet::default().with(shard).0, Ordering::SeqCst);
    }

    /// Removes a shard that has no listener any more. Returns whether no shard is left.
    pub fn leave(&self, shard: ShardId) -> bool {
        let mask = ShardSet(u64::MAX).without(shard).0;
        self.0.fetch_and(mask, Ordering::SeqCst) & mask == 0
    }

    /// True if the last shard has left.
    pub fn is_over(&self) -> bool {
        self.now().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_shards_lists_them() {
        let set = ShardSet::default().with(ShardId(3)).with(ShardId(63)).with(ShardId(0)).without(ShardId(3));
        assert_eq!(set.iter().collect::<Vec<_>>(), [ShardId(0), ShardId(63)]);
        assert!(ShardSet::default().iter().next().is_none());
    }

    #[test]
    fn the_last_shard_to_leave_ends_it() {
        let listeners = Listeners::of(ShardId(63));
        listeners.join(ShardId(0));
        assert_eq!(listeners.now(), ShardSet::default().with(ShardId(0)).with(ShardId(63)));
        assert!(!listeners.leave(ShardId(63)) && !listeners.is_over());
        assert!(!listeners.leave(ShardId(63)), "a shard that has left changes nothing");
        assert!(listeners.leave(ShardId(0)) && listeners.is_over());
    }
}
