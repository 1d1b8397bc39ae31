//! `find-max`: raises a scenario's rate until a given objective breaks.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use serde::{Serialize, Serializer};

use crate::interrupt;
use crate::options::Common;
use crate::plot::{Line, Plot};
use crate::report::{Report, Verdict};
use crate::round::figure;
use crate::scenario::traffic_report::TrafficReport;
use crate::scenario::{chat, room};

/// With a smaller share of the requested rate the server did not keep up, whatever the objective says.
const KEPT_UP: f64 = 0.95;
/// Doublings and halvings together.
const STEPS_MAX: usize = 40;

#[derive(clap::Args, Debug)]
pub struct FindMaxOptions {
    /// The bounds: p50, p90, p99 or max of delivery in ms; loss, refused, violations as counts
    #[arg(long, default_value = "p99<=50ms,loss=0,refused=0")]
    pub objective: Objective,
    /// The first rate in messages per second; it is doubled until the objective breaks
    #[arg(long, default_value_t = 100.0)]
    pub start: f64,
    /// The precision of the result: the relative difference between the last rate that held and the first that broke
    #[arg(long, default_value_t = 0.1)]
    pub precision: f64,
    #[command(subcommand)]
    pub scenario: Searched,
}

#[derive(clap::Subcommand, Debug)]
pub enum Searched {
    /// One room
    Room(room::RoomOptions),
    /// Many rooms at once
    Rooms(room::RoomsOptions),
    /// Durable chat
    Chat(chat::ChatOptions),
    /// Over several nodes
    Cluster(room::ClusterOptions),
}

impl Searched {
    pub fn common(&self) -> &Common {
        match self {
            Self::Room(options) => &options.traffic.common,
            Self::Rooms(options) => &options.traffic.common,
            Self::Chat(options) => &options.traffic.common,
            Self::Cluster(options) => &options.traffic.common,
        }
    }

