//! Tells the metrics what compression did, and how long it took.

use std::sync::OnceLock;
use std::time::Instant;

use crate::protocol::ws::deflate::tally::{self, Counts};

/// From now on the time that compression takes is measured.
pub(super) fn measure_time() {
    tally::measure_by(nanoseconds);
}

fn nanoseconds() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGAN.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Sets the counters.
pub(super) fn measure() {
    let counts = tally::counts();
    let Counts { deflated, passed_over, grown, bytes_before, bytes_after, deflating_ns, .. } = counts;
    let Counts { inflated, inflated_from_bytes, inflated_to_bytes, inflating_ns, .. } = counts;
    for (outcome, texts) in [("compressed", deflated), ("length", passed_over), ("no_gain", grown)] {
        metrics::counter!("pregon_deflate_texts_total", "outcome" => outcome).absolute(texts);
    }
    for (when, bytes) in [("before", bytes_before), ("after", bytes_after)] {
        metrics::counter!("pregon_deflate_bytes_total", "when" => when).absolute(bytes);
    }
    metrics::counter!("pregon_deflate_microseconds_total").absolute(deflating_ns / 1000);
    metrics::counter!("pregon_inflate_messages_total").absolute(inflated);
    for (when, bytes) in [("before", inflated_from_bytes), ("after", inflated_to_bytes)] {
        metrics::counter!("pregon_inflate_bytes_total", "when" => when).absolute(bytes);
    }
    metrics::counter!("pregon_inflate_microseconds_total").absolute(inflating_ns / 1000);
}
