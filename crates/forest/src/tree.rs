//! One tree in the form that is walked, and the check that makes walking it safe.
//!
//! Layout: the nodes of all trees in one vector, each tree in preorder, so that the left child is the next
//! node and only the right child's position is kept. Every format's numeric split becomes `x < threshold` in
//! `f32`: XGBoost's is that already; `x <= t` in `f64` (LightGBM, scikit-learn) says the same as
//! `x < next_up(floor_f32(t))` for every `f32` x.

use crate::error::{ParseError, TreeFault};
use crate::{MAX_DEPTH, MAX_NODES};

/// Most words in all sets of categories: 64 MiB. A set is as large as its greatest category, so the file's
/// length does not bound it.
const MAX_SET_WORDS: usize = 1 << 24;

/// A node in walking form; 16 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Node {
    /// End of the walk.
    Leaf { value: f64 },
    /// End of the walk, with one value per output: `at` is the position of the first in [`Nodes::vectors`].
    Vector { at: u32 },
    /// Left if `x < threshold`. A threshold of `NaN` sends every present value left.
    Numeric { feature: u16, missing: Missing, threshold: f32, right: u32 },
    /// Left or right by membership in a set; `set` is its position in [`Nodes::sets`].
    Categorical { feature: u16, rule: CategoryRule, set: u32, right: u32 },
}

/// What a numeric split does with a value that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// `NaN` goes left.
    Left,
    /// `NaN` goes right.
    Right,
    /// `NaN` and zero go left.
    ZeroLeft,
    /// `NaN` and zero go right.
    ZeroRight,
}

/// How a categorical split reads its set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CategoryRule {
    /// LightGBM: categories of the set go left, all else right, `NaN` and negative numbers included.
    Lightgbm,
    /// XGBoost: categories of the set go right, all else left, negative numbers included; `NaN` goes left.
    XgboostMissingLeft,
    /// XGBoost likewise, but `NaN` goes right.
    XgboostMissingRight,
    /// ONNX, scikit-learn: a value that is a category of the set goes left, all else right; 3.5 is no category.
    MemberLeft,
    /// As [`CategoryRule::MemberLeft`], but `NaN` goes left.
    MemberOrMissingLeft,
    /// A value that is a category of the set goes right, all else left, `NaN` included.
    MemberRight,
}

/// A split as a file has it, with the children's numbers in the file.
#[derive(Debug, Clone)]
pub(crate) enum RawNode {
    /// Leaf; `id` is its number as the trainer counts it.
    Leaf { value: f64, id: u32 },
    /// Leaf with one value per output; `at` is what [`Nodes::push_vector`] gave.
    Vector { at: u32, id: u32 },
    /// Numeric split in walking form.
    Numeric { feature: i64, missing: Missing, threshold: f32, left: i64, right: i64 },
    /// Categorical split; `set` is a position in [`Nodes::sets`].
    Categorical { feature: i64, rule: CategoryRule, set: u32, left: i64, right: i64 },
}

/// All trees of a forest.
#[derive(Debug, Clone, Default)]
pub(crate) struct Nodes {
    /// Every tree's nodes, in preorder.
    pub(crate) nodes: Vec<Node>,
    /// Number of each leaf as the trainer counts it; 0 for splits.
    pub(crate) leaf_ids: Vec<u32>,
    /// Values of the leaves that are vectors.
    pub(crate) vectors: Vec<f64>,
    /// Weight of training data that reached each node; empty when the file has none.
    pub(crate) covers: Vec<f64>,
    /// Position of each tree's root.
    pub(crate) roots: Vec<u32>,
    /// Edges of each tree's longest walk.
    pub(crate) depths: Vec<usize>,
    /// Bit sets of categories.
    pub(crate) sets: Vec<Box<[u32]>>,
    /// Words in all of them.
    pub(crate) set_words: usize,
    /// Edges of the longest walk.
    pub(crate) max_depth: usize,
    /// What contributions need of the covers.
    pub(crate) plan: std::sync::OnceLock<crate::shap::Plan>,
}

/// Where a subtree has to be hung.
struct Pending {
    number: i64,
    /// Number of the parent, for messages.
    parent: usize,
    depth: usize,
    /// The node whose right child this is; `None` for the root and for left children, which follow their
    /// parent.
    right_of: Option<usize>,
}

