//! Helpers of the benches: frames as clients send them, and rooms full of sessions.
#![allow(dead_code, missing_docs, reason = "each bench uses a part")]

pub mod frames;
pub mod rooms;
