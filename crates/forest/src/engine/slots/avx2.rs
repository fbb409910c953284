//! The quantiser with AVX2: sixteen thresholds are counted by two compares, a pack and a population count.

#![expect(unsafe_code, reason = "unchecked reads of the arena, which Slots::from_parts has checked")]

use std::arch::x86_64::*;

use super::{Codes, Entry, MAX_SLOTS, Slots, WIDE};
use crate::engine::Isa;
use crate::engine::fetch::fetch;
use crate::engine::lines::LINE;

impl Slots {
    /// As [`Slots::codes_avx2`], for callers that were not compiled for AVX2; the caller knows that the processor
    /// has it, as every [`Isa`] that reaches a kernel is available.
    pub(super) fn codes_avx2_checked(&self, row: &[f32], out: &mut Codes) {
        debug_assert!(Isa::Avx2.is_available());
        // SAFETY: an engine is chosen only where `Isa::is_available` says that the processor has its instructions.
        unsafe { self.codes_avx2(row, out) }
    }

    /// Where the code of the quantiser is, and how much, about.
    pub(super) fn code_avx2() -> (*const u8, usize) {
        (Self::codes_avx2 as unsafe fn(&Self, &[f32], &mut Codes) as *const u8, 1472)
    }

    /// The codes of one row.
    #[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
    #[inline(never)]
    pub(crate) fn codes_avx2(&self, row: &[f32], out: &mut Codes) {
        assert!(row.len() >= self.n_features, "{} values, a row has {}", row.len(), self.n_features);
        let mut full = [0; MAX_SLOTS];
        self.count_lines(row, &mut full);
        let (plain, others) = self.entries().split_at(self.meta.n_plain);
        let (skip, zero) = others.split_at(self.meta.n_skip);
        let (of_plain, of_others) = full.split_at(plain.len());
        let (of_skip, of_zero) = of_others.split_at(skip.len());
        self.write_codes::<false, false>(plain, row, of_plain, out);
        self.write_codes::<true, false>(skip, row, of_skip, out);
        self.write_codes::<true, true>(zero, row, of_zero, out);
        self.category_codes(row, out);
    }

    /// How many of each entry's threshold lines are not above the row's value, counted among the pivots. The line
    /// after them is fetched ahead: nothing of it is in the cache when a function wakes up.
    #[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
    #[inline]
    fn count_lines(&self, row: &[f32], full: &mut [u8; MAX_SLOTS]) {
        let pivots: &[[f32; WIDE]] = self.pivots.cast();
        let thresholds: *const [f32; WIDE] = self.thresholds.cast().as_ptr();
        for ((entry, pivots), full) in self.entries().iter().zip(pivots).zip(full) {
            // SAFETY: `check_entries` holds every entry's feature below `n_features`, and the row is that long.
            let x = unsafe { *row.get_unchecked(usize::from(entry.feature)) };
            let n = count(pivots, _mm256_set1_ps(x));
            *full = n as u8;
            fetch(thresholds.wrapping_add(usize::from(entry.line) + n).cast(), LINE);
        }
    }

    /// The codes of entries, whose `full` lines are counted. `SKIP`: a threshold may not count; `ZERO`: zero is
    /// missing, too.
    #[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
    #[inline]
    fn write_codes<const SKIP: bool, const ZERO: bool>(
        &self,
        entries: &[Entry],
        row: &[f32],
        full: &[u8],
        out: &mut Codes,
    ) {
        let thresholds: &[[f32; WIDE]] = self.thresholds.cast();
        for (entry, &full) in entries.iter().zip(full) {
            // SAFETY: as in `count_lines`.
            let x = unsafe { *row.get_unchecked(usize::from(entry.feature)) };
            let missing = x.is_nan() || ZERO && x == 0.0;
            // SAFETY: `full` is the number of an entry's pivots that are not above `x`, so at most the position after
            // the last pivot that is not `NaN`, and `check_entries` holds the entry's line at that position inside
            // of the threshold lines.
            let line = unsafe { thresholds.get_unchecked(usize::from(entry.line) + usize::from(full)) };
            let n = WIDE * usize::from(full) + count(line, _mm256_set1_ps(x));
            let code = |skip: u16| (n - usize::from(SKIP && n > usize::from(skip))) as u8;
            let mask = u8::from(missing).wrapping_neg();
            // SAFETY: `check_entries` holds both slots to at most `UNUSED`, and `Codes` has more than that.
            unsafe {
                *out.0.get_unchecked_mut(usize::from(entry.right)) = code(entry.skip_right) | mask;
                *out.0.get_unchecked_mut(usize::from(entry.left)) = code(entry.skip_left) & !mask;
            }
        }
    }
}

/// How many of the thresholds are not above `x`.
#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
#[inline]
fn count(thresholds: &[f32; WIDE], x: __m256) -> usize {
    let (low, high) = (thresholds.as_ptr(), thresholds[8..].as_ptr());
    // SAFETY: sixteen values lie behind `thresholds`, eight of them behind each pointer.
    let (low, high) = unsafe { (_mm256_loadu_ps(low), _mm256_loadu_ps(high)) };
    let low = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_LE_OQ>(low, x));
    let high = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_LE_OQ>(high, x));
    // Two bits of the mask per threshold.
    (_mm256_movemask_epi8(_mm256_packs_epi32(low, high)) as u32).count_ones() as usize / 2
}
