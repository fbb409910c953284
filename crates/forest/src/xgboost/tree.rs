//! One tree as XGBoost writes it: an array per member, with one value per node.

use serde::Deserialize;

use super::column::Column;
use super::json::Text;
use crate::error::{ParseError, TreeFault};
use crate::tree::{CategoryRule, Missing, Nodes, RawNode};

/// XGBoost's `OutOfRangeCat`: categories are below 2^24, up to which every integer is an `f32`.
const MAX_CATEGORY: i64 = 1 << 24;

/// Members of a tree. A node is a leaf if it has no left child (-1).
#[derive(Deserialize, Default)]
pub(super) struct Tree {
    pub(super) left_children: Column<i32>,
    /// Of a leaf that is a vector, since 3.2: its position in `leaf_weights`.
    pub(super) right_children: Column<i32>,
    pub(super) split_indices: Column<i32>,
    /// Threshold, or value of a leaf that is a scalar.
    pub(super) split_conditions: Column<f32>,
    pub(super) default_left: Column<bool>,
    #[serde(default)]
    pub(super) sum_hessian: Column<f32>,
    #[serde(default)]
    pub(super) split_type: Column<bool>,
    #[serde(default)]
    pub(super) categories: Column<i32>,
    #[serde(default)]
    pub(super) categories_nodes: Column<i32>,
    #[serde(default)]
    pub(super) categories_segments: Vec<i64>,
    #[serde(default)]
    pub(super) categories_sizes: Vec<i64>,
    /// Up to 3.1 the values of leaves that are vectors, node by node.
    #[serde(default)]
    pub(super) base_weights: Column<f32>,
    /// Since 3.2 the values of leaves that are vectors, leaf by leaf.
    #[serde(default)]
    pub(super) leaf_weights: Column<f32>,
    #[serde(default)]
    pub(super) id: Option<i64>,
    pub(super) tree_param: TreeParam,
}

#[derive(Deserialize, Default)]
pub(super) struct TreeParam {
    #[serde(default)]
    pub(super) num_deleted: Text,
    #[serde(default)]
    pub(super) size_leaf_vector: Text,
}

impl Tree {
    /// Values of a leaf; 0 stands for 1, up to 1.7.
    pub(super) fn leaf_size(&self) -> Result<usize, ParseError> {
        let size = self.tree_param.size_leaf_vector.integer("size_leaf_vector")?.unwrap_or(0);
        Ok(usize::try_from(size).unwrap_or(0).max(1))
    }

    fn check_lengths(&self, index: usize, size: usize) -> Result<(), ParseError> {
        let n = self.left_children.len();
        let required = [
            ("right_children", self.right_children.len()),
            ("split_indices", self.split_indices.len()),
            ("split_conditions", self.split_conditions.len()),
            ("default_left", self.default_left.len()),
        ];
        let optional = [("sum_hessian", self.sum_hessian.len()), ("split_type", self.split_type.len())];
        let mut lengths = required.into_iter().chain(optional.into_iter().filter(|o| o.1 != 0));
        if let Some((array, len)) = lengths.find(|l| l.1 != n) {
            return Err(ParseError::Length { tree: index, array, len, expected: n });
        }
        let (len, expected) = (self.base_weights.len(), n.saturating_mul(size));
        if size > 1 && self.leaf_weights.is_empty() && len != expected {
            return Err(ParseError::Length { tree: index, array: "base_weights", len, expected });
        }
        Ok(())
    }

    /// The values of a leaf that is a vector.
    fn vector(&self, node: usize, size: usize) -> Result<&[f32], TreeFault> {
        let (values, at) = match self.leaf_weights.is_empty() {
            true => (&self.base_weights, node as i64),
            false => (&self.leaf_weights, i64::from(self.right_children[node])),
        };
        let first = usize::try_from(at).ok().and_then(|at| at.checked_mul(size));
        let vector = first.and_then(|first| values.get(first..first.checked_add(size)?));
        vector.ok_or(TreeFault::Child { child: at, len: values.len() / size })
    }
}

