//! Several nodes on one database and one Redis.

mod balance;
mod bus;
mod check;
mod cluster;
mod faults;
mod limits;
mod many_redis;
mod mover;
mod operators;
mod oracle;
mod order;
mod partition;
mod presence;
mod profiles;
mod proxy;
mod push;
mod replicas;
mod restarts;
mod soak;
mod v1;
mod wander;
