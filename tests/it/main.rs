//! Fast tests of the server from outside: sockets, REST, commands and faults that need no other program; also the codec
//! and the simulation, which need no server.
//!
//! `tests/run` names modules of this file: `sockets` and `faults` run on io_uring and on epoll, `sockets` and `rest` on
//! SQLite and on MariaDB.

mod cli;
mod cli_mysql;
mod codec;
mod faults;
mod logs;
mod metrics;
mod operators;
mod readme;
mod rest;
mod simulation;
mod sockets;
#[path = "../support/mod.rs"]
mod support;
