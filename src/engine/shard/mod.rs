//! One core's loop: the one place where sockets, frames, sessions and topics meet.
//!
//! `thread` is the loop, and `turn` is one turn of it. `connection` accepts and upgrades connections, behind `encryption` where there is TLS, and `visit` counts them. `core` is the shard's state, and these files change it:
//! `inbound` takes bytes from sockets, `mailbox` takes messages from other threads, `outbound` fans out and walks, `debtors` lets go
//! who takes too little, `unfinished` who never ends a message, `pacing` who says too much, `requests` and `subscription` serve sockets with many topics, `feed` knows who hears of whose posts, `liveness` lets time pass, `drain` has sessions move, `operator` does what operators ask. `port` is what others see of it all.

#[cfg(test)]
pub(crate) mod by_hand;
mod carrier;
mod connection;
mod core;
mod debtors;
mod drain;
mod encryption;
mod errand;
mod feed;
#[cfg(test)]
mod idle_cost;
mod inbound;
mod inbox;
#[cfg(test)]
#[path = "inbox/tests.rs"]
mod inbox_tests;
#[cfg(any(test, debug_assertions))]
mod invariants;
mod latency;
mod liveness;
mod mailbox;
mod many;
mod message;
#[cfg(test)]
mod models;
mod operator;
mod outbound;
mod overflow;
#[cfg(test)]
#[path = "overflow/tests.rs"]
mod overflow_tests;
mod pacing;
mod patience;
pub mod port;
mod recent;
mod requests;
mod round;
#[cfg(test)]
mod sim;
mod stats;
mod subscription;
mod survey;
mod sync;
mod thread;
mod turn;
mod unfinished;
mod visit;

pub use thread::{Plan, start};
