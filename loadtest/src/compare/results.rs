//! The measurements by server and round, and the table rows made from them.

use serde::Serialize;

use super::cells::Cell;
use super::statistics::{Ratio, Spread, paired};
use super::verdict::Verdict as Bar;
use crate::latency::median;
use crate::report::{Report, Verdict};

/// One server in one cell in one round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// User and system time per delivery, in µs.
    pub server_us: f64,
    /// How many cores the load's own thread used.
    pub load_cores: f64,
    pub deliveries_per_second: f64,
    /// From sending to each member's copy, in ms.
    pub p50_ms: f64,
    pub p99_ms: f64,
}

#[derive(Serialize)]
pub struct CellResults {
    pub cell: Cell,
    /// Size of the frame that members receive.
    pub bytes: usize,
    /// By server, then by round; `None` where a measurement failed.
    pub samples: Vec<Vec<Option<Sample>>>,
}

/// A server that took part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contender {
    pub name: String,
    pub title: String,
    pub language: &'static str,
    pub is_pregon: bool,
}

#[derive(Default, Serialize)]
pub struct Results {
    pub contenders: Vec<Contender>,
    pub cells: Vec<CellResults>,
    /// Servers that could not take part and measurements that failed, with the reasons.
    pub notes: Vec<String>,
    pub violations: u64,
    /// The bars and whether they were met; empty unless asked for.
    pub verdicts: Vec<Bar>,
    pub seconds: f64,
    pub pairs: u16,
}

/// One server in one cell, over all rounds.
pub struct Row<'a> {
    pub contender: &'a Contender,
    pub cost: Spread,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub deliveries_per_second: f64,
    pub load_cores: f64,
    /// The base's cost divided by this one's; `None` for the base itself.
    pub ratio: Option<Ratio>,
    pub rounds: usize,
}

impl Results {
    /// By round; `None` if the server or cell is missing.
    pub fn samples(&self, cell: &str, server: &str) -> Option<&[Option<Sample>]> {
        let at = self.contenders.iter().position(|contender| contender.name == server)?;
        let results = self.cells.iter().find(|results| results.cell.name == cell)?;
        let samples = results.samples.get(at)?;
        samples.iter().any(Option::is_some).then_some(samples)
    }

    /// The server whose cost is divided by the others': the first pregon, else the first server.
    pub fn base(&self) -> usize {
        self.contenders.iter().position(|contender| contender.is_pregon).unwrap_or(0)
    }

    /// The cell's servers, cheapest first.
    pub fn rows(&self, results: &CellResults) -> Vec<Row<'_>> {
        let base = self.base();
        let costs = |samples: &[Option<Sample>]| -> Vec<Option<f64>> {
            samples.iter().map(|sample| sample.map(|sample| sample.server_us)).collect()
        };
        let base_costs = results.samples.get(base).map(|samples| costs(samples)).unwrap_or_default();
        let row = |(at, samples): (usize, &Vec<Option<Sample>>)| {
            let taken: Vec<Sample> = samples.iter().copied().flatten().collect();
            let of = |figure: fn(&Sample) -> f64| median(taken.iter().map(figure).collect());
            let all: Vec<f64> = taken.iter().map(|sample| sample.server_us).collect();
            Some(Row {
                contender: self.contenders.get(at)?,
                cost: Spread::of(&all)?,
                p50_ms: of(|sample| sample.p50_ms)?,
                p99_ms: of(|sample| sample.p99_ms)?,
                deliveries_per_second: of(|sample| sample.deliveries_per_second)?,
                load_cores: of(|sample| sample.load_cores)?,
                ratio: (at != base).then(|| Ratio::of(&paired(&base_costs, &costs(samples)))).flatten(),
                rounds: taken.len(),
            })
        };
        let mut rows: Vec<Row<'_>> = results.samples.iter().enumerate().filter_map(row).collect();
        rows.sort_by(|one, other| one.cost.median.total_cmp(&other.cost.median));
        rows
    }
}

impl Report for Results {
    fn verdict(&self) -> Verdict {
        let is_wrong = self.violations > 0 || self.verdicts.iter().any(|verdict| !verdict.is_met);
        let samples = self.cells.iter().flat_map(|results| &results.samples).flatten().flatten().count();
        Verdict::of(is_wrong, samples as u64)
    }

    fn answer(&self) -> String {
        match self.verdicts.iter().filter(|verdict| !verdict.is_met).count() {
            _ if self.verdicts.is_empty() => {
                "See the table: a ratio above 1 is in favour of the first server.".to_owned()
            }
            0 => "Every bar was met.".to_owned(),
            missed => format!("{missed} of {} bars were missed.", self.verdicts.len()),
        }
    }
}

/// One cell with a figure per server and round; the first server is pregon.
#[cfg(test)]
pub fn test_results(cell: &str, costs: &[(&str, &[f64])]) -> Results {
    let contender = |name: &str| Contender {
        name: name.to_owned(),
        title: format!("the {name}"),
        language: "Rust",
        is_pregon: name == "pregon",
    };
    let sample = |cost: &f64| {
        Some(Sample {
            server_us: *cost,
            load_cores: 0.5,
            deliveries_per_second: 1000.0,
            p50_ms: *cost * 2.0,
            p99_ms: *cost * 3.0,
        })
    };
    let cell = super::cells::chosen(&[cell.to_owned()]).expect("a cell")[0];
    Results {
        contenders: costs.iter().map(|(name, _)| contender(name)).collect(),
        cells: vec![CellResults {
            cell,
            bytes: 113,
            samples: costs.iter().map(|(_, costs)| costs.iter().map(sample).collect()).collect(),
        }],
        ..Results::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_held_against_pregon() {
        let results = test_results(
            "w1",
            &[("uws", &[9.0, 10.0, 12.0]), ("pregon", &[6.0, 5.0, 6.0]), ("epoll", &[4.0, 8.0, 8.0])],
        );
        let rows = results.rows(&results.cells[0]);
        let names: Vec<&str> = rows.iter().map(|row| row.contender.name.as_str()).collect();
        assert_eq!(names, ["pregon", "epoll", "uws"]);
        assert_eq!(rows[0].ratio, None);
        // Pair by pair (1.5, 0.625, 0.75), not median by median (6 / 8).
        assert_eq!(rows[1].ratio.map(|ratio| ratio.median), Some(0.75));
        assert_eq!(rows[2].cost, Spread { median: 10.0, least: 9.0, most: 12.0 });
        assert_eq!((rows[2].p50_ms, rows[2].p99_ms, rows[2].rounds), (20.0, 30.0, 3));
    }

    #[test]
    fn a_failed_round_is_left_out_of_both_sides() {
        let mut results = test_results("w1", &[("pregon", &[6.0, 6.0]), ("epoll", &[8.0, 3.0])]);
        results.cells[0].samples[1][1] = None;
        let rows = results.rows(&results.cells[0]);
        assert_eq!(rows[1].rounds, 1);
        assert_eq!(rows[1].ratio.map(|ratio| (ratio.median, ratio.pairs)), Some((0.75, 1)));
    }

    #[test]
    fn a_missed_bar_is_not_clean() {
        let mut results = test_results("w1-all", &[("pregon", &[9.0; 15]), ("epoll", &[8.0; 15])]);
        assert_eq!(results.verdict(), Verdict::Right);
        results.judge();
        assert_eq!(results.verdicts.len(), 1);
        assert_eq!(results.verdict(), Verdict::Wrong);
    }
}
