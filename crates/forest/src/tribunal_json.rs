//! Averaged trees in JSON: the format of `crates/forest/FORMAT.md`, which `training/export_forest.py` writes
//! from scikit-learn's forests.
//!
//! A split says `f64(x) <= threshold`, and `NaN` goes by `missing_go_to_left`; a leaf holds the probability
//! of class 1; the forest's answer is the mean over trees.

use serde::Deserialize;

use crate::Format;
use crate::engine::Prepared;
use crate::error::{ParseError, TreeFault};
use crate::forest::{Aggregation, Forest, check_features, check_trees};
use crate::link::Link;
use crate::tree::{Missing, Nodes, RawNode, less_than_for_at_most};

/// Greatest value of a leaf. scikit-learn divides sums of sample weights that were added in different orders,
/// so that a pure leaf may lie a rounding error above 1.
const MAX_LEAF: f64 = 1.0 + 1e-9;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    aggregation: String,
    n_features: i64,
    #[serde(default)]
    feature_names: Option<Vec<String>>,
    trees: Vec<Tree>,
    /// Where the model comes from; for people.
    #[serde(default, rename = "source")]
    _source: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tree {
    children_left: Vec<i32>,
    children_right: Vec<i32>,
    feature: Vec<i32>,
    /// `null`: every present value goes left.
    threshold: Vec<Option<f64>>,
    missing_go_to_left: Vec<u8>,
    value: Vec<f64>,
    #[serde(default)]
    cover: Vec<f64>,
}

pub(crate) fn from_json(bytes: &[u8]) -> Result<Forest, ParseError> {
    let file: File = serde_json::from_slice(bytes)
        .map_err(|source| ParseError::Json { format: Format::TribunalForest, source })?;
    if file.format != "tribunal-forest" {
        let reason = format!("{:?}, must be \"tribunal-forest\"", clip(&file.format));
        return Err(ParseError::Member { member: "format", reason });
    }
    if file.version != 1 {
        let reason = format!("{}, this build reads 1", file.version);
        return Err(ParseError::Member { member: "version", reason });
    }
    if file.aggregation != "mean" {
        return Err(ParseError::Unsupported(format!("aggregation {:?}", clip(&file.aggregation))));
    }
    let n_features = check_features("n_features", file.n_features, file.feature_names.as_deref())?;
    check_trees(file.trees.len())?;
    let mut trees = Nodes::default();
    let mut raw = Vec::new();
    for (index, tree) in file.trees.iter().enumerate() {
        push_tree(&mut trees, &mut raw, index, tree, n_features)?;
    }
    trees.drop_partial_covers();
    Ok(Forest {
        n_features,
        feature_names: file.feature_names,
        objective: file.aggregation,
        link: Link::Probability,
        aggregation: Aggregation::Mean,
        n_outputs: 1,
        input: Vec::new(),
        trees,
        tree_outputs: Vec::new(),
        linear: None,
        prepared: Prepared::default(),
    })
}

fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

fn push_tree(
    trees: &mut Nodes,
    raw: &mut Vec<RawNode>,
    index: usize,
    tree: &Tree,
    n_features: usize,
) -> Result<(), ParseError> {
    let expected = tree.children_left.len();
    let lengths = [
        ("children_right", tree.children_right.len()),
        ("feature", tree.feature.len()),
        ("threshold", tree.threshold.len()),
        ("missing_go_to_left", tree.missing_go_to_left.len()),
        ("value", tree.value.len()),
        // Optional: contributions need it, predictions do not.
        ("cover", if tree.cover.is_empty() { expected } else { tree.cover.len() }),
    ];
    if let Some(&(array, len)) = lengths.iter().find(|l| l.1 != expected) {
        return Err(ParseError::Length { tree: index, array, len, expected });
    }
    raw.clear();
    for node in 0..expected {
        let at = |fault| ParseError::Tree { tree: index, node, fault };
        raw.push(raw_node(tree, node).map_err(at)?);
    }
    trees.push_tree(raw, &tree.cover, n_features, 0)
}

fn raw_node(tree: &Tree, node: usize) -> Result<RawNode, TreeFault> {
    let (left, right) = (i64::from(tree.children_left[node]), i64::from(tree.children_right[node]));
    if left == -1 && right == -1 {
        let value = tree.value[node];
        return match (0.0..=MAX_LEAF).contains(&value) {
            true => Ok(RawNode::Leaf { value, id: node as u32 }),
            false => Err(TreeFault::Value { what: "probability of a leaf", value }),
        };
    }
    let missing = match tree.missing_go_to_left[node] {
        0 => Missing::Right,
        1 => Missing::Left,
        other => return Err(TreeFault::Value { what: "missing_go_to_left", value: f64::from(other) }),
    };
    let threshold = less_than_for_at_most(tree.threshold[node].unwrap_or(f64::INFINITY))?;
    Ok(RawNode::Numeric { feature: i64::from(tree.feature[node]), missing, threshold, left, right })
}
