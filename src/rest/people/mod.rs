//! People: search, follows, friendship.

pub mod follows;
pub mod friends;
pub mod profiles;