    /// One run at this rate. All runs use the same users and rooms.
    fn run(&self, per_second: f64) -> Result<TrafficReport> {
        match self {
            Self::Room(options) => {
                let mut options = options.clone();
                options.traffic.pacing.rate = Some(per_second);
                room::room(&options)
            }
            Self::Rooms(options) => {
                let mut options = options.clone();
                options.traffic.pacing.rate = Some(per_second);
                room::rooms(&options)
            }
            Self::Chat(options) => {
                let mut options = options.clone();
                options.traffic.pacing.rate = Some(per_second);
                chat::chat(&options)
            }
            Self::Cluster(options) => {
                let mut options = options.clone();
                options.traffic.pacing.rate = Some(per_second);
                room::cluster(&options)
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Figure {
    P50,
    P90,
    P99,
    Max,
    Loss,
    Refused,
    Violations,
}

const FIGURES: [(&str, Figure); 7] = [
    ("p50", Figure::P50),
    ("p90", Figure::P90),
    ("p99", Figure::P99),
    ("max", Figure::Max),
    ("loss", Figure::Loss),
    ("refused", Figure::Refused),
    ("violations", Figure::Violations),
];

/// Bounds on a run's figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective(Vec<(Figure, f64)>);

impl FromStr for Objective {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let bound = |part: &str| -> Result<(Figure, f64)> {
            let wrong = || format!("{part}: must be FIGURE<=BOUND, as in p99<=50ms or loss=0");
            let (name, bound) = part.split_once("<=").or_else(|| part.split_once('=')).with_context(wrong)?;
            let Some((_, figure)) = FIGURES.iter().find(|(known, _)| *known == name.trim()) else { bail!(wrong()) };
            let bound = bound.trim().trim_end_matches("ms").trim().parse::<f64>().with_context(wrong)?;
            ensure!(bound.is_finite() && bound >= 0.0, wrong());
            Ok((*figure, bound))
        };
        Ok(Self(text.split(',').map(bound).collect::<Result<_>>()?))
    }
}

impl Objective {
    /// The broken bounds, in words.
    fn broken_by(&self, report: &TrafficReport, per_second: f64) -> Option<String> {
        let median = report.median.as_ref();
        let Some((round, delivery)) = median.and_then(|round| Some((round, round.delivery?))) else {
            return Some("nothing was measured".to_owned());
        };
        for (figure, bound) in &self.0 {
            let (value, unit) = match figure {
                Figure::P50 => (delivery.p50, " ms"),
                Figure::P90 => (delivery.p90, " ms"),
                Figure::P99 => (delivery.p99, " ms"),
                Figure::Max => (delivery.max, " ms"),
                Figure::Loss => (report.violations.lost as f64, ""),
                Figure::Refused => (report.refused.total as f64, ""),
                Figure::Violations => (report.violations.total() as f64, ""),
            };
            if value > *bound {
                let name = FIGURES.iter().find(|(_, known)| known == figure).map_or("", |(name, _)| name);
                return Some(format!("{name} is {value:.1}{unit}, above {bound}{unit}"));
            }
        }
        let deliveries = per_second * report.members as f64 * KEPT_UP;
        // In a mixed load some actions do not reach everybody; there a shortfall shows in the latencies.
        (report.mix.is_none() && round.deliveries_per_second < deliveries)
            .then(|| format!("only {:.0} deliveries/s of {per_second:.0} messages/s", round.deliveries_per_second))
    }
}

impl Display for Objective {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        for (number, (figure, bound)) in self.0.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            let name = FIGURES.iter().find(|(_, known)| known == figure).map_or("", |(name, _)| name);
            let unit = if matches!(figure, Figure::P50 | Figure::P90 | Figure::P99 | Figure::Max) { "ms" } else { "" };
            write!(out, "{comma}{name}<={bound}{unit}")?;
        }
        Ok(())
    }
}

impl Serialize for Objective {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The result of one rate.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    pub per_second: f64,
    pub deliveries_per_second: f64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub lost: u64,
    pub refused: u64,
    pub server_cores: Option<f64>,
    pub load_cores: f64,
    /// Whether the load itself was a limit in this step.
    pub generator_limited: bool,
    /// Why the objective does not hold; `None` if it does.
    pub broken_by: Option<String>,
}

#[derive(Serialize)]
pub struct FindMaxReport {
    pub scenario: &'static str,
    pub url: String,
    pub objective: Objective,
    /// In the order of the attempts.
    pub steps: Vec<Step>,
    /// The highest rate at which the objective held.
    pub best: Option<Step>,
    pub first_broken: Option<Step>,
    /// Violations other than loss, which the objective covers.
    pub violations: u64,
}

pub fn find_max(options: &FindMaxOptions) -> Result<FindMaxReport> {
    ensure!(options.start > 0.0 && options.start.is_finite(), "--start {} is not a rate", options.start);
    ensure!(options.precision > 0.0, "--precision {} is not a precision", options.precision);
    let scenario = &options.scenario;
    ensure!(
        scenario.common().fixture.is_some() || scenario.common().target == crate::target::TargetKind::Plain,
        "find-max runs many times: give it --fixture (one that another run made with --save-fixture will do)"
    );
    let mut report = FindMaxReport {
        scenario: "find-max",
        url: scenario.common().url.clone(),
        objective: options.objective.clone(),
        steps: Vec::new(),
        best: None,
        first_broken: None,
        violations: 0,
    };
    let mut rate = options.start;
    while report.steps.len() < STEPS_MAX {
        let Some(mut step) = report.attempt(options, rate)? else { break };
        if step.broken_by.is_some() {
            // A short disturbance from elsewhere is not a limit, so a rate only counts as broken if it breaks twice.
            let Some(again) = report.attempt(options, rate)? else { break };
            step = again;
        }
        let slot = if step.broken_by.is_none() { &mut report.best } else { &mut report.first_broken };
        *slot = Some(step);
        rate = match (&report.best, &report.first_broken) {
            (Some(best), None) => best.per_second * 2.0,
            (None, Some(broken)) => broken.per_second / 2.0,
            (Some(best), Some(broken)) if broken.per_second / best.per_second <= 1.0 + options.precision => break,
            (Some(best), Some(broken)) => (best.per_second * broken.per_second).sqrt(),
            (None, None) => break,
        };
        if rate < 1.0 {
            break;
        }
    }
    Ok(report)
}

impl FindMaxReport {
    /// `None` if it was cut off, because half a step says nothing.
    fn attempt(&mut self, options: &FindMaxOptions, per_second: f64) -> Result<Option<Step>> {
        let run = match options.scenario.run(per_second) {
            Err(_) if interrupt::is_asked() => return Ok(None),
            run => run?,
        };
        self.violations += run.violations.total() - run.violations.lost;
        if interrupt::is_asked() {
            return Ok(None);
        }
        let round = run.median.as_ref();
        let step = Step {
            per_second,
            deliveries_per_second: round.map_or(0.0, |round| round.deliveries_per_second),
            p50_ms: round.and_then(|round| Some(round.delivery?.p50)),
            p99_ms: round.and_then(|round| Some(round.delivery?.p99)),
            lost: run.violations.lost,
            refused: run.refused.total,
            server_cores: round.and_then(|round| round.server_cores),
            load_cores: round.map_or(0.0, |round| round.load_cores),
            generator_limited: run.generator_limited,
            broken_by: options.objective.broken_by(&run, per_second),
        };
        eprintln!("{step}");
        self.steps.push(step.clone());
        Ok(Some(step))
    }
}

impl Display for Step {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let server = figure(self.server_cores, 2);
        let verdict = self.broken_by.as_ref().map_or("holds".to_owned(), |why| format!("BREAKS: {why}"));
        let generator = if self.generator_limited { "; the load itself was a limit" } else { "" };
        write!(
            out,
            "{:>11.1}{:>14.0}{:>10}{:>10}{:>8}{:>9}{server:>8}{:>7.2}  {verdict}{generator}",
            self.per_second,
            self.deliveries_per_second,
            figure(self.p50_ms, 2),
            figure(self.p99_ms, 2),
            self.lost,
            self.refused,
            self.load_cores
        )
    }
}

