//! The trees of any of ONNX's tree operators, and how they become the forest's.
//!
//! Sums: onnxruntime adds leaves in the order of the trees, from zero, in the type of the thresholds; divides
//! by the number of trees (`AVERAGE`), then adds the base value (`tree_ensemble_aggregator.h`).

use std::collections::HashMap;
use std::ops::Range;

use crate::error::{ParseError, TreeFault};
use crate::forest::{Aggregation, Forest, check_trees};
use crate::tree::{CategoryRule, Missing, Nodes, RawNode, less_than_for_at_most};

/// Categories are below this; all larger ones are the same `f32` as others.
pub(super) const MAX_CATEGORY: i64 = 1 << 24;
/// Values of vector leaves that are let through for any file, and per weight that the file has: leaves that
/// leave out most of many classes take more memory than the file.
const FREE_VALUES: usize = 1 << 20;
const VALUES_PER_WEIGHT: usize = 16;

/// When a row goes to the true branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    AtMost,
    Below,
    AtLeast,
    Above,
    Equal,
    NotEqual,
    /// The set's position in [`Nodes::sets`].
    Member(u32),
}

/// A node in the order of the file; children are positions in its tree.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Leaf {
        id: u32,
    },
    Split(Split),
    /// Became a part of another split, and is not reached.
    Merged,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    pub(super) feature: i64,
    pub(super) mode: Mode,
    pub(super) value: f64,
    pub(super) missing_is_true: bool,
    pub(super) yes: i64,
    pub(super) no: i64,
}

/// What a leaf adds to an output; several per leaf, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    /// Position of the leaf in [`Ensemble::parts`].
    pub(super) part: usize,
    pub(super) output: usize,
    pub(super) value: f64,
}

/// The trees as a file has them.
#[derive(Default)]
pub(super) struct Ensemble {
    pub(super) parts: Vec<Part>,
    /// Where each tree is in `parts`.
    pub(super) trees: Vec<Range<usize>>,
    /// By leaf.
    pub(super) weights: Vec<Weight>,
    pub(super) nodes: Nodes,
    /// One per output, or empty.
    pub(super) base: Vec<f64>,
    pub(super) n_outputs: usize,
    pub(super) mean: bool,
    /// Thresholds, weights and sums are `f64`.
    pub(super) double: bool,
}

impl Ensemble {
    /// Sorts the weights by leaf, and checks that no leaf has two for one output.
    pub(super) fn sort_weights(&mut self) -> Result<(), ParseError> {
        let key = |w: &Weight| (w.part, w.output);
        if !self.weights.is_sorted_by_key(key) {
            self.weights.sort_by_key(key);
        }
        match self.weights.windows(2).find(|pair| key(&pair[0]) == key(&pair[1])) {
            Some(pair) => {
                let reason = format!("a leaf has two weights for output {}", pair[0].output);
                Err(ParseError::Member { member: "weights", reason })
            }
            None => Ok(()),
        }
    }

    /// Forgets all outputs but one.
    pub(super) fn keep(&mut self, output: usize) {
        self.weights.retain(|weight| weight.output == output);
        self.weights.iter_mut().for_each(|weight| weight.output = 0);
        self.n_outputs = 1;
    }

    /// Whether every answer is in [0, 1], but for rounding.
    pub(super) fn is_probability(&self) -> bool {
        const ROUNDING: f64 = 1e-3;
        let mut greatest = self.base.iter().copied().fold(0.0, f64::max);
        let mut weights = self.weights.as_slice();
        for tree in &self.trees {
            let (of_tree, rest) = weights.split_at(weights.partition_point(|w| w.part < tree.end));
            let most = of_tree.iter().map(|w| w.value).fold(0.0, f64::max);
            greatest += if self.mean { most / self.trees.len() as f64 } else { most };
            weights = rest;
        }
        let least = self.weights.iter().map(|w| w.value).chain(self.base.iter().copied()).fold(0.0, f64::min);
        least >= 0.0 && greatest <= 1.0 + ROUNDING
    }

