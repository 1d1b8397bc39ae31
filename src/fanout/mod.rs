//! Committed events on their way to the shards that have listeners.

mod batch;
mod pace;
mod posts;
pub mod publish;
pub mod routes;
