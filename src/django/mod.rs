//! Runs pregon beside a Django that writes the same database: hears what Django announces, and finds what it does not
//! announce.
//!
//! `channels`, `groups`, `doorbell_queue`, `told_window` and `row_cache` are values and rules without I/O. `listener`
//! speaks to Redis, `doorbell` reads rows and tells the news, `tail` finds rows that were added.

pub mod channels;
pub mod doorbell;
pub mod doorbell_queue;
pub mod follow_sweep;
pub mod groups;
pub mod groups_needed;
pub mod listener;
pub mod row_cache;
pub mod tail;
pub mod told_window;

/// Is there a Django beside pregon?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Yes if Django's own table of migrations is in the database.
    Auto,
    /// Yes.
    On,
    /// No, whatever the database holds.
    Off,
}
