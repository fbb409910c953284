//! Row by row: the frame around the kernels that walk chunks of trees.

use super::{GROUP, Heap};
use crate::engine::Isa;
use crate::engine::lines::Line;
use crate::engine::slots::{CodedSplit, Codes};

/// Trees of a chunk: their tops are walked before the first of their exits is read, which is on its way by then.
pub(super) const CHUNK: usize = 4 * GROUP;
/// Rows that take a chunk one after the other, while it is near.
const BLOCK: usize = 16;

/// The leaves that a row reaches in a chunk's trees.
pub(super) type Leaves = [f32; CHUNK];

/// Trees of a chunk, of `EXITS` exits each.
#[derive(Clone, Copy)]
pub(super) struct Trees<'a, const EXITS: usize> {
    /// `EXITS` nodes per tree.
    pub(super) tops: &'a [CodedSplit],
    /// `EXITS` lines per tree.
    pub(super) exits: &'a [Line],
}

/// A kernel: walks one row through a chunk.
pub(super) trait Kernel {
    /// Replaces the first of the leaves, one per tree. The number of trees is a multiple of [`GROUP`], at most
    /// [`CHUNK`].
    fn walk<const EXITS: usize>(trees: Trees<'_, EXITS>, codes: &Codes, leaves: &mut Leaves);
}

impl Heap {
    /// Adds all leaves to the rows' sums.
    pub(super) fn add_rows<K: Kernel, const EXITS: usize>(&self, isa: Isa, rows: &[f32], sums: &mut [f64]) {
        let (n_features, n_outputs) = (self.slots.n_features(), self.meta.trees.len());
        if rows.len() == n_features {
            return self.add_block::<K, EXITS, 1>(isa, rows, sums);
        }
        for (rows, sums) in rows.chunks(BLOCK * n_features).zip(sums.chunks_mut(BLOCK * n_outputs)) {
            self.add_block::<K, EXITS, BLOCK>(isa, rows, sums);
        }
    }

    /// At most `ROWS` rows.
    fn add_block<K: Kernel, const EXITS: usize, const ROWS: usize>(
        &self,
        isa: Isa,
        rows: &[f32],
        sums: &mut [f64],
    ) {
        let mut codes = [const { Codes::new() }; ROWS];
        for (row, codes) in rows.chunks_exact(self.slots.n_features()).zip(&mut codes) {
            self.slots.codes(isa, row, codes);
        }
        let mut leaves = [0.0; CHUNK];
        let mut cursor = Cursor::new(&self.meta.trees);
        let chunks = self.tops().chunks(CHUNK * EXITS).zip(self.exits().chunks(CHUNK * EXITS));
        for (tops, exits) in chunks {
            let mut after = cursor;
            for (codes, sums) in codes.iter().zip(sums.chunks_exact_mut(self.meta.trees.len())) {
                K::walk::<EXITS>(Trees { tops, exits }, codes, &mut leaves);
                after = cursor.add(&leaves, sums);
            }
            cursor = after;
        }
    }
}

/// Where in the order of the trees a chunk begins.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    /// Trees of each output.
    trees: &'a [usize],
    /// The next tree's output.
    output: usize,
    /// Trees of this output that are added already.
    done: usize,
}

impl<'a> Cursor<'a> {
    /// Before the first of so many trees of each output.
    pub(super) const fn new(trees: &'a [usize]) -> Self {
        Self { trees, output: 0, done: 0 }
    }

    /// Adds a chunk's leaves to a row's sums, which are `f32` values, in `f32`; gives the position behind. Filling
    /// comes after the last output, and is not added.
    #[inline(always)]
    pub(super) fn add(mut self, mut leaves: &[f32], sums: &mut [f64]) -> Self {
        while let (Some(&n), Some(sum)) = (self.trees.get(self.output), sums.get_mut(self.output)) {
            let own = (n - self.done).min(leaves.len());
            let total = leaves[..own].iter().fold(*sum as f32, |total, leaf| total + leaf);
            *sum = f64::from(total);
            self.done += own;
            if self.done < n {
                break;
            }
            leaves = &leaves[own..];
            (self.output, self.done) = (self.output + 1, 0);
        }
        self
    }
}
