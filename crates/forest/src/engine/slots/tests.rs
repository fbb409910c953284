use super::*;
use crate::engine::testing::{Rng, Shape};
use crate::forest::Forest;
use crate::tree::{Missing, Node};

/// Holds every split by code against the same by value; gives how many.
fn assert_codes(forest: &Forest, slots: &Slots, splits: &[CodedSplit], rows: &[f32]) -> usize {
    assert_eq!(splits.len(), forest.trees.nodes.len());
    let mut n = 0;
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let (mut codes, mut buffer) = (Codes::new(), Vec::new());
        for row in rows.chunks_exact(forest.n_features) {
            let row = forest.transformed(row, &mut buffer);
            slots.codes(isa, row, &mut codes);
            for (split, &node) in splits.iter().zip(&forest.trees.nodes) {
                if matches!(node, Node::Leaf { .. } | Node::Vector { .. }) {
                    continue;
                }
                assert!(usize::from(split.slot) < slots.n_slots());
                let left = codes.0[usize::from(split.slot)] < split.rank;
                assert_eq!(left, forest.trees.goes_left(node, row), "{isa:?} {node:?} {row:?}");
                n += 1;
            }
        }
    }
    n
}

/// Every split of every forest says the same by code as by value.
#[test]
fn a_code_below_the_rank_is_a_walk_to_the_left() {
    let (mut rng, mut splits_seen) = (Rng::new(1), 0);
    for shape in Shape::all() {
        let forest = shape.forest(&mut rng);
        let Some((slots, splits)) = Slots::build(&forest) else { continue };
        splits_seen += assert_codes(&forest, &slots, &splits, &shape.rows(&forest, &mut rng, 40));
    }
    assert!(splits_seen > 10_000);
}

/// A feature of 256 thresholds takes one slot for each direction, unless a direction uses all of them.
#[test]
fn of_256_thresholds_one_is_skipped() {
    let mut rng = Rng::new(5);
    let shape = Shape {
        trees: 400,
        features: 1,
        depth: 4,
        thresholds: 256,
        odd_thresholds: false,
        ..Shape::default()
    };
    let mut forest = shape.forest(&mut rng);
    let mut slots_of = |unused_right: Option<f32>, unused_left: Option<f32>| {
        for node in &mut forest.trees.nodes {
            if let Node::Numeric { missing, threshold, .. } = node {
                *missing = match *threshold {
                    t if Some(t) == unused_right => Missing::Left,
                    t if Some(t) == unused_left => Missing::Right,
                    _ => rng.pick(&[Missing::Left, Missing::Right]),
                };
            }
        }
        let (slots, splits) = Slots::build(&forest).unwrap();
        assert_codes(&forest, &slots, &splits, &shape.rows(&forest, &mut rng, 300));
        slots.n_slots()
    };
    let value = |i: usize| i as f32 / 256.0 - 0.4;
    assert_eq!(slots_of(Some(value(0)), Some(value(1))), 2);
    assert_eq!(slots_of(Some(value(255)), Some(value(254))), 2);
    assert_eq!(slots_of(Some(value(17)), Some(value(200))), 2);
    assert_eq!(slots_of(Some(value(17)), None), 4);
    assert_eq!(slots_of(None, None), 4);
}

#[test]
fn a_feature_of_many_thresholds_takes_several_slots_and_too_many_are_refused() {
    let mut rng = Rng::new(2);
    let shape = Shape { trees: 40, features: 1, depth: 6, ..Shape::default() };
    let slots = Slots::build(&shape.forest(&mut rng)).unwrap().0;
    assert!(slots.n_slots() > 4, "{}", slots.n_slots());
    let shape = Shape { trees: 600, features: 300, depth: 2, ..Shape::default() };
    assert!(Slots::build(&shape.forest(&mut rng)).is_none());
}

/// Whatever the arena holds: an error, or codes of every row.
#[test]
fn an_altered_arena_is_refused_or_harmless() {
    let mut rng = Rng::new(3);
    let shape =
        Shape { trees: 30, features: 4, depth: 5, categorical: true, zero_missing: true, ..Shape::default() };
    let forest = shape.forest(&mut rng);
    let slots = Slots::build(&forest).unwrap().0;
    let rows = shape.rows(&forest, &mut rng, 20);
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..4_000 {
        let mut lines = slots.arena().as_slice().to_vec();
        let line = rng.below(lines.len());
        lines[line].0[rng.below(LINE)] = rng.next() as u8;
        match Slots::from_parts(slots.meta().clone(), lines.into(), forest.n_features) {
            Err(_) => refused += 1,
            Ok(slots) => {
                taken += 1;
                for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                    let mut codes = Codes::new();
                    rows.chunks_exact(4).for_each(|row| slots.codes(isa, row, &mut codes));
                }
            }
        }
    }
    assert!(refused > 20 && taken > 20, "{refused} {taken}");
}

#[test]
fn wrong_counts_are_refused() {
    let mut rng = Rng::new(4);
    let shape = Shape { categorical: true, ..Shape::default() };
    let forest = shape.forest(&mut rng);
    let slots = Slots::build(&forest).unwrap().0;
    let with = |alter: fn(&mut SlotsMeta)| {
        let mut meta = slots.meta().clone();
        alter(&mut meta);
        Slots::from_parts(meta, slots.arena().clone(), forest.n_features)
    };
    assert!(with(|_| ()).is_ok());
    let alterations: [fn(&mut SlotsMeta); 10] = [
        |meta| meta.n_slots = 257,
        |meta| meta.n_plain = usize::MAX,
        |meta| meta.n_zero = usize::MAX,
        |meta| meta.n_skip = 257,
        |meta| meta.n_threshold_lines = usize::MAX,
        |meta| meta.n_categories = 257,
        |meta| meta.n_words = usize::MAX,
        |meta| meta.n_plain -= 1,
        |meta| meta.n_threshold_lines += 1,
        |meta| meta.n_threshold_lines -= 1,
    ];
    for alter in alterations {
        assert!(with(alter).is_err());
    }
    assert!(Slots::from_parts(slots.meta().clone(), slots.arena().clone(), 1).is_err());
}
