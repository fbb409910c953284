//! Random forests and rows for the engines' tests.

use crate::forest::{Aggregation, Forest};
use crate::input::InputStep;
use crate::link::Link;
use crate::tree::{CategoryRule, Missing, Node, Nodes, RawNode};

use super::{Engine, Isa, Prepared};

/// `SplitMix64`.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// 0..n.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Whether one of n comes up.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// -1..1.
    pub(crate) fn value(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// How a tree grows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Growth {
    /// Every leaf at the full depth.
    Full,
    /// A node is a leaf one time in so many.
    LeafOneIn(usize),
    /// So many leaves, each made by a split of any leaf that is not at the full depth yet.
    LeafWise(usize),
    /// Every node of a level has the same split; all leaves at the full depth.
    Oblivious,
    /// Likewise, but each tree of any depth up to the full one.
    ObliviousMixed,
}

/// How leaves add up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sum {
    /// XGBoost.
    F32,
    /// XGBoost's DART: trees have weights.
    Dart,
    /// ONNX: the base is added last, or the sum is divided before.
    BaseLast { mean: bool },
    /// LightGBM, CatBoost; leaves are `f32` values if so said.
    F64 { short_leaves: bool },
    /// Random forests.
    Mean,
}

/// What a random forest is like.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) trees: usize,
    pub(crate) features: usize,
    /// Most edges of a walk.
    pub(crate) depth: usize,
    pub(crate) growth: Growth,
    pub(crate) outputs: usize,
    pub(crate) sum: Sum,
    /// Different thresholds of a feature, about; 0: as many as there are splits.
    pub(crate) thresholds: usize,
    /// Whether there are splits by category.
    pub(crate) categorical: bool,
    /// Whether splits may count zero as missing.
    pub(crate) zero_missing: bool,
    /// Whether missing values may go left.
    pub(crate) missing_left: bool,
    /// Whether thresholds may be zeros, infinite, `NaN`, or denormal.
    pub(crate) odd_thresholds: bool,
    /// Whether tiny values are flushed to zero before any tree.
    pub(crate) flush: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            trees: 20,
            features: 7,
            depth: 5,
            growth: Growth::LeafOneIn(9),
            outputs: 1,
            sum: Sum::F32,
            thresholds: 0,
            categorical: false,
            zero_missing: false,
            missing_left: true,
            odd_thresholds: true,
            flush: false,
        }
    }
}

/// Numbers at the edges.
const ODD: [f32; 14] = [
    0.0,
    -0.0,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    1e-35,
    1.0,
    3.0,
];

impl Shape {
    /// Shapes of every kind, small enough for a test to try them all.
    pub(crate) fn all() -> Vec<Self> {
        let growths = [
            Growth::Full,
            Growth::LeafOneIn(3),
            Growth::LeafOneIn(9),
            Growth::LeafWise(31),
            Growth::Oblivious,
        ];
        let sums = [
            Sum::F32,
            Sum::Dart,
            Sum::BaseLast { mean: false },
            Sum::BaseLast { mean: true },
            Sum::F64 { short_leaves: true },
            Sum::F64 { short_leaves: false },
            Sum::Mean,
        ];
        let mut shapes = Vec::new();
        for depth in 0..=12 {
            for (i, &growth) in growths.iter().enumerate() {
                if depth > 8 && matches!(growth, Growth::Full | Growth::Oblivious) {
                    continue;
                }
                let k = depth * growths.len() + i;
                let outputs = if k.is_multiple_of(4) { 3 } else { 1 };
                shapes.push(Self {
                    trees: [1, 7, 16, 33][k % 4] * outputs,
                    features: [1, 3, 40][k % 3],
                    depth,
                    growth,
                    outputs,
                    sum: sums[k % sums.len()],
                    thresholds: [0, 5, 300][(k / 2) % 3],
                    categorical: k % 5 == 2,
                    zero_missing: k % 3 == 1,
                    missing_left: k % 7 != 3,
                    odd_thresholds: k.is_multiple_of(2),
                    flush: k % 6 == 5,
                });
            }
        }
        shapes
    }

