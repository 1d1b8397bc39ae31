//! Posts and comments as read.
