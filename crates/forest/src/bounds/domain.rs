//! What is still possible of an unknown feature.
//!
//! Numbers are kept as whole numbers in their order ([`key`]), so that the values between two thresholds are a range, and
//! whether one is empty is known exactly. Zero and "missing" may go elsewhere than their neighbours and are flags of
//! their own. A feature that is split on by category is a list of values, one of every kind that its splits tell apart;
//! one with too many categories is not tracked: at every split both ways stay possible.

use std::sync::Arc;

use crate::tree::{Missing, Node, Nodes};

/// Most values in the list of a feature with categories.
const MAX_VALUES: usize = 4096;
/// [`InputStep::FlushTiny`](crate::input::InputStep::FlushTiny) makes zeros of these.
const TINY: f32 = 1e-35;

/// A number's place in the order of all; both zeros have place 0.
fn key(x: f32) -> i32 {
    let magnitude = (x.to_bits() & 0x7fff_ffff) as i32;
    if x.is_sign_negative() { -magnitude } else { magnitude }
}

/// Numbers from `low` to `high` but for those within `gap` of zero, maybe zero, maybe missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    low: i32,
    high: i32,
    gap: i32,
    zero: bool,
    missing: bool,
}

impl Range {
    fn everything(gap: i32) -> Self {
        let high = key(f32::INFINITY);
        Self { low: -high, high, gap, zero: true, missing: true }
    }

    fn some(self) -> Option<Self> {
        let numbers = self.low <= self.high && !(self.low >= -self.gap && self.high <= self.gap);
        (numbers || self.zero || self.missing).then_some(self)
    }

    /// What goes left of `x < threshold`, and what right.
    #[inline]
    fn split(self, threshold: f32, missing: Missing) -> (Option<Self>, Option<Self>) {
        // `NaN` sends every present value left.
        let first_right = if threshold.is_nan() { i32::MAX } else { key(threshold) };
        let zero_left = match missing {
            Missing::ZeroLeft => true,
            Missing::ZeroRight => false,
            Missing::Left | Missing::Right => first_right > 0,
        };
        let missing_left = matches!(missing, Missing::Left | Missing::ZeroLeft);
        let left = Self {
            high: self.high.min(first_right - 1),
            zero: self.zero && zero_left,
            missing: self.missing && missing_left,
            ..self
        };
        let right = Self {
            low: self.low.max(first_right),
            zero: self.zero && !zero_left,
            missing: self.missing && !missing_left,
            ..self
        };
        (left.some(), right.some())
    }
}

/// The values that one unknown feature may have; never none.
#[derive(Debug, Clone)]
pub(super) enum Domain {
    /// Splits compare it with thresholds only.
    Range(Range),
    /// One value of every kind.
    Values(Arc<[f32]>),
    /// Not tracked.
    Any,
}

impl Domain {
    /// What goes left at a split on this feature, and what right.
    #[inline]
    pub(super) fn split(&self, nodes: &Nodes, node: Node) -> (Option<Self>, Option<Self>) {
        match (self, node) {
            (Self::Range(range), Node::Numeric { threshold, missing, .. }) => {
                let (left, right) = range.split(threshold, missing);
                (left.map(Self::Range), right.map(Self::Range))
            }
            (Self::Values(values), _) => {
                let (left, right): (Vec<f32>, Vec<f32>) =
                    values.iter().partition(|&&x| nodes.value_goes_left(node, x));
                let some = |values: Vec<f32>| (!values.is_empty()).then(|| Self::Values(values.into()));
                (some(left), some(right))
            }
            _ => (Some(Self::Any), Some(Self::Any)),
        }
    }

    /// Whether a split makes it smaller.
    pub(super) fn is_tracked(&self) -> bool {
        !matches!(self, Self::Any)
    }
}

/// The unknown features of a row.
#[derive(Debug)]
pub(super) struct Domains {
    mask: Vec<bool>,
    /// By feature: position in `all`, if it is unknown.
    slots: Vec<Option<u32>>,
    all: Vec<Domain>,
}

impl Domains {
    /// Everything is possible of every unknown feature. With `flush`, tiny values are zeros.
    pub(super) fn new(nodes: &Nodes, mask: Vec<bool>, flush: bool) -> Self {
        let gap = if flush { key(TINY) } else { 0 };
        let mut slots = vec![None; mask.len()];
        let mut all = Vec::new();
        for (slot, _) in slots.iter_mut().zip(&mask).filter(|(_, unknown)| **unknown) {
            *slot = Some(all.len() as u32);
            all.push(Domain::Range(Range::everything(gap)));
        }
        let mut domains = Self { mask, slots, all };
        if !nodes.sets.is_empty() {
            domains.list_categories(nodes, flush);
        }
        domains
    }

    pub(super) fn mask(&self) -> &[bool] {
        &self.mask
    }

    /// Position of the feature that a node splits on among the unknown ones.
    pub(super) fn slot(&self, node: Node) -> Option<usize> {
        match node {
            Node::Leaf { .. } | Node::Vector { .. } => None,
            Node::Numeric { feature, .. } | Node::Categorical { feature, .. } => {
                self.slots.get(usize::from(feature)).copied().flatten().map(|slot| slot as usize)
            }
        }
    }

    /// What is possible before any split.
    pub(super) fn all(&self) -> Vec<Domain> {
        self.all.clone()
    }

    /// Makes lists of the features that are split on by category.
    fn list_categories(&mut self, nodes: &Nodes, flush: bool) {
        let mut greatest: Vec<Option<usize>> = vec![None; self.all.len()];
        let mut edges: Vec<Vec<f32>> = vec![Vec::new(); self.all.len()];
        for &node in &nodes.nodes {
            let Some(slot) = self.slot(node) else { continue };
            match node {
                Node::Categorical { set, .. } => {
                    let end = nodes.sets[set as usize].len() * 32;
                    greatest[slot] = greatest[slot].max(Some(end));
                }
                Node::Numeric { threshold, .. } if !threshold.is_nan() => edges[slot].push(threshold),
                Node::Numeric { .. } | Node::Leaf { .. } | Node::Vector { .. } => {}
            }
        }
        for ((domain, greatest), edges) in self.all.iter_mut().zip(greatest).zip(edges) {
            if let Some(end) = greatest {
                *domain = values(end, edges, flush);
            }
        }
    }
}

/// One value of every kind: categories, what is between them, what is beyond, and missing.
fn values(end: usize, mut edges: Vec<f32>, flush: bool) -> Domain {
    edges.sort_by(f32::total_cmp);
    edges.dedup();
    if 3 * (end + edges.len() + 2) > MAX_VALUES {
        return Domain::Any;
    }
    // Whole numbers up to MAX_VALUES are exact.
    edges.extend((0..=end + 1).map(|category| category as f32 - 1.0));
    let mut values = vec![f32::NAN, f32::NEG_INFINITY, f32::INFINITY];
    values.extend(edges.into_iter().flat_map(|x| [x, x.next_up(), x.next_down()]));
    if flush {
        values.iter_mut().filter(|x| x.abs() <= TINY).for_each(|x| *x = 0.0);
    }
    values.sort_by(f32::total_cmp);
    values.dedup_by_key(|x| x.to_bits());
    Domain::Values(values.into())
}
