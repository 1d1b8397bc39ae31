//! The WebSocket protocol, RFC 6455, as pure functions: bytes in, values out.
//!
//! It has no I/O, clock, threads, randomness or chat noun: the caller reads and writes the sockets. The parts, in the
//! order in which a connection meets them:
//!
//! - [`handshake`]: the upgrade request's headers → the accept key, or a refusal with its status;
//! - [`negotiation`]: what the request offers → the subprotocol and extensions that both ends use;
//! - [`message`]: [`Decoder`], a client's byte stream → messages and control frames; it uses [`frame`] for headers,
//!   [`mask`] for payloads, `utf8` for text, [`deflate`] for what is compressed;
//! - [`frame`]: appends the server's frames to a buffer, and finds where frames end;
//! - [`close`]: close codes and the [`Violation`] that ends a connection.

pub mod close;
pub mod deflate;
pub mod frame;
pub mod handshake;
pub mod mask;
pub mod message;
pub mod negotiation;
pub mod packing;
mod utf8;

pub use close::{CloseCode, Violation};
pub use frame::Opcode;
pub use message::{Decoder, Incoming, Limits};
