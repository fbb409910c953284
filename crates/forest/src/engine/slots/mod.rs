//! The quantiser: a row of `f32` becomes one byte per slot, once, and every split after that compares two bytes.
//!
//! A slot is a feature together with what a missing value does there, or one categorical split's set. Its code is
//! made so that a row goes left at a split exactly if `code < rank` ([`CodedSplit`]):
//!
//! - numeric: the code is the number of the slot's thresholds that are not above the value, 0..=255, and a split's
//!   rank is its threshold's number counted from 1, so `code < rank` says `value < threshold`, exactly. No value is
//!   above a threshold of `NaN`, which sends every present value left: it is the last;
//! - a missing value's code is 0 where it goes left, which is that of a value below all thresholds, and 255 where it
//!   goes right. Where zero counts as missing, it takes the same codes;
//! - categorical: the code is 0 or 255, the rank 1.
//!
//! A slot has at most [`CHUNK`] thresholds; a feature with more has several. But histograms of XGBoost's default size
//! have [`WHOLE`], so this number is one slot, if every direction of missing values has a threshold that it does
//! not use: its code skips it. A forest that needs more than [`MAX_SLOTS`] is not taken.
//!
//! Arena, in cache lines: the numeric [`Entry`]s, one line of pivots per entry, the threshold lines, the
//! [`Category`]s, the words of their sets. A value is counted twice: among the pivots, the last thresholds of all
//! its entry's lines but the last one, which gives the line; then within that line. What does not fill a line is
//! `NaN`, which no value is above.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod build;
#[cfg(test)]
mod tests;

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

use super::Isa;
use super::fetch::fetch;
use super::lines::{LINE, Lines};
use super::reference::category_goes_left;
use crate::tree::CategoryRule;

/// Most slots of a forest.
pub(crate) const MAX_SLOTS: usize = 256;
/// Most thresholds of a slot: codes 0..=255, ranks 1..=255.
const CHUNK: usize = 255;
/// Thresholds of a slot that skips one.
const WHOLE: usize = 256;
/// Skips none.
const NO_SKIP: u16 = WHOLE as u16;
/// Thresholds of a cache line.
const WIDE: usize = LINE / size_of::<f32>();
/// Where the code of a direction that no split takes is written.
const UNUSED: u16 = MAX_SLOTS as u16;
/// Most lines of thresholds.
const MAX_THRESHOLD_LINES: usize = MAX_SLOTS * WHOLE / WIDE;
/// Most words of sets.
const MAX_WORDS: usize = 1 << 24;

/// One row's codes, by slot. The room behind them takes the codes of directions that no split takes, and stores
/// of whole vectors.
#[derive(Clone)]
#[repr(C, align(64))]
pub(crate) struct Codes(pub(crate) [u8; MAX_SLOTS + LINE]);

impl Codes {
    /// As it is before the first row.
    pub(crate) const fn new() -> Self {
        Self([0; MAX_SLOTS + LINE])
    }
}

/// A split: a row goes left exactly if its code at `slot` is below `rank`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct CodedSplit {
    /// Position of the code.
    pub(crate) slot: u8,
    /// 1..=255; 0 sends every row right.
    pub(crate) rank: u8,
}

/// Up to [`WHOLE`] thresholds of a feature.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Entry {
    /// Position in the row.
    feature: u16,
    /// Slot of the splits that send a missing value right, or [`UNUSED`].
    right: u16,
    /// Slot of the splits that send a missing value left, or [`UNUSED`].
    left: u16,
    /// First of the threshold lines.
    line: u16,
    /// Number, from 0, of the threshold that does not count in the code of `right`, or [`NO_SKIP`].
    skip_right: u16,
    /// Likewise of `left`.
    skip_left: u16,
}

/// A set of categories.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Category {
    /// Position in the row.
    feature: u16,
    /// Where the code goes.
    slot: u8,
    /// Position in [`RULES`].
    rule: u8,
    /// First of the set's words.
    word: u32,
    /// Number of them.
    words: u32,
}