    /// Puts trees and aggregation into `forest`, whose other members are set. Weights are sorted.
    pub(super) fn into_forest(mut self, forest: &mut Forest) -> Result<(), ParseError> {
        check_trees(self.trees.len())?;
        forest.n_outputs = self.n_outputs;
        forest.aggregation = self.aggregation()?;
        let outputs = self.outputs_of_trees();
        if outputs.is_none() {
            self.check_vectors()?;
        }
        let trees = std::mem::take(&mut self.trees);
        let mut builder = Builder { nodes: std::mem::take(&mut self.nodes), equal: HashMap::new() };
        let (mut raw, mut first) = (Vec::new(), 0);
        let vectors = outputs.is_none();
        for (tree, range) in trees.into_iter().enumerate() {
            raw.clear();
            let mut merged = 0;
            for position in range.clone() {
                let after = self.weights[first..].iter().take_while(|w| w.part == position).count();
                let weights = &self.weights[first..first + after];
                first += after;
                merged += usize::from(matches!(self.parts[position], Part::Merged));
                let node = builder.node(&self.parts[position], weights, vectors.then_some(self.n_outputs));
                raw.push(node.map_err(|fault| ParseError::Tree {
                    tree,
                    node: position - range.start,
                    fault,
                })?);
            }
            builder.nodes.push_tree(&raw, &[], forest.n_features, merged)?;
        }
        forest.trees = builder.nodes;
        forest.tree_outputs = outputs.unwrap_or_default();
        Ok(())
    }

    fn aggregation(&self) -> Result<Aggregation, ParseError> {
        let n = self.n_outputs;
        if !self.base.is_empty() && self.base.len() != n {
            let reason = format!("{} values for {n} outputs", self.base.len());
            return Err(ParseError::Member { member: "base_values", reason });
        }
        if let Some(value) = self.base.iter().find(|v| !v.is_finite()) {
            return Err(ParseError::Member { member: "base_values", reason: format!("a value is {value}") });
        }
        let start = vec![0.0; n];
        Ok(match (self.double, self.mean) {
            (false, mean) => {
                let mut base: Vec<f32> = self.base.iter().map(|&b| b as f32).collect();
                base.resize(n, 0.0);
                Aggregation::SumF32 { base, tree_weights: None, base_last: true, mean }
            }
            (true, true) if self.base.is_empty() => Aggregation::Mean,
            (true, mean) => {
                let scale = if mean { 1.0 / self.trees.len() as f64 } else { 1.0 };
                Aggregation::SumF64 { start, scale, bias: self.base.clone(), averaged: false }
            }
        })
    }

    /// The output of each tree (empty for a single output); `None` when leaves must be vectors.
    fn outputs_of_trees(&self) -> Option<Vec<u16>> {
        if self.n_outputs == 1 {
            return Some(Vec::new());
        }
        if self.mean {
            // The sum of an output is divided by the number of all trees.
            return None;
        }
        let mut weights = self.weights.as_slice();
        let mut outputs = Vec::with_capacity(self.trees.len());
        for tree in &self.trees {
            let (of_tree, rest) = weights.split_at(weights.partition_point(|w| w.part < tree.end));
            let output = of_tree.first().map_or(0, |w| w.output);
            if of_tree.iter().any(|w| w.output != output) {
                return None;
            }
            outputs.push(output as u16);
            weights = rest;
        }
        Some(outputs)
    }

    fn check_vectors(&self) -> Result<(), ParseError> {
        let leaves = self.parts.iter().filter(|part| matches!(part, Part::Leaf { .. })).count();
        let (value, limit) =
            (leaves.saturating_mul(self.n_outputs), FREE_VALUES + VALUES_PER_WEIGHT * self.weights.len());
        match value > limit {
            true => Err(ParseError::TooLarge { what: "values of leaves", value, limit }),
            false => Ok(()),
        }
    }
}

/// Makes splits, and sets of one category only once.
struct Builder {
    nodes: Nodes,
    equal: HashMap<i64, u32>,
}

