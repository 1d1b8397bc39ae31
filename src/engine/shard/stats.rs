//! A shard's counts: plain numbers on the hot path, handed to the metrics registry a few times a second.

use metrics::{Counter, Gauge, Histogram};

use crate::ids::ShardId;

/// What a shard counts as it goes.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub frames_in: u64,
    pub bytes_in: u64,
    /// Frames put into outboxes.
    pub frames_out: u64,
    pub bytes_out: u64,
    /// Writes to sockets.
    pub visits: u64,
    /// Sessions let go for owing too much.
    pub too_slow: u64,
    /// Sessions ended since they held a range of a chunk that was gone. Anything but 0 is a fault of this program.
    pub stale: u64,
    pub admitted: u64,
    pub refused: u64,
    /// Most bytes that one outbox owed since the last report.
    pub outbox_high_bytes: usize,
}

/// Counts with the registry's handles.
pub(super) struct Stats {
    pub counts: Counts,
    frames_in: Counter,
    bytes_in: Counter,
    frames_out: Counter,
    bytes_out: Counter,
    visits: Counter,
    too_slow: Counter,
    stale: Counter,
    admitted: Counter,
    refused: Counter,
    sessions: Gauge,
    feed_sessions: Gauge,
    feeds: Gauge,
    feed_subscriptions: Gauge,
    rooms: Gauge,
    inbox: Gauge,
    outbox_high: Gauge,
    chunk_bytes: Gauge,
    debt_bytes: Gauge,
    turn: Histogram,
}

/// What a report needs to know beside the counts.
pub(super) struct Levels {
    pub sessions: usize,
    pub feed_sessions: usize,
    pub feeds: usize,
    pub feed_subscriptions: usize,
    pub rooms: usize,
    pub inbox: usize,
    pub chunk_bytes: usize,
    pub debt_bytes: usize,
}

impl Stats {
    pub(super) fn new(id: ShardId) -> Self {
        let shard = id.0.to_string();
        let counter = |name: &'static str| metrics::counter!(name, "shard" => shard.clone());
        let gauge = |name: &'static str| metrics::gauge!(name, "shard" => shard.clone());
        Self {
            counts: Counts::default(),
            frames_in: counter("pregon_frames_in_total"),
            bytes_in: counter("pregon_bytes_in_total"),
            frames_out: counter("pregon_frames_out_total"),
            bytes_out: counter("pregon_bytes_out_total"),
            visits: counter("pregon_writes_total"),
            too_slow: counter("pregon_sessions_too_slow_total"),
            stale: counter("pregon_sessions_stale_total"),
            admitted: counter("pregon_sessions_admitted_total"),
            refused: counter("pregon_sessions_refused_total"),
            sessions: gauge("pregon_sessions"),
            feed_sessions: gauge("pregon_feed_sessions"),
            feeds: gauge("pregon_feeds"),
            feed_subscriptions: gauge("pregon_feed_subscriptions"),
            rooms: gauge("pregon_rooms"),
            inbox: gauge("pregon_inbox_depth"),
            outbox_high: gauge("pregon_outbox_high_water_bytes"),
            chunk_bytes: gauge("pregon_chunk_bytes"),
            debt_bytes: gauge("pregon_debt_bytes"),
            turn: metrics::histogram!("pregon_turn_seconds", "shard" => shard.clone()),
        }
    }

    pub(super) fn turn_took(&self, duration: std::time::Duration) {
        self.turn.record(duration.as_secs_f64());
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
    pub(super) fn report(&mut self, levels: &Levels) {
        self.frames_in.absolute(self.counts.frames_in);
        self.bytes_in.absolute(self.counts.bytes_in);
        self.frames_out.absolute(self.counts.frames_out);
        self.bytes_out.absolute(self.counts.bytes_out);
        self.visits.absolute(self.counts.visits);
        self.too_slow.absolute(self.counts.too_slow);
        self.stale.absolute(self.counts.stale);
        self.admitted.absolute(self.counts.admitted);
        self.refused.absolute(self.counts.refused);
        self.sessions.set(levels.sessions as f64);
        self.feed_sessions.set(levels.feed_sessions as f64);
        self.feeds.set(levels.feeds as f64);
        self.feed_subscriptions.set(levels.feed_subscriptions as f64);
        self.rooms.set(levels.rooms as f64);
        self.inbox.set(levels.inbox as f64);
        self.chunk_bytes.set(levels.chunk_bytes as f64);
        self.debt_bytes.set(levels.debt_bytes as f64);
        self.outbox_high.set(self.counts.outbox_high_bytes as f64);
        self.counts.outbox_high_bytes = 0;
    }
}
