//! Random oblivious forests: every set of instructions gives the reference's bits.

use super::super::testing::{Growth, ROWS, Rng, Shape, Sum, assert_equals_reference};
use super::*;
use crate::tree::Node;

fn shape() -> Shape {
    let growth = Growth::Oblivious;
    let sum = Sum::F64 { short_leaves: false };
    Shape {
        trees: 130,
        depth: 6,
        thresholds: 60,
        categorical: true,
        zero_missing: true,
        growth,
        sum,
        ..Shape::default()
    }
}

/// Holds the layout of a random forest against the reference.
fn check(seed: u64, shape: &Shape) -> Oblivious {
    let rng = &mut Rng::new(seed);
    let forest = shape.forest(rng);
    check_forest(&forest, shape, rng)
}

fn check_forest(forest: &Forest, shape: &Shape, rng: &mut Rng) -> Oblivious {
    let layout = Oblivious::build(forest).unwrap();
    for n in ROWS.into_iter().chain([15, 29, 30, 97, 290]) {
        let rows = shape.rows(forest, rng, n);
        assert_equals_reference(forest, &rows, &format!("{shape:?}"), |isa, rows, sums| {
            layout.sums(forest, isa, rows, sums);
        });
    }
    layout
}

#[test]
fn forests_like_catboosts() {
    let layout = check(1, &shape());
    assert_eq!(layout.meta.groups.iter().map(|group| group.trees).collect::<Vec<_>>(), [64, 64, 2]);
    for (seed, sum) in (2..).zip([Sum::F32, Sum::Dart, Sum::Mean, Sum::BaseLast { mean: true }]) {
        check(seed, &Shape { sum, ..shape() });
    }
    check(9, &Shape { trees: 1, flush: true, ..shape() });
}

#[test]
fn every_shape_that_is_oblivious() {
    let shapes =
        Shape::all().into_iter().filter(|shape| shape.growth == Growth::Oblivious || shape.depth < 2);
    for (seed, shape) in (10..).zip(shapes) {
        check(seed, &shape);
    }
}

#[test]
fn any_number_of_slots() {
    let mut seen = Vec::new();
    for (seed, features) in (100..).zip([1, 5, 12, 25, 60, 110]) {
        let layout =
            check(seed, &Shape { features, trees: 100, categorical: false, zero_missing: false, ..shape() });
        seen.push(layout.slots.n_slots().next_power_of_two().clamp(16, 256));
    }
    assert_eq!(seen, [16, 16, 32, 64, 128, 256]);
}

#[test]
fn depths_differ() {
    let mixed = Shape { growth: Growth::ObliviousMixed, depth: 10, ..shape() };
    let layout = check(200, &mixed);
    assert!(layout.meta.groups.len() > 3, "{:?}", layout.meta.groups);
    check(201, &Shape { sum: Sum::F32, trees: 120, outputs: 3, ..mixed });
    for (seed, depth, trees) in [(202, 8, 70), (203, 9, 70), (204, 16, 3)] {
        check(seed, &Shape { depth, trees, ..shape() });
    }
}

#[test]
fn several_outputs() {
    check(300, &Shape { outputs: 3, trees: 210, ..shape() });
    check(301, &Shape { outputs: 5, trees: 10, sum: Sum::Dart, ..shape() });
}

/// Gives every leaf one value per output.
fn with_vectors(mut forest: Forest, n_outputs: usize, rng: &mut Rng) -> Forest {
    for at in 0..forest.n_nodes() {
        if let Node::Leaf { value } = forest.trees.nodes[at] {
            let values: Vec<f64> = (0..n_outputs).map(|_| value * f64::from(rng.value() as i8)).collect();
            forest.trees.nodes[at] = Node::Vector { at: forest.trees.push_vector(&values).unwrap() };
        }
    }
    forest.tree_outputs.clear();
    forest
}

#[test]
fn leaves_are_vectors() {
    let growth = Growth::ObliviousMixed;
    for (seed, sum) in (400..).zip([Sum::F64 { short_leaves: true }, Sum::F32, Sum::Dart]) {
        let shape = Shape { outputs: 3, trees: 99, sum, growth, ..shape() };
        let rng = &mut Rng::new(seed);
        let forest = with_vectors(shape.forest(rng), 3, rng);
        let layout = check_forest(&forest, &shape, rng);
        assert!(layout.meta.groups.iter().all(|group| group.outputs() == (0..3)));
    }
}

#[test]
fn what_is_not_oblivious_is_left_to_others() {
    let rng = &mut Rng::new(500);
    assert!(Oblivious::build(&Shape { depth: 17, trees: 1, ..shape() }.forest(rng)).is_none());
    assert!(Oblivious::build(&Shape { growth: Growth::Full, ..shape() }.forest(rng)).is_none());
    let mut forest = Shape { categorical: false, ..shape() }.forest(rng);
    let last = forest.trees.nodes.iter_mut().rev().find_map(|node| match node {
        Node::Numeric { threshold, .. } => Some(threshold),
        _ => None,
    });
    *last.unwrap() = 0.125;
    assert!(Oblivious::build(&forest).is_none());
}

#[test]
fn a_file_that_does_not_fit_is_refused() {
    let layout = check(600, &Shape { outputs: 2, ..shape() });
    let (meta, arena) = layout.parts();
    let n_features = shape().features;
    let load = |meta: ObliviousMeta, arena: Lines| Oblivious::from_parts(meta, arena, n_features, 2);
    assert!(load(meta.clone(), arena.clone()).is_ok());
    let lines = arena.len();
    assert!(load(meta.clone(), arena.slice(0, lines - 1).unwrap()).is_err());
    assert!(load(meta.clone(), arena.slice(1, lines - 1).unwrap()).is_err());
    let with = |change: fn(&mut ObliviousMeta)| {
        let mut meta = meta.clone();
        change(&mut meta);
        load(meta, arena.clone()).unwrap_err()
    };
    assert_eq!(with(|meta| meta.groups[1].depth = 17), "group 1 has 1 trees of 17 levels");
    assert_eq!(with(|meta| meta.groups[0].trees = 65), "group 0 has 65 trees of 6 levels");
    assert_eq!(with(|meta| meta.groups[0].trees = 0), "group 0 has 0 trees of 6 levels");
    assert_eq!(with(|meta| meta.groups[0].outputs = 0), "group 0 adds to outputs 0..0 of 2");
    assert_eq!(with(|meta| meta.groups[2].output = 2), "group 2 adds to outputs 2..3 of 2");
    assert!(with(|meta| meta.groups[0].trees -= 1).contains("where the groups take"));
    assert!(with(|meta| meta.groups[0].outputs = 2).contains("where the groups take"));
    assert!(with(|meta| meta.single = true).contains("where the groups take"));
    assert!(with(|meta| meta.slots_lines = usize::MAX).contains("where the groups take"));
}
