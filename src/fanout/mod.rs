//! Committed events on their way to the shards that have listeners.

mod batch;
pub mod follow_lists;
mod pace;
mod posts;
pub mod publish;
pub mod routes;
mod trailing;
