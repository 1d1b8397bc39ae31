//! Servers of other programs that tests start, each in its own folder.
#![allow(dead_code, reason = "tests/store stops and kills servers, others only use them")]

mod mariadb;
pub mod service;

pub use mariadb::MariaDb;
