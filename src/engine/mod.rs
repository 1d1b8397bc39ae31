//! One core's engine, from the ground up: sockets ([`net`]), who listens and what waits ([`topics`], [`presence`]), one client
//! ([`session`]), and the loop where they meet ([`shard`]). The rest of the server sees [`shard::port`] alone.

pub mod net;
pub mod presence;
pub mod session;
pub mod shard;
pub mod topics;

/// Memory of a hash table of so many places: a power of two of buckets, of which seven eighths may be full, each with a byte of control.
#[cfg(test)]
fn table_bytes<T>(capacity: usize) -> usize {
    (capacity * 8 / 7).next_power_of_two() * (size_of::<T>() + 1)
}
