//! Measures how long frames take to reach their sockets: one publication of each class is followed at a time.

use std::time::Instant;

use metrics::Histogram;

use crate::engine::session::outbox::Class;
use crate::ids::ShardId;

/// The publications that are being followed.
pub(super) struct Latency {
    durable: Followed,
    ephemeral: Followed,
}

struct Followed {
    /// When the followed publication was born, and how many visits the walk still has to make until all readers with
    /// room in their sockets have been written to.
    now: Option<(Instant, usize)>,
    seconds: Histogram,
}

impl Latency {
    pub(super) fn new(shard: ShardId) -> Self {
        let followed = |class: &'static str| Followed {
            now: None,
            seconds: metrics::histogram!("pregon_delivery_seconds", "shard" => shard.0.to_string(), "class" => class),
        };
        Self { durable: followed("durable"), ephemeral: followed("ephemeral") }
    }

    /// Follows a publication that was just given to its readers, unless another one is followed already. `waiting` is
    /// how many visits wait, those to its readers among them.
    pub(super) fn follow(&mut self, class: Class, born: Instant, waiting: usize) {
        let followed = match class {
            Class::Durable => &mut self.durable,
            Class::Ephemeral => &mut self.ephemeral,
        };
        if followed.now.is_none() && waiting > 0 {
            followed.now = Some((born, waiting));
        }
    }

    /// Counts visits of the walk. The clock is read only when a followed publication has arrived.
    pub(super) fn visited(&mut self, visits: usize) {
        for followed in [&mut self.durable, &mut self.ephemeral] {
            match &mut followed.now {
                Some((born, left)) if *left <= visits => {
                    followed.seconds.record(born.elapsed().as_secs_f64());
                    followed.now = None;
                }
                Some((_, left)) => *left -= visits,
                None => {}
            }
        }
    }
}
