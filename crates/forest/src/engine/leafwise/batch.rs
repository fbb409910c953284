//! The kernel for many rows: all splits of a tree for 64 rows at once, a comparison and a selection of bytes each.
//!
//! AVX2; with AVX-512 see [`avx512`].
#![expect(unsafe_code, reason = "AVX2, and operands of a plan that this crate made itself")]

use std::arch::x86_64::*;

use super::plan::{BLOCK_ROWS, Group, Lowest, MAX_SPLITS, Plan, SIGN, Select, TREES};
use super::{Leafwise, avx512};
use crate::engine::isa::Isa;
use crate::engine::real::Real;
use crate::engine::slots::{Codes, MAX_SLOTS};

/// Blocks under way at once: their codes stay in the second cache.
const TILE_BLOCKS: usize = 8;
/// Rows and slots that are transposed at once.
const WIDE: usize = 16;
/// Splits in a turn of the loop.
const UNROLLED: usize = 4;
/// Numbers of leaves that are read at once.
const EIGHT: usize = 8;
/// Groups that are walked for all blocks of a tile before the next groups.
const TILE_GROUPS: usize = 32;

/// One byte for each row of a block.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Bytes<T>([T; BLOCK_ROWS]);

/// Codes of a block by slot, as signed bytes.
pub(super) type SlotCodes = [Bytes<i8>; MAX_SLOTS];
/// Numbers of leaves, then results.
pub(super) type Operands = [Bytes<u8>; MAX_SPLITS * (1 + TREES)];

impl Leafwise {
    /// As `Leafwise::sums`, in blocks of rows. `isa` has AVX2.
    pub(super) fn batch<T: Real>(&self, plan: &Plan, starts: &[T], isa: Isa, rows: &[f32], sums: &mut [f64]) {
        let mut operands = Box::new([Bytes([0; BLOCK_ROWS]); MAX_SPLITS * (1 + TREES)]);
        for (number, bytes) in operands.iter_mut().take(MAX_SPLITS).enumerate() {
            *bytes = Bytes([number as u8; BLOCK_ROWS]);
        }
        let n_outputs = starts.len();
        // Of many outputs the totals take more room than the codes.
        let blocks = (TILE_BLOCKS / n_outputs).max(1);
        let mut codes = vec![[Bytes([0; BLOCK_ROWS]); MAX_SLOTS]; blocks];
        let mut totals = vec![[T::from_f64(0.0); BLOCK_ROWS]; blocks * n_outputs];
        let tile = blocks * BLOCK_ROWS;
        for (rows, sums) in rows.chunks(tile * self.n_features).zip(sums.chunks_mut(tile * n_outputs)) {
            let n_blocks = self.fill(isa, rows, &mut codes);
            for totals in totals.chunks_exact_mut(n_outputs) {
                totals.iter_mut().zip(starts).for_each(|(totals, &start)| *totals = [start; BLOCK_ROWS]);
            }
            let (codes, totals) = (&codes[..n_blocks], &mut totals[..n_blocks * n_outputs]);
            // SAFETY: `isa` has AVX2, or AVX-512, and the caller found it on this processor.
            unsafe {
                match isa {
                    Isa::Avx512 => avx512::add_tile(plan, codes, &mut operands, totals),
                    _ => add_tile(plan, codes, &mut operands, totals),
                }
            }
            for (i, sums) in sums.chunks_exact_mut(n_outputs).enumerate() {
                let (block, row) = (i / BLOCK_ROWS, i % BLOCK_ROWS);
                let totals = totals[block * n_outputs..].iter().map(|totals| totals[row].to_f64());
                sums.iter_mut().zip(totals).for_each(|(sum, total)| *sum = total);
            }
        }
    }