/// The rules by their number in the arena.
const RULES: [CategoryRule; 6] = [
    CategoryRule::Lightgbm,
    CategoryRule::XgboostMissingLeft,
    CategoryRule::XgboostMissingRight,
    CategoryRule::MemberLeft,
    CategoryRule::MemberOrMissingLeft,
    CategoryRule::MemberRight,
];

/// Counts of what the arena holds; part of a compiled file's header.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SlotsMeta {
    /// Slots in use.
    n_slots: usize,
    /// Entries where only `NaN` is missing, and that skip no threshold; they come first.
    n_plain: usize,
    /// Entries where only `NaN` is missing; they come next.
    n_skip: usize,
    /// Entries where zero is missing, too.
    n_zero: usize,
    /// Lines of thresholds.
    n_threshold_lines: usize,
    /// Sets of categories.
    n_categories: usize,
    /// Words of the sets.
    n_words: usize,
}

impl SlotsMeta {
    fn n_entries(&self) -> usize {
        self.n_plain + self.n_skip + self.n_zero
    }

    /// First lines of the pivots, the thresholds, the sets of categories and their words, and the end.
    fn line_offsets(&self) -> [usize; 5] {
        let pivots = (self.n_entries() * size_of::<Entry>()).div_ceil(LINE);
        let thresholds = pivots + self.n_entries();
        let categories = thresholds + self.n_threshold_lines;
        let words = categories + (self.n_categories * size_of::<Category>()).div_ceil(LINE);
        [pivots, thresholds, categories, words, words + (self.n_words * size_of::<u32>()).div_ceil(LINE)]
    }

    fn check(&self) -> Result<(), String> {
        let limits = [
            ("slots", self.n_slots, MAX_SLOTS),
            ("entries", self.n_plain.saturating_add(self.n_skip).saturating_add(self.n_zero), MAX_SLOTS),
            ("lines of thresholds", self.n_threshold_lines, MAX_THRESHOLD_LINES),
            ("sets of categories", self.n_categories, MAX_SLOTS),
            ("words of sets", self.n_words, MAX_WORDS),
        ];
        match limits.into_iter().find(|(_, value, limit)| value > limit) {
            Some((what, value, limit)) => Err(format!("{value} {what}, the limit is {limit}")),
            None => Ok(()),
        }
    }
}

/// All slots of a forest.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    meta: SlotsMeta,
    arena: Lines,
    /// Values of a row; every entry's feature is below it.
    n_features: usize,
    entries: Lines,
    pivots: Lines,
    thresholds: Lines,
    categories: Lines,
    words: Lines,
}

impl Slots {
    /// The slots in `arena`, which holds nothing else; checked, so that no row makes a kernel read or write outside
    /// its buffers.
    pub(crate) fn from_parts(meta: SlotsMeta, arena: Lines, n_features: usize) -> Result<Self, String> {
        meta.check()?;
        let offsets = meta.line_offsets();
        let end = offsets[4];
        if arena.len() != end {
            return Err(format!("{} lines of slots, expected {end}", arena.len()));
        }
        let part = |i: usize| {
            let first = if i == 0 { 0 } else { offsets[i - 1] };
            arena.slice(first, offsets[i] - first).ok_or("slots outside of the arena")
        };
        let (entries, pivots, thresholds) = (part(0)?, part(1)?, part(2)?);
        let (categories, words) = (part(3)?, part(4)?);
        let slots = Self { n_features, entries, pivots, thresholds, categories, words, arena, meta };
        slots.check_entries()?;
        slots.check_categories()?;
        Ok(slots)
    }

    /// The pivots decide which threshold line is read: those of lines that an entry does not have must be `NaN`.
    fn check_entries(&self) -> Result<(), String> {
        let entries = self.entries();
        for (i, (entry, pivots)) in entries.iter().zip(self.pivots.cast::<[f32; WIDE]>()).enumerate() {
            let (feature, line) = (usize::from(entry.feature), usize::from(entry.line));
            if feature >= self.n_features {
                return Err(format!("slot of feature {feature}, a row has {}", self.n_features));
            }
            let slot = entry.right.max(entry.left);
            if slot > UNUSED {
                return Err(format!("slot {slot}, the limit is {UNUSED}"));
            }
            let after = pivots.iter().rposition(|p| !p.is_nan()).map_or(0, |last| last + 1);
            if line + after >= self.meta.n_threshold_lines {
                let n = self.meta.n_threshold_lines;
                return Err(format!("threshold line {} of entry {i}, there are {n}", line + after));
            }
        }
        Ok(())
    }

