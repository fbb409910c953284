use super::*;
use crate::engine::testing::{Growth, ROWS, Rng, Shape, Sum, assert_equals_reference};

fn shapes() -> impl Iterator<Item = Shape> {
    let deep = (3..=8).flat_map(|depth| {
        [1, 2, 4].map(|outputs| Shape {
            trees: 53 * outputs,
            features: 30,
            depth,
            growth: Growth::Full,
            outputs,
            ..Shape::default()
        })
    });
    Shape::all().into_iter().chain(deep)
}

#[test]
fn sums_are_the_references() {
    let (mut rng, mut taken) = (Rng::new(11), [0; 6]);
    for shape in shapes() {
        let forest = shape.forest(&mut rng);
        let Some(heap) = Heap::build(&forest) else { continue };
        taken[heap.meta.levels - EXIT_LEVELS] += 1;
        for n in ROWS {
            let rows = shape.rows(&forest, &mut rng, n);
            assert_equals_reference(&forest, &rows, &format!("{shape:?}"), |isa, rows, sums| {
                heap.sums(&forest, isa, rows, sums);
            });
        }
    }
    assert!(taken.iter().all(|&n| n >= 3), "{taken:?}");
}

#[test]
fn other_forests_are_left_to_other_layouts() {
    let mut rng = Rng::new(12);
    let refused = [
        Shape { depth: 9, growth: Growth::Full, ..Shape::default() },
        Shape { sum: Sum::F64 { short_leaves: true }, ..Shape::default() },
        Shape { sum: Sum::Mean, ..Shape::default() },
        // A chain of splits in a heap of 256 leaves.
        Shape { trees: 200, depth: 8, growth: Growth::LeafWise(9), ..Shape::default() },
        Shape { trees: 600, features: 300, depth: 3, ..Shape::default() },
    ];
    for shape in refused {
        assert!(Heap::build(&shape.forest(&mut rng)).is_none(), "{shape:?}");
    }
}

/// Whatever the lines hold: an error, or sums of every row.
#[test]
fn altered_lines_are_refused_or_harmless() {
    let mut rng = Rng::new(13);
    let shape = Shape { growth: Growth::Full, categorical: true, outputs: 2, ..Shape::default() };
    let forest = shape.forest(&mut rng);
    let heap = Heap::build(&forest).unwrap();
    let rows = shape.rows(&forest, &mut rng, 70);
    let mut sums = vec![0.0; 140];
    let mut taken = 0;
    for _ in 0..1_000 {
        let mut lines = heap.arena.as_slice().to_vec();
        for _ in 0..8 {
            let line = rng.below(lines.len());
            lines[line].0[rng.below(LINE)] = rng.next() as u8;
        }
        let Ok(altered) = Heap::from_parts(heap.meta.clone(), lines.into(), forest.n_features, 2) else {
            continue;
        };
        for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
            altered.sums(&forest, isa, &rows, &mut sums);
            altered.sums(&forest, isa, &rows[..forest.n_features], &mut sums[..2]);
        }
        taken += 1;
    }
    assert!(taken > 100, "{taken}");
}

#[test]
fn wrong_counts_are_refused() {
    let mut rng = Rng::new(14);
    let forest = Shape::default().forest(&mut rng);
    let heap = Heap::build(&forest).unwrap();
    let with = |alter: fn(&mut HeapMeta)| {
        let mut meta = heap.meta.clone();
        alter(&mut meta);
        Heap::from_parts(meta, heap.arena.clone(), forest.n_features, 1)
    };
    assert!(with(|_| ()).is_ok());
    let alterations: [fn(&mut HeapMeta); 10] = [
        |meta| meta.levels = 2,
        |meta| meta.levels = 9,
        |meta| meta.levels = usize::MAX,
        |meta| meta.levels += 1,
        |meta| meta.trees = Vec::new(),
        |meta| meta.trees.push(0),
        |meta| meta.trees[0] = usize::MAX,
        |meta| meta.trees[0] += GROUP,
        |meta| meta.slots_lines = usize::MAX,
        |meta| meta.slots_lines -= 1,
    ];
    for alter in alterations {
        assert!(with(alter).is_err());
    }
    assert!(Heap::from_parts(heap.meta.clone(), heap.arena.clone(), 1, 1).is_err());
    assert!(Heap::from_parts(heap.meta.clone(), heap.arena.clone(), forest.n_features, 2).is_err());
}

#[test]
fn a_row_alone_takes_avx2() {
    assert_eq!(Heap::isa(Isa::Avx512, 1), Isa::Avx2);
    assert_eq!(Heap::isa(Isa::Avx512, 2), Isa::Avx512);
    assert_eq!([Isa::Avx2, Isa::Portable, Isa::Neon].map(|isa| Heap::isa(isa, 1) == isa), [true; 3]);
}
