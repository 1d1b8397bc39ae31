//! Accounts: registering, logging in, tokens, one's own profile.

pub mod account;
pub mod profile;
mod profile_fields;
pub mod registration;
