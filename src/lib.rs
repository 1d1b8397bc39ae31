//! pregon: a real-time server for chat and social feeds.

pub mod auth;
pub mod chat;
pub mod clock;
pub mod config;
pub mod http;
pub mod ids;
pub mod limits;
pub mod page;
pub mod store;
pub mod wire;
