//! Contributions against Shapley values by enumeration of every subset of features.

use tribunal_forest::{Forest, Format};

const N_FEATURES: usize = 6;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A tree as its definition says, and the arrays of the file.
#[derive(Default)]
struct Tree {
    left: Vec<i32>,
    right: Vec<i32>,
    feature: Vec<i32>,
    threshold: Vec<f64>,
    missing: Vec<u8>,
    value: Vec<f64>,
    cover: Vec<f64>,
}

impl Tree {
    /// Appends a random subtree with `cover` samples and gives its position.
    fn grow(&mut self, random: &mut Random, depth: u32, cover: u64) -> i32 {
        let at = self.left.len();
        let leaf = depth == 0 || cover < 2 || random.below(6) == 0;
        self.left.push(-1);
        self.right.push(-1);
        self.feature.push(if leaf { -1 } else { random.below(N_FEATURES as u64) as i32 });
        self.threshold.push(random.below(9) as f64 - 4.0);
        self.missing.push(random.below(2) as u8);
        self.value.push(random.below(1000) as f64 / 1000.0);
        self.cover.push(cover as f64);
        if !leaf {
            // Sometimes nothing went to one side: a share of zero.
            let to_left = random.below(cover + 1);
            self.left[at] = self.grow(random, depth - 1, to_left);
            self.right[at] = self.grow(random, depth - 1, cover - to_left);
        }
        at as i32
    }

    /// Expected value when only the features of `known` are known.
    fn game(&self, node: usize, row: &[f32], known: u32) -> f64 {
        let (left, right) = (self.left[node], self.right[node]);
        if left < 0 {
            return self.value[node];
        }
        let feature = self.feature[node] as usize;
        let (left, right) = (left as usize, right as usize);
        if known >> feature & 1 == 1 {
            let x = row[feature];
            let goes_left =
                if x.is_nan() { self.missing[node] == 1 } else { f64::from(x) <= self.threshold[node] };
            return self.game(if goes_left { left } else { right }, row, known);
        }
        let both = self.cover[left] + self.cover[right];
        let share = if both > 0.0 { self.cover[left] / both } else { 0.5 };
        share * self.game(left, row, known) + (1.0 - share) * self.game(right, row, known)
    }

    fn json(&self) -> String {
        format!(
            r#"{{"children_left": {:?}, "children_right": {:?}, "feature": {:?}, "threshold": {:?},
            "missing_go_to_left": {:?}, "value": {:?}, "cover": {:?}}}"#,
            self.left, self.right, self.feature, self.threshold, self.missing, self.value, self.cover
        )
    }
}

fn factorial(n: u32) -> f64 {
    (1..=n).map(f64::from).product()
}

/// Shapley value of `feature`, by definition.
fn shapley(trees: &[Tree], row: &[f32], feature: usize) -> f64 {
    let n = N_FEATURES as u32;
    let value = |known| trees.iter().map(|t| t.game(0, row, known)).sum::<f64>() / trees.len() as f64;
    (0..1_u32 << n)
        .filter(|subset| subset >> feature & 1 == 0)
        .map(|subset| {
            let size = subset.count_ones();
            let weight = factorial(size) * factorial(n - size - 1) / factorial(n);
            weight * (value(subset | 1 << feature) - value(subset))
        })
        .sum()
}

#[test]
fn contributions_are_shapley_values() {
    let mut largest = 0;
    for seed in 0..60 {
        let mut random = Random(seed);
        // The last ones are of thousands of nodes, which are walked part by part.
        let (depth, cover) = if seed < 57 { (1 + random.below(9) as u32, 1000) } else { (16, 10_000_000) };
        let trees: Vec<Tree> = (0..3)
            .map(|_| {
                let mut tree = Tree::default();
                tree.grow(&mut random, depth, cover);
                largest = largest.max(tree.left.len());
                tree
            })
            .collect();
        let text = format!(
            r#"{{"format": "tribunal-forest", "version": 1, "aggregation": "mean", "n_features": {N_FEATURES},
            "trees": [{}]}}"#,
            trees.iter().map(Tree::json).collect::<Vec<_>>().join(",")
        );
        let forest = Forest::parse(text.as_bytes(), Format::TribunalForest).unwrap();
        for _ in 0..4 {
            let row: Vec<f32> = (0..N_FEATURES)
                .map(|_| if random.below(7) == 0 { f32::NAN } else { random.below(11) as f32 - 5.0 })
                .collect();
            let got = forest.contributions(&row).unwrap();
            let expected = trees.iter().map(|t| t.game(0, &row, 0)).sum::<f64>() / 3.0;
            assert!((got.expected[0] - expected).abs() < 1e-12, "seed {seed}");
            for feature in 0..N_FEATURES {
                let expected = shapley(&trees, &row, feature);
                let off = (got.values[feature] - expected).abs();
                assert!(off < 1e-12, "seed {seed}, feature {feature}: {} is {expected}", got.values[feature]);
            }
        }
    }
    assert!(largest > 3000, "{largest} nodes");
}

/// A chain of 512 splits on as many features: the longest path that is read, with the most points of quadrature and
/// the deepest recursion.
#[test]
fn the_deepest_path_is_explained_on_a_thread_of_usual_size() {
    const DEPTH: usize = 512;
    let list = |f: &dyn Fn(usize) -> String| (0..=2 * DEPTH).map(f).collect::<Vec<_>>().join(",");
    // Split i has number 2 i, its leaf 2 i + 1; the last leaf has number 2 DEPTH.
    let file = format!(
        r#"{{"format": "tribunal-forest", "version": 1, "aggregation": "mean", "n_features": {DEPTH}, "trees": [{{
        "children_left": [{}], "children_right": [{}], "feature": [{}], "threshold": [{zero}],
        "missing_go_to_left": [{zero}], "value": [{}], "cover": [{}]}}]}}"#,
        list(&|i| if i % 2 == 0 && i < 2 * DEPTH { (i + 1).to_string() } else { "-1".to_owned() }),
        list(&|i| if i % 2 == 0 && i < 2 * DEPTH { (i + 2).to_string() } else { "-1".to_owned() }),
        list(&|i| if i % 2 == 0 && i < 2 * DEPTH { (i / 2).to_string() } else { "-1".to_owned() }),
        list(&|i| (i as f64 / 2000.0).to_string()),
        list(&|i| if i % 2 == 0 { (1000 - i / 2).to_string() } else { "1".to_owned() }),
        zero = list(&|_| "0".to_owned()),
    );
    let forest = Forest::parse(file.as_bytes(), Format::TribunalForest).unwrap();
    // To the end of the chain, to its middle, and out at its first split.
    for out_at in [DEPTH, 200, 0] {
        let row: Vec<f32> = (0..DEPTH).map(|i| if i == out_at { -1.0 } else { 1.0 }).collect();
        let why = forest.contributions(&row).unwrap();
        let mut margins = Vec::new();
        forest.margins(&row, &mut margins).unwrap();
        let sum = why.expected[0] + why.values.iter().sum::<f64>();
        assert!((sum - margins[0]).abs() < 1e-9, "{sum} is {}", margins[0]);
        // As deep, with every way open: the first leaf holds 0.0005, the last one 0.512.
        let mut bounds = Vec::new();
        forest.bounds(&row, &[true; DEPTH], &mut bounds).unwrap();
        assert_eq!(bounds, [(0.0005, 0.512)]);
    }
}
