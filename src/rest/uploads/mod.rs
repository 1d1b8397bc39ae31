//! Files that come in and go out.

pub mod albums;
pub mod defaults;
pub mod disposition;
pub mod limits;
mod location;
pub mod media;
pub mod orphans;
mod pictures;
mod quota;
mod sound;
pub mod upload;
