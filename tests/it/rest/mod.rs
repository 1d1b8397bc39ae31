//! REST over real HTTP, whatever the database.

mod auth;
mod bodies;
mod chat;
mod notifications;
mod people;
mod posts;
mod uploads;
