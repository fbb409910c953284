//! Many rows: the frame around the kernels that take a block of rows at once.

use super::Heap;
use super::tables::{Parts, Tables};
use super::tile::{BLOCK, Block, TILE, Tile};
use crate::engine::Isa;
use crate::engine::lines::Line;

/// Trees that go through all blocks of a tile before the next ones do: their tables stay in the nearest caches.
const STEP: usize = 64;

/// Sums of a block's rows.
pub(super) type Sums = [f32; BLOCK];

/// A kernel: takes all rows of a block through trees.
pub(super) trait Kernel {
    /// Adds the leaves of trees, whose tables of `parts` are given one behind the other, to the sums.
    fn add(parts: Parts, tables: &[Line], block: &Block, sums: &mut Sums);
}

impl Heap {
    /// Adds all leaves to the rows' sums.
    #[inline(never)]
    pub(super) fn add_blocks<K: Kernel>(&self, isa: Isa, rows: &[f32], sums: &mut [f64]) {
        let tables = self.tables.get_or_init(|| Tables::new(self));
        let (n_features, n_outputs) = (self.slots.n_features(), self.meta.trees.len());
        let mut tile = Tile::new(rows.len() / n_features);
        for (rows, sums) in rows.chunks(TILE * n_features).zip(sums.chunks_mut(TILE * n_outputs)) {
            let blocks = tile.fill(&self.slots, isa, rows);
            let mut first = 0;
            for (output, n_trees) in self.meta.trees.iter().enumerate() {
                let lines = tables.parts().lines();
                let own = &tables.lines()[first * lines..][..n_trees * lines];
                add_output::<K>(tables.parts(), own, blocks, sums.iter_mut().skip(output).step_by(n_outputs));
                first += n_trees;
            }
        }
    }
}

/// Adds the leaves of one output's trees to its sums of a tile's rows.
fn add_output<'a, K: Kernel>(
    parts: Parts,
    tables: &[Line],
    blocks: &[Block],
    sums: impl Iterator<Item = &'a mut f64>,
) {
    let mut totals = [[0.0; BLOCK]; TILE / BLOCK];
    let mut sums: Vec<&mut f64> = sums.collect();
    let flat = totals.as_flattened_mut();
    flat.iter_mut().zip(&sums).for_each(|(total, sum)| *total = **sum as f32);
    for tables in tables.chunks(STEP * parts.lines()) {
        for (block, totals) in blocks.iter().zip(&mut totals) {
            K::add(parts, tables, block, totals);
        }
    }
    sums.iter_mut().zip(totals.as_flattened()).for_each(|(sum, &total)| **sum = f64::from(total));
}
