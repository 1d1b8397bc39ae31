//! Topics with listeners on one shard: who listens, and the frames that wait for them.

pub mod chunks;
pub mod feeds;
pub mod listeners;
pub mod members;

/// The memory of a hash table with this capacity: the number of buckets is a power of two, seven eighths of them may be
/// full, and each has a byte of control.
#[cfg(test)]
pub(super) fn table_bytes<T>(capacity: usize) -> usize {
    (capacity * 8 / 7).next_power_of_two() * (size_of::<T>() + 1)
}
