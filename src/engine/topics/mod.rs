//! Topics with listeners on one shard: who listens, and the bytes that wait for them.

pub mod chunks;
pub mod feeds;
pub mod listeners;
pub mod members;
