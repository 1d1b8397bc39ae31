//! `pregon.v1`: one socket for many topics, with replies, cursors and short frames.

pub mod answer;
pub mod complaint;
pub mod event;
pub mod reply;
pub mod request;
pub mod said;
#[cfg(test)]
mod schema;
pub mod topic;

#[cfg(test)]
mod lengths;
