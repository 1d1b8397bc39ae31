//! The figures of one measured stretch, and whether the load itself limited them.

use serde::Serialize;

use crate::latency::{Latency, median};
use crate::meter::{Cost, Generator};

/// Above this share of its core the load sets the pace, not the server.
const LOAD_BUSY: f64 = 0.95;
/// Above this share of time without a core, the load shares its core with others.
const LOAD_WAITED: f64 = 0.05;
/// Messages that are sent this late distort the latencies, and not because of the server.
const LATE_MS: f64 = 2.0;

/// One measured stretch.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    pub seconds: f64,
    pub deliveries: u64,
    pub deliveries_per_second: f64,
    /// Counted by the sender's own copy.
    pub messages_per_second: f64,
    /// Messages that the server refused.
    pub refused: u64,
    /// `None`, like all figures per delivery, if nothing was delivered.
    pub bytes_per_delivery: Option<f64>,
    /// User and system time; `None` without `--server-pid`.
    pub server_us_per_delivery: Option<f64>,
    pub server_cores: Option<f64>,
    pub load_us_per_delivery: Option<f64>,
    pub load_cores: f64,
    /// From sending (open loop: the scheduled time) to the sender's own copy.
    pub echo: Option<Latency>,
    /// … to each member's copy.
    pub delivery: Option<Latency>,
    /// … to the copies on other nodes than the sender's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub across: Option<Latency>,
    /// From the sender's own copy to those on other nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_echo: Option<Latency>,
    pub generator: Generator,
    /// Each process that is watched by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<Cost>,
}

/// A figure of a table with this many digits; a dash if it was not measured.
pub fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

/// The median of each column.
pub fn median_round(rounds: &[Round]) -> Option<Round> {
    let of = |field: fn(&Round) -> f64| median(rounds.iter().map(field).collect());
    let of_optional = |field: fn(&Round) -> Option<f64>| median(rounds.iter().filter_map(field).collect());
    Some(Round {
        seconds: of(|round| round.seconds)?,
        deliveries: of(|round| round.deliveries as f64)? as u64,
        deliveries_per_second: of(|round| round.deliveries_per_second)?,
        messages_per_second: of(|round| round.messages_per_second)?,
        refused: of(|round| round.refused as f64)? as u64,
        bytes_per_delivery: of_optional(|round| round.bytes_per_delivery),
        server_us_per_delivery: of_optional(|round| round.server_us_per_delivery),
        server_cores: of_optional(|round| round.server_cores),
        load_us_per_delivery: of_optional(|round| round.load_us_per_delivery),
        load_cores: of(|round| round.load_cores)?,
        echo: Latency::median(rounds.iter().map(|round| round.echo)),
        delivery: Latency::median(rounds.iter().map(|round| round.delivery)),
        across: Latency::median(rounds.iter().map(|round| round.across)),
        after_echo: Latency::median(rounds.iter().map(|round| round.after_echo)),
        generator: Generator {
            late_p99_ms: of_optional(|round| round.generator.late_p99_ms),
            late_max_ms: of_optional(|round| round.generator.late_max_ms),
            away_p99_ms: of(|round| round.generator.away_p99_ms)?,
            run_queue_share: of(|round| round.generator.run_queue_share)?,
            preemptions_per_second: of(|round| round.generator.preemptions_per_second)?,
        },
        processes: median_costs(rounds),
    })
}

/// All rounds watch the same processes.
fn median_costs(rounds: &[Round]) -> Vec<Cost> {
    let first = rounds.first().map(|round| round.processes.as_slice()).unwrap_or_default();
    let one = |(at, first): (usize, &Cost)| {
        let each = || rounds.iter().filter_map(|round| round.processes.get(at));
        Cost {
            name: first.name.clone(),
            cores: median(each().map(|cost| cost.cores).collect()).unwrap_or(first.cores),
            us_per_message: median(each().filter_map(|cost| cost.us_per_message).collect()),
        }
    };
    first.iter().enumerate().map(one).collect()
}

/// The limits of the load itself, in words.
pub fn bottlenecks(round: &Round) -> Vec<String> {
    let busy = |cores: f64| format!("{:.0} %", cores * 100.0);
    let load = busy(round.load_cores);
    let mut found = Vec::new();
    match round.server_cores {
        _ if round.load_cores < LOAD_BUSY => {}
        Some(server) if server >= LOAD_BUSY => found.push(format!(
            "the load's own thread was as busy as the server ({load}, {}): a faster server would not \
             show more deliveries/s here",
            busy(server)
        )),
        _ => found
            .push(format!("the load's own thread was busy {load} of the time: it, not the server, was the bottleneck")),
    }
    let Generator { late_p99_ms, run_queue_share, .. } = round.generator;
    if run_queue_share > LOAD_WAITED {
        found.push(format!(
            "the load waited {:.0} % of the time for a core that others had: latencies are partly its own; give it a \
             core of its own (--core)",
            run_queue_share * 100.0
        ));
    }
    if let Some((late_p99_ms, delivery)) = late_p99_ms.zip(round.delivery)
        && late_p99_ms > LATE_MS
        && late_p99_ms > delivery.p99 / 10.0
    {
        found.push(format!(
            "1 % of the messages went out {late_p99_ms:.1} ms late or more: the load, not the server, made that part \
             of the latencies"
        ));
    }
    found
}
