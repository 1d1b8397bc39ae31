//! Chat: rooms and their messages.

pub mod messages;
pub mod rooms;
