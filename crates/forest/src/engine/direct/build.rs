//! From a forest to the layout: slots, leaves, and the order of nodes in memory.

use std::collections::HashMap;

use super::keys::{self, Classes, N_CLASSES};
use super::{DirectMeta, Group, Node, Set};
use crate::MAX_FEATURES;
use crate::engine::lines::{LINE, Lines, LinesBuilder};
use crate::forest::Forest;
use crate::tree::{Node as Split, Nodes};

/// Pairs of children in a cache line.
const LINE_PAIRS: usize = LINE / (2 * size_of::<Node>());

/// The parts of the layout; `None` when it cannot take the forest.
pub(super) fn lay_out(forest: &Forest) -> Option<(DirectMeta, Lines)> {
    if forest.linear.is_some() || forest.trees.roots.is_empty() {
        return None;
    }
    let (slots, classes) = Slots::new(&forest.trees);
    let mut leaves = Leaves::new(forest);
    let slot_bits = (usize::BITS - (classes.n_slots() - 1).leading_zeros()).max(1);
    let mut groups = Groups { slot_bits, nodes: Vec::new(), roots: Vec::new(), groups: Vec::new() };
    let weights = weights(&forest.trees);
    for tree in 0..forest.trees.roots.len() {
        let pairs = PairOrder::new(&forest.trees, &weights, tree);
        groups.push(&pairs.nodes(&forest.trees, &slots, &mut leaves, tree))?;
    }
    let meta = DirectMeta {
        n_trees: forest.trees.roots.len(),
        depth: forest.trees.max_depth,
        classes,
        slot_bits,
        groups: groups.groups,
        vectors: leaves.vectors,
        f32: forest.aggregation.is_f32(),
        n_leaves: leaves.values.len() / leaves.width,
        n_sets: forest.trees.sets.len(),
        n_set_words: forest.trees.sets.iter().map(|set| set.len()).sum(),
    };
    let mut builder = LinesBuilder::default();
    builder.extend(&groups.nodes);
    builder.align(LINE);
    builder.extend(&slots.features);
    builder.align(LINE);
    builder.extend(&groups.roots);
    builder.align(LINE);
    if !meta.vectors {
        let outputs: Vec<u16> = (0..meta.n_trees).map(|tree| forest.output_of(tree) as u16).collect();
        builder.extend(&outputs);
        builder.align(LINE);
    }
    if meta.f32 {
        builder.extend(&leaves.values.iter().map(|&value| value as f32).collect::<Vec<f32>>());
    } else {
        builder.extend(&leaves.values);
    }
    builder.align(LINE);
    push_sets(&mut builder, &forest.trees.sets);
    Some((meta, builder.finish()))
}

fn push_sets(builder: &mut LinesBuilder, sets: &[Box<[u32]>]) {
    let mut first = 0;
    for set in sets {
        // All sets together have at most 2^24 words.
        let len = set.len() as u32;
        builder.extend(&[Set { first, len }]);
        first += len;
    }
    builder.align(LINE);
    sets.iter().for_each(|set| {
        builder.extend(set);
    });
    builder.align(LINE);
}

/// The slots that occur in a forest.
struct Slots {
    /// Slot of each class and feature.
    numbers: Vec<u32>,
    /// Feature of each slot.
    features: Vec<u16>,
}

impl Slots {
    fn new(trees: &Nodes) -> (Self, Classes) {
        let mut numbers = vec![0; N_CLASSES * MAX_FEATURES];
        for (class, feature) in trees.nodes.iter().filter_map(keys::class_of) {
            numbers[class * MAX_FEATURES + usize::from(feature)] = 1;
        }
        let mut features = vec![0];
        let mut ends = [1; N_CLASSES];
        for (class, numbers) in numbers.chunks_exact_mut(MAX_FEATURES).enumerate() {
            for (feature, number) in numbers.iter_mut().enumerate().filter(|(_, number)| **number == 1) {
                *number = features.len() as u32;
                features.push(feature as u16);
            }
            ends[class] = features.len();
        }
        (Self { numbers, features }, Classes { ends })
    }

