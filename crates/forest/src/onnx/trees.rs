//! `TreeEnsembleClassifier` and `TreeEnsembleRegressor` (ai.onnx.ml 1 to 3): parallel lists with an entry per
//! node, named by tree and node, and lists with an entry per leaf and output.

use std::collections::HashMap;
use std::ops::Range;

use super::ensemble::{Ensemble, Mode, Part, Split, Weight};
use super::graph::{Node, Reals};
use crate::error::ParseError;
use crate::{MAX_NODES, MAX_OUTPUTS};

/// The lists of nodes, all of one length.
struct Lists {
    trees: Vec<i64>,
    nodes: Vec<i64>,
    features: Vec<i64>,
    modes: Vec<Option<Mode>>,
    values: Reals,
    yes: Vec<i64>,
    no: Vec<i64>,
    /// Empty: false everywhere.
    missing_is_true: Vec<i64>,
}

/// Where each node of the file is.
struct Positions {
    trees: HashMap<i64, Range<usize>>,
    /// Nodes whose number is not their position in the tree.
    others: HashMap<(i64, i64), usize>,
    /// Whether a node's number is its position.
    in_place: Vec<bool>,
}

/// Reads the trees. `names` is `class` or `target`; `n_outputs` is the number of classes or targets.
pub(super) fn read(node: &Node<'_>, names: &str, n_outputs: usize) -> Result<Ensemble, ParseError> {
    let lists = Lists::read(node)?;
    let positions = Positions::of(&lists)?;
    let base = node.reals("base_values")?;
    let mut ensemble = Ensemble {
        trees: positions.in_order(&lists),
        base: base.iter().collect(),
        n_outputs,
        double: lists.values.is_double(),
        mean: match node.text("aggregate_function", "SUM")? {
            "SUM" => false,
            "AVERAGE" => true,
            other => return Err(ParseError::Unsupported(format!("onnx aggregate_function {other:?}"))),
        },
        ..Ensemble::default()
    };
    ensemble.parts.reserve(lists.nodes.len());
    for range in &ensemble.trees {
        ensemble.parts.extend(range.clone().map(|i| lists.part(i, range, &positions)));
    }
    read_weights(node, names, &positions, &mut ensemble)?;
    ensemble.sort_weights()?;
    ensemble.merge_chains()?;
    Ok(ensemble)
}

impl Lists {
    fn read(node: &Node<'_>) -> Result<Self, ParseError> {
        let mut modes = Vec::new();
        node.each_text("nodes_modes", |name| {
            modes.push(mode(name)?);
            Ok(())
        })?;
        let lists = Self {
            trees: node.integers("nodes_treeids")?,
            nodes: node.integers("nodes_nodeids")?,
            features: node.integers("nodes_featureids")?,
            modes,
            values: node.reals("nodes_values")?,
            yes: node.integers("nodes_truenodeids")?,
            no: node.integers("nodes_falsenodeids")?,
            missing_is_true: node.integers("nodes_missing_value_tracks_true")?,
        };
        let expected = lists.trees.len();
        if expected > MAX_NODES {
            return Err(ParseError::TooLarge { what: "nodes", value: expected, limit: MAX_NODES });
        }
        let missing = &lists.missing_is_true;
        for (member, len) in [
            ("nodes_nodeids", lists.nodes.len()),
            ("nodes_featureids", lists.features.len()),
            ("nodes_modes", lists.modes.len()),
            ("nodes_values", lists.values.len()),
            ("nodes_truenodeids", lists.yes.len()),
            ("nodes_falsenodeids", lists.no.len()),
            ("nodes_missing_value_tracks_true", if missing.is_empty() { expected } else { missing.len() }),
        ] {
            check_length(member, len, expected)?;
        }
        Ok(lists)
    }

    fn part(&self, i: usize, range: &Range<usize>, positions: &Positions) -> Part {
        let Some(mode) = self.modes[i] else {
            // Numbers that are no `u32` are positions instead.
            return Part::Leaf { id: u32::try_from(self.nodes[i]).unwrap_or(i as u32) };
        };
        let tree = self.trees[i];
        // A child that is nowhere is -1, which no tree has.
        let child = |number: i64| match positions.find_in(range, tree, number) {
            Some(at) => (at - range.start) as i64,
            None => -1,
        };
        Part::Split(Split {
            feature: self.features[i],
            mode,
            value: self.values.get(i).unwrap_or(f64::NAN),
            missing_is_true: self.missing_is_true.get(i) == Some(&1),
            yes: child(self.yes[i]),
            no: child(self.no[i]),
        })
    }
}

