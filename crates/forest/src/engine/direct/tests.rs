use super::*;
use crate::engine::testing::{Growth, ROWS, Rng, Shape, Sum, assert_equals_reference};
use crate::tree::{CategoryRule, Nodes, RawNode};

fn agrees(forest: &Forest, rows: &[f32], what: &str) {
    let direct = Direct::build(forest).unwrap();
    assert_equals_reference(forest, rows, what, |isa, rows, sums| direct.sums(forest, isa, rows, sums));
}

#[test]
fn sums_are_the_references() {
    let mut rng = Rng::new(1);
    for shape in Shape::all() {
        let forest = shape.forest(&mut rng);
        let rows = shape.rows(&forest, &mut rng, 40);
        agrees(&forest, &rows, &format!("{shape:?}"));
    }
}

#[test]
fn any_number_of_rows_will_do() {
    let mut rng = Rng::new(2);
    for outputs in [1, 3] {
        let growth = Growth::LeafWise(200);
        let shape = Shape { trees: 60, depth: 40, growth, sum: Sum::Mean, outputs, ..Shape::default() };
        let forest = shape.forest(&mut rng);
        for n in ROWS.into_iter().chain([511, 512, 513, 1025]) {
            agrees(&forest, &shape.rows(&forest, &mut rng, n), &format!("{n} rows"));
        }
    }
}

#[test]
fn more_trees_than_walks_and_more_features_than_keys_stay_near() {
    let mut rng = Rng::new(3);
    let many_trees = Shape { trees: 1_300, depth: 3, ..Shape::default() };
    let wide = Shape { trees: 300, features: 60_000, depth: 12, ..Shape::default() };
    for shape in [many_trees, wide] {
        let forest = shape.forest(&mut rng);
        agrees(&forest, &shape.rows(&forest, &mut rng, 9), &format!("{shape:?}"));
    }
}

/// Every rule of categories, on values at the edges.
#[test]
fn every_rule_reads_its_set_as_the_reference_does() {
    let rules = [
        CategoryRule::Lightgbm,
        CategoryRule::XgboostMissingLeft,
        CategoryRule::XgboostMissingRight,
        CategoryRule::MemberLeft,
        CategoryRule::MemberOrMissingLeft,
        CategoryRule::MemberRight,
    ];
    let mut trees = Nodes::default();
    let set = trees.push_set([0, 3, 31, 32, 40].into_iter(), 100).unwrap();
    let empty = trees.push_words(Vec::new()).unwrap();
    for rule in rules {
        for set in [set, empty] {
            let leaf = |value| RawNode::Leaf { value, id: 0 };
            let split = RawNode::Categorical { feature: 0, rule, set, left: 1, right: 2 };
            trees.push_tree(&[split, leaf(1.0), leaf(2.0)], &[], 1, 0).unwrap();
        }
    }
    let mut forest = Shape { trees: 1, features: 1, ..Shape::default() }.forest(&mut Rng::new(4));
    forest.trees = trees;
    let rows = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -0.0,
        -0.5,
        -1.0,
        0.5,
        3.0,
        3.5,
        31.0,
        32.0,
        33.0,
        40.0,
        41.0,
        1e9,
        2e9,
        4294967295.0,
        1e20,
        -1e20,
    ];
    agrees(&forest, &rows, "categories");
}

#[test]
fn leaves_of_one_value_per_output_are_taken() {
    let mut rng = Rng::new(5);
    for sum in [Sum::F32, Sum::Dart, Sum::Mean, Sum::F64 { short_leaves: false }] {
        let shape = Shape { trees: 30, outputs: 3, depth: 4, sum, ..Shape::default() };
        let mut forest = shape.forest(&mut rng);
        let mut trees = Nodes::default();
        for _ in 0..30 {
            let leaf = |trees: &mut Nodes, rng: &mut Rng| RawNode::Vector {
                at: trees.push_vector(&[0, 1, 2].map(|_| rng.pick(&[0.25, 0.5, -1.5]))).unwrap(),
                id: 0,
            };
            let missing = crate::tree::Missing::Left;
            let split = RawNode::Numeric { feature: 1, missing, threshold: rng.value(), left: 1, right: 2 };
            let raw = [split, leaf(&mut trees, &mut rng), leaf(&mut trees, &mut rng)];
            trees.push_tree(&raw, &[], shape.features, 0).unwrap();
        }
        (forest.trees, forest.tree_outputs) = (trees, Vec::new());
        let rows = shape.rows(&forest, &mut rng, 70);
        agrees(&forest, &rows, &format!("{sum:?}"));
        // 27 different ones.
        let direct = Direct::build(&forest).unwrap();
        assert!(direct.meta.n_leaves <= 27 || sum == Sum::Dart, "{}", direct.meta.n_leaves);
    }
}

/// Whatever the arena holds: an error, or sums of every row.
#[test]
fn an_altered_arena_is_refused_or_harmless() {
    let mut rng = Rng::new(6);
    let shape = Shape { trees: 12, depth: 9, categorical: true, zero_missing: true, ..Shape::default() };
    let forest = shape.forest(&mut rng);
    let direct = Direct::build(&forest).unwrap();
    let rows = shape.rows(&forest, &mut rng, 20);
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..2_000 {
        let mut lines = direct.arena.as_slice().to_vec();
        let line = rng.below(lines.len());
        lines[line].0[rng.below(LINE)] = rng.next() as u8;
        match Direct::from_parts(direct.meta.clone(), lines.into(), forest.n_features, 1) {
            Err(_) => refused += 1,
            Ok(direct) => {
                taken += 1;
                for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                    direct.sums(&forest, isa, &rows, &mut [0.0; 20]);
                }
            }
        }
    }
    assert!(refused > 20 && taken > 20, "{refused} {taken}");
}

#[test]
fn wrong_counts_are_refused() {
    let mut rng = Rng::new(7);
    let forest = Shape { trees: 30, categorical: true, ..Shape::default() }.forest(&mut rng);
    let direct = Direct::build(&forest).unwrap();
    let with = |alter: fn(&mut DirectMeta)| {
        let mut meta = direct.meta.clone();
        alter(&mut meta);
        Direct::from_parts(meta, direct.arena.clone(), forest.n_features, 1)
    };
    assert!(with(|_| ()).is_ok());
    let alterations: [fn(&mut DirectMeta); 13] = [
        |meta| meta.n_trees += 1,
        |meta| meta.depth = 1_000_000,
        |meta| meta.classes.ends[0] = 0,
        |meta| meta.classes.ends[9] = usize::MAX,
        |meta| meta.classes.ends[3] += 1_000,
        |meta| meta.slot_bits = 0,
        |meta| meta.slot_bits = 32,
        |meta| meta.groups.clear(),
        |meta| meta.groups[0].n_nodes = usize::MAX,
        |meta| meta.groups[0].n_nodes = 8,
        |meta| meta.n_leaves = 1,
        |meta| meta.n_sets = usize::MAX,
        |meta| meta.n_set_words = 1 << 20,
    ];
    for (i, alter) in alterations.into_iter().enumerate() {
        assert!(with(alter).is_err(), "{i}");
    }
}
