//! The bars that pregon must reach against others, and their judging.

use super::cells::Cell;
use super::results::{Results, Sample};
use super::statistics::{Ratio, paired};
use super::verdict::{Bar, Measure, PAIRS_MIN, Verdict};

/// Smaller differences are noise of the machine, so the interval's upper end may exceed the bar by this.
pub const TOLERANCE: f64 = 0.03;
const fn cost(cell: &'static str, against: &'static str, ratio_max: f64) -> Bar {
    Bar { measure: Measure::Cost(cell), against, ratio_max }
}

/// `epoll` is the bare coalescing loop.
pub const BARS: &[Bar] = &[
    cost("w1-all", "epoll", 0.95),
    cost("open", "epoll", 0.95),
    cost("w16", "epoll", 0.5),
    cost("w16-all", "epoll", 1.0),
    cost("rooms", "epoll", 0.95),
    cost("rooms-all", "epoll", 0.95),
    Bar { measure: Measure::Latency("rooms"), against: "epoll", ratio_max: 1.0 },
    Bar { measure: Measure::Latency("rooms-all"), against: "epoll", ratio_max: 1.0 },
    Bar { measure: Measure::Growth { large: "room-10000", small: "room-100" }, against: "epoll", ratio_max: 1.1 },
];

impl Results {
    /// Compares every pregon with every bar that was measured.
    pub fn judge(&mut self) {
        let servers = self.contenders.iter().filter(|contender| contender.is_pregon);
        let verdicts = servers.flat_map(|server| BARS.iter().filter_map(|bar| bar.judge(&server.name, self)));
        self.verdicts = verdicts.collect();
    }
}

impl Bar {
    /// Whether these loads and servers include those it needs.
    pub fn can_be_judged(&self, cells: &[Cell], servers: &[&str]) -> bool {
        let is_there = |name| cells.iter().any(|cell| cell.name == name);
        let has_cells = match self.measure {
            Measure::Cost(cell) | Measure::Latency(cell) => is_there(cell),
            Measure::Growth { large, small } => is_there(large) && is_there(small),
        };
        has_cells && servers.contains(&self.against)
    }

    /// `None` if its cells or the other server were not measured.
    pub fn judge(&self, server: &str, results: &Results) -> Option<Verdict> {
        let ours = self.measure.values(server, results)?;
        let theirs = self.measure.values(self.against, results)?;
        let ratio = Ratio::of(&paired(&ours, &theirs))?;
        let is_met = ratio.pairs >= PAIRS_MIN && ratio.high <= self.ratio_max + TOLERANCE;
        Some(Verdict { bar: *self, server: server.to_owned(), ratio, is_met })
    }
}

impl Measure {
    /// One value per round; `None` where something is missing.
    fn values(&self, server: &str, results: &Results) -> Option<Vec<Option<f64>>> {
        let of = |cell: &str, figure: fn(&Sample) -> f64| {
            let samples = results.samples(cell, server)?;
            Some(samples.iter().map(|sample| sample.as_ref().map(figure)).collect::<Vec<_>>())
        };
        match self {
            Self::Cost(cell) => of(cell, |sample| sample.server_us),
            Self::Latency(cell) => of(cell, |sample| sample.p50_ms),
            Self::Growth { large, small } => {
                let large = of(large, |sample| sample.server_us)?;
                let small = of(small, |sample| sample.server_us)?;
                let grown = large.iter().zip(&small).map(|(large, small)| Some((*large)? / (*small)?));
                Some(grown.collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::cells::CELLS;
    use crate::compare::results::test_results;

    #[test]
    fn a_bar_is_met_up_to_the_tolerance() {
        let bar = cost("w1", "epoll", 0.95);
        let verdict = |ours: f64| {
            let results = test_results("w1", &[("pregon", &[ours; 15]), ("epoll", &[1.0; 15])]);
            bar.judge("pregon", &results).expect("measured")
        };
        assert!(verdict(0.979).is_met);
        assert!(!verdict(0.981).is_met);
        assert!(verdict(0.981).to_string().contains("MISSED"));
    }

    #[test]
    fn fewer_pairs_than_fifteen_decide_nothing() {
        let results = test_results("w1", &[("pregon", &[0.5; 14]), ("epoll", &[1.0; 14])]);
        let verdict = cost("w1", "epoll", 0.95).judge("pregon", &results).expect("measured");
        assert!(!verdict.is_met && verdict.to_string().contains("undecided"));
        assert_eq!(cost("w16", "epoll", 0.95).judge("pregon", &results), None);
        assert_eq!(cost("w1", "uws", 0.95).judge("pregon", &results), None);
    }

    #[test]
    fn growth_is_the_ratio_of_ratios() {
        let mut results = test_results("room-100", &[("pregon", &[2.0; 15]), ("epoll", &[1.0; 15])]);
        results.cells.extend(test_results("room-10000", &[("pregon", &[3.0; 15]), ("epoll", &[2.0; 15])]).cells);
        let bar = BARS.iter().find(|bar| matches!(bar.measure, Measure::Growth { .. })).expect("one");
        let verdict = bar.judge("pregon", &results).expect("measured");
        assert_eq!(verdict.ratio.median, 0.75);
        assert!(verdict.is_met);
    }

    #[test]
    fn a_round_without_one_of_the_two_is_no_pair() {
        assert_eq!(paired(&[Some(1.0), None, Some(3.0)], &[Some(2.0), Some(1.0), None]), [0.5]);
        assert!(paired(&[Some(1.0)], &[Some(0.0)]).is_empty());
    }

    #[test]
    fn bars_name_cells_that_exist() {
        for bar in BARS {
            assert!(bar.can_be_judged(CELLS, &["pregon", "epoll"]), "{bar:?}");
            assert!(!bar.can_be_judged(CELLS, &["pregon", "uws"]) && !bar.can_be_judged(&[], &["epoll"]), "{bar:?}");
        }
    }
}