impl Report for FindMaxReport {
    fn verdict(&self) -> Verdict {
        Verdict::of(self.violations > 0, self.steps.len() as u64)
    }

    fn answer(&self) -> String {
        match &self.best {
            Some(best) => format!(
                "The objective holds up to {:.1} messages a second, {:.0} deliveries a second.",
                best.per_second, best.deliveries_per_second
            ),
            None => "The objective holds at no rate that was tried.".to_owned(),
        }
    }

    fn plots(&self) -> Vec<Plot> {
        // If a rate was tried twice, the second attempt counts.
        let mut steps: Vec<&Step> = self.steps.iter().rev().collect();
        steps.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
        steps.dedup_by(|later, kept| later.per_second == kept.per_second);
        let line = |name: &str, value: fn(&Step) -> Option<f64>| {
            Line::new(name, steps.iter().filter_map(|step| Some((step.per_second, value(step)?))).collect())
        };
        let plot = |title: &str, unit, is_logarithmic, lines| Plot {
            title: title.to_owned(),
            unit,
            x_name: "messages a second",
            is_logarithmic,
            lines,
            ..Plot::default()
        };
        vec![
            plot(
                "Delivery latency by rate",
                "ms",
                true,
                vec![line("p50", |step| step.p50_ms), line("p99", |step| step.p99_ms)],
            ),
            plot("Deliveries by rate", "/s", false, vec![line("", |step| Some(step.deliveries_per_second))]),
            plot(
                "Cores in use by rate",
                "cores",
                false,
                vec![line("server", |step| step.server_cores), line("load", |step| Some(step.load_cores))],
            ),
        ]
    }
}

impl Display for FindMaxReport {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "find-max on {}: {}", self.url, self.objective)?;
        writeln!(out, " messages/s  deliveries/s    p50 ms    p99 ms    lost  refused  server   load")?;
        self.steps.iter().try_for_each(|step| writeln!(out, "{step}"))?;
        match &self.best {
            Some(best) => writeln!(
                out,
                "the objective holds up to {:.1} messages/s, {:.0} deliveries/s",
                best.per_second, best.deliveries_per_second
            )?,
            None => writeln!(out, "the objective holds at no rate that was tried")?,
        }
        match &self.first_broken {
            Some(broken) if broken.generator_limited => {
                writeln!(out, "at the breaking point the load itself was a limit: the server may be able to do more")
            }
            Some(_) => writeln!(out, "at the breaking point the load was not the limit"),
            None if self.steps.is_empty() => writeln!(out, "no rate was tried to its end"),
            None => writeln!(out, "it never broke: --start higher"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_are_read_and_shown() {
        let objective: Objective = "p99<=50ms, loss=0,refused=3".parse().expect("an objective");
        assert_eq!(objective.to_string(), "p99<=50ms,loss<=0,refused<=3");
        for wrong in ["", "p99", "p98<=5", "p99<=x", "p99<=-1"] {
            assert!(wrong.parse::<Objective>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_rate_is_drawn_once_by_its_last_try() {
        let step = |per_second: f64, p99_ms: f64| Step {
            per_second,
            deliveries_per_second: per_second,
            p50_ms: Some(1.0),
            p99_ms: Some(p99_ms),
            lost: 0,
            refused: 0,
            server_cores: None,
            load_cores: 0.1,
            generator_limited: false,
            broken_by: None,
        };
        let report = FindMaxReport {
            scenario: "find-max",
            url: String::new(),
            objective: "p99<=50".parse().expect("an objective"),
            steps: vec![step(100.0, 2.0), step(400.0, 90.0), step(400.0, 70.0), step(200.0, 3.0)],
            best: None,
            first_broken: None,
            violations: 0,
        };
        let plots = report.plots();
        assert_eq!(plots[0].lines[1].points, [(100.0, 2.0), (200.0, 3.0), (400.0, 70.0)]);
        assert!(plots[2].lines[0].points.is_empty(), "the server was not watched");
    }
}