    /// The codes of the rows of a tile; gives the number of blocks.
    fn fill(&self, isa: Isa, rows: &[f32], codes: &mut [SlotCodes]) -> usize {
        let mut by_row = vec![Codes::new(); BLOCK_ROWS];
        let blocks = rows.chunks(BLOCK_ROWS * self.n_features);
        let n_blocks = blocks.len();
        for (rows, codes) in blocks.zip(codes) {
            for (row, by_row) in rows.chunks_exact(self.n_features).zip(&mut by_row) {
                self.slots.codes(isa, row, by_row);
            }
            for first_row in (0..BLOCK_ROWS).step_by(WIDE) {
                for first_slot in (0..self.slots.n_slots()).step_by(WIDE) {
                    // SAFETY: `isa` has AVX2, and the caller found it on this processor.
                    unsafe { transpose(&by_row[first_row..], first_row, first_slot, codes) };
                }
            }
        }
        n_blocks
    }
}

/// The codes of 16 rows, the first of `rows`, at 16 slots, as signed bytes by slot.
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
unsafe fn transpose(rows: &[Codes], first_row: usize, first_slot: usize, codes: &mut SlotCodes) {
    let sign = _mm_set1_epi8(SIGN as i8);
    let mut vectors: [__m128i; WIDE] = std::array::from_fn(|row| {
        let bytes: &[u8] = &rows[row].0[first_slot..first_slot + WIDE];
        // SAFETY: 16 bytes.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    });
    for _ in 0..WIDE.ilog2() {
        let halves = vectors;
        for i in 0..WIDE / 2 {
            vectors[2 * i] = _mm_unpacklo_epi8(halves[i], halves[i + WIDE / 2]);
            vectors[2 * i + 1] = _mm_unpackhi_epi8(halves[i], halves[i + WIDE / 2]);
        }
    }
    for (slot, vector) in vectors.into_iter().enumerate() {
        let bytes = &mut codes[first_slot + slot].0[first_row..first_row + WIDE];
        // SAFETY: 16 bytes.
        unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), _mm_xor_si128(vector, sign)) };
    }
}

/// Adds all trees' leaves to the totals of a tile, `n_outputs` for each block.
///
/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2,bmi1,bmi2")]
unsafe fn add_tile<T: Real>(
    plan: &Plan,
    codes: &[SlotCodes],
    operands: &mut Operands,
    totals: &mut [[T; BLOCK_ROWS]],
) {
    for_groups(plan, codes, totals, |group, lowest, selects, codes, totals| {
        select(lowest, selects, codes, operands);
        add_leaves(plan, group, operands, totals);
    });
}

/// Calls `step` for each group and block with the group's splits, the block's codes, and its totals of the group's
/// output.
#[inline(always)]
pub(super) fn for_groups<T: Real>(
    plan: &Plan,
    codes: &[SlotCodes],
    totals: &mut [[T; BLOCK_ROWS]],
    mut step: impl FnMut(&Group, &[Lowest], &[Select], &SlotCodes, &mut [T; BLOCK_ROWS]),
) {
    let n_outputs = totals.len() / codes.len();
    let mut splits = (&plan.lowest[..], &plan.selects[..]);
    for groups in plan.groups.chunks(TILE_GROUPS) {
        let mut after = splits;
        for (codes, totals) in codes.iter().zip(totals.chunks_exact_mut(n_outputs)) {
            after = splits;
            for group in groups {
                let (lowest, selects);
                (lowest, after.0) = after.0.split_at(group.n_lowest);
                (selects, after.1) = after.1.split_at(group.n_selects);
                step(group, lowest, selects, codes, &mut totals[group.output]);
            }
        }
        splits = after;
    }
}

/// The bytes of every split of a group, those of the roots among them.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn select(lowest: &[Lowest], selects: &[Select], codes: &SlotCodes, operands: &mut Operands) {
    assert!(lowest.len() + selects.len() <= TREES * MAX_SPLITS);
    let (codes, buffer) = (codes.as_ptr(), operands.as_mut_ptr());
    // Several at a time: the loop costs as much as a comparison.
    let (lowest, last_lowest) = lowest.as_chunks::<UNROLLED>();
    let (selects, last_selects) = selects.as_chunks::<UNROLLED>();
    // SAFETY, for all: the plan's codes are multiples of 64 below 64 x MAX_SLOTS; its operands are numbers of leaves,
    // below MAX_SPLITS, and results of splits before the one that reads them; a group has as many results as splits,
    // for which the buffer has room behind the numbers.
    unsafe {
        let mut result = buffer.add(MAX_SPLITS);
        for splits in lowest {
            for split in splits {
                result = select_leaf(split, codes, result);
            }
        }
        for split in last_lowest {
            result = select_leaf(split, codes, result);
        }
        for splits in selects {
            for split in splits {
                result = select_operand(split, codes, buffer, result);
            }
        }
        for split in last_selects {
            result = select_operand(split, codes, buffer, result);
        }
    }
}

