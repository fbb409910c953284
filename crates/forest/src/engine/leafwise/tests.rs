use super::*;
use crate::engine::testing::{Growth, ROWS, Rng, Shape, Sum, assert_equals_reference};

fn agrees(shape: &Shape, rng: &mut Rng, rows: usize) -> bool {
    let forest = shape.forest(rng);
    let Some(leafwise) = Leafwise::build(&forest) else { return false };
    let rows = shape.rows(&forest, rng, rows);
    assert_equals_reference(&forest, &rows, &format!("{shape:?}"), |isa, rows, sums| {
        leafwise.sums(&forest, isa, rows, sums);
    });
    true
}

#[test]
fn sums_are_the_references() {
    let mut rng = Rng::new(1);
    let taken = Shape::all().iter().filter(|shape| agrees(shape, &mut rng, 70)).count();
    assert!(taken > 30, "{taken}");
}

#[test]
fn any_number_of_rows_will_do() {
    let mut rng = Rng::new(2);
    for outputs in [1, 2] {
        for sum in [Sum::F64 { short_leaves: false }, Sum::Dart] {
            let growth = Growth::LeafWise(40);
            let shape =
                Shape { trees: 62, depth: 14, growth, sum, outputs, thresholds: 40, ..Shape::default() };
            assert!(ROWS.into_iter().all(|rows| agrees(&shape, &mut rng, rows)), "{shape:?}");
        }
    }
}

/// Many chunks: more trees than one has, and more nodes than a store has room for.
#[test]
fn trees_are_spread_over_chunks() {
    let mut rng = Rng::new(3);
    let small = Shape { trees: 777, depth: 3, thresholds: 40, ..Shape::default() };
    assert!(agrees(&small, &mut rng, 40));
    let growth = Growth::LeafWise(900);
    let large = Shape { trees: 80, depth: 40, growth, thresholds: 40, ..Shape::default() };
    let forest = large.forest(&mut rng);
    assert!(Leafwise::build(&forest).unwrap().meta.chunks.len() > 2);
    assert!(agrees(&large, &mut rng, 40));
}

#[test]
fn trees_that_are_too_large_are_refused() {
    let mut rng = Rng::new(4);
    let growth = Growth::LeafWise(30_000);
    let shape = Shape { trees: 2, depth: 60, growth, thresholds: 40, ..Shape::default() };
    assert!(Leafwise::build(&shape.forest(&mut rng)).is_none());
}

/// Whatever the arena holds: an error, or sums of every row.
#[test]
fn an_altered_arena_is_refused_or_harmless() {
    let mut rng = Rng::new(5);
    let growth = Growth::LeafWise(40);
    let shape = Shape { trees: 12, depth: 14, growth, thresholds: 20, ..Shape::default() };
    let forest = shape.forest(&mut rng);
    let leafwise = Leafwise::build(&forest).unwrap();
    let rows = shape.rows(&forest, &mut rng, 70);
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..1_000 {
        let mut lines = leafwise.arena.as_slice().to_vec();
        let line = rng.below(lines.len());
        lines[line].0[rng.below(LINE)] = rng.next() as u8;
        match Leafwise::from_parts(leafwise.meta.clone(), lines.into(), forest.n_features, 1) {
            Err(_) => refused += 1,
            Ok(leafwise) => {
                taken += 1;
                for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                    leafwise.sums(&forest, isa, &rows, &mut [0.0; 70]);
                }
            }
        }
    }
    assert!(refused > 20 && taken > 20, "{refused} {taken}");
}

#[test]
fn wrong_counts_are_refused() {
    let mut rng = Rng::new(6);
    let forest = Shape { trees: 30, thresholds: 20, ..Shape::default() }.forest(&mut rng);
    let leafwise = Leafwise::build(&forest).unwrap();
    let with = |alter: fn(&mut LeafwiseMeta)| {
        let mut meta = leafwise.meta.clone();
        alter(&mut meta);
        Leafwise::from_parts(meta, leafwise.arena.clone(), forest.n_features, 1)
    };
    assert!(with(|_| ()).is_ok());
    let alterations: [fn(&mut LeafwiseMeta); 9] = [
        |meta| meta.depth = 1_000_000,
        |meta| meta.chunks.clear(),
        |meta| meta.chunks[0].n_trees = CHUNK + 1,
        |meta| meta.chunks[0].n_trees = usize::MAX,
        |meta| meta.chunks[0].output = 1,
        |meta| meta.chunks[0].leaf_lines = usize::MAX,
        |meta| meta.chunks[0].block_lines = 0,
        |meta| meta.slot_lines = usize::MAX,
        |meta| meta.slot_lines -= 1,
    ];
    for (i, alter) in alterations.into_iter().enumerate() {
        assert!(with(alter).is_err(), "{i}");
    }
}