    pub(crate) fn forest(&self, rng: &mut Rng) -> Forest {
        let mut trees = Nodes::default();
        let sets = if self.categorical { self.sets(&mut trees, rng) } else { Vec::new() };
        for _ in 0..self.trees {
            let raw = self.tree(&sets, rng);
            trees.push_tree(&raw, &[], self.features, 0).unwrap();
        }
        let outputs = if self.outputs > 1 { self.trees } else { 0 };
        Forest {
            n_features: self.features,
            feature_names: None,
            objective: String::new(),
            n_outputs: self.outputs,
            link: Link::Identity,
            aggregation: self.aggregation(rng),
            input: if self.flush { vec![InputStep::FlushTiny] } else { Vec::new() },
            trees,
            tree_outputs: (0..outputs).map(|tree| (tree % self.outputs) as u16).collect(),
            linear: None,
            prepared: Prepared::default(),
        }
    }

    fn aggregation(&self, rng: &mut Rng) -> Aggregation {
        let base: Vec<f32> = (0..self.outputs).map(|_| rng.value()).collect();
        let f32_sum = |tree_weights, base_last, mean| Aggregation::SumF32 {
            base: base.clone(),
            tree_weights,
            base_last,
            mean,
        };
        match self.sum {
            Sum::F32 => f32_sum(None, false, false),
            Sum::Dart => f32_sum(Some((0..self.trees).map(|_| rng.value()).collect()), false, false),
            Sum::BaseLast { mean } => f32_sum(None, true, mean),
            Sum::F64 { .. } => Aggregation::SumF64 {
                start: base.iter().map(|&b| f64::from(b) / 3.0).collect(),
                scale: if rng.one_in(2) { 1.0 } else { 0.7 },
                bias: if rng.one_in(2) { Vec::new() } else { base.iter().map(|&b| f64::from(b)).collect() },
                averaged: false,
            },
            Sum::Mean => Aggregation::Mean,
        }
    }

    /// A few sets, each with its rule.
    fn sets(&self, trees: &mut Nodes, rng: &mut Rng) -> Vec<(u32, CategoryRule)> {
        (0..6)
            .map(|i| {
                let limit = rng.pick(&[1, 5, 40, 100]);
                let categories: Vec<i64> = (0..limit).filter(|_| rng.one_in(2)).collect();
                let rules = [
                    CategoryRule::Lightgbm,
                    CategoryRule::XgboostMissingLeft,
                    CategoryRule::XgboostMissingRight,
                ];
                (trees.push_set(categories.into_iter(), limit).unwrap(), rules[i % 3])
            })
            .collect()
    }

    /// One tree; the nodes' numbers are their positions.
    fn tree(&self, sets: &[(u32, CategoryRule)], rng: &mut Rng) -> Vec<RawNode> {
        let mut raw = vec![self.leaf(rng)];
        let mut open = vec![(0, 0)];
        let full = match self.growth {
            Growth::ObliviousMixed => rng.below(self.depth + 1),
            _ => self.depth,
        };
        let levels: Vec<RawNode> = (0..self.depth).map(|_| self.split(sets, rng)).collect();
        let mut leaves = 1;
        while !open.is_empty() {
            let leaf_wise = matches!(self.growth, Growth::LeafWise(_));
            let (at, depth) = open.swap_remove(if leaf_wise { rng.below(open.len()) } else { 0 });
            let stops = match self.growth {
                Growth::Full | Growth::Oblivious | Growth::ObliviousMixed => false,
                Growth::LeafOneIn(n) => rng.one_in(n),
                Growth::LeafWise(limit) => leaves >= limit,
            };
            if depth == full || stops {
                continue;
            }
            let mut split = match self.growth {
                Growth::Oblivious | Growth::ObliviousMixed => levels[depth].clone(),
                _ => self.split(sets, rng),
            };
            if let RawNode::Numeric { left, right, .. } | RawNode::Categorical { left, right, .. } =
                &mut split
            {
                (*left, *right) = (raw.len() as i64, raw.len() as i64 + 1);
            }
            raw[at] = split;
            for _ in 0..2 {
                open.push((raw.len(), depth + 1));
                let leaf = self.leaf(rng);
                raw.push(leaf);
            }
            leaves += 1;
        }
        raw
    }