pub(super) fn check_length(member: &'static str, len: usize, expected: usize) -> Result<(), ParseError> {
    match len == expected {
        true => Ok(()),
        false => Err(ParseError::Member { member, reason: format!("{len} values, expected {expected}") }),
    }
}

/// `None` for a leaf.
fn mode(name: &str) -> Result<Option<Mode>, ParseError> {
    Ok(Some(match name {
        "LEAF" => return Ok(None),
        "BRANCH_LEQ" => Mode::AtMost,
        "BRANCH_LT" => Mode::Below,
        "BRANCH_GTE" => Mode::AtLeast,
        "BRANCH_GT" => Mode::Above,
        "BRANCH_EQ" => Mode::Equal,
        "BRANCH_NEQ" => Mode::NotEqual,
        other => return Err(ParseError::Unsupported(format!("onnx node mode {other:?}"))),
    }))
}

impl Positions {
    fn of(lists: &Lists) -> Result<Self, ParseError> {
        let mut positions = Self { trees: HashMap::new(), others: HashMap::new(), in_place: Vec::new() };
        let mut start = 0;
        for of_tree in lists.trees.chunk_by(|a, b| a == b) {
            let range = start..start + of_tree.len();
            start = range.end;
            let in_place = |i: usize| lists.nodes.get(i) == Some(&((i - range.start) as i64));
            positions.in_place.extend(range.clone().map(in_place));
            if positions.trees.insert(of_tree[0], range).is_some() {
                let reason = format!("the nodes of tree {} are not together", of_tree[0]);
                return Err(ParseError::Member { member: "nodes_treeids", reason });
            }
        }
        for (i, (&tree, &node)) in lists.trees.iter().zip(&lists.nodes).enumerate() {
            if !positions.in_place[i] && positions.find(tree, node).is_some() {
                let reason = format!("node {node} of tree {tree} is there twice");
                return Err(ParseError::Member { member: "nodes_nodeids", reason });
            }
            if !positions.in_place[i] {
                positions.others.insert((tree, node), i);
            }
        }
        Ok(positions)
    }

    fn in_order(&self, lists: &Lists) -> Vec<Range<usize>> {
        lists.trees.chunk_by(|a, b| a == b).filter_map(|tree| self.trees.get(&tree[0]).cloned()).collect()
    }

    fn find(&self, tree: i64, node: i64) -> Option<usize> {
        self.find_in(self.trees.get(&tree)?, tree, node)
    }

    /// As [`Positions::find`], where `range` is the tree's.
    fn find_in(&self, range: &Range<usize>, tree: i64, node: i64) -> Option<usize> {
        let in_place =
            usize::try_from(node).ok().filter(|&n| n < range.len() && self.in_place[range.start + n]);
        match in_place {
            Some(n) => Some(range.start + n),
            None => self.others.get(&(tree, node)).copied(),
        }
    }
}

fn read_weights(
    node: &Node<'_>,
    names: &str,
    positions: &Positions,
    ensemble: &mut Ensemble,
) -> Result<(), ParseError> {
    let trees = node.integers(&format!("{names}_treeids"))?;
    let nodes = node.integers(&format!("{names}_nodeids"))?;
    let outputs = node.integers(&format!("{names}_ids"))?;
    let weights = node.reals(&format!("{names}_weights"))?;
    check_length("weights' nodes", nodes.len(), trees.len())?;
    check_length("weights' outputs", outputs.len(), trees.len())?;
    check_length("weights", weights.len(), trees.len())?;
    ensemble.double |= weights.is_double();
    for (i, value) in weights.iter().enumerate() {
        let (tree, number) = (trees[i], nodes[i]);
        let member = |reason| ParseError::Member { member: "weights", reason };
        let part = positions
            .find(tree, number)
            .filter(|&at| matches!(ensemble.parts.get(at), Some(Part::Leaf { .. })))
            .ok_or_else(|| member(format!("tree {tree} has no leaf {number}")))?;
        if !value.is_finite() {
            return Err(member(format!("leaf {number} of tree {tree} is {value}")));
        }
        let output = output(outputs[i], ensemble.n_outputs)?;
        ensemble.weights.push(Weight { part, output, value });
    }
    Ok(())
}

/// Checks the number of an output.
pub(super) fn output(number: i64, n_outputs: usize) -> Result<usize, ParseError> {
    usize::try_from(number).ok().filter(|&n| n < n_outputs && n < MAX_OUTPUTS).ok_or_else(|| {
        ParseError::Member { member: "outputs", reason: format!("output {number} of {n_outputs}") }
    })
}
