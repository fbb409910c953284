//! Puts the trees of a forest into the order of [`super::plan`].

use super::plan::{Again, Column, Inner, Part, Plan, Split, Tree};
use crate::tree::{Node, Nodes};

/// Most splits of a part, but for a tree's upper one.
pub(super) const PART_SPLITS: u32 = 256;
/// The least share above a split: nothing is divided by zero, and no sum can tell.
const LEAST_SHARE: f64 = 1e-100;

const NONE: u32 = u32::MAX;

/// What the path says of a feature.
#[derive(Clone, Copy)]
struct Above {
    /// The last split on it, or [`NONE`].
    at: u32,
    /// Whether the path goes right there.
    right: bool,
    /// Share of the training data that follows the path at all splits on it.
    zero: f64,
}

impl Above {
    const NOTHING: Self = Self { at: NONE, right: false, zero: 1.0 };
}

/// What is known of a node of the tree at hand.
#[derive(Clone, Copy)]
struct Known {
    /// Splits in its subtree; 0 for a leaf.
    splits: u32,
    slot: u32,
    again: u32,
    above: Above,
}

/// A split and its right child; the left one is the next node.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    right: usize,
}

impl Place {
    fn children(&self) -> [usize; 2] {
        [self.at + 1, self.right]
    }
}

/// The first slot and the first number of a part, and the slot of its root in the part above.
#[derive(Clone, Copy)]
struct First {
    slot: usize,
    again: usize,
    above: usize,
}

/// A part's root, and its slot in the part above.
struct Root {
    at: usize,
    slot: usize,
}

/// Appends one tree after another.
pub(super) struct Builder<'a> {
    nodes: &'a Nodes,
    pub(super) plan: Plan,
    /// By feature and treatment of what is missing: position in `plan.columns`.
    columns: Vec<u32>,
    /// By feature.
    path: Vec<Above>,
    /// Of the tree at hand, from `root`.
    known: Vec<Known>,
    root: usize,
    most_features: usize,
}

impl<'a> Builder<'a> {
    pub(super) fn new(nodes: &'a Nodes, n_features: usize, width: usize) -> Self {
        Self {
            nodes,
            plan: Plan { width, ..Plan::default() },
            columns: vec![NONE; 4 * n_features],
            path: vec![Above::NOTHING; n_features],
            known: Vec::new(),
            root: 0,
            most_features: 0,
        }
    }

    /// Appends the tree of the nodes from `root` to `end`.
    pub(super) fn tree(&mut self, root: usize, end: usize) {
        self.known.clear();
        self.known.resize(end - root, Known { splits: 0, slot: 0, again: 0, above: Above::NOTHING });
        (self.root, self.most_features) = (root, 0);
        for at in (root..end).rev() {
            if let Some((_, right)) = self.nodes.split_at(at) {
                self.known[at - root].splits = 1 + self.splits(at + 1) + self.splits(right);
            }
        }
        if self.splits(root) == 0 {
            self.plan.trees.push(None);
            return;
        }
        self.trace(root, 0);
        let first_part = self.plan.parts.len();
        let least = if self.splits(root) > PART_SPLITS { PART_SPLITS + 1 } else { 1 };
        let roots = self.part(root, least, First { slot: 0, again: 1, above: 0 });
        let upper = self.plan.parts[first_part];
        let (slot, again) = (upper.slots() + roots.len(), upper.again + upper.agains.1);
        for Root { at, slot: above } in roots {
            self.part(at, 1, First { slot, again, above });
        }
        let (n_parts, most_features) = (self.plan.parts.len() - first_part, self.most_features);
        self.plan.trees.push(Some(Tree { first_part, n_parts, most_features }));
        self.plan.most_features = self.plan.most_features.max(most_features);
    }

    fn splits(&self, at: usize) -> u32 {
        self.known[at - self.root].splits
    }

    /// Finds for every split under `at` the one before it on the same feature, where the path to `at` has
    /// `n_features`. It ends, since a path has at most `max_depth` edges, which parsing bounds.
    fn trace(&mut self, at: usize, n_features: usize) {
        let Some((feature, right)) = self.nodes.split_at(at) else { return };
        let feature = usize::from(feature);
        let above = self.path[feature];
        self.known[at - self.root].above = above;
        let n_features = n_features + usize::from(above.at == NONE);
        self.most_features = self.most_features.max(n_features);
        let share = self.nodes.share_left(at, right);
        for (child, right, share) in [(at + 1, false, share), (right, true, 1.0 - share)] {
            self.path[feature] = Above { at: at as u32, right, zero: above.zero * share };
            self.trace(child, n_features);
        }
        self.path[feature] = above;
    }

