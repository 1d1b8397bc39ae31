//! What each write does, decided inside its transaction. The rules are the same for every database.
//!
//! They read and change rows through [`BatchRows`], which shows them the batch's own changes. A rule checks first and
//! changes second, so that a refusal leaves no trace and takes no place in its topic's order.
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
