//! The reference engine: every other one is held against it.
//!
//! Rows are taken in blocks, and every tree is walked for the whole block before the next tree, so that a
//! tree's nodes stay in the nearest cache; within a row the trees are summed in the order of the file, which
//! is what makes the sum exact.

use crate::error::PredictError;
use crate::forest::Forest;
use crate::tree::{CategoryRule, Missing, Node, Nodes};

/// Rows walked through one tree before the next tree.
const BLOCK_ROWS: usize = 64;

impl Forest {
    /// Appends the margins of whole rows.
    pub(crate) fn reference_margins(&self, nodes: &Nodes, rows: &[f32], out: &mut Vec<f64>) {
        out.reserve(rows.len() / self.n_features * self.n_outputs);
        let mut buffer = Vec::new();
        for block in rows.chunks(BLOCK_ROWS * self.n_features) {
            let block = self.transformed(block, &mut buffer);
            match &self.linear {
                Some(linear) => block.chunks_exact(self.n_features).for_each(|row| linear.margins(row, out)),
                None => self.block_margins(nodes, block, out),
            }
        }
    }

    /// Number of the leaf that each row reaches in each tree, `n x n_trees`, as the trainer counts them
    /// (`pred_leaf`, `apply`), replacing the contents of `out`. A linear model has none.
    ///
    /// # Errors
    /// [`PredictError::RowLength`] when `rows` does not hold whole rows.
    pub fn leaves(&self, rows: &[f32], out: &mut Vec<u32>) -> Result<(), PredictError> {
        out.clear();
        self.n_rows(rows)?;
        let nodes = self.nodes()?;
        let mut buffer = Vec::new();
        for row in rows.chunks_exact(self.n_features) {
            let row = self.transformed(row, &mut buffer);
            out.extend(nodes.roots.iter().map(|&root| nodes.leaf_ids[nodes.leaf_at(root, row)]));
        }
        Ok(())
    }

    fn block_margins(&self, nodes: &Nodes, block: &[f32], out: &mut Vec<f64>) {
        let first = out.len();
        let n = block.len() / self.n_features * self.n_outputs;
        let starts: Vec<f64> = (0..self.n_outputs).map(|output| self.start(output)).collect();
        if self.aggregation.is_f32() {
            // Exact both ways: starts and leaves were `f32` in the file.
            let mut sums: Vec<f32> = starts.iter().cycle().take(n).map(|&s| s as f32).collect();
            self.add_leaves(nodes, block, &mut sums, |sum, leaf| *sum += leaf as f32);
            out.extend(sums.into_iter().map(f64::from));
        } else {
            let mut sums: Vec<f64> = starts.iter().cycle().take(n).copied().collect();
            self.add_leaves(nodes, block, &mut sums, |sum, leaf| *sum += leaf);
            out.extend(sums);
        }
        self.finish(&mut out[first..]);
    }

    /// Walks every tree for every row of a block, and adds the leaf to the row's sum of the tree's output.
    fn add_leaves<T>(&self, nodes: &Nodes, block: &[f32], sums: &mut [T], add: impl Fn(&mut T, f64)) {
        for (tree, &root) in nodes.roots.iter().enumerate() {
            let output = self.output_of(tree);
            let rows = block.chunks_exact(self.n_features).zip(sums.chunks_exact_mut(self.n_outputs));
            for (row, sums) in rows {
                match nodes.nodes[nodes.leaf_at(root, row)] {
                    Node::Leaf { value } => add(&mut sums[output], self.addend(tree, value)),
                    Node::Vector { at } => {
                        let vector = &nodes.vectors[at as usize..][..self.n_outputs];
                        sums.iter_mut().zip(vector).for_each(|(sum, &v)| add(sum, self.addend(tree, v)));
                    }
                    Node::Numeric { .. } | Node::Categorical { .. } => {}
                }
            }
        }
    }
}

impl Nodes {
    /// Position of the leaf that `row` reaches. The walk ends: children stand behind their parent.
    fn leaf_at(&self, root: u32, row: &[f32]) -> usize {
        let mut at = root as usize;
        loop {
            let node = self.nodes[at];
            match node {
                Node::Leaf { .. } | Node::Vector { .. } => return at,
                Node::Numeric { right, .. } | Node::Categorical { right, .. } => {
                    at = if self.goes_left(node, row) { at + 1 } else { right as usize };
                }
            }
        }
    }

    /// Whether `row` goes left at `node`; `false` at a leaf.
    #[inline]
    pub(crate) fn goes_left(&self, node: Node, row: &[f32]) -> bool {
        match node {
            Node::Leaf { .. } | Node::Vector { .. } => false,
            Node::Numeric { feature, .. } | Node::Categorical { feature, .. } => {
                self.value_goes_left(node, row[usize::from(feature)])
            }
        }
    }

    /// Whether a row with the value `x` of its feature goes left at `node`; `false` at a leaf.
    #[inline]
    pub(crate) fn value_goes_left(&self, node: Node, x: f32) -> bool {
        match node {
            Node::Leaf { .. } | Node::Vector { .. } => false,
            Node::Numeric { missing, threshold, .. } => numeric_goes_left(x, threshold, missing),
            Node::Categorical { rule, set, .. } => category_goes_left(x, &self.sets[set as usize], rule),
        }
    }
}

#[inline]
fn numeric_goes_left(x: f32, threshold: f32, missing: Missing) -> bool {
    if x.is_nan() {
        return matches!(missing, Missing::Left | Missing::ZeroLeft);
    }
    match missing {
        Missing::ZeroLeft if x == 0.0 => true,
        Missing::ZeroRight if x == 0.0 => false,
        // Not `x < threshold`: a threshold of `NaN` sends every present value left.
        _ => !matches!(
            x.partial_cmp(&threshold),
            Some(std::cmp::Ordering::Greater | std::cmp::Ordering::Equal)
        ),
    }
}

pub(super) fn category_goes_left(x: f32, set: &[u32], rule: CategoryRule) -> bool {
    // Truncated, as both trainers do; XGBoost looks at the sign before, LightGBM after (-0.5 is its category
    // 0).
    let category = x as i64;
    match rule {
        CategoryRule::Lightgbm => !x.is_nan() && contains(set, category),
        CategoryRule::XgboostMissingLeft if x.is_nan() => true,
        CategoryRule::XgboostMissingRight if x.is_nan() => false,
        CategoryRule::XgboostMissingLeft | CategoryRule::XgboostMissingRight => {
            x < 0.0 || !contains(set, category)
        }
        CategoryRule::MemberLeft => is_member(x, set),
        CategoryRule::MemberOrMissingLeft => x.is_nan() || is_member(x, set),
        CategoryRule::MemberRight => !is_member(x, set),
    }
}

/// Whether the value itself, not its whole part, is in the set. A truncated infinity is in none.
fn is_member(x: f32, set: &[u32]) -> bool {
    x == x.trunc() && contains(set, x as i64)
}

fn contains(set: &[u32], category: i64) -> bool {
    let word = usize::try_from(category / 32).ok().and_then(|w| set.get(w));
    category >= 0 && word.is_some_and(|bits| bits >> (category % 32) & 1 == 1)
}
