//! A shard's counts: plain numbers on the hot path, which are handed to the metrics registry a few times a second.

use metrics::{Counter, Gauge, Histogram};

use crate::engine::session::endpoint::Endpoint;
use crate::engine::session::pace::Kind;
use crate::ids::ShardId;
use crate::protocol::ws::close::CloseCode;

/// Who ended a session.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    Server,
    /// The client, its network, or something in between.
    Client,
}

/// Counts a session that said goodbye or was told goodbye, once each. A client may send any code, so codes that are not
/// listed share one series.
pub(super) fn count_close(code: CloseCode, by: By) {
    let code = match code.0 {
        1000 => "1000",
        1001 => "1001",
        1002 => "1002",
        1003 => "1003",
        1005 => "1005",
        1006 => "1006",
        1007 => "1007",
        1008 => "1008",
        1009 => "1009",
        1011 => "1011",
        1012 => "1012",
        1013 => "1013",
        4001 => "4001",
        4003 => "4003",
        4008 => "4008",
        4029 => "4029",
        _ => "other",
    };
    let by = match by {
        By::Server => "server",
        By::Client => "client",
    };
    metrics::counter!("pregon_closes_total", "code" => code, "by" => by).increment(1);
}

/// What a shard counts while it works.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub frames_in: u64,
    pub bytes_in: u64,
    /// Frames put into outboxes.
    pub frames_out: u64,
    pub bytes_out: u64,
    /// Writes to sockets.
    pub visits: u64,
    /// Sessions that were let go because they owed too much.
    pub too_slow: u64,
    /// Sessions that were ended because they held a range of a freed chunk. Anything but 0 is a fault of this program.
    pub stale: u64,
    pub admitted: u64,
    pub refused: u64,
    /// Frames that came too fast, by kind.
    pub refused_frames: [u64; 3],
    /// Frames that are no request.
    pub faulty: u64,
    /// Passing frames that were not given to sessions that are behind.
    pub skipped: u64,
    /// The most bytes that one outbox owed since the last report.
    pub outbox_high_bytes: usize,
}

/// The counts, with the handles of the registry.
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
    refused_frames: [Counter; 3],
    faulty: Counter,
    skipped: Counter,
    sessions: Gauge,
    /// Sessions by kind.
    kinds: [Gauge; Endpoint::KINDS.len()],
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

/// What a report needs beside the counts.
pub(super) struct Levels {
    pub sessions: usize,
    pub kinds: [usize; Endpoint::KINDS.len()],
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
            refused_frames: Kind::NAMES
                .map(|kind| metrics::counter!("pregon_frames_refused_total", "shard" => shard.clone(), "kind" => kind)),
            faulty: counter("pregon_frames_faulty_total"),
            skipped: counter("pregon_frames_skipped_total"),
            sessions: gauge("pregon_sessions"),
            kinds: Endpoint::KINDS
                .map(|kind| metrics::gauge!("pregon_sessions_by_kind", "shard" => shard.clone(), "kind" => kind)),
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
        for (counter, count) in self.refused_frames.iter().zip(self.counts.refused_frames) {
            counter.absolute(count);
        }
        self.faulty.absolute(self.counts.faulty);
        self.skipped.absolute(self.counts.skipped);
        self.sessions.set(levels.sessions as f64);
        for (gauge, sessions) in self.kinds.iter().zip(levels.kinds) {
            gauge.set(sessions as f64);
        }
        self.feed_sessions.set(levels.kinds[Endpoint::Feed.kind()] as f64);
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
