//! Bounds of one row: all values of the unknown features, cut into pieces where that narrows the interval most.

use super::domain::{Domain, Domains};
use super::residual::{Residual, Rest};
use super::{MAX_PIECES, MAX_VISITS};
use crate::forest::Forest;
use crate::tree::{Node, Nodes};

/// A part of the values, and the margins that are possible there.
struct Piece {
    domains: Vec<Domain>,
    low: f64,
    high: f64,
    /// Where to cut it: the unknown feature and a split on it; `None` when that would not help.
    cut: Option<(u32, u32)>,
}

pub(super) struct Search<'a> {
    forest: &'a Forest,
    nodes: &'a Nodes,
    all: Vec<Domain>,
    residual: Residual,
    /// Whether the leaves hold one value per output.
    vectors: bool,
    visits: usize,
    /// Of the tree at hand, the first split that leaves both ways open.
    open: Option<(u32, u32)>,
}

impl<'a> Search<'a> {
    pub(super) fn new(forest: &'a Forest, nodes: &'a Nodes, domains: &Domains, row: &[f32]) -> Self {
        let residual = Residual::new(nodes, domains, row);
        let vectors = forest.has_vector_leaves();
        Self { forest, nodes, all: domains.all(), residual, vectors, visits: 0, open: None }
    }

    /// Bounds of one output.
    pub(super) fn bounds(&mut self, output: usize) -> (f64, f64) {
        self.visits = 0;
        let mut pieces = vec![self.piece(self.all.clone(), output)];
        let mut turn = false;
        while pieces.len() < MAX_PIECES && self.visits < MAX_VISITS {
            let Some(at) = next(&pieces, turn).or_else(|| next(&pieces, !turn)) else { break };
            turn = !turn;
            let piece = pieces.swap_remove(at);
            let halves = self.halves(&piece);
            for domains in halves {
                pieces.push(self.piece(domains, output));
            }
        }
        let low = pieces.iter().map(|piece| piece.low).fold(f64::INFINITY, f64::min);
        let high = pieces.iter().map(|piece| piece.high).fold(f64::NEG_INFINITY, f64::max);
        (low, high)
    }

    /// The values of a piece on both sides of its cut.
    fn halves(&self, piece: &Piece) -> Vec<Vec<Domain>> {
        let Some((slot, at)) = piece.cut else { return vec![piece.domains.clone()] };
        let (left, right) = piece.domains[slot as usize].split(self.nodes, self.nodes.nodes[at as usize]);
        let with = |domain: Domain| {
            let mut domains = piece.domains.clone();
            domains[slot as usize] = domain;
            domains
        };
        left.into_iter().chain(right).map(with).collect()
    }

    /// Sums the trees' ends in the order and width of the engines.
    fn piece(&mut self, mut domains: Vec<Domain>, output: usize) -> Piece {
        let (mut lows, mut highs) = (Vec::new(), Vec::new());
        let (mut cut, mut widest) = (None, 0.0);
        for tree in 0..self.residual.roots.len() {
            if !self.vectors && self.forest.output_of(tree) != output {
                continue;
            }
            self.open = None;
            let (low, high) = self.ends(self.residual.roots[tree] as usize, &mut domains, tree, output);
            lows.push(low);
            highs.push(high);
            if high - low > widest && self.open.is_some() {
                (cut, widest) = (self.open, high - low);
            }
        }
        let (a, b) = (self.total(&lows, output), self.total(&highs, output));
        let (low, high) = match a.is_nan() || b.is_nan() {
            true => (f64::NEG_INFINITY, f64::INFINITY),
            // A negative scale turns them round; not `min` and `max`, which choose between zeros of both signs.
            false if a > b => (b, a),
            false => (a, b),
        };
        Piece { domains, low, high, cut }
    }

    /// Least and greatest addend of a subtree. It is entered once a level.
    fn ends(&mut self, at: usize, domains: &mut [Domain], tree: usize, output: usize) -> (f64, f64) {
        self.visits += 1;
        let (at_node, slot, right) = match self.residual.nodes[at] {
            Rest::Leaf { at } => {
                let value = self.forest.addend(tree, self.leaf(at as usize, output));
                return (value, value);
            }
            Rest::Split { at, slot, right } => (at, slot as usize, right as usize),
        };
        match domains[slot].split(self.nodes, self.nodes.nodes[at_node as usize]) {
            (Some(left), Some(other)) => {
                if self.open.is_none() && left.is_tracked() {
                    self.open = Some((slot as u32, at_node));
                }
                let whole = std::mem::replace(&mut domains[slot], left);
                let a = self.ends(at + 1, domains, tree, output);
                domains[slot] = other;
                let b = self.ends(right, domains, tree, output);
                domains[slot] = whole;
                (a.0.min(b.0), a.1.max(b.1))
            }
            (None, _) => self.ends(right, domains, tree, output),
            (Some(_), None) => self.ends(at + 1, domains, tree, output),
        }
    }

    fn leaf(&self, at: usize, output: usize) -> f64 {
        match self.nodes.nodes[at] {
            Node::Leaf { value } => value,
            Node::Vector { at } => self.nodes.vectors[at as usize + output],
            Node::Numeric { .. } | Node::Categorical { .. } => 0.0,
        }
    }

    /// The margin of these addends, rounded at every step as the engines do.
    fn total(&self, addends: &[f64], output: usize) -> f64 {
        let start = self.forest.start(output);
        let sum = if self.forest.is_single() {
            f64::from(addends.iter().fold(start as f32, |sum, &leaf| sum + leaf as f32))
        } else {
            addends.iter().fold(start, |sum, &leaf| sum + leaf)
        };
        let mut sums = vec![0.0; self.forest.n_outputs];
        sums[output] = sum;
        self.forest.finish(&mut sums);
        sums[output]
    }
}

/// The piece that holds an end of the interval, if it can be cut.
fn next(pieces: &[Piece], highest: bool) -> Option<usize> {
    let order = |a: &(usize, &Piece), b: &(usize, &Piece)| {
        if highest { b.1.high.total_cmp(&a.1.high) } else { a.1.low.total_cmp(&b.1.low) }
    };
    pieces.iter().enumerate().min_by(order).filter(|(_, piece)| piece.cut.is_some()).map(|(at, _)| at)
}
