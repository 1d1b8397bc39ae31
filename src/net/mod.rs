//! Sockets, readiness, timers and cores: bytes in, bytes out. Knows no chat noun.

pub mod affinity;
pub mod epoll;
pub mod listener;
pub mod readiness;
pub mod wheel;
