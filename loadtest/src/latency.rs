//! Latencies as a report shows them, and medians.

use std::fmt::{Display, Formatter};

use hdrhistogram::Histogram;
use serde::Serialize;

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

/// The middle value; of an even number the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
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
