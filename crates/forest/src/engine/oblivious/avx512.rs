//! One row, with AVX-512 VBMI: a byte permutation over 128 codes looks up those of 64 trees.
#![cfg(target_arch = "x86_64")]
#![expect(unsafe_code, reason = "loads and stores of vectors")]

use std::arch::x86_64::*;

use super::super::real::Real;
use super::batch::{self, Accumulator, Columns};
use super::leaves::Position;
use super::{Codes, Group, Line, Positions};

/// See [`super::kernels::positions`].
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) fn positions(
    n_slots: usize,
    groups: &[Group],
    levels: &[Line],
    codes: &Codes,
    out: &mut [Positions],
) {
    if n_slots <= 128 {
        positions_of::<false>(groups, levels, codes, out);
    } else {
        positions_of::<true>(groups, levels, codes, out);
    }
}

/// See [`batch::add_group`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi")]
pub(super) fn add_group<T: Real, P: Position>(
    group: Group,
    levels: &[Line],
    leaves: &[T],
    columns: &[Columns],
    accumulators: &mut [Accumulator<T>],
) {
    batch::add_group::<T, P>(group, levels, leaves, columns, accumulators);
}

/// `WIDE`: there are slots above 127.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn positions_of<const WIDE: bool>(
    groups: &[Group],
    mut levels: &[Line],
    codes: &Codes,
    out: &mut [Positions],
) {
    let codes: [__m512i; 4] = std::array::from_fn(|i| load(&codes.0.as_chunks().0[i]));
    for (group, out) in groups.iter().zip(out) {
        let (lines, rest) = levels.split_at(group.level_lines());
        let (high, low) = lines.split_at(lines.len() - lines.len().min(16));
        answers::<WIDE>(low, codes, &mut out.low);
        answers::<WIDE>(high, codes, &mut out.high);
        levels = rest;
    }
}

/// The answers of up to eight levels.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[inline]
fn answers<const WIDE: bool>(levels: &[Line], codes: [__m512i; 4], out: &mut Line) {
    let one = _mm512_set1_epi8(1);
    let mut positions = _mm512_setzero_si512();
    for level in levels.chunks_exact(2) {
        let (slots, ranks) = (load(&level[0].0), load(&level[1].0));
        let mut found = _mm512_permutex2var_epi8(codes[0], slots, codes[1]);
        if WIDE {
            let high = _mm512_permutex2var_epi8(codes[2], slots, codes[3]);
            found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(slots), found, high);
        }
        let left = _mm512_cmplt_epu8_mask(found, ranks);
        let doubled = _mm512_add_epi8(positions, positions);
        positions = _mm512_mask_add_epi8(doubled, left, doubled, one);
    }
    // SAFETY: a line is 64 bytes, aligned to 64.
    unsafe { _mm512_store_si512(out.0.as_mut_ptr().cast(), positions) };
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(line: &[u8; 64]) -> __m512i {
    // SAFETY: 64 bytes; no alignment asked for.
    unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
}
