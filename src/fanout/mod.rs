//! Committed events on their way to the shards that have listeners.

pub mod publish;
pub mod routes;
