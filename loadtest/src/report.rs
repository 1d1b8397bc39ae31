//! What a run found: figures per round, the oracle's verdict, as a table and as JSON.

use std::fmt::{Display, Formatter};
use std::path::Path;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::oracle::{Layout, Violations};
use crate::pacing::Pacing;
use crate::scenario::{Plan, Run};
use crate::target::Kind;

/// Above this share of its core the load, not the server, sets the pace.
const LOAD_BUSY: f64 = 0.95;

/// A result that can be shown and judged.
pub trait Report: Display + Serialize {
    /// Whether everything arrived as it should.
    fn clean(&self) -> bool;
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

impl Latency {
    pub fn of(ns: &Histogram<u64>) -> Self {
        let ms = |value: u64| value as f64 / 1e6;
        Self {
            p50: ms(ns.value_at_quantile(0.5)),
            p90: ms(ns.value_at_quantile(0.9)),
            p99: ms(ns.value_at_quantile(0.99)),
            max: ms(ns.max()),
        }
    }
}

impl Display for Latency {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { p50, p90, p99, max } = self;
        write!(out, "{p50:8.2} {p90:8.2} {p99:8.2} {max:8.2}")
    }
}

/// One measured stretch.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    pub seconds: f64,
    pub deliveries: u64,
    pub deliveries_per_second: f64,
    /// Counted by the sender's own copy.
    pub messages_per_second: f64,
    pub bytes_per_delivery: f64,
    /// User and system time; none without `--server-pid`.
    pub server_us_per_delivery: Option<f64>,
    pub server_cores: Option<f64>,
    pub load_us_per_delivery: f64,
    pub load_cores: f64,
    /// From sending (open loop: the scheduled time) to the sender's own copy.
    pub echo: Latency,
    /// … to each member's copy.
    pub delivery: Latency,
}

#[derive(Serialize)]
pub struct TrafficReport {
    pub scenario: &'static str,
    pub url: String,
    pub kind: Kind,
    pub rooms: usize,
    pub members: usize,
    pub senders_per_room: usize,
    pub pacing: Pacing,
    pub bytes: usize,
    pub rounds: Vec<Round>,
    /// The median of each column.
    pub median: Option<Round>,
    /// Error frames.
    pub refusals: u64,
    pub refusal_samples: Vec<String>,
    pub checked: u64,
    pub violations: Violations,
    pub notes: Vec<String>,
}

impl TrafficReport {
    pub fn new(plan: &Plan, run: &Run, rounds: Vec<Round>, mut notes: Vec<String>) -> Self {
        let median = median_round(&rounds);
        notes.extend(median.as_ref().and_then(bottleneck));
        let Layout { rooms: room_count, members, senders } = plan.layout;
        Self {
            scenario: plan.scenario,
            url: run.url.clone(),
            kind: plan.kind,
            rooms: room_count,
            members,
            senders_per_room: senders,
            pacing: plan.pacing,
            bytes: plan.bytes,
            rounds,
            median,
            refusals: 0,
            refusal_samples: Vec::new(),
            checked: 0,
            violations: Violations::default(),
            notes,
        }
    }

    pub fn with_refusals(mut self, refusals: u64, samples: Vec<String>) -> Self {
        self.refusals = refusals;
        self.refusal_samples = samples;
        self
    }

    pub fn with_verdict(mut self, checked: u64, violations: Violations) -> Self {
        self.checked = checked;
        self.violations = violations;
        self
    }
}

impl Report for TrafficReport {
    fn clean(&self) -> bool {
        self.violations.total() == 0
    }
}

impl Display for TrafficReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(
            out,
            "{} on {}: {} rooms × {} members, {} senders each, {}, {} bytes",
            self.scenario, self.url, self.rooms, self.members, self.senders_per_room, self.pacing, self.bytes
        )?;
        writeln!(
            out,
            "{:8}{:>14}{:>12} | server {:>8}{:>7} | load {:>8}{:>7} |{:>36} |{:>36}",
            "",
            "deliveries/s",
            "messages/s",
            "µs each",
            "cores",
            "µs each",
            "cores",
            "echo ms: p50    p90      p99      max",
            "delivery: p50   p90      p99      max"
        )?;
        for (number, round) in self.rounds.iter().enumerate() {
            write_round(out, &format!("round {}", number + 1), round)?;
        }
        if let Some(median) = self.median.as_ref().filter(|_| self.rounds.len() > 1) {
            write_round(out, "median", median)?;
        }
        if self.refusals > 0 {
            writeln!(out, "refused by the server: {} error frames", self.refusals)?;
            for sample in &self.refusal_samples {
                writeln!(out, "  {sample}")?;
            }
        }
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        write_verdict(out, self.checked, &self.violations)
    }
}

fn write_round(out: &mut Formatter<'_>, name: &str, round: &Round) -> std::fmt::Result {
    let optional = |value: Option<f64>, digits| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    writeln!(
        out,
        "{name:8}{:>14.0}{:>12.0} | {:>15}{:>7} | {:>13.3}{:>7.2} | {} | {}",
        round.deliveries_per_second,
        round.messages_per_second,
        optional(round.server_us_per_delivery, 3),
        optional(round.server_cores, 2),
        round.load_us_per_delivery,
        round.load_cores,
        round.echo,
        round.delivery
    )
}

fn write_verdict(out: &mut Formatter<'_>, checked: u64, bad: &Violations) -> std::fmt::Result {
    if bad.total() == 0 {
        return writeln!(out, "oracle: {checked} deliveries checked: none lost, doubled, reordered or damaged");
    }
    writeln!(
        out,
        "oracle: {checked} deliveries checked, VIOLATIONS: {} lost, {} duplicated, {} reordered, \
         {} damaged, {} receivers with another order, {} in a foreign room, {} disconnected",
        bad.lost, bad.duplicated, bad.reordered, bad.damaged, bad.order_differs, bad.foreign_room, bad.disconnected
    )?;
    for sample in &bad.samples {
        writeln!(out, "  {sample}")?;
    }
    Ok(())
}

