//! What the benches share: the frames that clients send and rooms full of sessions.
#![allow(dead_code, missing_docs, reason = "each bench uses a part")]

pub mod frames;
pub mod rooms;
