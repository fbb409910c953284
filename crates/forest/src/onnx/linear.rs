//! `LinearClassifier` and `LinearRegressor`: a matrix product in `f32`.

use super::graph::Node;
use crate::error::ParseError;
use crate::forest::{Aggregation, Forest};
use crate::linear::Linear;

/// Puts the linear part into `forest`. The file has weights output by output; `keep` is the only output that
/// counts.
pub(super) fn into_forest(
    node: &Node<'_>,
    keep: Option<usize>,
    n_outputs: usize,
    forest: &mut Forest,
) -> Result<(), ParseError> {
    let weights = node.floats("coefficients")?;
    let mut start = node.floats("intercepts")?;
    let member = |member, reason| ParseError::Member { member, reason };
    if start.is_empty() {
        start.resize(n_outputs, 0.0);
    }
    let n_features = forest.n_features;
    for (name, values, expected) in
        [("coefficients", &weights, n_outputs.saturating_mul(n_features)), ("intercepts", &start, n_outputs)]
    {
        if values.len() != expected {
            return Err(member(name, format!("{} values, expected {expected}", values.len())));
        }
        if let Some(value) = values.iter().find(|v| !v.is_finite()) {
            return Err(member(name, format!("a value is {value}")));
        }
    }
    let outputs = keep.map_or(0..n_outputs, |output| output..output + 1);
    let weight = |feature: usize, output: usize| f64::from(weights[output * n_features + feature]);
    forest.linear = Some(Linear {
        weights: (0..n_features * outputs.len())
            .map(|i| weight(i / outputs.len(), outputs.start + i % outputs.len()))
            .collect(),
        start: outputs.clone().map(|output| f64::from(start[output])).collect(),
        single: true,
    });
    forest.n_outputs = outputs.len();
    let base = vec![0.0; forest.n_outputs];
    forest.aggregation = Aggregation::SumF32 { base, tree_weights: None, base_last: true, mean: false };
    Ok(())
}
