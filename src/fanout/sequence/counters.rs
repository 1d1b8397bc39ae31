//! The metrics of sequences, by partition. All publishers of a node count into the same.

use metrics::{Counter, Gauge};

use super::Counts;
use crate::ids::PARTITIONS;

/// Where one publisher counts.
pub(in crate::fanout) struct Counters([Partition; PARTITIONS]);

struct Partition {
    doubled: Counter,
    holes: Counter,
    fills: Counter,
    lost: Counter,
    held: Gauge,
}

impl Counters {
    pub fn new() -> Self {
        Self(std::array::from_fn(|partition| {
            let partition = partition.to_string();
            let what = |what: &'static str| metrics::counter!("pregon_sequence_total", "what" => what, "partition" => partition.clone());
            let held = metrics::gauge!("pregon_sequence_held", "partition" => partition.clone());
            Partition { doubled: what("doubled"), holes: what("hole"), fills: what("fill"), lost: what("lost"), held }
        }))
    }

    pub fn count(&self, counts: [Counts; PARTITIONS]) {
        for (partition, counts) in self.0.iter().zip(counts) {
            if counts == Counts::default() {
                continue;
            }
            partition.doubled.increment(counts.doubled);
            partition.holes.increment(counts.holes);
            partition.fills.increment(counts.fills);
            partition.lost.increment(counts.lost);
            partition.held.increment(counts.held as f64);
        }
    }
}
