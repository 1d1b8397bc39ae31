//! Sockets, readiness, timers and cores: bytes in, bytes out. Knows no chat noun.

pub mod affinity;
pub mod listener;
pub mod readiness;
pub mod send;
pub mod sockets;
pub mod stream;
pub mod stretch;
pub mod tls;
pub(super) mod unacknowledged;
pub mod uring;
pub mod wheel;
