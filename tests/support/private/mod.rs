//! Servers of other kinds that tests start for themselves, each in a folder of its own.
#![allow(dead_code, reason = "tests/store stops and kills servers, others only use them")]

mod mariadb;
pub mod service;

pub use mariadb::MariaDb;
