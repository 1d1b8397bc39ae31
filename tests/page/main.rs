//! The page in real browsers.

mod browser;
mod chat;
mod feed;
#[allow(dead_code, reason = "a part is used here; what nobody uses is found in tests/it")]
#[path = "../support/mod.rs"]
mod support;
