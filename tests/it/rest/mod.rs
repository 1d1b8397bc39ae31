//! REST over real HTTP, with any database.

mod app;
mod auth;
mod blocks;
mod bodies;
mod chat;
mod compression;
mod consent;
mod documents;
mod groups;
mod headers;
mod injection;
mod keys;
mod limits;
mod lists;
mod logins;
mod notifications;
mod people;
mod pictures;
mod posts;
mod profile;
mod push;
mod schema;
mod uploads;