    fn check_categories(&self) -> Result<(), String> {
        for category in self.categories() {
            let feature = usize::from(category.feature);
            if feature >= self.n_features {
                return Err(format!("slot of feature {feature}, a row has {}", self.n_features));
            }
            if usize::from(category.rule) >= RULES.len() {
                return Err(format!(
                    "rule {} of a set of categories, the limit is {}",
                    category.rule,
                    RULES.len()
                ));
            }
            let end = u64::from(category.word) + u64::from(category.words);
            if end > self.meta.n_words as u64 {
                return Err(format!("a set of categories ends at word {end} of {}", self.meta.n_words));
            }
        }
        Ok(())
    }

    /// Slots in use.
    pub(crate) fn n_slots(&self) -> usize {
        self.meta.n_slots
    }

    /// Values of a row.
    pub(crate) fn n_features(&self) -> usize {
        self.n_features
    }

    /// What a compiled file keeps of the slots besides [`Slots::arena`].
    pub(crate) fn meta(&self) -> &SlotsMeta {
        &self.meta
    }

    /// The lines that [`Slots::from_parts`] takes.
    pub(crate) fn arena(&self) -> &Lines {
        &self.arena
    }

    /// Asks for what the codes of a single row need first, and may not be in any cache: their code and pivots.
    pub(crate) fn fetch_ahead(&self) {
        #[cfg(target_arch = "x86_64")]
        {
            let (code, bytes) = Self::code_avx2();
            fetch(code, bytes);
        }
        fetch(self.entries().as_ptr().cast(), size_of_val(self.entries()));
        fetch(self.pivots.as_slice().as_ptr().cast(), size_of_val(self.pivots.as_slice()));
    }

    /// The codes of one row, which went through [`crate::Forest::transformed`].
    pub(crate) fn codes(&self, isa: Isa, row: &[f32], out: &mut Codes) {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => self.codes_avx512_checked(row, out),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => self.codes_avx2_checked(row, out),
            _ => self.codes_portable(row, out),
        }
    }

    fn codes_portable(&self, row: &[f32], out: &mut Codes) {
        let thresholds = self.thresholds.cast::<[f32; WIDE]>();
        let entries = self.entries().iter().zip(self.pivots.cast::<[f32; WIDE]>());
        let first_zero = self.meta.n_plain + self.meta.n_skip;
        for (i, (entry, pivots)) in entries.enumerate() {
            let x = row[usize::from(entry.feature)];
            let full = count(pivots, x);
            let n = WIDE * full + count(&thresholds[usize::from(entry.line) + full], x);
            let code = |skip: u16| (n - usize::from(n > usize::from(skip))) as u8;
            let missing = x.is_nan() || i >= first_zero && x == 0.0;
            out.0[usize::from(entry.right)] = if missing { u8::MAX } else { code(entry.skip_right) };
            out.0[usize::from(entry.left)] = if missing { 0 } else { code(entry.skip_left) };
        }
        self.category_codes(row, out);
    }

    fn category_codes(&self, row: &[f32], out: &mut Codes) {
        let words = self.words.cast::<u32>();
        for category in self.categories() {
            let set = &words[category.word as usize..][..category.words as usize];
            let left = category_goes_left(
                row[usize::from(category.feature)],
                set,
                RULES[usize::from(category.rule)],
            );
            out.0[usize::from(category.slot)] = if left { 0 } else { u8::MAX };
        }
    }

    fn entries(&self) -> &[Entry] {
        &self.entries.cast()[..self.meta.n_entries()]
    }

    fn categories(&self) -> &[Category] {
        &self.categories.cast()[..self.meta.n_categories]
    }
}

/// How many of the thresholds are not above `x`.
fn count(thresholds: &[f32; WIDE], x: f32) -> usize {
    thresholds.iter().map(|&t| usize::from(t <= x)).sum()
}
