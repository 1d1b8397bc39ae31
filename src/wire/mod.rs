//! Our protocol: what clients say and hear, as JSON.

pub mod command;
pub mod event;
pub mod fields;
pub mod json;
pub mod object;
pub mod reason;
