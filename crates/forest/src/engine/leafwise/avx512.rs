//! The kernel for many rows with AVX-512: a comparison gives a bit per row, and the selection is a masked move.
#![expect(unsafe_code, reason = "AVX-512, and operands of a plan that this crate made itself")]

use std::arch::x86_64::*;

use super::batch::{Operands, SlotCodes, add_leaves, for_groups};
use super::plan::{BLOCK_ROWS, Lowest, MAX_SPLITS, Plan, Select, TREES};
use crate::engine::real::Real;

/// Adds all trees' leaves to the totals of a tile, `n_outputs` for each block.
///
/// # Safety
/// The processor has AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2")]
pub(super) unsafe fn add_tile<T: Real>(
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

/// The bytes of every split of a group, those of the roots among them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2")]
fn select(lowest: &[Lowest], selects: &[Select], codes: &SlotCodes, operands: &mut Operands) {
    assert!(lowest.len() + selects.len() <= TREES * MAX_SPLITS);
    let one = _mm512_set1_epi8(1);
    let (codes, buffer) = (codes.as_ptr(), operands.as_mut_ptr());
    // SAFETY, for all: the plan's codes are multiples of 64 below 64 x MAX_SLOTS; its operands are numbers of leaves,
    // below MAX_SPLITS, and results of splits before the one that reads them; a group has as many results as splits,
    // for which the buffer has room behind the numbers. Each is a line, aligned to it.
    unsafe {
        let mut result = buffer.add(MAX_SPLITS);
        for split in lowest {
            let codes = _mm512_load_si512(codes.byte_add(split.codes as usize).cast());
            let left = _mm512_cmpgt_epi8_mask(_mm512_set1_epi32(split.rank), codes);
            // A row that goes left takes the next leaf.
            let right = _mm512_set1_epi32(split.right);
            _mm512_store_si512(result.cast(), _mm512_mask_add_epi8(right, left, right, one));
            result = result.add(1);
        }
        for split in selects {
            let codes = _mm512_load_si512(codes.byte_add(usize::from(split.codes)).cast());
            let left = _mm512_cmpgt_epi8_mask(_mm512_set1_epi32(split.rank), codes);
            let if_right = _mm512_load_si512(buffer.byte_add(usize::from(split.right)).cast());
            let if_left = _mm512_load_si512(buffer.byte_add(usize::from(split.left)).cast());
            _mm512_store_si512(result.cast(), _mm512_mask_blend_epi8(left, if_right, if_left));
            result = result.add(1);
        }
    }
}
