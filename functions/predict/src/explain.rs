//! A forest's margin taken apart, as a prediction carries it: `base + Σ top + rest = margin`.
//!
//! Contributions are `f64`, and what is carried `f32`: the rest is what is left of the margin after the numbers that are
//! carried, so that the sum holds however they were rounded. A contribution or a margin that is not finite (leaves
//! whose sum overflows) explains nothing.

use tribunal_core::message::{Explanation, MAX_EXPLAINED};

use crate::part::{ABSENT, narrow};

/// Of a forest: `values` are the contributions of the features, `positions` where the batch has them.
pub(crate) fn of_trees(
    base: f64,
    base_probability: f64,
    margin: f64,
    values: &[f64],
    positions: &[usize],
) -> Option<Explanation> {
    if ![base, base_probability, margin].iter().chain(values).all(|number| number.is_finite()) {
        return None;
    }
    let mut parts: Vec<(u32, f64)> = positions
        .iter()
        .zip(values)
        .filter(|(position, value)| **position != ABSENT && **value != 0.0)
        .filter_map(|(&position, &value)| Some((u32::try_from(position).ok()?, value)))
        .collect();
    // Stable: of equally strong ones the first of the model comes first, so that a score can be repeated.
    parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    parts.truncate(MAX_EXPLAINED);
    let top: Vec<(u32, f32)> = parts.into_iter().map(|(position, value)| (position, narrow(value))).collect();
    let rest = left(base, margin, top.iter().map(|&(_, value)| value));
    Some(Explanation {
        base: narrow(base),
        base_probability: narrow(base_probability),
        margin: narrow(margin),
        top,
        rest,
        grams: Vec::new(),
    })
}

/// What the carried numbers leave of the margin.
fn left(base: f64, margin: f64, told: impl Iterator<Item = f32>) -> f32 {
    let told: f64 = told.map(f64::from).sum();
    narrow(f64::from(narrow(margin)) - f64::from(narrow(base)) - told)
}
