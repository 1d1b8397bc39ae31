//! The protocols on a socket: RFC 6455 frames, and the JSON inside them.

pub mod form;
pub mod v0;
pub mod v1;

/// RFC 6455 and RFC 7692 as pure functions, a crate of its own.
pub use pregon_ws as ws;
