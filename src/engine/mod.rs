//! One core's engine, from the ground up: sockets ([`net`]), who listens and what waits ([`topics`], [`presence`]), one client
//! ([`session`]), and the loop where they meet ([`shard`]). The rest of the server sees [`shard::port`] alone.

pub mod net;
pub mod presence;
pub mod session;
pub mod shard;
pub mod topics;
