//! Several measurements of one thing.

use std::time::Duration;

use serde::Serialize;

/// Median, 95th percentile (nearest rank) and extremes of several runs.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    /// How many runs.
    pub(crate) runs: usize,
    pub(crate) median: f64,
    pub(crate) p95: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    /// Of values in any order; all zero when there are none.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let rank = (share * values.len() as f64).ceil() as usize;
            values.get(rank.saturating_sub(1)).copied().map_or(0.0, rounded)
        };
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => 0.0,
            n if n % 2 == 1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        Self { runs: values.len(), median: rounded(median), p95: at(0.95), least: at(0.0), greatest: at(1.0) }
    }
}

/// Milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Four significant digits: more would be noise.
pub(crate) fn rounded(x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let scale = 10_f64.powi(3 - x.log10().floor() as i32);
    (x * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_and_percentile_by_nearest_rank() {
        let spread = Spread::of((1..=20).rev().map(f64::from).collect());
        assert_eq!((spread.runs, spread.median, spread.p95), (20, 10.5, 19.0));
        assert_eq!((spread.least, spread.greatest), (1.0, 20.0));
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]).median, 2.0);
        assert_eq!(Spread::of(Vec::new()).runs, 0);
        assert_eq!(rounded(123_456.0), 123_500.0);
    }
}
