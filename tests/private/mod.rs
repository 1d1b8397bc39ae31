//! Servers of other kinds that tests start for themselves: a database and a broker, each in a folder of its own.
#![allow(dead_code, unused_imports, reason = "each test uses a part")]

mod mariadb;
mod redis;
mod service;

pub use mariadb::MariaDb;
pub use redis::Redis;
