//! One core's engine, from the ground up: sockets ([`net`]), listeners and waiting frames ([`topics`]), presence
//! ([`presence`]), one client ([`session`]), and the loop that joins them ([`shard`]). The rest of the server sees
//! [`shard::port`] alone.

pub mod net;
pub mod presence;
pub mod session;
pub mod shard;
pub mod topics;