/// Checks a tree and appends it; `raw` is space that is used again for every tree.
pub(super) fn push_tree(
    trees: &mut Nodes,
    raw: &mut Vec<RawNode>,
    index: usize,
    tree: &Tree,
    n_features: usize,
    size: usize,
) -> Result<(), ParseError> {
    tree.check_lengths(index, size)?;
    if tree.id.is_some_and(|id| usize::try_from(id) != Ok(index)) {
        let reason = format!("{}, of the tree at {index}", tree.id.unwrap_or_default());
        return Err(ParseError::Member { member: "id", reason });
    }
    let deleted = tree.tree_param.num_deleted.integer("num_deleted")?.unwrap_or(0);
    let sets = category_sets(trees, index, tree)?;
    raw.clear();
    for node in 0..tree.left_children.len() {
        let at = |fault| ParseError::Tree { tree: index, node, fault };
        raw.push(raw_node(trees, tree, node, size, &sets).map_err(at)?);
    }
    let covers: Vec<f64> = tree.sum_hessian.iter().map(|&h| f64::from(h)).collect();
    trees.push_tree(raw, &covers, n_features, usize::try_from(deleted).unwrap_or(0))
}

fn raw_node(
    trees: &mut Nodes,
    tree: &Tree,
    node: usize,
    size: usize,
    sets: &[Option<u32>],
) -> Result<RawNode, TreeFault> {
    let (left, right) = (i64::from(tree.left_children[node]), i64::from(tree.right_children[node]));
    let condition = tree.split_conditions[node];
    let id = node as u32;
    if left == -1 && size == 1 {
        return Ok(RawNode::Leaf { value: f64::from(condition), id });
    }
    if left == -1 {
        let vector: Vec<f64> = tree.vector(node, size)?.iter().map(|&v| f64::from(v)).collect();
        return Ok(RawNode::Vector { at: trees.push_vector(&vector)?, id });
    }
    let feature = i64::from(tree.split_indices[node]);
    let default_left = tree.default_left[node];
    if tree.split_type.get(node).is_some_and(|&t| t) {
        let set = sets.get(node).copied().flatten();
        let set = set.ok_or_else(|| TreeFault::Categories("missing for this node".to_owned()))?;
        let rule = match default_left {
            true => CategoryRule::XgboostMissingLeft,
            false => CategoryRule::XgboostMissingRight,
        };
        return Ok(RawNode::Categorical { feature, rule, set, left, right });
    }
    if condition.is_nan() {
        return Err(TreeFault::Value { what: "threshold", value: f64::NAN });
    }
    let missing = if default_left { Missing::Left } else { Missing::Right };
    Ok(RawNode::Numeric { feature, missing, threshold: condition, left, right })
}

/// Appends the tree's sets of categories; gives each node's, or nothing if the tree has none.
fn category_sets(trees: &mut Nodes, index: usize, tree: &Tree) -> Result<Vec<Option<u32>>, ParseError> {
    if tree.categories_nodes.is_empty() {
        return Ok(Vec::new());
    }
    let expected = tree.categories_nodes.len();
    for (array, len) in [
        ("categories_segments", tree.categories_segments.len()),
        ("categories_sizes", tree.categories_sizes.len()),
    ] {
        if len != expected {
            return Err(ParseError::Length { tree: index, array, len, expected });
        }
    }
    // The segments lie side by side; overlapping ones would cost far more than the file's length.
    let total = tree.categories_sizes.iter().fold(0_i64, |sum, &size| sum.saturating_add(size.max(0)));
    if usize::try_from(total) != Ok(tree.categories.len()) {
        let len = usize::try_from(total).unwrap_or(usize::MAX);
        let array = "categories (by categories_sizes)";
        return Err(ParseError::Length { tree: index, array, len, expected: tree.categories.len() });
    }
    let mut of_node = vec![None; tree.left_children.len()];
    let segments = tree.categories_segments.iter().zip(&tree.categories_sizes);
    for (&node, (&start, &size)) in tree.categories_nodes.iter().zip(segments) {
        let number = usize::try_from(node).unwrap_or(usize::MAX);
        let at = |reason: String| ParseError::Tree {
            tree: index,
            node: number,
            fault: TreeFault::Categories(reason),
        };
        let slot = of_node.get_mut(number).ok_or_else(|| at("no such node".to_owned()))?;
        let (first, count) = (usize::try_from(start).ok(), usize::try_from(size).ok());
        let categories = first
            .zip(count)
            .and_then(|(first, count)| tree.categories.get(first..first.checked_add(count)?))
            .ok_or_else(|| at(format!("{size} from {start}, there are {}", tree.categories.len())))?;
        *slot = Some(trees.push_set(categories.iter().map(|&c| i64::from(c)), MAX_CATEGORY).map_err(at)?);
    }
    Ok(of_node)
}
