//! The nouns and rules of posts, people and notifications: plain values and plain functions, no I/O.

pub mod comment;
pub mod event;
pub mod notification;
pub mod people;
pub mod post;
pub mod write;
