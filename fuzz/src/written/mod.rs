//! Sound models from any bytes: what a trainer could have written, and what none would.
//!
//! The input is a stream of choices; where it ends, choices go on as numbers made from what was read, so that few
//! bytes make a large forest. The forest is written as XGBoost's JSON (`f32` sums, DART weights, categories, vector
//! leaves), LightGBM's text (`f64` sums, zeros as missing, categories), CatBoost's JSON (oblivious trees) or
//! `tribunal-forest` (means, categories), so that every layout of the engines has its models.

mod catboost;
mod lightgbm;
mod tribunal;
mod xgboost;

use std::fmt::Display;

use tribunal_forest::Format;

use crate::answers::hash;

/// Most nodes of a forest.
const MAX_NODES: usize = 3_000;

/// Thresholds and leaves at the edges.
const ODD: [f32; 12] = [
    0.0,
    -0.0,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-45,
    -1e-45,
    1e-35,
    1.0,
    2.0,
    16_777_216.0,
];

/// Format and file of the model that `input` describes.
pub(crate) fn model(input: &[u8]) -> (Format, Vec<u8>) {
    let mut choices = Choices { rest: input, state: input.len() as u64 };
    let kind = choices.below(4);
    let forest = Written::new(&mut choices);
    let (format, text) = match kind {
        0 => (Format::XgboostJson, xgboost::write(&forest, &mut choices)),
        1 => (Format::LightgbmText, lightgbm::write(&forest, &mut choices)),
        2 => (Format::CatboostJson, catboost::write(&forest, &mut choices)),
        _ => (Format::TribunalForest, tribunal::write(&forest, &mut choices)),
    };
    (format, text.into_bytes())
}

/// See the module.
pub(crate) struct Choices<'a> {
    rest: &'a [u8],
    state: u64,
}

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let byte = match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                byte
            }
            None => (hash(self.state) >> 32) as u8,
        };
        self.state = self.state.rotate_left(7) ^ u64::from(byte);
        byte
    }

    /// 0..n, for n up to 65,536.
    fn below(&mut self, n: usize) -> usize {
        let byte = usize::from(self.byte());
        if n <= 256 { byte % n } else { (byte << 8 | usize::from(self.byte())) % n }
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Between -2 and 2 with few bits, at an edge, or any finite number.
    fn number(&mut self) -> f32 {
        match self.below(16) {
            0 => self.pick(&ODD),
            1 => {
                let bits = u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()]);
                let any = f32::from_bits(bits);
                if any.is_finite() { any } else { 0.5 }
            }
            _ => (self.below(512) as f32 - 256.0) / 128.0,
        }
    }
}

/// A forest before it has a format. Trees hold their nodes in any order, the root first.
pub(crate) struct Written {
    features: usize,
    outputs: usize,
    /// At most 16 in every forest: oblivious trees have no more.
    trees: Vec<Vec<Node>>,
}

enum Node {
    /// Filled in by the writer: formats differ in what a leaf may hold.
    Leaf,
    Split(Split),
}

#[derive(Clone)]
struct Split {
    feature: usize,
    threshold: f32,
    /// What is missing, and where it goes.
    missing: usize,
    /// Categories, in order; the threshold says nothing then.
    set: Option<Vec<u32>>,
    left: usize,
    right: usize,
}

/// How trees grow.
struct Shape {
    depth: usize,
    /// One leaf in so many nodes above the full depth; 0: none.
    leaf_one_in: usize,
    /// Whether only one child of every split is split again.
    chain: bool,
    /// Different thresholds per feature, about.
    thresholds: usize,
    categorical: bool,
}

impl Written {
    fn new(choices: &mut Choices<'_>) -> Self {
        let features = choices.pick(&[1, 2, 3, 5, 8, 20, 60, 300]);
        let outputs = choices.pick(&[1, 1, 1, 1, 2, 3, 5]);
        let shape = Shape {
            depth: choices.pick(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 20]),
            leaf_one_in: choices.pick(&[0, 2, 3, 6, 20]),
            chain: choices.one_in(8),
            thresholds: choices.pick(&[1, 3, 20, 300, 3_000]),
            categorical: choices.one_in(4),
        };
        let most = choices.pick(&[1, 2, 5, 15, 16, 17, 33, 65]) * outputs;
        let (mut trees, mut nodes) = (Vec::new(), 0);
        // Whole iterations: one tree for every output.
        while trees.len() < outputs || trees.len() < most && nodes < MAX_NODES {
            for _ in 0..outputs {
                let tree = tree(&shape, features, choices);
                nodes += tree.len();
                trees.push(tree);
            }
        }
        Self { features, outputs, trees }
    }
}

fn tree(shape: &Shape, features: usize, choices: &mut Choices<'_>) -> Vec<Node> {
    let mut tree = vec![Node::Leaf];
    let mut open = vec![(0, 0)];
    while let Some((at, depth)) = open.pop() {
        let stops = shape.leaf_one_in > 0 && choices.one_in(shape.leaf_one_in);
        if depth == shape.depth || stops || tree.len() > MAX_NODES / 2 {
            continue;
        }
        let mut split = split(shape, features, choices);
        (split.left, split.right) = (tree.len(), tree.len() + 1);
        tree.extend([Node::Leaf, Node::Leaf]);
        let children = if shape.chain {
            vec![if choices.one_in(2) { split.left } else { split.right }]
        } else {
            vec![split.right, split.left]
        };
        open.extend(children.into_iter().map(|child| (child, depth + 1)));
        tree[at] = Node::Split(split);
    }
    tree
}

fn split(shape: &Shape, features: usize, choices: &mut Choices<'_>) -> Split {
    let feature = choices.below(features);
    let threshold = match choices.below(shape.thresholds + 1) {
        0 => choices.number(),
        i => i as f32 * 0.125 - 2.0,
    };
    let set = (shape.categorical && choices.one_in(3)).then(|| {
        let limit = choices.pick(&[1, 4, 33, 70]);
        (0..limit).filter(|_| choices.one_in(2)).collect()
    });
    Split { feature, threshold, missing: choices.below(6), set, left: 0, right: 0 }
}

/// `1,2,3`.
fn join<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    separated(values, ",")
}

fn separated<T: Display>(values: impl IntoIterator<Item = T>, separator: &str) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(separator)
}

/// A cover for every node: a leaf's is small, a split's the sum of its children's.
fn covers(tree: &[Node], choices: &mut Choices<'_>) -> Vec<u32> {
    let mut covers = vec![0; tree.len()];
    // Children stand behind their parents.
    for (at, node) in tree.iter().enumerate().rev() {
        covers[at] = match node {
            Node::Leaf => choices.below(9) as u32,
            Node::Split(split) => covers[split.left] + covers[split.right],
        };
    }
    covers
}