impl Nodes {
    /// Checks a tree and appends it. `covers` is empty or as long as `raw`; `deleted` nodes are not reached.
    pub(crate) fn push_tree(
        &mut self,
        raw: &[RawNode],
        covers: &[f64],
        n_features: usize,
        deleted: usize,
    ) -> Result<(), ParseError> {
        let (tree, start) = (self.roots.len(), self.nodes.len());
        let at = |node: usize, fault| ParseError::Tree { tree, node, fault };
        if raw.is_empty() {
            return Err(at(0, TreeFault::Empty));
        }
        let value = start.saturating_add(raw.len());
        if value > MAX_NODES {
            return Err(ParseError::TooLarge { what: "nodes", value, limit: MAX_NODES });
        }
        let mut seen = vec![false; raw.len()];
        let mut stack = vec![Pending { number: 0, parent: 0, depth: 0, right_of: None }];
        let mut depth = 0;
        while let Some(pending) = stack.pop() {
            let number = pending.number;
            let index = usize::try_from(number)
                .ok()
                .filter(|&i| i < raw.len())
                .ok_or_else(|| at(pending.parent, TreeFault::Child { child: number, len: raw.len() }))?;
            if std::mem::replace(&mut seen[index], true) {
                return Err(at(index, TreeFault::ReachedTwice));
            }
            depth = depth.max(pending.depth);
            self.push_node(&raw[index], index, covers.get(index), n_features, &pending, &mut stack)
                .map_err(|fault| at(index, fault))?;
        }
        let unreachable = value - self.nodes.len();
        if unreachable != deleted {
            let node = seen.iter().position(|s| !s).unwrap_or(0);
            return Err(at(node, TreeFault::Unreachable { unreachable, expected: deleted }));
        }
        // MAX_NODES fits in u32.
        self.roots.push(start as u32);
        self.depths.push(depth);
        self.max_depth = self.max_depth.max(depth);
        Ok(())
    }

    /// Appends one node and puts its children on the stack, the left one on top.
    fn push_node(
        &mut self,
        raw: &RawNode,
        index: usize,
        cover: Option<&f64>,
        n_features: usize,
        pending: &Pending,
        stack: &mut Vec<Pending>,
    ) -> Result<(), TreeFault> {
        if pending.depth > MAX_DEPTH {
            return Err(TreeFault::TooDeep { limit: MAX_DEPTH });
        }
        let position = self.nodes.len();
        if let Some(above) = pending.right_of {
            self.set_right(above, position);
        }
        let (node, children) = convert(raw, n_features)?;
        self.nodes.push(node);
        self.leaf_ids.push(match *raw {
            RawNode::Leaf { id, .. } | RawNode::Vector { id, .. } => id,
            RawNode::Numeric { .. } | RawNode::Categorical { .. } => 0,
        });
        if let Some(&cover) = cover {
            self.covers.push(checked_cover(cover)?);
        }
        if let Some((left, right)) = children {
            let (parent, depth) = (index, pending.depth + 1);
            stack.push(Pending { number: right, parent, depth, right_of: Some(position) });
            stack.push(Pending { number: left, parent, depth, right_of: None });
        }
        Ok(())
    }

    /// Appends the values of a leaf that is a vector and gives their position.
    pub(crate) fn push_vector(&mut self, values: &[f64]) -> Result<u32, TreeFault> {
        if let Some(&value) = values.iter().find(|v| !v.is_finite()) {
            return Err(TreeFault::Value { what: "leaf value", value });
        }
        let at = self.vectors.len();
        if at.saturating_add(values.len()) > MAX_NODES {
            return Err(TreeFault::Value { what: "number of leaf values", value: at as f64 });
        }
        self.vectors.extend_from_slice(values);
        Ok(at as u32)
    }

    /// Appends a set of categories from 0 to `limit` (exclusive) and gives its position.
    pub(crate) fn push_set(
        &mut self,
        categories: impl Iterator<Item = i64>,
        limit: i64,
    ) -> Result<u32, String> {
        let mut words = Vec::new();
        for category in categories {
            if category < 0 || category >= limit {
                return Err(format!("category {category}, must be in [0, {limit})"));
            }
            let word = (category / 32) as usize;
            if words.len() <= word {
                words.resize(word + 1, 0);
            }
            words[word] |= 1 << (category % 32);
        }
        self.push_words(words)
    }

