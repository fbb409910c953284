//! The walk: a list of (tree, row) pairs, all of them a step further in each round.
//!
//! Plain Rust; on x86-64 compiled once more with BMI2's shifts.
#![expect(
    unsafe_code,
    reason = "the inner loop indexes without checks what was checked when the layout was made"
)]

use super::{Node, Set};
use crate::engine::isa::Isa;

/// Most walks under way at once.
pub(super) const WALKS: usize = 512;

/// What the walk has to know of the layout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) slot_bits: u32,
    pub(super) slot_mask: u32,
    pub(super) n_slots: usize,
    pub(super) first_category: u32,
    pub(super) first_right_set: u32,
    /// Edges of the longest walk.
    pub(super) depth: usize,
}

/// The categorical sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Categories<'a> {
    pub(super) sets: &'a [Set],
    pub(super) words: &'a [u32],
}

impl Categories<'_> {
    /// Whether a set holds a category's key.
    fn contains(self, set: u32, key: u32) -> bool {
        let Set { first, len } = self.sets[set as usize];
        let bit = |word: u32| self.words[(first + word) as usize] >> (key % 32) & 1 == 1;
        key == super::keys::INSIDE || (key / 32 < len && bit(key / 32))
    }
}

/// A walk under way.
#[derive(Debug, Clone, Copy, Default)]
struct Walk {
    /// Node that it stands at.
    node: u32,
    /// Tree and row: its position among the leaves.
    id: u32,
}

/// Room for the walks of a block of rows.
pub(super) struct Walker<'a> {
    shape: Shape,
    /// `n_slots` per row.
    keys: &'a [u32],
    categories: Categories<'a>,
    /// Rows of a block, a power of two, at most [`WALKS`].
    block_rows: usize,
    walks: [Walk; WALKS],
    leaves: [u32; WALKS],
}

impl<'a> Walker<'a> {
    pub(super) fn new(shape: Shape, keys: &'a [u32], categories: Categories<'a>, block_rows: usize) -> Self {
        let (walks, leaves) = ([Walk::default(); WALKS], [0; WALKS]);
        Self { shape, keys, categories, block_rows, walks, leaves }
    }

    /// The leaves, as positions of values, that `n_rows` rows reach in the trees of `roots`, at most
    /// `WALKS / block_rows` trees: `block_rows` per tree, of which the last ones may be without meaning.
    ///
    /// `nodes` and `roots` are a group's that was checked against the shape.
    pub(super) fn walk(&mut self, isa: Isa, nodes: &[Node], roots: &[u32], n_rows: usize) -> &[u32] {
        assert!(n_rows <= self.block_rows && n_rows * self.shape.n_slots <= self.keys.len());
        let mut n_walks = 0;
        for (tree, &root) in roots.iter().enumerate() {
            for row in 0..n_rows {
                self.walks[n_walks] = Walk { node: root, id: (tree * self.block_rows + row) as u32 };
                n_walks += 1;
            }
        }
        let categorical = (self.shape.first_category as usize) < self.shape.n_slots;
        let left = match (isa, categorical) {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the caller found the instructions on this processor; the rest is as for `rounds`.
            (Isa::Avx2 | Isa::Avx512, false) => unsafe { self.rounds_bmi::<false>(nodes, n_walks) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            (Isa::Avx2 | Isa::Avx512, true) => unsafe { self.rounds_bmi::<true>(nodes, n_walks) },
            // SAFETY: roots and nodes were checked when the layout was made: a root is a node of its group.
            (_, false) => unsafe { self.rounds::<false>(nodes, n_walks) },
            // SAFETY: as above.
            (_, true) => unsafe { self.rounds::<true>(nodes, n_walks) },
        };
        // Only in a file made to deceive is a walk longer than the depth it states.
        for walk in &self.walks[..left] {
            self.leaves[walk.id as usize] = 0;
        }
        &self.leaves[..roots.len() * self.block_rows]
    }

    /// # Safety
    /// As for [`Walker::rounds`], and the processor has BMI1 and BMI2.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    unsafe fn rounds_bmi<const CATEGORICAL: bool>(&mut self, nodes: &[Node], n_walks: usize) -> usize {
        // SAFETY: the caller's promise.
        unsafe { self.rounds::<CATEGORICAL>(nodes, n_walks) }
    }

    /// Takes the first `n_walks` walks to their leaves; gives the number that did not arrive.
    ///
    /// # Safety
    /// The walks stand at nodes of `nodes`; their ids are less than [`WALKS`] and of rows that have keys; every node
    /// is a leaf (slot 0), or has a slot of the shape and both children in `nodes`.
    #[inline(always)]
    unsafe fn rounds<const CATEGORICAL: bool>(&mut self, nodes: &[Node], n_walks: usize) -> usize {
        let Shape { slot_bits, slot_mask, n_slots, first_category, first_right_set, depth } = self.shape;
        let row_mask = self.block_rows - 1;
        let mut n = n_walks;
        for _ in 0..=depth {
            let mut kept = 0;
            for at in 0..n {
                // SAFETY: `at < n <= n_walks <= WALKS`.
                let Walk { node, id } = unsafe { *self.walks.get_unchecked(at) };
                // SAFETY: a walk stands at a node of `nodes`: at first by the caller's promise, later because it
                // went on from a split, whose children are nodes. A leaf's walk is not kept.
                let Node { key, link } = unsafe { *nodes.get_unchecked(node as usize) };
                let slot = link & slot_mask;
                let place = (id as usize & row_mask) * n_slots + slot as usize;
                // SAFETY: the row of an id has `n_slots` keys, and `slot < n_slots`.
                let row_key = unsafe { *self.keys.get_unchecked(place) };
                let left = if CATEGORICAL && slot >= first_category {
                    self.categories.contains(key, row_key) != (slot >= first_right_set)
                } else {
                    row_key < key
                };
                let next = 2 * (link >> slot_bits) + u32::from(left);
                prefetch(nodes, next as usize);
                // SAFETY: ids are less than WALKS; `kept <= at`.
                unsafe {
                    *self.leaves.get_unchecked_mut(id as usize) = key;
                    *self.walks.get_unchecked_mut(kept) = Walk { node: next, id };
                }
                kept += usize::from(slot != 0);
            }
            n = kept;
            if n == 0 {
                break;
            }
        }
        n
    }
}

/// Asks for the line of a node, which may lie anywhere.
#[inline(always)]
fn prefetch(nodes: &[Node], at: usize) {
    let node = nodes.as_ptr().wrapping_add(at);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing, whatever the address; SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(node.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch reads nothing, whatever the address.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{node}]", node = in(reg) node, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = node;
}
