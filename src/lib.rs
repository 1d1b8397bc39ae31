//! pregon.

pub mod ws;
