//! Row by row: the frame around the kernels that walk chunks of trees.

use super::{GROUP, Heap};
use crate::engine::Isa;
use crate::engine::lines::Line;
use crate::engine::slots::{CodedSplit, Codes};

/// Trees that several rows take one after the other, while they are near.
const CHUNK: usize = 20 * GROUP;
/// Rows that do.
const BLOCK: usize = 16;

/// Trees of a chunk, of `EXITS` exits each.
#[derive(Clone, Copy)]
pub(super) struct Trees<'a, const EXITS: usize> {
    /// `EXITS` nodes per tree.
    pub(super) tops: &'a [CodedSplit],
    /// `EXITS` lines per tree.
    pub(super) exits: &'a [Line],
}

/// Takes the leaves that a row reaches, in the order of the trees.
pub(super) trait Sink {
    fn take(&mut self, leaves: &[f32; GROUP]);
}

/// A kernel: walks one row through trees.
pub(super) trait Kernel {
    /// The number of trees is a multiple of [`GROUP`].
    fn walk<const EXITS: usize, S: Sink>(trees: Trees<'_, EXITS>, codes: &Codes, sink: &mut S);

    /// Asks for what the walk of a single row reads first, which may not be in any cache.
    fn fetch_ahead<const EXITS: usize>(_heap: &Heap) {}
}

impl Heap {
    /// Adds all leaves to the rows' sums.
    pub(super) fn add_rows<K: Kernel, const EXITS: usize>(&self, isa: Isa, rows: &[f32], sums: &mut [f64]) {
        let (n_features, n_outputs) = (self.slots.n_features(), self.meta.trees.len());
        if rows.len() == n_features {
            K::fetch_ahead::<EXITS>(self);
            return self.add_block::<K, EXITS, 1>(isa, rows, sums);
        }
        for (rows, sums) in rows.chunks(BLOCK * n_features).zip(sums.chunks_mut(BLOCK * n_outputs)) {
            self.add_block::<K, EXITS, BLOCK>(isa, rows, sums);
        }
    }

    /// At most `ROWS` rows.
    #[inline(never)]
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
        let one_output = self.meta.trees.len() == 1;
        // One row need not stop between chunks.
        let nodes = if one_output && ROWS == 1 { usize::MAX } else { CHUNK * EXITS };
        let chunks = self.tops().chunks(nodes).zip(self.exits().chunks(nodes));
        let chunks = chunks.map(|(tops, exits)| Trees { tops, exits });
        if one_output {
            for trees in chunks {
                codes.iter().zip(&mut *sums).for_each(|(codes, sum)| add_one::<K, EXITS>(trees, codes, sum));
            }
            return;
        }
        let mut cursor = Cursor::new(&self.meta.trees);
        for trees in chunks {
            let start = cursor;
            for (codes, sums) in codes.iter().zip(sums.chunks_exact_mut(self.meta.trees.len())) {
                let mut leaves = Leaves { all: [0.0; CHUNK], n: 0 };
                K::walk(trees, codes, &mut leaves);
                cursor = start.add(&leaves.all[..leaves.n], sums);
            }
        }
    }
}

/// Adds the trees' leaves to the sum of the only output.
fn add_one<K: Kernel, const EXITS: usize>(trees: Trees<'_, EXITS>, codes: &Codes, sum: &mut f64) {
    // Exact both ways: the sum is an `f32`.
    let mut total = Total(*sum as f32);
    K::walk(trees, codes, &mut total);
    *sum = f64::from(total.0);
}

/// The sum of one output. Filling is added, too: -0, which changes nothing.
pub(super) struct Total(f32);

impl Sink for Total {
    #[inline(always)]
    fn take(&mut self, leaves: &[f32; GROUP]) {
        self.0 = leaves.iter().fold(self.0, |total, leaf| total + leaf);
    }
}

/// The leaves of a chunk.
struct Leaves {
    all: [f32; CHUNK],
    n: usize,
}

impl Sink for Leaves {
    #[inline(always)]
    fn take(&mut self, leaves: &[f32; GROUP]) {
        self.all[self.n..][..GROUP].copy_from_slice(leaves);
        self.n += GROUP;
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