    /// Appends the part under `root`, of the subtrees with at least `least` splits; gives the roots of those below.
    fn part(&mut self, root: usize, least: u32, first: First) -> Vec<Root> {
        let (inner, twigs) = self.order(root, least);
        for (i, place) in inner.iter().chain(&twigs).enumerate() {
            self.known[place.at - self.root].slot = (first.slot + i) as u32;
        }
        let slotted: Vec<usize> =
            inner.iter().flat_map(Place::children).filter(|&at| self.splits(at) == 0).collect();
        let part = Part {
            slot: first.slot,
            again: first.again,
            above: first.above,
            inner: (self.plan.inner.len(), inner.len()),
            twigs: (self.plan.twigs.len(), twigs.len()),
            agains: (self.plan.agains.len(), 0),
            leaves: self.plan.leaves.len() / self.plan.width,
            slotted_leaves: slotted.len(),
        };
        let roots = self.inner(&inner, &part, least);
        for place in &twigs {
            let split = self.split(*place, &part);
            self.plan.twigs.push(split);
        }
        twigs.iter().flat_map(Place::children).chain(slotted).for_each(|at| self.leaf(at));
        let n_agains = self.plan.agains.len() - part.agains.0;
        self.plan.n_slots = self.plan.n_slots.max(part.slots() + roots.len());
        self.plan.n_agains = self.plan.n_agains.max(part.again + n_agains);
        self.plan.parts.push(Part { agains: (part.agains.0, n_agains), ..part });
        roots
    }

    /// Appends the inner splits of a part.
    fn inner(&mut self, inner: &[Place], part: &Part, least: u32) -> Vec<Root> {
        let mut leaf_slot = part.slots() - part.slotted_leaves;
        let mut root_slot = part.slots();
        let mut roots = Vec::new();
        for &place in inner {
            let split = self.split(place, part);
            let children = place.children().map(|at| {
                let next = match self.splits(at) {
                    0 => &mut leaf_slot,
                    splits if splits >= least => return self.known[at - self.root].slot,
                    _ => {
                        roots.push(Root { at, slot: root_slot });
                        &mut root_slot
                    }
                };
                *next += 1;
                (*next - 1) as u32
            });
            self.plan.inner.push(Inner { split, children });
        }
        roots
    }

    /// A part's splits, parents first: those with a split below them, and those without.
    fn order(&self, root: usize, least: u32) -> (Vec<Place>, Vec<Place>) {
        let (mut inner, mut twigs) = (Vec::new(), Vec::new());
        let mut level = vec![root];
        while !level.is_empty() {
            let mut below = Vec::new();
            for at in level {
                let Some((_, right)) = self.nodes.split_at(at) else { continue };
                let place = Place { at, right };
                below.extend(place.children().into_iter().filter(|&child| self.splits(child) >= least));
                if self.splits(at) == 1 { twigs.push(place) } else { inner.push(place) }
            }
            level = below;
        }
        (inner, twigs)
    }

    /// The split at `at`, whose feature may come again.
    fn split(&mut self, place: Place, part: &Part) -> Split {
        let Place { at, right } = place;
        let (column, threshold, feature) = self.question(at);
        let above = self.known[at - self.root].above;
        let mut again = 0;
        if above.at != NONE {
            again = (part.again + self.plan.agains.len() - part.agains.0) as u32;
            let before = self.known[above.at as usize - self.root];
            let edge = 2 * before.slot + u32::from(above.right);
            self.plan.agains.push(Again { zero: above.zero.max(LEAST_SHARE), edge, before: before.again });
        }
        self.known[at - self.root].again = again;
        Split { share: self.nodes.share_left(at, right), threshold, column, feature, again }
    }

    /// Column, threshold and feature of a split.
    fn question(&mut self, at: usize) -> (u32, f32, u32) {
        let next = self.plan.columns.len() as u32;
        match self.nodes.nodes[at] {
            // What is missing is infinite, which these thresholds do not tell from all that is present.
            Node::Numeric { feature, missing, threshold, .. }
                if !threshold.is_nan() && threshold != f32::NEG_INFINITY =>
            {
                let column = &mut self.columns[4 * usize::from(feature) + missing as usize];
                if *column == NONE {
                    *column = next;
                    self.plan.columns.push(Column::Feature { feature, missing });
                }
                (*column, threshold, u32::from(feature))
            }
            Node::Numeric { feature, .. } | Node::Categorical { feature, .. } => {
                self.plan.columns.push(Column::Node { at: at as u32 });
                (next, 0.0, u32::from(feature))
            }
            Node::Leaf { .. } | Node::Vector { .. } => (0, 0.0, 0),
        }
    }

    fn leaf(&mut self, at: usize) {
        match self.nodes.nodes[at] {
            Node::Leaf { value } => {
                self.plan.leaves.push(value);
                // A forest has leaves of one kind; a number among vectors would be the first output's.
                let rest = self.plan.width - 1;
                self.plan.leaves.extend(std::iter::repeat_n(0.0, rest));
            }
            Node::Vector { at } => {
                let vector = &self.nodes.vectors[at as usize..][..self.plan.width];
                self.plan.leaves.extend_from_slice(vector);
            }
            Node::Numeric { .. } | Node::Categorical { .. } => {}
        }
    }
}
