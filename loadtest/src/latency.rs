//! Latencies as reports show them, and medians.

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
    /// `None` without values: a latency of 0 would look very good.
    pub fn of(ns: &Histogram<u64>) -> Option<Self> {
        let ms = |value: u64| value as f64 / 1e6;
        (!ns.is_empty()).then(|| Self {
            p50: ms(ns.value_at_quantile(0.5)),
            p90: ms(ns.value_at_quantile(0.9)),
            p99: ms(ns.value_at_quantile(0.99)),
            max: ms(ns.max()),
        })
    }

    /// The median of each figure over those that were measured.
    pub fn median(all: impl Iterator<Item = Option<Self>>) -> Option<Self> {
        let all: Vec<Self> = all.flatten().collect();
        let part = |part: fn(&Self) -> f64| median(all.iter().map(part).collect());
        Some(Self {
            p50: part(|latency| latency.p50)?,
            p90: part(|latency| latency.p90)?,
            p99: part(|latency| latency.p99)?,
            max: part(|latency| latency.max)?,
        })
    }

    /// The four columns of a table; dashes if nothing was measured.
    pub fn columns(latency: Option<&Self>) -> String {
        latency.map_or_else(|| format!("{0:>8} {0:>8} {0:>8} {0:>8}", "-"), ToString::to_string)
    }
}

impl Display for Latency {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { p50, p90, p99, max } = self;
        write!(out, "{p50:8.2} {p90:8.2} {p99:8.2} {max:8.2}")
    }
}

/// The middle value; the mean of the two in the middle for an even number.
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
    fn what_was_not_measured_is_no_latency() {
        let mut ns = Histogram::<u64>::new(2).expect("a histogram");
        assert!(Latency::of(&ns).is_none());
        assert_eq!(Latency::columns(None), "       -        -        -        -");
        ns.record(1_000_000).expect("in range");
        let one = Latency::of(&ns);
        assert_eq!(Latency::columns(one.as_ref()).len(), Latency::columns(None).len());
        assert_eq!(Latency::median([None, one, None].into_iter()).map(|latency| latency.p50), one.map(|one| one.p50));
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
