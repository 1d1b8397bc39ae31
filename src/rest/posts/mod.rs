//! Posts with their comments and reactions.

pub mod bookmarks;
pub mod comments;
pub mod deletion;
pub mod edit_turns;
pub mod fields;
pub mod new_post;
pub mod paths;
pub mod post;
pub mod reactions;
pub mod stats;
