//! The WebSocket protocol, RFC 6455, as pure functions: bytes in, values out.
//!
//! No I/O, clock, threads or randomness, and no noun of chat: the caller reads and writes sockets.
//! In the order in which a connection meets them:
//!
//! - [`handshake`]: the upgrade request's headers → the accept key, or a refusal with its status;
//! - [`negotiation`]: what it offers beside → what both ends have agreed on;
//! - [`message`]: [`Decoder`], a client's byte stream → messages and control frames;
//!   it uses [`frame`] for headers, [`mask`] for payloads, `utf8` for text;
//! - [`frame`]: what the server sends, appended to a buffer, and where its frames end;
//! - [`close`]: close codes and the [`Violation`] that ends a connection.

pub mod close;
pub mod frame;
pub mod handshake;
pub mod mask;
pub mod message;
pub mod negotiation;
mod utf8;

pub use close::{CloseCode, Violation};
pub use frame::Opcode;
pub use message::{Decoder, Incoming};
