//! From what either format holds to a forest.

use std::collections::HashMap;
use std::rc::Rc;

use serde::Deserialize;

use super::codes::{Codes, MAX_CODES};
use crate::engine::Prepared;
use crate::error::{ParseError, TreeFault};
use crate::forest::{Aggregation, Forest, check_features, check_outputs, check_trees};
use crate::link::Link;
use crate::tree::{CategoryRule, Missing, Nodes, RawNode};

/// Most borders of an oblivious tree, as in CatBoost.
const MAX_OBLIVIOUS_DEPTH: usize = 16;

/// What becomes of `NaN` before it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) enum NanTreatment {
    /// It is above no border.
    #[default]
    #[serde(rename = "AsIs")]
    Nothing,
    /// It becomes minus infinity.
    #[serde(rename = "AsFalse")]
    Least,
    /// It becomes plus infinity.
    #[serde(rename = "AsTrue")]
    Greatest,
}

/// What a tree names by number.
#[derive(Debug, Clone)]
pub(super) enum Border {
    Float {
        /// Position in the row.
        flat_index: u16,
        border: f32,
        nan: NanTreatment,
    },
    /// A value of a categorical feature.
    OneHot {
        /// Position in the row.
        flat_index: u16,
        hash: u32,
        /// Of the feature.
        name: Rc<str>,
    },
    /// Not evaluated; what it is, for the refusal.
    Unsupported(Rc<str>),
}

/// The features of a row, and the borders that trees name by number.
#[derive(Debug, Default)]
pub(super) struct Features {
    /// By flat index: the feature's name, which may be empty.
    names: Vec<Option<String>>,
    pub(super) borders: Vec<Border>,
}

impl Features {
    /// Adds a feature of the row.
    pub(super) fn push(&mut self, flat_index: i64, name: &str) -> Result<u16, ParseError> {
        let count = check_features("flat_feature_index", flat_index.saturating_add(1), None)?;
        if self.names.len() < count {
            self.names.resize(count, None);
        }
        if self.names[count - 1].replace(name.to_owned()).is_some() {
            let reason = format!("{flat_index} is that of two features");
            return Err(ParseError::Member { member: "flat_feature_index", reason });
        }
        // MAX_FEATURES fits.
        Ok((count - 1) as u16)
    }

    /// Adds the borders of a feature of numbers.
    pub(super) fn push_borders(&mut self, flat_index: u16, borders: &[f32], nan: NanTreatment) {
        self.borders.extend(borders.iter().map(|&border| Border::Float { flat_index, border, nan }));
    }

    /// Adds values of a categorical feature, by their hashes.
    pub(super) fn push_values(&mut self, flat_index: u16, name: &str, hashes: impl Iterator<Item = u32>) {
        let name: Rc<str> = name.chars().take(40).collect::<String>().into();
        self.borders.extend(hashes.map(|hash| Border::OneHot { flat_index, hash, name: Rc::clone(&name) }));
    }

    /// Adds borders that are not evaluated.
    pub(super) fn push_unsupported(&mut self, what: &str, count: usize) {
        let what: Rc<str> = what.into();
        self.borders.extend((0..count).map(|_| Border::Unsupported(Rc::clone(&what))));
    }

    /// The number of features, and their names unless none has one.
    fn finish(self) -> Result<(usize, Option<Vec<String>>), ParseError> {
        let n = check_features("features_info", self.names.len() as i64, None)?;
        if self.names.iter().all(|name| name.as_ref().is_none_or(String::is_empty)) {
            return Ok((n, None));
        }
        let name = |(i, name): (usize, Option<String>)| match name {
            Some(name) if !name.is_empty() => name,
            // As CatBoost names a feature without a name.
            _ => i.to_string(),
        };
        Ok((n, Some(self.names.into_iter().enumerate().map(name).collect())))
    }
}

/// What a leaf of a tree that is not oblivious holds.
pub(super) struct Leaf<'a> {
    pub(super) values: &'a [f64],
    pub(super) weight: Option<f64>,
    pub(super) id: u32,
}

/// The trees, one after the other.
pub(super) struct Builder {
    features: Features,
    n_outputs: usize,
    nodes: Nodes,
    /// The present tree.
    raw: Vec<RawNode>,
    /// Covers of the present tree's nodes; NaN where they are not known.
    covers: Vec<f64>,
    /// Made when a tree first needs them.
    codes: Option<Codes>,
    /// The set of codes of each hash that a tree has asked for.
    sets: HashMap<u32, u32>,
}

impl Builder {
    pub(super) fn new(features: Features, n_outputs: usize) -> Result<Self, ParseError> {
        check_outputs(n_outputs)?;
        Ok(Self {
            features,
            n_outputs,
            nodes: Nodes::default(),
            raw: Vec::new(),
            covers: Vec::new(),
            codes: None,
            sets: HashMap::new(),
        })
    }

