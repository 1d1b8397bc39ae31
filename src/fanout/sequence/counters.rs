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
    forgotten: Counter,
    held: Gauge,
}

impl Counters {
    pub fn new() -> Self {
        Self(std::array::from_fn(|partition| {
            let partition = partition.to_string();
            let what = |what: &'static str| metrics::counter!("pregon_sequence_total", "what" => what, "partition" => partition.clone());
            let held = metrics::gauge!("pregon_sequence_held", "partition" => partition.clone());
            let [doubled, holes, fills] = [what("doubled"), what("hole"), what("fill")];
            Partition { doubled, holes, fills, lost: what("lost"), forgotten: what("forgotten"), held }
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
            partition.forgotten.increment(counts.forgotten);
            partition.held.increment(counts.held as f64);
        }
    }
}
