//! The server beside other programs: a real Django with its channel layer on one database, and nginx in front of both.

mod autobahn;
mod backend;
mod django;
mod nginx;
mod nodes;
mod openapi;
mod python;
mod redis;
#[allow(dead_code, reason = "a part is used here; what nobody uses is found in tests/it")]
#[path = "../support/mod.rs"]
mod support;
