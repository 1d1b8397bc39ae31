//! The certainty of a ratio: medians and the bootstrap interval of paired measurements.

use serde::Serialize;

use crate::latency::median;

const RESAMPLES: usize = 4000;
/// The share outside the interval at each end: 90 % lie inside.
const TAIL: f64 = 0.05;
/// Fixed, so that the same measurements always give the same interval.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The ratios of the rounds in which both have a figure.
pub fn paired(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Vec<f64> {
    let both = ours.iter().zip(theirs).filter_map(|(ours, theirs)| Some((*ours)? / (*theirs)?));
    both.filter(|ratio| ratio.is_finite()).collect()
}

/// The median of paired ratios with its 90 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    pub pairs: usize,
}

/// The distribution of a set of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// `None` if there are no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        Some(Self {
            median: median(values.to_vec())?,
            least: values.iter().copied().reduce(f64::min)?,
            most: values.iter().copied().reduce(f64::max)?,
        })
    }
}

impl Ratio {
    /// The percentile bootstrap of the median: 4000 times, as many ratios as there are are drawn with replacement.
    /// `None` if there are no ratios.
    pub fn of(ratios: &[f64]) -> Option<Self> {
        let middle = median(ratios.to_vec())?;
        let mut state = SEED;
        let mut medians: Vec<f64> = (0..RESAMPLES)
            .filter_map(|_| median(ratios.iter().map(|_| ratios[draw(&mut state, ratios.len())]).collect()))
            .collect();
        medians.sort_by(f64::total_cmp);
        let at = |share: f64| medians[((medians.len() - 1) as f64 * share).round() as usize];
        Some(Self { median: middle, low: at(TAIL), high: at(1.0 - TAIL), pairs: ratios.len() })
    }
}

/// SplitMix64, reduced to `0..below`; the bias of the reduction is below 2⁻⁵⁰ here.
fn draw(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed % below as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ratios_have_no_spread() {
        let ratio = Ratio::of(&[0.9; 15]).expect("ratios");
        assert_eq!((ratio.low, ratio.median, ratio.high, ratio.pairs), (0.9, 0.9, 0.9, 15));
        assert_eq!(Ratio::of(&[]), None);
    }

    #[test]
    fn the_interval_is_that_of_order_statistics() {
        // Of 15 values the median lies between the 5th and the 11th with 88 % certainty and between the 4th and the
        // 12th with 96 %, so the bootstrap's ends must lie there.
        let values: Vec<f64> = (1..=15).map(f64::from).collect();
        let ratio = Ratio::of(&values).expect("ratios");
        assert_eq!(ratio.median, 8.0);
        assert!((4.0..=6.0).contains(&ratio.low), "{ratio:?}");
        assert!((10.0..=12.0).contains(&ratio.high), "{ratio:?}");
        assert_eq!(Ratio::of(&values), Some(ratio));
    }

    #[test]
    fn one_wild_pair_moves_neither_median_nor_interval_far() {
        let mut values = vec![1.0, 1.01, 0.99, 1.02, 0.98, 1.0, 1.01, 0.99, 1.0, 1.0, 1.01, 0.99, 1.0, 1.02];
        values.push(40.0);
        let ratio = Ratio::of(&values).expect("ratios");
        assert!(ratio.median <= 1.01 && ratio.high < 1.03, "{ratio:?}");
    }

    #[test]
    fn every_value_is_drawn_about_equally_often() {
        let mut state = SEED;
        let mut counts = [0; 15];
        (0..15_000).for_each(|_| counts[draw(&mut state, 15)] += 1);
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
