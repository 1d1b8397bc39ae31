//! The nouns and rules of people, rooms, posts and notifications: plain values and plain functions, no I/O.
//!
//! [`mod@write`] goes into every write lane: what a caller wants stored. [`event`] comes out: what was stored.

pub mod chat;
pub mod event;
pub mod event_record;
pub mod feed;
pub mod login;
pub mod notification;
pub mod operator;
pub mod people;
pub mod push;
pub mod rights;
pub mod text;
pub mod user;
pub mod write;
