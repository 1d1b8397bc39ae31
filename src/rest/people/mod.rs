//! People: search, follows, friendship, blocks.

pub mod blocks;
pub mod follows;
pub mod friends;
pub mod profiles;
