//! Chat's nouns and rules: plain values and plain functions, no I/O.

pub mod event;
pub mod message;
pub mod room;
pub mod roster;
pub mod twin;
pub mod write;
