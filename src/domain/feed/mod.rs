//! The nouns and rules of posts and comments: plain values and plain functions, no I/O.

pub mod comment;
pub mod event;
pub mod post;
pub mod write;
