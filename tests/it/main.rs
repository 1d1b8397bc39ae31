//! The server from outside, quickly: sockets, REST, commands and faults that need nothing beside it; the codec and the
//! simulation that need no server.
//!
//! `tests/run` names modules of this file: `sockets` and `faults` are run on io_uring and on epoll, `sockets` and `rest` on
//! SQLite and on MariaDB.

mod cli;
mod cli_mysql;
mod codec;
mod faults;
mod metrics;
mod readme;
mod rest;
mod simulation;
mod sockets;
#[path = "../support/mod.rs"]
mod support;
