//! Files that come in and go out.

pub mod limits;
pub mod media;
pub mod orphans;
pub mod upload;