/// The leaves that rows reach below a lowest split; gives the place of the next result.
///
/// # Safety
/// The split's codes can be read, and the result written.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
unsafe fn select_leaf(split: &Lowest, codes: *const Bytes<i8>, result: *mut Bytes<u8>) -> *mut Bytes<u8> {
    let (rank, right) = (_mm256_set1_epi32(split.rank), _mm256_set1_epi32(split.right));
    // SAFETY: the caller's promise.
    unsafe {
        let [first, second] = load(codes.byte_add(split.codes as usize));
        // The mask of a row that goes left is -1: it takes the next leaf.
        let first = _mm256_sub_epi8(right, _mm256_cmpgt_epi8(rank, first));
        let second = _mm256_sub_epi8(right, _mm256_cmpgt_epi8(rank, second));
        store(result, [first, second]);
        result.add(1)
    }
}

/// The leaves that rows reach below another split; gives the place of the next result.
///
/// # Safety
/// The split's codes and operands can be read, and the result written.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
unsafe fn select_operand(
    split: &Select,
    codes: *const Bytes<i8>,
    buffer: *const Bytes<u8>,
    result: *mut Bytes<u8>,
) -> *mut Bytes<u8> {
    let rank = _mm256_set1_epi32(split.rank);
    // SAFETY: the caller's promise.
    unsafe {
        let [first, second] = load(codes.byte_add(usize::from(split.codes)));
        let right = load(buffer.byte_add(usize::from(split.right)));
        let left = load(buffer.byte_add(usize::from(split.left)));
        let first = _mm256_and_si256(left[0], _mm256_cmpgt_epi8(rank, first));
        let second = _mm256_and_si256(left[1], _mm256_cmpgt_epi8(rank, second));
        store(result, [_mm256_max_epu8(right[0], first), _mm256_max_epu8(right[1], second)]);
        result.add(1)
    }
}

/// # Safety
/// The bytes can be read.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
unsafe fn load<T>(bytes: *const Bytes<T>) -> [__m256i; 2] {
    let vectors = bytes.cast::<__m256i>();
    // SAFETY: the caller's promise; the type is aligned to a line.
    unsafe { [_mm256_load_si256(vectors), _mm256_load_si256(vectors.add(1))] }
}

/// # Safety
/// The bytes can be written.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
unsafe fn store(bytes: *mut Bytes<u8>, [first, second]: [__m256i; 2]) {
    let vectors = bytes.cast::<__m256i>();
    // SAFETY: the caller's promise; the type is aligned to a line.
    unsafe {
        _mm256_store_si256(vectors, first);
        _mm256_store_si256(vectors.add(1), second);
    }
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
pub(super) fn add_leaves<T: Real>(
    plan: &Plan,
    group: &Group,
    operands: &Operands,
    totals: &mut [T; BLOCK_ROWS],
) {
    let trees: [_; TREES] =
        std::array::from_fn(|tree| (&operands[group.roots[tree]].0, &plan.leaves[group.leaves[tree]..]));
    for first in (0..BLOCK_ROWS).step_by(EIGHT) {
        let mut sums: [T; EIGHT] = std::array::from_fn(|row| totals[first + row]);
        for (numbers, leaves) in trees {
            let mut eight = [0; EIGHT];
            eight.copy_from_slice(&numbers[first..first + EIGHT]);
            let eight = u64::from_le_bytes(eight);
            for (row, sum) in sums.iter_mut().enumerate() {
                let number = (eight >> (8 * row) & 0xff) as usize;
                // SAFETY: a leaf's number is below MAX_SPLITS, and so many values follow each tree's first leaf.
                *sum += T::from_f64(unsafe { *leaves.get_unchecked(number) });
            }
        }
        totals[first..first + EIGHT].copy_from_slice(&sums);
    }
}
