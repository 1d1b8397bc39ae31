//! Bounds of events on their way from the lanes to the shards, and of those that are read again from the log.

/// What waits for one publisher, in number: batches of lanes, one each, and what others hand over and wait for. Full: its
/// sender waits. A batch has at most [`super::BATCH_WRITES_MAX`] writes.
pub const PUBLISHER_JOBS_MAX: usize = 64;
/// Events of one page of the log.
pub const EVENTS_PAGE_MAX: usize = 200;
