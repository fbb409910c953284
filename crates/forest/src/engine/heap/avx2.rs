//! Many rows with AVX2: 32 rows at once.
//!
//! All nodes of a tree's first five levels are compared for all rows, and the outcomes blended: 62 instructions for
//! five steps of 32 walks. Then a byte shuffle looks up each row's node in the level's slots and ranks, the rows'
//! codes are fetched one by one, and all compared at once. Four trees go side by side, so that the fetches of
//! one overlap the look-ups of another.

#![expect(unsafe_code, reason = "unchecked reads of tables and of tiles, whose sizes the types hold")]

use std::arch::x86_64::*;

use super::batch::{Kernel, Sums};
use super::tables::Parts;
use super::tile::{BLOCK, Block};
use crate::engine::lines::Line;

/// Trees side by side.
const SIDE: usize = 4;
/// Bytes of a table of a shuffle.
const SHUFFLE: usize = 16;

/// See the module.
pub(super) struct Avx2;

impl Kernel for Avx2 {
    fn add(parts: Parts, tables: &[Line], block: &Block, sums: &mut Sums) {
        // SAFETY: an engine is chosen only where `Isa::is_available` says that the processor has its instructions.
        unsafe {
            match parts {
                P3 => add::<3>(tables, block, sums),
                P4 => add::<4>(tables, block, sums),
                P5 => add::<5>(tables, block, sums),
                P6 => add::<6>(tables, block, sums),
                P7 => add::<7>(tables, block, sums),
                _ => add::<8>(tables, block, sums),
            }
        }
    }
}

const P3: Parts = Parts::new(3);
const P4: Parts = Parts::new(4);
const P5: Parts = Parts::new(5);
const P6: Parts = Parts::new(6);
const P7: Parts = Parts::new(7);

/// Adds the leaves of trees of so many levels.
#[target_feature(enable = "avx2")]
fn add<const LEVELS: usize>(tables: &[Line], block: &Block, sums: &mut Sums) {
    let lines = const { Parts::new(LEVELS).lines() };
    for trees in tables.chunks(SIDE * lines) {
        if trees.len() == SIDE * lines {
            add_side::<LEVELS, SIDE>(trees, block, sums);
        } else {
            trees.chunks_exact(lines).for_each(|tree| add_side::<LEVELS, 1>(tree, block, sums));
        }
    }
}

/// `N` trees side by side.
#[target_feature(enable = "avx2")]
fn add_side<const LEVELS: usize, const N: usize>(tables: &[Line], block: &Block, sums: &mut Sums) {
    let lines = const { Parts::new(LEVELS).lines() };
    assert!(tables.len() == N * lines);
    let tables: [*const u8; N] = std::array::from_fn(|tree| tables[tree * lines..].as_ptr().cast());
    // SAFETY: each pointer has the lines of a table of `LEVELS` levels behind it. The first levels give positions below
    // `2^LEVELS` or `2^5`, and each further level doubles them, plus one at most.
    unsafe {
        let mut at: [__m256i; N] = std::array::from_fn(|tree| first_levels::<LEVELS>(tables[tree], block));
        if LEVELS > 5 {
            at = level::<LEVELS, 5, N>(tables, at, block);
        }
        if LEVELS > 6 {
            at = level::<LEVELS, 6, N>(tables, at, block);
        }
        if LEVELS > 7 {
            at = level::<LEVELS, 7, N>(tables, at, block);
        }
        add_leaves::<LEVELS, N>(tables, at, sums);
    }
}

/// Takes the rows through the first levels, five at most; their positions in the level behind, from 0.
///
/// # Safety
/// A table of `LEVELS` levels.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn first_levels<const LEVELS: usize>(table: *const u8, block: &Block) -> __m256i {
    let (ranks, columns) = (table.cast::<i32>(), block.columns.as_ptr().cast::<u8>());
    let offsets = table.wrapping_add(const { Parts::new(LEVELS).columns() }).cast::<u16>();
    // Rows that go left at a node: -1, others 0.
    let left = |at: usize| {
        // SAFETY: `at` is a node of the first levels, which the table has; an offset is that of one of 256 columns.
        unsafe {
            let column = columns.add(usize::from(*offsets.add(at))).cast();
            _mm256_cmpgt_epi8(_mm256_set1_epi32(*ranks.add(at)), _mm256_load_si256(column))
        }
    };
    // Negative positions in the level behind, counted from the leftmost that a row at node `at` can reach.
    let join = |at: usize, right: __m256i, left_half: __m256i, half: i8| {
        _mm256_blendv_epi8(right, _mm256_add_epi8(left_half, _mm256_set1_epi8(-half)), left(at))
    };
    let two = |at: usize| join(at, left(2 * at), left(2 * at + 1), 2);
    let three = |at: usize| join(at, two(2 * at), two(2 * at + 1), 4);
    let four = |at: usize| join(at, three(2 * at), three(2 * at + 1), 8);
    let negative = match LEVELS {
        3 => three(1),
        4 => four(1),
        _ => join(1, four(2), four(3), 16),
    };
    _mm256_sub_epi8(_mm256_setzero_si256(), negative)
}

