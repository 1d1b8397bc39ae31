//! Committed events on their way to the shards that have listeners.

mod batch;
pub mod follow_lists;
pub mod names;
mod pace;
mod places;
pub mod posts;
pub mod profiles;
pub mod publish;
pub mod publisher;
pub mod push;
pub mod routes;
pub mod seen;
pub mod sequence;
mod trailing;