    fn of(&self, class: usize, feature: u16) -> u32 {
        self.numbers[class * MAX_FEATURES + usize::from(feature)]
    }
}

/// Distinct leaves, as they are added.
struct Leaves<'a> {
    forest: &'a Forest,
    vectors: bool,
    /// Values of a leaf.
    width: usize,
    values: Vec<f64>,
    /// Position by bits (of a vector: of a mixture of its bits).
    known: HashMap<u64, u32>,
}

impl<'a> Leaves<'a> {
    fn new(forest: &'a Forest) -> Self {
        let vectors = forest.has_vector_leaves();
        let width = if vectors { forest.n_outputs } else { 1 };
        Self { forest, vectors, width, values: Vec::new(), known: HashMap::new() }
    }

    /// Position of a leaf among the distinct ones.
    fn position(&mut self, tree: usize, leaf: &Split) -> u32 {
        let forest = self.forest;
        let scalar;
        let values: &[f64] = match *leaf {
            Split::Vector { at } => &forest.trees.vectors[at as usize..][..self.width],
            Split::Leaf { value } => {
                scalar = [value];
                &scalar
            }
            Split::Numeric { .. } | Split::Categorical { .. } => return 0,
        };
        let start = self.values.len();
        self.values.extend(values.iter().map(|&value| forest.addend(tree, value)));
        let mixture = self.values[start..].iter().fold(0_u64, |mixture, value| {
            mixture.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ value.to_bits()
        });
        let own = (start / self.width) as u32;
        let known = *self.known.entry(mixture).or_insert(own);
        let same = (0..self.width).all(|i| {
            self.values[known as usize * self.width + i].to_bits() == self.values[start + i].to_bits()
        });
        if known == own || !same {
            return own;
        }
        self.values.truncate(start);
        known
    }
}

/// How much of the data, or how many splits if that is not known, is below each split; with the number of splits.
struct Weights {
    splits: Vec<u32>,
    covers: bool,
}

fn weights(trees: &Nodes) -> Weights {
    let mut splits = vec![0_u32; trees.nodes.len()];
    for at in (0..trees.nodes.len()).rev() {
        if let Some((left, right)) = children(trees, at) {
            splits[at] = 1 + splits[left] + splits[right];
        }
    }
    Weights { splits, covers: trees.covers.len() == trees.nodes.len() }
}

/// Positions of the left and of the right child.
fn children(trees: &Nodes, at: usize) -> Option<(usize, usize)> {
    match trees.nodes[at] {
        Split::Numeric { right, .. } | Split::Categorical { right, .. } => Some((at + 1, right as usize)),
        Split::Leaf { .. } | Split::Vector { .. } => None,
    }
}

/// Where the pairs of a tree's children lie: the pair of its root first, then whole lines of four pairs, each a
/// connected piece of the tree; pieces that are smaller share lines.
struct PairOrder {
    first_node: usize,
    /// Place of the pair of each split, by the split's position in the tree.
    places: Vec<u32>,
    n_pairs: usize,
    /// Places left in lines with 1, 2 and 3 of them.
    gaps: [Vec<u32>; LINE_PAIRS - 1],
}

impl PairOrder {
    fn new(trees: &Nodes, weights: &Weights, tree: usize) -> Self {
        let first_node = trees.roots[tree] as usize;
        let end = trees.roots.get(tree + 1).map_or(trees.nodes.len(), |&next| next as usize);
        let places = vec![0; end - first_node];
        let mut order = Self { first_node, places, n_pairs: 0, gaps: Default::default() };
        // The root stands alone in the pair at place 0, with its first piece behind it.
        let (top, mut pieces) = match children(trees, first_node) {
            Some(_) => piece(trees, weights, first_node, LINE_PAIRS - 1),
            None => (Vec::new(), Vec::new()),
        };
        let place = 1 + order.take(1 + top.len());
        order.put(&top, place);
        while let Some(top) = pieces.pop() {
            let (piece, below) = piece(trees, weights, top, LINE_PAIRS);
            let place = order.take(piece.len());
            order.put(&piece, place);
            pieces.extend(below);
        }
        order
    }

