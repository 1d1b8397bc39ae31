//! Beside a Django that writes the same database: hearing what it announces, and finding what it does not.
//!
//! `channels`, `groups`, `bells`, `told` and `known` are values and rules without I/O; `listener` speaks to Redis, `ring` reads
//! rows and tells, `tail` finds rows that were added.

pub mod bells;
pub mod channels;
pub mod groups;
pub mod known;
pub mod listener;
pub mod ring;
pub mod tail;
pub mod told;
pub mod wanted;

/// Is there a Django beside pregon?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// If Django's own table of migrations is in the database.
    Auto,
    /// Yes.
    On,
    /// No, whatever the database holds.
    Off,
}
