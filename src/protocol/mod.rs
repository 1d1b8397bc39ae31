//! The protocols on a socket: RFC 6455 frames, and the JSON inside them.

pub mod form;
pub mod v0;
pub mod v1;
pub mod ws;
