//! Uploads: receives, checks, stores, serves and removes files.

pub mod albums;
pub mod defaults;
pub mod disposition;
mod documents;
mod labels;
pub mod limits;
pub mod litter;
mod location;
pub mod media;
pub mod orphans;
mod passing;
mod pictures;
mod quota;
pub mod slots;
mod sound;
pub mod upload;
