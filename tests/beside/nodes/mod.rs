//! Several nodes on one database and one Redis.

mod cluster;
mod faults;
mod order;
mod presence;
