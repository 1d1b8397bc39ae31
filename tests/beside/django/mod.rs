//! The effects of a Django on the same database.

mod database;
mod events;
mod redis;
mod tail;
