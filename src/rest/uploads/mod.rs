//! Uploads: receives, checks, stores, serves and removes files.

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
