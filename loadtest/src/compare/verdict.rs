//! A bar, and whether a measurement met it.

use serde::Serialize;

use super::statistics::Ratio;

/// With fewer pairs a bar stays undecided.
pub const PAIRS_MIN: usize = 15;

/// The figure that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The server's CPU time per delivery in a cell.
    Cost(&'static str),
    /// The median latency of the deliveries in a cell.
    Latency(&'static str),
    /// How much more a delivery costs in the large cell than in the small one.
    Growth { large: &'static str, small: &'static str },
}

/// pregon's figure ÷ the other's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bar {
    pub measure: Measure,
    /// The server it is compared with.
    pub against: &'static str,
    pub ratio_max: f64,
}

/// A bar with its measured ratio.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    pub bar: Bar,
    pub server: String,
    pub ratio: Ratio,
    pub is_met: bool,
}

impl std::fmt::Display for Measure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cost(cell) => write!(out, "{cell}: CPU per delivery"),
            Self::Latency(cell) => write!(out, "{cell}: p50"),
            Self::Growth { large, small } => write!(out, "{large} against {small}"),
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bar, server, ratio, is_met } = self;
        let verdict = match is_met {
            true => "met",
            false if ratio.pairs < PAIRS_MIN => "undecided: fewer than 15 pairs",
            false => "MISSED",
        };
        write!(
            out,
            "{:34}{:28}{:>8.2}{:>22}  {verdict}",
            bar.measure.to_string(),
            format!("{server} ÷ {}", bar.against),
            bar.ratio_max,
            format!("{:.3} [{:.3}–{:.3}]", ratio.median, ratio.low, ratio.high),
        )
    }
}