    /// Number of the tree that comes next.
    pub(super) fn tree(&self) -> usize {
        self.nodes.roots.len()
    }

    pub(super) fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    pub(super) fn border(&self, number: i64) -> Option<&Border> {
        self.features.borders.get(usize::try_from(number).ok()?)
    }

    /// Adds an oblivious tree: numbers of its borders, `2^depth x n_outputs` values, and no weights or one per leaf.
    pub(super) fn push_oblivious(
        &mut self,
        borders: &[i64],
        values: &[f64],
        weights: &[f64],
    ) -> Result<(), ParseError> {
        let (tree, depth) = (self.tree(), borders.len());
        if depth > MAX_OBLIVIOUS_DEPTH {
            return Err(at(tree, 0, TreeFault::TooDeep { limit: MAX_OBLIVIOUS_DEPTH }));
        }
        let n_leaves = 1 << depth;
        check_length(tree, "leaf_values", values.len(), n_leaves * self.n_outputs)?;
        if !weights.is_empty() {
            check_length(tree, "leaf_weights", weights.len(), n_leaves)?;
        }
        // Breadth first: the children of node k are 2k + 1 and 2k + 2.
        for level in 0..depth {
            let first = (1_i64 << level) - 1;
            for node in first..2 * first + 1 {
                self.push_split(borders[depth - 1 - level], 2 * node + 1, 2 * node + 2)?;
            }
        }
        for (id, values) in (0..).zip(values.chunks_exact(self.n_outputs)) {
            self.push_leaf(&Leaf { values, weight: weights.get(id as usize).copied(), id })?;
        }
        self.finish_tree()
    }

    /// Adds a split to the present tree, by its border's number.
    pub(super) fn push_split(&mut self, number: i64, left: i64, right: i64) -> Result<(), ParseError> {
        let (tree, node) = (self.tree(), self.raw.len());
        let count = self.features.borders.len();
        match self.border(number) {
            Some(&Border::Float { flat_index, border, nan }) => {
                let (missing, threshold) =
                    walking_form(border, nan).map_err(|fault| at(tree, node, fault))?;
                let feature = i64::from(flat_index);
                self.raw.push(RawNode::Numeric { feature, missing, threshold, left, right });
            }
            Some(Border::OneHot { flat_index, hash, name }) => {
                let (feature, hash, name) = (i64::from(*flat_index), *hash, Rc::clone(name));
                let set = self.set_of(feature, hash, &name)?;
                let rule = CategoryRule::XgboostMissingLeft;
                self.raw.push(RawNode::Categorical { feature, rule, set, left, right });
            }
            Some(Border::Unsupported(what)) => return Err(ParseError::Unsupported(what.to_string())),
            None => {
                let reason = format!("{number} in tree {tree}, the model has {count} borders");
                return Err(ParseError::Member { member: "split_index", reason });
            }
        }
        self.covers.push(f64::NAN);
        Ok(())
    }

    /// The set of the codes that have a hash.
    fn set_of(&mut self, feature: i64, hash: u32, name: &str) -> Result<u32, ParseError> {
        if let Some(&set) = self.sets.get(&hash) {
            return Ok(set);
        }
        let codes = self.codes.get_or_insert_with(Codes::new);
        if codes.with_hash(hash).next().is_none() {
            return Err(ParseError::Unsupported(format!(
                "catboost one-hot split on categorical feature {feature} ({name:?}), whose value of hash {} is not \
                 a whole number below {MAX_CODES},",
                hash as i32
            )));
        }
        let set = self.nodes.push_set(codes.with_hash(hash), i64::from(MAX_CODES));
        let (tree, node) = (self.tree(), self.raw.len());
        let set = set.map_err(|reason| at(tree, node, TreeFault::Categories(reason)))?;
        self.sets.insert(hash, set);
        Ok(set)
    }

    /// Adds a leaf to the present tree.
    pub(super) fn push_leaf(&mut self, leaf: &Leaf<'_>) -> Result<(), ParseError> {
        let (tree, node) = (self.tree(), self.raw.len());
        check_length(tree, "leaf_values", leaf.values.len(), self.n_outputs)?;
        self.raw.push(match *leaf.values {
            [value] => RawNode::Leaf { value, id: leaf.id },
            _ => {
                let at_value = self.nodes.push_vector(leaf.values).map_err(|fault| at(tree, node, fault))?;
                RawNode::Vector { at: at_value, id: leaf.id }
            }
        });
        self.covers.push(leaf.weight.unwrap_or(f64::NAN));
        Ok(())
    }

