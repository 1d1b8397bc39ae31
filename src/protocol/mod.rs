//! What goes over a socket: RFC 6455 frames, and the JSON that clients say and hear.

pub mod v0;
pub mod ws;
