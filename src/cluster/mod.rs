//! Other processes beside this one, and how they are reached.

pub mod redis;
