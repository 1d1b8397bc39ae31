//! The page in real browsers.

mod absence;
mod browser;
mod chat;
mod documents;
mod feed;
mod input;
mod people;
mod product;
mod reading;
#[allow(dead_code, reason = "a part is used here; what nobody uses is found in tests/it")]
#[path = "../support/mod.rs"]
mod support;
mod uploads;