    /// The number of the next node of the present tree.
    pub(super) fn next_node(&self) -> usize {
        self.raw.len()
    }

    /// Points a split at its right child.
    pub(super) fn set_right(&mut self, node: usize, child: i64) {
        if let Some(RawNode::Numeric { right, .. } | RawNode::Categorical { right, .. }) =
            self.raw.get_mut(node)
        {
            *right = child;
        }
    }

    /// Checks the present tree, whose children stand behind their parents, and appends it.
    pub(super) fn finish_tree(&mut self) -> Result<(), ParseError> {
        check_trees(self.tree() + 1)?;
        for node in (0..self.raw.len()).rev() {
            if let RawNode::Numeric { left, right, .. } | RawNode::Categorical { left, right, .. } =
                self.raw[node]
            {
                let cover = |child: i64| {
                    let child = usize::try_from(child).ok().filter(|&child| child > node);
                    child.and_then(|child| self.covers.get(child)).copied().unwrap_or(f64::NAN)
                };
                self.covers[node] = cover(left) + cover(right);
            }
        }
        let known = self.covers.iter().all(|cover| !cover.is_nan());
        let covers = if known { &self.covers[..] } else { &[] };
        self.nodes.push_tree(&self.raw, covers, self.features.names.len(), 0)?;
        self.raw.clear();
        self.covers.clear();
        Ok(())
    }

    /// The forest: raw value = sum x `scale` + `bias`, which is empty or one per output.
    pub(super) fn finish(
        mut self,
        (objective, link): (String, Link),
        scale: f64,
        bias: Vec<f64>,
    ) -> Result<Forest, ParseError> {
        check_trees(self.tree())?;
        let n_outputs = self.n_outputs;
        let member = "scale_and_bias";
        if let Some(value) = bias.iter().chain([&scale]).find(|value| !value.is_finite()) {
            return Err(ParseError::Member { member, reason: format!("{value} is not finite") });
        }
        if !bias.is_empty() && bias.len() != n_outputs {
            let reason = format!("{} biases for {n_outputs} outputs", bias.len());
            return Err(ParseError::Member { member, reason });
        }
        let bias = if bias.iter().all(|&b| b == 0.0) { Vec::new() } else { bias };
        let (n_features, feature_names) = self.features.finish()?;
        self.nodes.drop_partial_covers();
        Ok(Forest {
            n_features,
            feature_names,
            objective,
            n_outputs,
            link,
            aggregation: Aggregation::SumF64 { start: vec![0.0; n_outputs], scale, bias, averaged: false },
            input: Vec::new(),
            trees: self.nodes,
            tree_outputs: Vec::new(),
            linear: None,
            prepared: Prepared::default(),
        })
    }
}

fn at(tree: usize, node: usize, fault: TreeFault) -> ParseError {
    ParseError::Tree { tree, node, fault }
}

fn check_length(tree: usize, array: &'static str, len: usize, expected: usize) -> Result<(), ParseError> {
    if len == expected { Ok(()) } else { Err(ParseError::Length { tree, array, len, expected }) }
}

/// `x > border` goes right: `x < threshold` goes left, for the `f32` above the border; `NaN` (every present value goes
/// left) for plus infinity, which nothing is above.
fn walking_form(border: f32, nan: NanTreatment) -> Result<(Missing, f32), TreeFault> {
    if border.is_nan() {
        return Err(TreeFault::Value { what: "border", value: f64::from(border) });
    }
    let above = border < f32::INFINITY;
    let missing = if above && nan == NanTreatment::Greatest { Missing::Right } else { Missing::Left };
    Ok((missing, if above { border.next_up() } else { f32::NAN }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_say_the_same_in_walking_form() {
        let interesting =
            [0.0, -0.0, 1.5, -1.5, 1e-45, -1e-45, f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY];
        for border in interesting {
            for nan in [NanTreatment::Nothing, NanTreatment::Least, NanTreatment::Greatest] {
                let (missing, threshold) = walking_form(border, nan).unwrap();
                for near in interesting {
                    for x in [near, near.next_up(), near.next_down()] {
                        let goes_left = threshold.is_nan() || x < threshold;
                        assert_eq!(goes_left, x <= border, "x = {x:e}, border = {border:e}");
                    }
                }
                let stands_for = match nan {
                    NanTreatment::Nothing => f32::NAN,
                    NanTreatment::Least => f32::NEG_INFINITY,
                    NanTreatment::Greatest => f32::INFINITY,
                };
                let goes_right = stands_for > border;
                assert_eq!(missing == Missing::Right, goes_right, "{nan:?}, border = {border:e}");
            }
        }
        assert!(walking_form(f32::NAN, NanTreatment::Nothing).is_err());
    }
}
