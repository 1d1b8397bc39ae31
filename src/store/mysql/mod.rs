//! MySQL and MariaDB: connections that write, each a lane's, and others that read.
//!
//! The reading functions (`rooms`, `messages`, `people`, `posts`, `notifications`) take a [`view::View`] and serve both
//! sides: REST's reads, and the lanes inside their transactions.

// Until the store stands on it; goes with that commit.
#![allow(dead_code)]

mod connection;
mod dialect;
mod messages;
mod notifications;
mod people;
mod posts;
mod rooms;
mod seed;
mod text;
mod values;
mod view;

pub use self::connection::Link;
pub use self::seed::seed;
