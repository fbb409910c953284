//! What the known features leave of the trees: the splits on unknown ones that can be reached, and their leaves.

use super::domain::{Domain, Domains};
use crate::tree::{Node, Nodes};

/// A node that can be reached. Preorder: the left child comes next.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rest {
    /// A leaf; `at` is its position among the forest's nodes.
    Leaf { at: u32 },
    /// A split on the unknown feature `slot`, both sides of which can be reached.
    Split { at: u32, slot: u32, right: u32 },
}

/// All trees of one row.
#[derive(Debug, Default)]
pub(super) struct Residual {
    pub(super) nodes: Vec<Rest>,
    /// By tree.
    pub(super) roots: Vec<u32>,
}

impl Residual {
    pub(super) fn new(nodes: &Nodes, domains: &Domains, row: &[f32]) -> Self {
        let mut builder = Builder { nodes, domains, row, open: domains.all(), residual: Self::default() };
        for &root in &nodes.roots {
            builder.residual.roots.push(builder.residual.nodes.len() as u32);
            builder.push(root as usize);
        }
        builder.residual
    }
}

struct Builder<'a> {
    nodes: &'a Nodes,
    domains: &'a Domains,
    row: &'a [f32],
    /// What is possible on the path to the node at hand.
    open: Vec<Domain>,
    residual: Residual,
}

impl Builder<'_> {
    /// Appends the subtree at `at`. It is entered once a level, and parsing bounds the depth.
    fn push(&mut self, mut at: usize) {
        loop {
            let node = self.nodes.nodes[at];
            let (Node::Numeric { right, .. } | Node::Categorical { right, .. }) = node else {
                self.residual.nodes.push(Rest::Leaf { at: at as u32 });
                return;
            };
            let right = right as usize;
            let Some(slot) = self.domains.slot(node) else {
                at = if self.nodes.goes_left(node, self.row) { at + 1 } else { right };
                continue;
            };
            match self.open[slot].split(self.nodes, node) {
                (Some(left), Some(other)) => return self.push_split(at, slot, right, [left, other]),
                (None, _) => at = right,
                (Some(_), None) => at += 1,
            }
        }
    }

    fn push_split(&mut self, at: usize, slot: usize, right: usize, [left, other]: [Domain; 2]) {
        let place = self.residual.nodes.len();
        self.residual.nodes.push(Rest::Split { at: at as u32, slot: slot as u32, right: 0 });
        let whole = std::mem::replace(&mut self.open[slot], left);
        self.push(at + 1);
        let next = self.residual.nodes.len() as u32;
        if let Rest::Split { right, .. } = &mut self.residual.nodes[place] {
            *right = next;
        }
        self.open[slot] = other;
        self.push(right);
        self.open[slot] = whole;
    }
}
