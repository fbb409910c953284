//! CatBoost's JSON: one oblivious tree for each tree of the forest, by the splits on the way to its leftmost leaf, or
//! the tree itself, nested.

use std::collections::BTreeSet;

use super::{Choices, Node, Split, Written, join};

/// Deepest oblivious tree that is written.
const MAX_DEPTH: usize = 9;

/// The model's borders: a feature, and the bits of a threshold in an order of their own.
type Borders = Vec<(usize, u32)>;

pub(super) fn write(forest: &Written, choices: &mut Choices<'_>) -> String {
    let borders: BTreeSet<(usize, u32)> = forest.trees.iter().flatten().filter_map(border_of).collect();
    let borders: Borders = borders.into_iter().collect();
    let nested = choices.one_in(3);
    let trees: Vec<String> = forest
        .trees
        .iter()
        .map(|tree| match nested {
            true => node(tree, 0, 0, forest.outputs, &borders, choices),
            false => oblivious(tree, forest.outputs, &borders, choices),
        })
        .collect();
    let kind = if nested { "trees" } else { "oblivious_trees" };
    let (scale, bias) = match choices.one_in(2) {
        true => ("1".to_owned(), join((0..forest.outputs).map(|_| "0"))),
        false => (
            format!("{:e}", choices.number()),
            join((0..forest.outputs).map(|_| format!("{:e}", choices.number()))),
        ),
    };
    format!(
        r#"{{"features_info":{{"float_features":[{}]}},"{kind}":[{}],"scale_and_bias":[{scale},[{bias}]]}}"#,
        features(forest, &borders, choices),
        trees.join(","),
    )
}

fn border_of(node: &Node) -> Option<(usize, u32)> {
    match node {
        Node::Split(split) => Some((split.feature, split.threshold.to_bits())),
        Node::Leaf => None,
    }
}

fn number_of(split: &Split, borders: &Borders) -> usize {
    borders.binary_search(&(split.feature, split.threshold.to_bits())).unwrap_or(0)
}

fn features(forest: &Written, borders: &Borders, choices: &mut Choices<'_>) -> String {
    join((0..forest.features).map(|feature| {
        let of = borders.iter().filter(|border| border.0 == feature);
        let borders = join(of.map(|border| format!("{:e}", f32::from_bits(border.1))));
        let nan = choices.pick(&["AsIs", "AsFalse", "AsTrue"]);
        format!(
            r#"{{"feature_index":{feature},"flat_feature_index":{feature},"borders":[{borders}],
            "has_nans":true,"nan_value_treatment":"{nan}"}}"#
        )
    }))
}

fn oblivious(tree: &[Node], outputs: usize, borders: &Borders, choices: &mut Choices<'_>) -> String {
    let (mut splits, mut at) = (Vec::new(), 0);
    while let Node::Split(split) = &tree[at]
        && splits.len() < MAX_DEPTH
    {
        splits.push(format!(r#"{{"split_index":{}}}"#, number_of(split, borders)));
        // Every tree has a way that goes on to its end, if it is a chain.
        at = if matches!(tree[split.left], Node::Leaf) { split.right } else { split.left };
    }
    let leaves = 1 << splits.len();
    format!(
        r#"{{"splits":[{}],"leaf_values":[{}],"leaf_weights":[{}]}}"#,
        join(splits),
        join((0..leaves * outputs).map(|_| format!("{:e}", choices.number()))),
        join((0..leaves).map(|_| choices.below(9))),
    )
}

/// A subtree; below [`MAX_DEPTH`] there are only leaves.
fn node(
    tree: &[Node],
    at: usize,
    depth: usize,
    outputs: usize,
    borders: &Borders,
    choices: &mut Choices<'_>,
) -> String {
    match &tree[at] {
        Node::Split(split) if depth < MAX_DEPTH => {
            let left = node(tree, split.left, depth + 1, outputs, borders, choices);
            let right = node(tree, split.right, depth + 1, outputs, borders, choices);
            let number = number_of(split, borders);
            format!(r#"{{"split":{{"split_index":{number}}},"left":{left},"right":{right}}}"#)
        }
        _ => {
            let values = join((0..outputs).map(|_| format!("{:e}", choices.number())));
            format!(r#"{{"value":[{values}],"weight":{}}}"#, choices.below(9))
        }
    }
}
