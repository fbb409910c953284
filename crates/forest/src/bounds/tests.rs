//! Bounds against brute force: every combination of one value of every kind that the splits tell apart.

use super::*;
use crate::engine::Engine;
use crate::engine::testing::{Growth, Rng, Shape, Sum};
use crate::tree::Node;

const SUMS: [Sum; 7] = [
    Sum::F32,
    Sum::Dart,
    Sum::BaseLast { mean: false },
    Sum::BaseLast { mean: true },
    Sum::F64 { short_leaves: true },
    Sum::F64 { short_leaves: false },
    Sum::Mean,
];

/// All values of one feature worth trying: thresholds and their neighbours, whole and broken categories, and the edges.
fn candidates(forest: &Forest, feature: usize) -> Vec<f32> {
    let mut values = vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-30, -1e-30, 0.5];
    for node in &forest.trees.nodes {
        match *node {
            Node::Numeric { feature: f, threshold, .. } if usize::from(f) == feature => {
                values.extend([threshold, threshold.next_down(), threshold.next_up()]);
            }
            Node::Categorical { feature: f, .. } if usize::from(f) == feature => {
                values.extend((-2..130).flat_map(|c| [c as f32, c as f32 + 0.5]));
            }
            _ => {}
        }
    }
    values.sort_by(f32::total_cmp);
    values.dedup_by_key(|x| x.to_bits());
    values
}

/// Least and greatest margin of the first output over all candidates of the unknown features, by the reference.
fn brute_force(forest: &Forest, row: &[f32], unknown: &[bool]) -> (f64, f64) {
    let mut rows = vec![row.to_vec()];
    for feature in (0..row.len()).filter(|&f| unknown[f]) {
        let values = candidates(forest, feature);
        rows = rows
            .iter()
            .flat_map(|row| {
                values.iter().map(|&x| {
                    let mut row = row.clone();
                    row[feature] = x;
                    row
                })
            })
            .collect();
    }
    let mut margins = Vec::new();
    forest.margins_with(Engine::Reference, &rows.concat(), &mut margins).unwrap();
    let firsts = margins.iter().step_by(forest.n_outputs);
    firsts.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &m| (a.min(m), b.max(m)))
}

fn bounds(forest: &Forest, row: &[f32], unknown: &[bool]) -> (f64, f64) {
    let mut out = Vec::new();
    forest.bounds(row, unknown, &mut out).unwrap();
    assert_eq!(out.len(), forest.n_outputs);
    out[0]
}

fn small(trees: usize, sum: Sum, i: usize) -> Shape {
    Shape {
        trees,
        features: 4,
        depth: 1 + i % 4,
        growth: [Growth::LeafOneIn(5), Growth::Full, Growth::Oblivious][i % 3],
        sum,
        outputs: if i % 5 == 4 { trees } else { 1 },
        thresholds: [0, 4][i % 2],
        categorical: i % 4 == 1,
        zero_missing: i.is_multiple_of(2),
        flush: i % 6 == 5,
        ..Shape::default()
    }
}

fn mask(rng: &mut Rng, features: usize, n: usize) -> Vec<bool> {
    let mut mask = vec![false; features];
    (0..n).for_each(|_| mask[rng.below(features)] = true);
    mask
}

#[test]
fn one_tree_is_exact_whatever_is_unknown() {
    let mut rng = Rng::new(71);
    let mut moved = 0;
    for i in 0..400 {
        let shape = small(1, SUMS[i % SUMS.len()], i);
        let forest = shape.forest(&mut rng);
        let unknown = mask(&mut rng, 4, if shape.categorical { 1 } else { 2 });
        let row = shape.rows(&forest, &mut rng, 1);
        let (expected, found) = (brute_force(&forest, &row, &unknown), bounds(&forest, &row, &unknown));
        assert_eq!(found, expected, "{i}: {shape:?} {row:?} {unknown:?}");
        moved += usize::from(found.0 < found.1);
    }
    assert!(moved > 100, "{moved} intervals are wider than a point");
}

#[test]
fn several_trees_are_within() {
    let mut rng = Rng::new(72);
    let (mut moved, mut exact) = (0, 0);
    for i in 0..400 {
        let shape = small(3 + i % 6, SUMS[i % SUMS.len()], i);
        let forest = shape.forest(&mut rng);
        let unknown = mask(&mut rng, 4, if shape.categorical { 1 } else { 2 });
        let row = shape.rows(&forest, &mut rng, 1);
        let (expected, found) = (brute_force(&forest, &row, &unknown), bounds(&forest, &row, &unknown));
        let inside = found.0 <= expected.0 && expected.1 <= found.1;
        assert!(inside, "{i}: {expected:?} is not within {found:?}: {shape:?} {row:?} {unknown:?}");
        moved += usize::from(found.0 < found.1);
        exact += usize::from(found == expected);
    }
    assert!(moved > 200 && exact > 380, "{moved} are wider than a point, {exact} are exact");
}

