//! The bounds of one shard as values, so that tests can set smaller ones.

use super::{
    CHUNK_BYTES, DEBT_STEP_BYTES, FEED_RECENT_MAX, FEED_SLICE_ENTRIES, OUTBOX_OWED_BYTES_MAX, OUTBOX_PARTS_MAX,
    OUTBOX_SHARED_BYTES_MAX, OVERFLOW_BYTES_MAX, OVERFLOW_MESSAGES_MAX, PUBLICATION_BYTES_MAX,
    SHARD_UNFINISHED_BYTES_MIN, SHARD_WAITING_BYTES_MIN, UNFINISHED_BYTES_MAX, WAITING_BYTES_MAX, WRITE_BYTES_MAX,
};

/// The bounds of what waits on one shard. The simulation sets them low, so that it soon reaches each of them.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// [`CHUNK_BYTES`].
    pub chunk_bytes: usize,
    /// [`WRITE_BYTES_MAX`].
    pub write_bytes_max: usize,
    /// [`PUBLICATION_BYTES_MAX`].
    pub publication_bytes_max: usize,
    /// [`OUTBOX_SHARED_BYTES_MAX`].
    pub shared_bytes_max: usize,
    /// [`OUTBOX_OWED_BYTES_MAX`].
    pub owed_bytes_max: usize,
    /// [`OUTBOX_PARTS_MAX`].
    pub parts_max: usize,
    /// [`DEBT_STEP_BYTES`].
    pub debt_step_bytes: usize,
    /// The shard's share of [`WAITING_BYTES_MAX`]. While more than half of it is in use, the shard only delivers and
    /// takes nothing in, until readers have caught up.
    pub waiting_bytes_max: usize,
    /// The shard's share of [`UNFINISHED_BYTES_MAX`].
    pub unfinished_bytes_max: usize,
    /// [`OVERFLOW_MESSAGES_MAX`].
    pub overflow_messages_max: usize,
    /// [`OVERFLOW_BYTES_MAX`].
    pub overflow_bytes_max: usize,
    /// [`FEED_SLICE_ENTRIES`].
    pub feed_slice_entries: usize,
    /// [`FEED_RECENT_MAX`].
    pub feed_recent_max: usize,
}

impl Bounds {
    /// The bounds of one shard, if there are so many shards.
    pub fn of_shards(shards: usize) -> Self {
        Self {
            chunk_bytes: CHUNK_BYTES,
            write_bytes_max: WRITE_BYTES_MAX,
            publication_bytes_max: PUBLICATION_BYTES_MAX,
            shared_bytes_max: OUTBOX_SHARED_BYTES_MAX,
            owed_bytes_max: OUTBOX_OWED_BYTES_MAX,
            parts_max: OUTBOX_PARTS_MAX,
            debt_step_bytes: DEBT_STEP_BYTES,
            waiting_bytes_max: shard_waiting_bytes(shards),
            unfinished_bytes_max: shard_unfinished_bytes(shards),
            overflow_messages_max: OVERFLOW_MESSAGES_MAX,
            overflow_bytes_max: OVERFLOW_BYTES_MAX,
            feed_slice_entries: FEED_SLICE_ENTRIES,
            feed_recent_max: FEED_RECENT_MAX,
        }
    }
}

/// A shard's share of what waits for sessions.
pub const fn shard_waiting_bytes(shards: usize) -> usize {
    at_least(WAITING_BYTES_MAX / at_least(shards, 1), SHARD_WAITING_BYTES_MIN)
}

/// A shard's share of messages whose end has not come.
pub const fn shard_unfinished_bytes(shards: usize) -> usize {
    at_least(UNFINISHED_BYTES_MAX / at_least(shards, 1), SHARD_UNFINISHED_BYTES_MIN)
}

pub(super) const fn at_least(number: usize, least: usize) -> usize {
    if number < least { least } else { number }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::of_shards(1)
    }
}
