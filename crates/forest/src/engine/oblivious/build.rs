//! Detects oblivious trees and lays them out.

use super::super::lines::{LINE, LinesBuilder};
use super::super::real::Real;
use super::super::slots::{CodedSplit, Slots};
use super::{GROUP, Group, MAX_DEPTH, Oblivious, ObliviousMeta};
use crate::forest::Forest;
use crate::tree::Node;

/// An oblivious tree: where to find its parts.
#[derive(Clone, Copy)]
struct Tree {
    number: usize,
    root: usize,
    depth: usize,
    output: usize,
}

pub(super) fn build(forest: &Forest) -> Option<Oblivious> {
    let mut trees = (0..forest.n_trees()).map(|number| detect(forest, number)).collect::<Option<Vec<_>>>()?;
    if trees.is_empty() || forest.linear.is_some() {
        return None;
    }
    trees.sort_by_key(|tree| tree.output);
    let (slots, splits) = Slots::build(forest)?;
    let mut arena = LinesBuilder::default();
    arena.extend(slots.arena().as_slice());
    let groups = group(&trees);
    let outputs = if forest.has_vector_leaves() { forest.n_outputs } else { 1 };
    groups.iter().for_each(|trees| extend_levels(&mut arena, trees, &splits));
    let single = forest.aggregation.is_f32();
    for trees in &groups {
        if single {
            extend_leaves::<f32>(&mut arena, forest, trees, outputs);
        } else {
            extend_leaves::<f64>(&mut arena, forest, trees, outputs);
        }
    }
    let meta = ObliviousMeta {
        slots: slots.meta().clone(),
        slots_lines: slots.arena().len(),
        single,
        groups: groups.iter().map(|trees| group_of(trees, outputs)).collect(),
    };
    Oblivious::from_parts(meta, arena.finish(), forest.n_features, forest.n_outputs).ok()
}

/// A tree whose every node has the question of its level, and whose leaves are of the forest's kind.
fn detect(forest: &Forest, number: usize) -> Option<Tree> {
    let (root, depth) = (forest.trees.roots[number] as usize, forest.trees.depths[number]);
    let end = forest.trees.roots.get(number + 1).map_or(forest.n_nodes(), |&root| root as usize);
    let nodes = &forest.trees.nodes[root..end];
    if depth > MAX_DEPTH || nodes.len() != (2 << depth) - 1 {
        return None;
    }
    // Heights of the subtrees to come; in preorder, splits and leaves alone say which tree it is.
    let mut heights = vec![depth];
    for &node in nodes {
        let height = heights.pop()?;
        if height == 0 {
            let kind = if forest.has_vector_leaves() { is_vector } else { is_scalar };
            kind(node).then_some(())?;
        } else {
            // The first walk down to the left has one node of each level.
            asks_the_same(node, nodes[depth - height]).then_some(())?;
            heights.extend([height - 1; 2]);
        }
    }
    Some(Tree { number, root, depth, output: forest.output_of(number) })
}

fn is_scalar(node: Node) -> bool {
    matches!(node, Node::Leaf { .. })
}

fn is_vector(node: Node) -> bool {
    matches!(node, Node::Vector { .. })
}

fn asks_the_same(node: Node, other: Node) -> bool {
    match (node, other) {
        (
            Node::Numeric { feature: f, missing: m, threshold: t, .. },
            Node::Numeric { feature, missing, threshold, .. },
        ) => f == feature && m == missing && t.to_bits() == threshold.to_bits(),
        (
            Node::Categorical { feature: f, rule: r, set: s, .. },
            Node::Categorical { feature, rule, set, .. },
        ) => f == feature && r == rule && s == set,
        _ => false,
    }
}

/// Consecutive trees of one output, as many as a line holds, unless some are so shallow that padding them to the
/// depth of the others would take four times the room.
fn group(trees: &[Tree]) -> Vec<&[Tree]> {
    let (mut groups, mut rest) = (Vec::new(), trees);
    while let [first, ..] = rest {
        let (mut depth, mut leaves, mut n) = (0, 0, 0);
        for tree in rest.iter().take(GROUP) {
            depth = depth.max(tree.depth);
            leaves += 1 << tree.depth;
            if tree.output != first.output || (n + 1) << depth > 4 * leaves {
                break;
            }
            n += 1;
        }
        let (group, others) = rest.split_at(n);
        groups.push(group);
        rest = others;
    }
    groups
}

fn group_of(trees: &[Tree], outputs: usize) -> Group {
    let depth = trees.iter().map(|tree| tree.depth).max().unwrap_or(0);
    // At most 64 trees of 16 levels, and the outputs' number fits 16 bits.
    Group {
        trees: trees.len() as u8,
        depth: depth as u8,
        output: trees.first().map_or(0, |tree| tree.output) as u16,
        outputs: outputs as u16,
    }
}

/// Slots and ranks of a group, level by level. A tree's own levels are the last ones, so that its position has no
/// more bits than it has levels; those above always answer "right".
fn extend_levels(arena: &mut LinesBuilder, trees: &[Tree], splits: &[CodedSplit]) {
    let depth = group_of(trees, 1).depth();
    for level in 0..depth {
        let (mut slots, mut ranks) = ([0; LINE], [0; LINE]);
        for ((tree, slot), rank) in trees.iter().zip(&mut slots).zip(&mut ranks) {
            if let Some(own) = level.checked_sub(depth - tree.depth) {
                let split = splits[tree.root + own];
                (*slot, *rank) = (split.slot, split.rank);
            }
        }
        arena.extend(&slots);
        arena.extend(&ranks);
    }
}

/// Leaves of a group, for one output after the other, in reverse preorder.
fn extend_leaves<T: Real>(arena: &mut LinesBuilder, forest: &Forest, trees: &[Tree], outputs: usize) {
    let stride = 1 << group_of(trees, outputs).depth();
    for output in 0..outputs {
        for tree in trees {
            let nodes = &forest.trees.nodes[tree.root..][..(2 << tree.depth) - 1];
            let values = nodes.iter().rev().filter_map(|node| match *node {
                Node::Leaf { value } => Some(value),
                Node::Vector { at } => Some(forest.trees.vectors[at as usize + output]),
                Node::Numeric { .. } | Node::Categorical { .. } => None,
            });
            let addends = values.map(|value| T::from_f64(forest.addend(tree.number, value)));
            let padding = std::iter::repeat_n(T::zeroed(), stride - (1 << tree.depth));
            arena.extend(&addends.chain(padding).collect::<Vec<_>>());
        }
    }
    arena.align(LINE);
}