    fn leaf(&self, rng: &mut Rng) -> RawNode {
        let value = f64::from(rng.value());
        let value = match self.sum {
            Sum::F64 { short_leaves: false } | Sum::Mean => value / 3.0,
            _ => value,
        };
        let value =
            if rng.one_in(50) { rng.pick(&[0.0, -0.0, 1e-45_f32 as f64, 1e30_f32 as f64]) } else { value };
        RawNode::Leaf { value, id: rng.below(1000) as u32 }
    }

    fn split(&self, sets: &[(u32, CategoryRule)], rng: &mut Rng) -> RawNode {
        let feature = rng.below(self.features) as i64;
        let (left, right) = (0, 0);
        if !sets.is_empty() && rng.one_in(3) {
            let (set, rule) = rng.pick(sets);
            return RawNode::Categorical { feature, rule, set, left, right };
        }
        let threshold = match self.thresholds {
            _ if self.odd_thresholds && rng.one_in(10) => rng.pick(&ODD),
            0 => rng.value(),
            n => rng.below(n) as f32 / n as f32 - 0.4,
        };
        let missing = match (self.zero_missing && rng.one_in(3), self.missing_left && rng.one_in(2)) {
            (false, false) => Missing::Right,
            (false, true) => Missing::Left,
            (true, false) => Missing::ZeroRight,
            (true, true) => Missing::ZeroLeft,
        };
        RawNode::Numeric { feature, missing, threshold, left, right }
    }

    /// Rows of thresholds, their neighbours, numbers at the edges, categories, and any numbers.
    pub(crate) fn rows(&self, forest: &Forest, rng: &mut Rng, n: usize) -> Vec<f32> {
        let mut thresholds = vec![vec![0.5]; self.features];
        for node in &forest.trees.nodes {
            if let Node::Numeric { feature, threshold, .. } = *node {
                thresholds[usize::from(feature)].push(threshold);
            }
        }
        (0..n * self.features)
            .map(|i| match rng.below(8) {
                0 => f32::NAN,
                1 => rng.pick(&ODD),
                2 => rng.pick(&thresholds[i % self.features]),
                3 => rng.pick(&thresholds[i % self.features]).next_up(),
                4 => rng.pick(&thresholds[i % self.features]).next_down(),
                5 if self.categorical => rng.below(110) as f32 - 5.0 + rng.pick(&[0.0, 0.5]),
                _ => rng.value(),
            })
            .collect()
    }
}

/// The numbers of rows that kernels are tried with: none, one, about a vector's, and about a tile's.
pub(crate) const ROWS: [usize; 13] = [0, 1, 2, 7, 31, 32, 33, 64, 65, 127, 255, 256, 257];

/// Holds a layout's sums, finished, against the reference's margins, bit for bit, with every instruction set here.
pub(crate) fn assert_equals_reference(
    forest: &Forest,
    rows: &[f32],
    what: &str,
    sums: impl Fn(Isa, &[f32], &mut [f64]),
) {
    let mut expected = Vec::new();
    forest.margins_with(Engine::Reference, rows, &mut expected).unwrap();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let mut buffer = Vec::new();
        // Not zeros: whatever was in the buffer must not be added to.
        let mut found = vec![1e9; expected.len()];
        sums(isa, forest.transformed(rows, &mut buffer), &mut found);
        forest.finish(&mut found);
        for (i, (a, b)) in expected.iter().zip(&found).enumerate() {
            let n = expected.len() / forest.n_outputs;
            assert_eq!(
                a.to_bits(),
                b.to_bits(),
                "{what}, {isa:?}: row {} of {n}, output {}: {b:e} is not {a:e}",
                i / forest.n_outputs,
                i % forest.n_outputs
            );
        }
    }
}
