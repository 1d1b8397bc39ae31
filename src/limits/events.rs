//! Bounds of events on their way from the lanes to the shards, and of events that are read from the log.

/// Jobs that wait for one publisher: one batch of each lane, and what other threads hand over and wait for. Full: the
/// sender waits. A batch has at most [`super::BATCH_WRITES_MAX`] writes.
pub const PUBLISHER_JOBS_MAX: usize = 64;
/// Events on one page of the log.
pub const EVENTS_PAGE_MAX: usize = 200;
