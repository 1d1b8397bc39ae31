//! What a Django on the same database does, and what the server makes of it.

mod database;
mod events;
mod redis;
mod tail;
