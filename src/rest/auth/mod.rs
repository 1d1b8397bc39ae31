//! Accounts: registration, login, tokens and the caller's own profile.

pub mod account;
pub mod profile;
mod profile_fields;
pub mod registration;