/// Takes the rows through one of the levels after the fifth.
///
/// # Safety
/// Tables of `LEVELS` levels; positions `at` below `2^LEVEL`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn level<const LEVELS: usize, const LEVEL: usize, const N: usize>(
    tables: [*const u8; N],
    at: [__m256i; N],
    block: &Block,
) -> [__m256i; N] {
    let parts = const { Parts::new(LEVELS).level(LEVEL) };
    let mut slots = [Bytes::default(); N];
    for (slots, (table, at)) in slots.iter_mut().zip(tables.into_iter().zip(at)) {
        // SAFETY: the level's slots lie there.
        slots.store(unsafe { look_up::<LEVEL>(table.add(parts), at) });
    }
    std::array::from_fn(|tree| {
        // SAFETY: the level's ranks lie there.
        let ranks = unsafe { look_up::<LEVEL>(tables[tree].add(parts + (1 << LEVEL)), at[tree]) };
        let left = _mm256_cmpgt_epi8(ranks, fetch(&slots[tree], block));
        _mm256_sub_epi8(_mm256_add_epi8(at[tree], at[tree]), left)
    })
}

/// The bytes at positions below `2^LEVEL` in a table of so many: sixteen at a time by a shuffle, and blends by the
/// positions' further bits, moved to where a blend looks.
///
/// # Safety
/// `2^LEVEL` bytes.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn look_up<const LEVEL: usize>(table: *const u8, at: __m256i) -> __m256i {
    let low = _mm256_and_si256(at, _mm256_set1_epi8(SHUFFLE as i8 - 1));
    let shuffle = |i: usize| {
        // SAFETY: sixteen bytes of the table.
        let part = unsafe { _mm_loadu_si128(table.add(SHUFFLE * i).cast()) };
        _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(part), low)
    };
    let (bit_4, bit_5, bit_6) =
        (_mm256_slli_epi16::<3>(at), _mm256_slli_epi16::<2>(at), _mm256_slli_epi16::<1>(at));
    let two = |i: usize| _mm256_blendv_epi8(shuffle(i), shuffle(i + 1), bit_4);
    let four = |i: usize| _mm256_blendv_epi8(two(i), two(i + 2), bit_5);
    match LEVEL {
        5 => two(0),
        6 => four(0),
        _ => _mm256_blendv_epi8(four(0), four(4), bit_6),
    }
}

/// A byte per row.
#[derive(Clone, Copy, Default)]
#[repr(align(32))]
struct Bytes([u8; BLOCK]);

impl Bytes {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn store(&mut self, bytes: __m256i) {
        // SAFETY: 32 bytes, aligned.
        unsafe { _mm256_store_si256(self.0.as_mut_ptr().cast(), bytes) };
    }

    /// Eight of them, the first one lowest.
    #[inline(always)]
    fn eight(&self, i: usize) -> u64 {
        let (eights, _) = self.0.as_chunks();
        u64::from_le_bytes(eights[i])
    }
}

/// Each row's code at its slot.
#[target_feature(enable = "avx2")]
#[inline]
fn fetch(slots: &Bytes, block: &Block) -> __m256i {
    macro_rules! half {
        ($first:literal: $($row:literal)*) => {{
            let mut half = _mm_setzero_si128();
            let eights = [slots.eight($first / 8), slots.eight($first / 8 + 1)];
            $(
                let slot = (eights[$row / 8] >> ($row % 8 * 8)) as u8;
                half = _mm_insert_epi8::<$row>(half, i32::from(block.rows[$first + $row][usize::from(slot)]));
            )*
            half
        }};
    }
    let low = half!(0: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    let high = half!(16: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    _mm256_set_m128i(high, low)
}

/// Adds each row's leaves, in the trees' order.
///
/// # Safety
/// Tables of `LEVELS` levels; positions `at` below `2^LEVELS`.
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn add_leaves<const LEVELS: usize, const N: usize>(
    tables: [*const u8; N],
    at: [__m256i; N],
    sums: &mut Sums,
) {
    let mut positions = [Bytes::default(); N];
    positions.iter_mut().zip(at).for_each(|(positions, at)| positions.store(at));
    let (eights, _) = sums.as_chunks_mut::<8>();
    for (i, sums) in eights.iter_mut().enumerate() {
        let mut totals = *sums;
        for (table, positions) in tables.iter().zip(&positions) {
            let leaves = table.wrapping_add(const { Parts::new(LEVELS).leaves() }).cast::<f32>();
            let positions = positions.eight(i);
            for (row, total) in totals.iter_mut().enumerate() {
                let position = (positions >> (8 * row)) as u8;
                // SAFETY: a position is that of one of the table's leaves.
                *total += unsafe { *leaves.add(usize::from(position)) };
            }
        }
        *sums = totals;
    }
}
