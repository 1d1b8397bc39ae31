//! Topics with listeners on one shard: who listens, and the bytes that wait for them.

pub mod chunks;
pub mod feeds;
pub mod listeners;
pub mod members;

/// Memory of a hash table of so many places: a power of two of buckets, of which seven eighths may be full, each with a byte of control.
#[cfg(test)]
pub(super) fn table_bytes<T>(capacity: usize) -> usize {
    (capacity * 8 / 7).next_power_of_two() * (size_of::<T>() + 1)
}
