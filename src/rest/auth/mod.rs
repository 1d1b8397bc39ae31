//! Accounts: registering, logging in, tokens.

pub mod account;
pub mod registration;