/// Where the search ends for lack of pieces, too.
#[test]
fn many_trees_are_within() {
    let mut rng = Rng::new(73);
    let mut wider = 0;
    for i in 0..12 {
        let sum = SUMS[i % SUMS.len()];
        let shape = Shape { trees: 40, features: 2, depth: 4, sum, zero_missing: true, ..Shape::default() };
        let forest = shape.forest(&mut rng);
        let row = shape.rows(&forest, &mut rng, 1);
        let (expected, found) = (brute_force(&forest, &row, &[true; 2]), bounds(&forest, &row, &[true; 2]));
        assert!(found.0 <= expected.0 && expected.1 <= found.1, "{i}: {expected:?} is not within {found:?}");
        let span = (expected.1 - expected.0).max(1e-9);
        assert!(found.1 - found.0 < 3.0 * span, "{i}: {found:?} says little of {expected:?}");
        wider += usize::from(found != expected);
    }
    assert!(wider > 0, "no case ran out of pieces");
}

#[test]
fn nothing_unknown_is_the_margin_to_the_bit() {
    let mut rng = Rng::new(74);
    for shape in Shape::all() {
        let forest = shape.forest(&mut rng);
        let rows = shape.rows(&forest, &mut rng, 5);
        let (mut margins, mut found) = (Vec::new(), Vec::new());
        forest.margins(&rows, &mut margins).unwrap();
        forest.bounds(&rows, &vec![false; shape.features], &mut found).unwrap();
        assert_eq!(found.len(), margins.len());
        for ((low, high), margin) in found.iter().zip(&margins) {
            assert_eq!((low.to_bits(), high.to_bits()), (margin.to_bits(), margin.to_bits()), "{shape:?}");
        }
    }
}

#[test]
fn what_is_unknown_is_not_read_and_contains_what_is_known() {
    let mut rng = Rng::new(75);
    for shape in Shape::all() {
        let forest = shape.forest(&mut rng);
        let rows = shape.rows(&forest, &mut rng, 3);
        let unknown: Vec<bool> = rows.iter().map(|_| rng.one_in(3)).collect();
        let other: Vec<f32> =
            rows.iter().zip(&unknown).map(|(&x, &u)| if u { rng.value() } else { x }).collect();
        let (mut first, mut second, mut margins) = (Vec::new(), Vec::new(), Vec::new());
        forest.bounds(&rows, &unknown, &mut first).unwrap();
        forest.bounds(&other, &unknown, &mut second).unwrap();
        assert_eq!(format!("{first:?}"), format!("{second:?}"), "{shape:?}");
        for rows in [&rows, &other] {
            forest.margins(rows, &mut margins).unwrap();
            for ((low, high), margin) in first.iter().zip(&margins) {
                assert!(low <= margin && margin <= high, "{margin} is not in {low}..{high}: {shape:?}");
            }
        }
    }
}

#[test]
fn fewer_unknown_features_never_widen_it() {
    let mut rng = Rng::new(76);
    let mut narrower = 0;
    for i in 0..200 {
        let shape = Shape { categorical: false, outputs: 1, ..small(1 + i % 4, SUMS[i % SUMS.len()], i) };
        let forest = shape.forest(&mut rng);
        let row = shape.rows(&forest, &mut rng, 1);
        let mut unknown = vec![true; 4];
        let mut wide = bounds(&forest, &row, &unknown);
        for feature in 0..4 {
            unknown[feature] = false;
            let narrow = bounds(&forest, &row, &unknown);
            assert!(wide.0 <= narrow.0 && narrow.1 <= wide.1, "{i}: {narrow:?} leaves {wide:?}");
            narrower += usize::from(narrow != wide);
            wide = narrow;
        }
    }
    assert!(narrower > 100, "{narrower}");
}

#[test]
fn a_linear_model_has_bounds_where_only_weightless_features_are_unknown() {
    let file = br#"{"format": "tribunal-forest", "version": 2, "n_features": 3, "n_outputs": 1,
        "link": {"name": "logistic"}, "linear": {"weights": [1.0, 0.0, -2.0], "start": [0.5]}}"#;
    let forest = Forest::parse(file, crate::Format::TribunalForest).unwrap();
    let row = [1.0, 7.0, 0.25];
    assert_eq!(bounds(&forest, &row, &[false, true, false]), (1.0, 1.0));
    assert_eq!(bounds(&forest, &row, &[false, false, true]), (f64::NEG_INFINITY, f64::INFINITY));
}

#[test]
fn where_rows_are_normalised_one_unknown_feature_makes_all_unknown() {
    let mut rng = Rng::new(77);
    let shape = Shape { features: 3, trees: 4, ..Shape::default() };
    let forest =
        Forest { input: vec![InputStep::Normalize(crate::input::Norm::L1)], ..shape.forest(&mut rng) };
    let row = [0.3, -0.2, 0.9];
    assert_eq!(bounds(&forest, &row, &[true, false, false]), bounds(&forest, &row, &[true; 3]));
}

#[test]
fn marks_that_fit_no_row_are_refused() {
    let forest = Shape { features: 3, ..Shape::default() }.forest(&mut Rng::new(78));
    let mut out = vec![(1.0, 1.0)];
    let error = forest.bounds(&[0.0; 6], &[true; 4], &mut out).unwrap_err();
    assert_eq!(error, PredictError::UnknownLength { len: 4, expected: 3 });
    assert!(out.is_empty(), "nothing is left of another call");
    assert!(forest.bounds(&[0.0; 4], &[true; 3], &mut out).is_err());
}
