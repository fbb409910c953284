//! One row, with AVX2: the codes of 32 trees are looked up at once, by byte shuffles over 16 codes each and blends
//! by the slots' upper bits.
#![cfg(target_arch = "x86_64")]
#![expect(unsafe_code, reason = "loads and stores of vectors")]

use std::arch::x86_64::*;

use super::super::real::Real;
use super::batch::{self, Accumulator, Columns};
use super::leaves::Position;
use super::{Codes, Group, Line, Positions};

/// See [`super::kernels::positions`].
#[target_feature(enable = "avx2")]
pub(super) fn positions(
    n_slots: usize,
    groups: &[Group],
    levels: &[Line],
    codes: &Codes,
    out: &mut [Positions],
) {
    match n_slots {
        0..=16 => positions_of::<1>(groups, levels, codes, out),
        17..=32 => positions_of::<2>(groups, levels, codes, out),
        33..=64 => positions_of::<4>(groups, levels, codes, out),
        65..=128 => positions_of::<8>(groups, levels, codes, out),
        _ => positions_of::<16>(groups, levels, codes, out),
    }
}

/// See [`batch::add_group`].
#[target_feature(enable = "avx2")]
pub(super) fn add_group<T: Real, P: Position>(
    group: Group,
    levels: &[Line],
    leaves: &[T],
    columns: &[Columns],
    accumulators: &mut [Accumulator<T>],
) {
    batch::add_group::<T, P>(group, levels, leaves, columns, accumulators);
}

#[target_feature(enable = "avx2")]
fn positions_of<const CHUNKS: usize>(
    groups: &[Group],
    mut levels: &[Line],
    codes: &Codes,
    out: &mut [Positions],
) {
    for (group, out) in groups.iter().zip(out) {
        let (lines, rest) = levels.split_at(group.level_lines());
        let (high, low) = lines.split_at(lines.len() - lines.len().min(16));
        answers::<CHUNKS>(low, codes, &mut out.low);
        answers::<CHUNKS>(high, codes, &mut out.high);
        levels = rest;
    }
}

/// The answers of up to eight levels.
#[target_feature(enable = "avx2")]
#[inline]
fn answers<const CHUNKS: usize>(levels: &[Line], codes: &Codes, out: &mut Line) {
    let one = _mm256_set1_epi8(1);
    let mut positions = [_mm256_setzero_si256(); 2];
    for level in levels.chunks_exact(2) {
        let (slots, ranks) = (load(&level[0]), load(&level[1]));
        for half in 0..2 {
            let codes = look_up::<CHUNKS>(codes, slots[half]);
            // rank - code, not below 0: 0 unless the code is less.
            let left = _mm256_min_epu8(_mm256_subs_epu8(ranks[half], codes), one);
            positions[half] = _mm256_add_epi8(_mm256_add_epi8(positions[half], positions[half]), left);
        }
    }
    let out = out.0.as_mut_ptr();
    // SAFETY: a line is 64 bytes, aligned to 64.
    unsafe {
        _mm256_store_si256(out.cast(), positions[0]);
        _mm256_store_si256(out.add(32).cast(), positions[1]);
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(line: &Line) -> [__m256i; 2] {
    let line = line.0.as_ptr();
    // SAFETY: a line is 64 bytes, aligned to 64.
    unsafe { [_mm256_load_si256(line.cast()), _mm256_load_si256(line.add(32).cast())] }
}

/// The codes of 32 slots, out of the first `16 x CHUNKS`.
#[target_feature(enable = "avx2")]
#[inline]
fn look_up<const CHUNKS: usize>(codes: &Codes, slots: __m256i) -> __m256i {
    if CHUNKS <= 8 {
        return look_up_below_128::<CHUNKS>(codes, 0, slots);
    }
    // A shuffle gives 0 where the slot's top bit is set: each half of the codes answers for its own slots.
    let low = look_up_below_128::<8>(codes, 0, slots);
    let high = look_up_below_128::<8>(codes, 8, _mm256_xor_si256(slots, _mm256_set1_epi8(i8::MIN)));
    _mm256_or_si256(low, high)
}

/// The codes of 32 slots, out of `16 x CHUNKS` from `16 x first` on; 0 where a slot's top bit is set.
#[target_feature(enable = "avx2")]
#[inline]
fn look_up_below_128<const CHUNKS: usize>(codes: &Codes, first: usize, slots: __m256i) -> __m256i {
    let mut found = [_mm256_setzero_si256(); CHUNKS];
    for (chunk, found) in found.iter_mut().enumerate() {
        let table: &[u8; 16] = &codes.0.as_chunks().0[first + chunk];
        // SAFETY: 16 bytes; no alignment asked for.
        let table = unsafe { _mm_loadu_si128(table.as_ptr().cast()) };
        *found = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), slots);
    }
    // Each blend looks at the top bit of the bytes: bits 4, 5 and 6 of the slots in turn.
    let by = [_mm256_slli_epi16::<3>(slots), _mm256_slli_epi16::<2>(slots), _mm256_slli_epi16::<1>(slots)];
    let mut left = CHUNKS;
    for by in by {
        if left > 1 {
            left /= 2;
            for i in 0..left {
                found[i] = _mm256_blendv_epi8(found[2 * i], found[2 * i + 1], by);
            }
        }
    }
    found[0]
}