    /// Appends a bit set and gives its position.
    pub(crate) fn push_words(&mut self, words: Vec<u32>) -> Result<u32, String> {
        self.set_words = self.set_words.saturating_add(words.len());
        if self.set_words > MAX_SET_WORDS {
            return Err(format!("the model's sets take more than the limit of {MAX_SET_WORDS} words"));
        }
        self.sets.push(words.into_boxed_slice());
        u32::try_from(self.sets.len() - 1).map_err(|e| e.to_string())
    }

    /// Forgets the covers unless every node has one.
    pub(crate) fn drop_partial_covers(&mut self) {
        if self.covers.len() != self.nodes.len() {
            self.covers = Vec::new();
        }
    }

    pub(crate) fn set_right(&mut self, parent: usize, position: usize) {
        if let Node::Numeric { right, .. } | Node::Categorical { right, .. } = &mut self.nodes[parent] {
            *right = position as u32;
        }
    }
}

type Children = Option<(i64, i64)>;

fn convert(raw: &RawNode, n_features: usize) -> Result<(Node, Children), TreeFault> {
    let checked = |feature: i64| match u16::try_from(feature) {
        Ok(f) if usize::from(f) < n_features => Ok(f),
        _ => Err(TreeFault::Feature { feature, n_features }),
    };
    Ok(match *raw {
        RawNode::Leaf { value, .. } if value.is_finite() => (Node::Leaf { value }, None),
        RawNode::Vector { at, .. } => (Node::Vector { at }, None),
        RawNode::Leaf { value, .. } => return Err(TreeFault::Value { what: "leaf value", value }),
        RawNode::Numeric { feature, missing, threshold, left, right } => {
            let feature = checked(feature)?;
            (Node::Numeric { feature, missing, threshold, right: 0 }, Some((left, right)))
        }
        RawNode::Categorical { feature, rule, set, left, right } => {
            let feature = checked(feature)?;
            (Node::Categorical { feature, rule, set, right: 0 }, Some((left, right)))
        }
    })
}

fn checked_cover(cover: f64) -> Result<f64, TreeFault> {
    if cover.is_finite() && cover >= 0.0 {
        Ok(cover)
    } else {
        Err(TreeFault::Value { what: "cover", value: cover })
    }
}

/// The `f32` threshold `u` for which `x < u` says the same as `f64(x) <= t`, for every `f32` x; `NaN` (every
/// present value goes left) for plus infinity.
pub(crate) fn less_than_for_at_most(t: f64) -> Result<f32, TreeFault> {
    if t.is_nan() || t == f64::NEG_INFINITY {
        return Err(TreeFault::Value { what: "threshold", value: t });
    }
    if t == f64::INFINITY {
        return Ok(f32::NAN);
    }
    let nearest = t as f32;
    let floor = if f64::from(nearest) > t { nearest.next_down() } else { nearest };
    Ok(floor.next_up())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_takes_sixteen_bytes() {
        assert_eq!(size_of::<Node>(), 16);
    }

    #[test]
    fn strict_threshold_says_the_same_as_at_most() {
        let interesting = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.1,
            -0.1,
            1e-45,
            -1e-45,
            1.000_000_018_002_509_5e-35,
            -1.000_000_018_002_509_5e-35,
            f64::from(f32::MAX),
            f64::from(f32::MIN),
            1e300,
            -1e300,
            1e-300,
            -1e-300,
            f64::INFINITY,
        ];
        for t in interesting {
            let u = less_than_for_at_most(t).unwrap();
            let near = t as f32;
            let xs = [near, near.next_up(), near.next_down(), 0.0, -0.0, 1e-45, f32::MAX, f32::MIN];
            for x in xs.into_iter().chain([f32::INFINITY, f32::NEG_INFINITY]) {
                let goes_left = u.is_nan() || x < u;
                assert_eq!(goes_left, f64::from(x) <= t, "x = {x:e}, t = {t:e}, u = {u:e}");
            }
        }
        assert!(less_than_for_at_most(f64::NAN).is_err());
    }
}
