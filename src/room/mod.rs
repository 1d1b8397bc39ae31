//! Live rooms on one shard: who listens, the bytes that wait for them, who is present.

pub mod chunks;
pub mod feeds;
pub mod members;
pub mod presence;
