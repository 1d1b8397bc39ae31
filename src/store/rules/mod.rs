//! What each write does, decided inside its transaction; the same rules for every database.
//!
//! They decide by [`BatchRows`]: small questions and small changes that see the batch's own changes. The rules check
//! first and change second, so that a refusal leaves no trace and takes no place in its topic's order.
//!
//! [`BatchRows`]: crate::store::sql::rows::BatchRows

mod adopt;
mod apply;
mod asked;
mod comment;
mod feed;
mod message;
mod notice;
mod people;
mod post;
mod room;
mod topics;
mod work;

pub use apply::{apply, is_of_the_gone};
pub use topics::topics;
