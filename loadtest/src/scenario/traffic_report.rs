//! The result of a run with traffic: figures per round and the oracle's verdict.

use std::fmt::{Display, Formatter};

use serde::Serialize;

use super::shares::Mix;
use super::{Plan, Run};
use crate::latency::Latency;
use crate::meter::{Cost, Generator, Meter, Ns, Refused, Sample};
use crate::oracle::{Layout, Violations};
use crate::pacing::Pacing;
use crate::plot::{self, Plot};
use crate::report::{Report, Verdict, counted, write_refused, write_verdict};
use crate::round::{Round, bottlenecks, figure, median_round};
use crate::target::Kind;

/// Points of the percentile curve.
const QUANTILES: [f64; 12] = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999, 1.0];

/// One kind of event of a mixed load.
#[derive(Clone, Debug, Serialize)]
pub struct KindLine {
    pub kind: &'static str,
    /// Sent per second in the measured rounds.
    pub sent_per_second: f64,
    pub deliveries: u64,
    /// `None` if nothing of it was delivered.
    pub delivery: Option<Latency>,
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
    /// The mix, if the load is mixed.
    pub mix: Option<Mix>,
    pub rounds: Vec<Round>,
    /// The median of each column.
    pub median: Option<Round>,
    /// One line per kind, if the load is mixed.
    pub kinds: Vec<KindLine>,
    pub refused: Refused,
    pub checked: u64,
    pub violations: Violations,
    /// Whether the load, not the server, set the pace or caused a part of the latencies.
    pub generator_limited: bool,
    pub notes: Vec<String>,
    /// Delivery latency in ms by quantile, over all rounds.
    pub curve: Vec<(f64, f64)>,
    pub series: Vec<Sample>,
}

impl TrafficReport {
    pub fn new(plan: &Plan, run: &Run, rounds: Vec<Round>, mut notes: Vec<String>, meter: Meter) -> Self {
        let median = median_round(&rounds);
        match &median {
            None => notes.push("the run ended before its first round: nothing was measured".to_owned()),
            Some(round) if round.deliveries == 0 => {
                notes.push(
                    "nothing was delivered while it was measured: there are no latencies and no costs".to_owned(),
                );
            }
            Some(_) => {}
        }
        let limits = median.as_ref().map(bottlenecks).unwrap_or_default();
        let generator_limited = !limits.is_empty();
        notes.extend(limits);
        let Layout { rooms: room_count, members, senders } = plan.layout;
        Self {
            scenario: plan.scenario,
            url: run.label(),
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
    fn verdict(&self) -> Verdict {
        Verdict::of(self.violations.total() > 0, self.rounds.iter().map(|round| round.deliveries).sum())
    }

    fn answer(&self) -> String {
        let Some((round, delivery)) = self.median.as_ref().and_then(|round| Some((round, round.delivery?))) else {
            return "Nothing was delivered, so nothing was measured.".to_owned();
        };
        let cost =
            round.server_us_per_delivery.map_or(String::new(), |us| format!(", {us:.2} µs of the server's CPU each"));
        format!(
            "{:.0} deliveries a second{cost}; a delivery took {:.2} ms (p50), {:.2} ms (p99).",
            round.deliveries_per_second, delivery.p50, delivery.p99
        )
    }

    fn plots(&self) -> Vec<Plot> {
        let mut plots = plot::series_plots(&self.series);
        plots.push(plot::curve_plot(&self.curve));
        plots
    }
}

impl Display for TrafficReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(
            out,
            "{} on {}: {} × {}, {} each, {}, {}",
            self.scenario,
            self.url,
            counted(self.rooms, "room"),
            counted(self.members, "member"),
            counted(self.senders_per_room, "sender"),
            self.pacing,
            counted(self.bytes, "byte")
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
        if let Some(median) = &self.median {
            write_nodes(out, median)?;
        }
        for kind in &self.kinds {
            let KindLine { kind, sent_per_second, deliveries, delivery } = kind;
            writeln!(
                out,
                "  {kind:10} {sent_per_second:>9.1} a second {deliveries:>11} deliveries | ms: {}",
                Latency::columns(delivery.as_ref())
            )?;
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
    writeln!(
        out,
        "{name:8}{:>14.0}{:>12.0} | {:>15}{:>7} | {:>13}{:>7.2} | {} | {}",
        round.deliveries_per_second,
        round.messages_per_second,
        figure(round.server_us_per_delivery, 3),
        figure(round.server_cores, 2),
        figure(round.load_us_per_delivery, 3),
        round.load_cores,
        Latency::columns(round.echo.as_ref()),
        Latency::columns(round.delivery.as_ref())
    )
}

/// What a load over several nodes shows beside the columns of every load.
fn write_nodes(out: &mut Formatter<'_>, round: &Round) -> std::fmt::Result {
    for (latency, from) in [(&round.across, "sending"), (&round.after_echo, "the sender's own copy")] {
        if let Some(latency) = latency {
            writeln!(out, "  to other nodes, from {from:22} | ms: p50, p90, p99, max {latency}")?;
        }
    }
    for Cost { name, cores, us_per_message } in &round.processes {
        writeln!(out, "  {name:22} {cores:>5.2} cores, {:>8} µs of CPU a message", figure(*us_per_message, 1))?;
    }
    Ok(())
}

fn write_generator(out: &mut Formatter<'_>, generator: &Generator) -> std::fmt::Result {
    writeln!(
        out,
        "the load itself: messages out late p99 {} max {} ms; away from its sockets p99 {:.2} ms; without a core \
         {:.1} % of the time, put off {:.0} times a second",
        figure(generator.late_p99_ms, 2),
        figure(generator.late_max_ms, 2),
        generator.away_p99_ms,
        generator.run_queue_share * 100.0,
        generator.preemptions_per_second
    )
}

fn curve(all: &Ns) -> Vec<(f64, f64)> {
    let point = |quantile: f64| (quantile, all.value_at_quantile(quantile) as f64 / 1e6);
    if all.is_empty() { Vec::new() } else { QUANTILES.into_iter().map(point).collect() }
}
