//! REST over real HTTP, whatever the database.

mod app;
mod auth;
mod bodies;
mod chat;
mod consent;
mod logins;
mod notifications;
mod people;
mod posts;
mod profile;
mod uploads;
