//! REST.

pub mod address;
