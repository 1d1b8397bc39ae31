//! pregon.
