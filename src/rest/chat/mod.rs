//! Chat: rooms and their messages.

pub mod group;
pub mod messages;
pub mod rooms;
pub mod search;