/// What idle connections cost.
#[derive(Default, Serialize)]
pub struct IdleReport {
    pub scenario: &'static str,
    pub url: String,
    pub connections: usize,
    pub members: usize,
    pub connect_seconds: f64,
    pub load_us_per_connection: f64,
    pub server_us_per_connection: Option<f64>,
    pub rss_kib_empty: Option<u64>,
    pub rss_kib_holding: Option<u64>,
    pub rss_kib_left: Option<u64>,
    /// Against the empty server.
    pub bytes_per_connection: Option<f64>,
    /// Against the server that had them and lost them again.
    pub bytes_per_connection_returned: Option<f64>,
    pub idle_server_cores: Option<f64>,
    /// Frames that came while nothing should happen.
    pub idle_frames: u64,
    pub disconnected: u64,
    pub disconnected_why: Option<String>,
}

impl IdleReport {
    pub fn with_differences(mut self) -> Self {
        let connections = self.connections as f64;
        let each = |more: Option<u64>, less: Option<u64>| {
            let (more, less) = more.zip(less)?;
            Some((more as f64 - less as f64) * 1024.0 / connections)
        };
        self.bytes_per_connection = each(self.rss_kib_holding, self.rss_kib_empty);
        self.bytes_per_connection_returned = each(self.rss_kib_holding, self.rss_kib_left);
        self
    }
}

impl Report for IdleReport {
    fn clean(&self) -> bool {
        self.disconnected == 0
    }
}

impl Display for IdleReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "idle on {}: {} connections in rooms of {}", self.url, self.connections, self.members)?;
        writeln!(
            out,
            "connected in {:.2} s; load {:.1} µs of CPU each",
            self.connect_seconds, self.load_us_per_connection
        )?;
        let mut line = |what: &str, value: Option<f64>| match value {
            Some(value) => writeln!(out, "{what:58}{value:>12.1}"),
            None => Ok(()),
        };
        let kib = |value: Option<u64>| value.map(|value| value as f64);
        line("server CPU per connection made, µs", self.server_us_per_connection)?;
        line("server memory empty, KiB", kib(self.rss_kib_empty))?;
        line("server memory holding them, KiB", kib(self.rss_kib_holding))?;
        line("server memory after they left, KiB", kib(self.rss_kib_left))?;
        line("bytes per connection, against empty", self.bytes_per_connection)?;
        line("bytes per connection, against after they left", self.bytes_per_connection_returned)?;
        line("server CPU while idle, % of a core", self.idle_server_cores.map(|cores| cores * 100.0))?;
        writeln!(out, "frames received while idle: {}", self.idle_frames)?;
        match &self.disconnected_why {
            None => writeln!(out, "all stayed connected"),
            Some(why) => writeln!(out, "VIOLATION: {} were disconnected: {why}", self.disconnected),
        }
    }
}

/// Table to stdout, or JSON where `--json` says.
pub fn emit(report: &impl Report, json: Option<&Path>) -> Result<()> {
    let text = || serde_json::to_string_pretty(report).context("the report as JSON");
    match json {
        Some(path) if path.as_os_str() == "-" => println!("{}", text()?),
        Some(path) => {
            std::fs::write(path, text()? + "\n").with_context(|| format!("cannot write {}", path.display()))?;
            print!("{report}");
        }
        None => print!("{report}"),
    }
    Ok(())
}

/// The middle value; of an even number the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// Who set the pace, when the load had none to spare.
fn bottleneck(round: &Round) -> Option<String> {
    let busy = |cores: f64| format!("{:.0} %", cores * 100.0);
    let load = busy(round.load_cores);
    match round.server_cores {
        _ if round.load_cores < LOAD_BUSY => None,
        Some(server) if server >= LOAD_BUSY => Some(format!(
            "the load's own thread was as busy as the server ({load}, {}): a faster server would not \
             show more deliveries/s here",
            busy(server)
        )),
        _ => Some(format!("the load's own thread was busy {load} of the time: it, not the server, was the bottleneck")),
    }
}

fn median_round(rounds: &[Round]) -> Option<Round> {
    let of = |field: fn(&Round) -> f64| median(rounds.iter().map(field).collect());
    let of_optional = |field: fn(&Round) -> Option<f64>| median(rounds.iter().filter_map(field).collect());
    let latency = |field: fn(&Round) -> Latency| {
        let part = |part: fn(&Latency) -> f64| median(rounds.iter().map(|round| part(&field(round))).collect());
        Some(Latency {
            p50: part(|latency| latency.p50)?,
            p90: part(|latency| latency.p90)?,
            p99: part(|latency| latency.p99)?,
            max: part(|latency| latency.max)?,
        })
    };
    Some(Round {
        seconds: of(|round| round.seconds)?,
        deliveries: of(|round| round.deliveries as f64)? as u64,
        deliveries_per_second: of(|round| round.deliveries_per_second)?,
        messages_per_second: of(|round| round.messages_per_second)?,
        bytes_per_delivery: of(|round| round.bytes_per_delivery)?,
        server_us_per_delivery: of_optional(|round| round.server_us_per_delivery),
        server_cores: of_optional(|round| round.server_cores),
        load_us_per_delivery: of(|round| round.load_us_per_delivery)?,
        load_cores: of(|round| round.load_cores)?,
        echo: latency(|round| round.echo)?,
        delivery: latency(|round| round.delivery)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
