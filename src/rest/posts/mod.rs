//! Posts with their comments and reactions.

pub mod comments;
pub mod deletion;
pub mod fields;
pub mod new_post;
pub mod post;
pub mod reactions;
