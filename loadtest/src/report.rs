//! What a run found: figures per round, the oracle's verdict, as a table and as JSON.

use std::fmt::{Display, Formatter};
use std::path::Path;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::html::{self, Plot};
use crate::meter::{Generator, Meter, Ns, Refused, Sample};
use crate::oracle::{Layout, Violations};
use crate::pacing::Pacing;
use crate::scenario::mixed::Mix;
use crate::scenario::{Plan, Run};
use crate::target::Kind;

/// Above this share of its core the load, not the server, sets the pace.
const LOAD_BUSY: f64 = 0.95;
/// Above this share of the time without a core the load is not alone on its core.
const LOAD_WAITED: f64 = 0.05;
/// Messages that go out this late are in the latencies, and it is not the server's doing.
const LATE_MS: f64 = 2.0;
/// Points of the percentile curve.
const QUANTILES: [f64; 12] = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999, 1.0];

/// A result that can be shown and judged.
pub trait Report: Display + Serialize {
    /// Whether everything arrived as it should.
    fn clean(&self) -> bool;

    /// What `--html` shows beside the table.
    fn plots(&self) -> Vec<Plot> {
        Vec::new()
    }
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
    /// Messages that the server would not take.
    pub refused: u64,
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
    pub generator: Generator,
}

/// One kind of event of a mixed load.
#[derive(Clone, Debug, Serialize)]
pub struct KindLine {
    pub kind: &'static str,
    /// In the measured rounds.
    pub sent_per_second: f64,
    pub deliveries: u64,
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
    /// Of a mixed load.
    pub mix: Option<Mix>,
    pub rounds: Vec<Round>,
    /// The median of each column.
    pub median: Option<Round>,
    /// Of a mixed load.
    pub kinds: Vec<KindLine>,
    pub refused: Refused,
    pub checked: u64,
    pub violations: Violations,
    /// The load, not the server, set the pace or a part of the latencies.
    pub generator_limited: bool,
    pub notes: Vec<String>,
    /// Delivery latency in ms by quantile, all rounds together.
    pub curve: Vec<(f64, f64)>,
    pub series: Vec<Sample>,
}

impl TrafficReport {
    pub fn new(plan: &Plan, run: &Run, rounds: Vec<Round>, mut notes: Vec<String>, meter: Meter) -> Self {
        let median = median_round(&rounds);
        let limits = median.as_ref().map(bottlenecks).unwrap_or_default();
        let generator_limited = !limits.is_empty();
        notes.extend(limits);
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
            mix: plan.mix,
            rounds,
            median,
            kinds: Vec::new(),
            refused: meter.refused,
            checked: meter.checked,
            violations: Violations::default(),
            generator_limited,
            notes,
            curve: curve(&meter.all),
            series: meter.series,
        }
    }

    pub fn with_verdict(mut self, violations: Violations) -> Self {
        self.violations = violations;
        self
    }
}

impl Report for TrafficReport {
    fn clean(&self) -> bool {
        self.violations.total() == 0
    }

    fn plots(&self) -> Vec<Plot> {
        let mut plots = html::series_plots(&self.series);
        plots.push(html::curve_plot(&self.curve));
        plots
    }
}

impl Display for TrafficReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(
            out,
            "{} on {}: {} rooms × {} members, {} senders each, {}, {} bytes",
            self.scenario, self.url, self.rooms, self.members, self.senders_per_room, self.pacing, self.bytes
        )?;
        if let Some(mix) = &self.mix {
            writeln!(out, "of each sender's actions: {mix}")?;
        }
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
        for kind in &self.kinds {
            let KindLine { kind, sent_per_second, deliveries, delivery } = kind;
            writeln!(out, "  {kind:10} {sent_per_second:>9.1} a second {deliveries:>11} deliveries | ms: {delivery}")?;
        }
        if let Some(Round { generator, .. }) = &self.median {
            write_generator(out, generator)?;
        }
        write_refused(out, &self.refused)?;
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

fn write_generator(out: &mut Formatter<'_>, generator: &Generator) -> std::fmt::Result {
    writeln!(
        out,
        "the load itself: messages out late p99 {:.2} max {:.2} ms; away from its sockets p99 {:.2} ms; without a core \
         {:.1} % of the time, put off {:.0} times a second",
        generator.late_p99_ms,
        generator.late_max_ms,
        generator.away_p99_ms,
        generator.run_queue_share * 100.0,
        generator.preemptions_per_second
    )
}

/// What the server would not take, by its own words.
pub fn write_refused(out: &mut Formatter<'_>, refused: &Refused) -> std::fmt::Result {
    if refused.total == 0 {
        return Ok(());
    }
    writeln!(out, "refused by the server: {} (neither delivered nor lost)", refused.total)?;
    for (reason, count) in &refused.reasons {
        writeln!(out, "  {count:>9} × {reason}")?;
    }
    Ok(())
}

fn curve(all: &Ns) -> Vec<(f64, f64)> {
    let point = |quantile: f64| (quantile, all.value_at_quantile(quantile) as f64 / 1e6);
    if all.is_empty() { Vec::new() } else { QUANTILES.into_iter().map(point).collect() }
}

pub fn write_verdict(out: &mut Formatter<'_>, checked: u64, bad: &Violations) -> std::fmt::Result {
    if bad.total() == 0 {
        return writeln!(out, "oracle: {checked} deliveries checked: none lost, doubled, reordered or damaged");
    }
    writeln!(
        out,
        "oracle: {checked} deliveries checked, VIOLATIONS: {} lost, {} duplicated, {} reordered, \
         {} damaged, {} receivers with another order, {} in a foreign room, {} misdirected, {} disconnected",
        bad.lost,
        bad.duplicated,
        bad.reordered,
        bad.damaged,
        bad.order_differs,
        bad.foreign_room,
        bad.misdirected,
        bad.disconnected
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

/// The page of `--html`.
pub fn emit_html(report: &impl Report, path: Option<&Path>) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, html::page(report)).with_context(|| format!("cannot write {}", path.display()))
}

/// The middle value; of an even number the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// Where the load itself was the limit, in words.
fn bottlenecks(round: &Round) -> Vec<String> {
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
    if late_p99_ms > LATE_MS && late_p99_ms > round.delivery.p99 / 10.0 {
        found.push(format!(
            "1 % of the messages went out {late_p99_ms:.1} ms late or more: the load, not the server, made that part \
             of the latencies"
        ));
    }
    found
}

/// The median of each column.
pub fn median_round(rounds: &[Round]) -> Option<Round> {
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
        refused: of(|round| round.refused as f64)? as u64,
        bytes_per_delivery: of(|round| round.bytes_per_delivery)?,
        server_us_per_delivery: of_optional(|round| round.server_us_per_delivery),
        server_cores: of_optional(|round| round.server_cores),
        load_us_per_delivery: of(|round| round.load_us_per_delivery)?,
        load_cores: of(|round| round.load_cores)?,
        echo: latency(|round| round.echo)?,
        delivery: latency(|round| round.delivery)?,
        generator: Generator {
            late_p99_ms: of(|round| round.generator.late_p99_ms)?,
            late_max_ms: of(|round| round.generator.late_max_ms)?,
            away_p99_ms: of(|round| round.generator.away_p99_ms)?,
            run_queue_share: of(|round| round.generator.run_queue_share)?,
            preemptions_per_second: of(|round| round.generator.preemptions_per_second)?,
        },
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