impl Builder {
    /// A node with a leaf's weights; `vector` is the length of leaves that are vectors.
    fn node(&mut self, part: &Part, weights: &[Weight], vector: Option<usize>) -> Result<RawNode, TreeFault> {
        match (*part, vector) {
            (Part::Split(split), _) => self.split(&split),
            (Part::Merged, _) => Ok(RawNode::Leaf { value: 0.0, id: 0 }),
            (Part::Leaf { id }, None) => {
                Ok(RawNode::Leaf { value: weights.first().map_or(0.0, |w| w.value), id })
            }
            (Part::Leaf { id }, Some(n_outputs)) => {
                let mut values = vec![0.0; n_outputs];
                weights.iter().for_each(|w| values[w.output] = w.value);
                Ok(RawNode::Vector { at: self.nodes.push_vector(&values)?, id })
            }
        }
    }

    fn split(&mut self, split: &Split) -> Result<RawNode, TreeFault> {
        let Split { feature, value, missing_is_true, yes, no, .. } = *split;
        let numeric = |threshold, left, right| {
            // The true branch is the left one, or the right one.
            let missing_left = missing_is_true == (left == yes);
            let missing = if missing_left { Missing::Left } else { Missing::Right };
            RawNode::Numeric { feature, missing, threshold, left, right }
        };
        Ok(match split.mode {
            Mode::AtMost => numeric(less_than_for_at_most(value)?, yes, no),
            Mode::Below => numeric(less_than_for_below(value)?, yes, no),
            Mode::AtLeast => numeric(less_than_for_below(value)?, no, yes),
            Mode::Above => numeric(less_than_for_at_most(value)?, no, yes),
            Mode::Equal => {
                let (set, rule) = (self.set_of(value)?, member_rule(missing_is_true));
                RawNode::Categorical { feature, rule, set, left: yes, right: no }
            }
            // `NaN` is not equal to anything.
            Mode::NotEqual => {
                let (set, rule) = (self.set_of(value)?, CategoryRule::MemberRight);
                RawNode::Categorical { feature, rule, set, left: yes, right: no }
            }
            Mode::Member(set) => {
                let rule = member_rule(missing_is_true);
                RawNode::Categorical { feature, rule, set, left: yes, right: no }
            }
        })
    }

    fn set_of(&mut self, value: f64) -> Result<u32, TreeFault> {
        let category = category(value).map_err(TreeFault::Categories)?;
        if let Some(&set) = self.equal.get(&category) {
            return Ok(set);
        }
        let set =
            self.nodes.push_set(std::iter::once(category), MAX_CATEGORY).map_err(TreeFault::Categories)?;
        self.equal.insert(category, set);
        Ok(set)
    }
}

fn member_rule(missing_is_true: bool) -> CategoryRule {
    if missing_is_true { CategoryRule::MemberOrMissingLeft } else { CategoryRule::MemberLeft }
}

/// A value that is compared for equality.
pub(super) fn category(value: f64) -> Result<i64, String> {
    match value.trunc() == value && (0.0..MAX_CATEGORY as f64).contains(&value) {
        true => Ok(value as i64),
        false => Err(format!("equality with {value}, must be whole and in [0, {MAX_CATEGORY})")),
    }
}

/// The `f32` threshold `u` for which `x < u` says the same as `f64(x) < t`, for every `f32` x.
fn less_than_for_below(t: f64) -> Result<f32, TreeFault> {
    if t.is_nan() {
        return Err(TreeFault::Value { what: "threshold", value: t });
    }
    let nearest = t as f32;
    Ok(if f64::from(nearest) < t { nearest.next_up() } else { nearest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_threshold_says_the_same_in_f32() {
        let thresholds =
            [0.0, -0.0, 0.1, -0.1, 1.0, 1e-46, -1e-46, 1e300, -1e300, f64::INFINITY, f64::NEG_INFINITY, 3e38];
        for t in thresholds {
            let u = less_than_for_below(t).unwrap();
            let near = t as f32;
            let xs = [near, near.next_up(), near.next_down(), 0.0, -0.0, 1e-45, f32::MAX, f32::MIN];
            for x in xs.into_iter().chain([f32::INFINITY, f32::NEG_INFINITY]) {
                assert_eq!(x < u, f64::from(x) < t, "x = {x:e}, t = {t:e}, u = {u:e}");
            }
        }
        assert!(less_than_for_below(f64::NAN).is_err());
    }
}
