//! Our protocol: the JSON that clients and the server exchange.

pub mod command;
pub mod event;
pub mod feed_event;
pub mod fields;
pub mod json;
pub mod listener_command;
pub mod notification;
pub mod object;
pub mod post;
pub mod reason;

#[cfg(test)]
pub(crate) mod tests;
