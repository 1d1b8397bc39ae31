//! pregon: a real-time server for chat and social feeds.

pub mod auth;
pub mod chat;
pub mod cli;
pub mod clock;
pub mod config;
pub mod django;
pub mod durable;
pub mod fanout;
pub mod feed;
pub mod http;
pub mod ids;
pub mod limits;
pub mod metrics;
pub mod net;
pub mod page;
pub mod room;
pub mod server;
pub mod session;
pub mod shard;
pub mod store;
pub mod wire;
pub mod ws;
