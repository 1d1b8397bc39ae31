//! REST over real HTTP, whatever the database.

mod auth;
mod chat;
mod consent;
mod logins;
mod notifications;
mod people;
mod posts;
mod uploads;