    fn put(&mut self, piece: &[usize], place: u32) {
        for (split, place) in piece.iter().zip(place..) {
            self.places[split - self.first_node] = place;
        }
    }

    /// Places for a piece, in one line.
    fn take(&mut self, len: usize) -> u32 {
        let fit = (len..LINE_PAIRS).find(|&room| !self.gaps[room - 1].is_empty());
        let (place, room) = match fit.and_then(|room| Some((self.gaps[room - 1].pop()?, room))) {
            Some(gap) => gap,
            None => {
                self.n_pairs += LINE_PAIRS;
                ((self.n_pairs - LINE_PAIRS) as u32, LINE_PAIRS)
            }
        };
        if room > len {
            self.gaps[room - len - 1].push(place + len as u32);
        }
        place
    }

    /// The tree's nodes as they lie in memory, links counted from the tree's first pair.
    fn nodes(&self, trees: &Nodes, slots: &Slots, leaves: &mut Leaves<'_>, tree: usize) -> Vec<(Node, u32)> {
        let mut out = vec![(Node::default(), 0); 2 * self.n_pairs];
        let mut node = |at: usize| {
            let split = &trees.nodes[at];
            match keys::class_of(split) {
                None => (Node { key: leaves.position(tree, split), link: 0 }, 0),
                Some((class, feature)) => {
                    let key = match *split {
                        Split::Numeric { threshold, .. } => keys::threshold(threshold),
                        Split::Categorical { set, .. } => set,
                        Split::Leaf { .. } | Split::Vector { .. } => 0,
                    };
                    (Node { key, link: slots.of(class, feature) }, self.places[at - self.first_node])
                }
            }
        };
        out[0] = node(self.first_node);
        for at in self.first_node..self.first_node + self.places.len() {
            if let Some((left, right)) = children(trees, at) {
                let place = 2 * self.places[at - self.first_node] as usize;
                (out[place], out[place + 1]) = (node(right), node(left));
            }
        }
        out
    }
}

/// At most `len` splits, from `top` on, and those below them.
fn piece(trees: &Nodes, weights: &Weights, top: usize, len: usize) -> (Vec<usize>, Vec<usize>) {
    let heavier = |&a: &usize, &b: &usize| {
        if weights.covers {
            trees.covers[a].total_cmp(&trees.covers[b])
        } else {
            weights.splits[a].cmp(&weights.splits[b])
        }
    };
    let (mut piece, mut below) = (Vec::with_capacity(len), vec![top]);
    while piece.len() < len
        && let Some(heaviest) = (0..below.len()).max_by(|&a, &b| heavier(&below[a], &below[b]))
    {
        let split = below.swap_remove(heaviest);
        if let Some((left, right)) = children(trees, split) {
            below.extend([left, right].into_iter().filter(|&child| weights.splits[child] > 0));
        }
        piece.push(split);
    }
    (piece, below)
}

/// Trees side by side, as many to a group as links reach.
struct Groups {
    slot_bits: u32,
    nodes: Vec<Node>,
    /// From the group's first node.
    roots: Vec<u32>,
    groups: Vec<Group>,
}

impl Groups {
    /// Appends a tree; `None` if its links do not fit.
    fn push(&mut self, tree: &[(Node, u32)]) -> Option<()> {
        let limit = 1_usize << (32 - self.slot_bits).min(30);
        let fits = |n_nodes: usize| n_nodes / 2 <= limit;
        if !fits(tree.len()) {
            return None;
        }
        match self.groups.last_mut() {
            Some(group) if fits(group.n_nodes + tree.len()) => {
                group.n_trees += 1;
                group.n_nodes += tree.len();
            }
            _ => self.groups.push(Group { n_trees: 1, n_nodes: tree.len() }),
        }
        let group = self.groups.last()?;
        let root = group.n_nodes - tree.len();
        self.roots.push(root as u32);
        self.nodes.extend(tree.iter().map(|&(node, pair)| match node.link {
            0 => node,
            slot => Node { key: node.key, link: (root as u32 / 2 + pair) << self.slot_bits | slot },
        }));
        Some(())
    }
}
