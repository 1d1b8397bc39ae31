//! Several nodes on one database and one Redis.

mod bus;
mod check;
mod cluster;
mod faults;
mod many_redis;
mod oracle;
mod order;
mod partition;
mod presence;
mod proxy;
mod replicas;
mod restarts;
mod v1;
