//! pregon: a real-time server for chat and social feeds.
//!
//! The parts in the order in which a message meets them. ARCHITECTURE.md walks through the files.
//!
//! 1. [`access`] decides who may come in: token, user, membership, origin, rate.
//! 2. [`engine`] owns the sockets, one shard a core: bytes come in, frames go out.
//! 3. [`protocol`] turns bytes into frames, and frames into commands and events, in both directions.
//! 4. [`domain`] has the nouns: users, rooms, messages, posts, and the writes and events about them.
//! 5. [`store`] makes it durable: write lanes, the order of each topic, SQLite and MySQL.
//! 6. [`fanout`] sends committed events to the shards with listeners.
//!
//! Around them: [`rest`] serves the same over HTTP, [`django`] notices what a Django on the same database writes, over a
//! Redis that [`cluster`] connects to, [`server`] joins all parts, [`config`] reads settings and [`cli`] commands. [`ids`],
//! [`limits`], [`clock`] and [`telemetry`] serve everybody.

pub mod access;
pub mod domain;
pub mod engine;
pub mod fanout;
pub mod protocol;
pub mod store;

pub mod cluster;
pub mod django;
pub mod rest;
pub mod server;

pub mod cli;
pub mod config;

pub mod clock;
pub mod ids;
pub mod limits;
pub mod telemetry;
