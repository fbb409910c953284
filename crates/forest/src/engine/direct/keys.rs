//! From a row to its keys.
//!
//! The key of a number `x` is the `u32` whose order is that of `f32`: for numbers that are not `NaN`, `x < t` says the
//! same as `key(x) < key(t)`, where -0.0 has the key of 0.0. The images of the numbers lie between [`LEFT`] and
//! [`RIGHT`], exclusively, so that those two do for what is missing, whatever the threshold: `LEFT` is less than the
//! key of every threshold, and `RIGHT` of none. The key of a threshold that is `NaN` is `RIGHT`: every number that
//! is present goes left, and what is missing as its slot says.
//!
//! The key of a category is its number, or [`OUTSIDE`] when no set can hold it, or [`INSIDE`] when it counts as a
//! member of every set, which is how a missing value goes where members go.

use serde::{Deserialize, Serialize};

use crate::MAX_FEATURES;
use crate::tree::{CategoryRule, Missing, Node as Split};

/// Key of what goes left whatever the threshold.
pub(super) const LEFT: u32 = 0;
/// Key of what goes right whatever the threshold.
pub(super) const RIGHT: u32 = u32::MAX;
/// Key of what is in no set.
pub(super) const OUTSIDE: u32 = u32::MAX - 1;
/// Key of what is in every set.
pub(super) const INSIDE: u32 = u32::MAX;
/// Categories from here on are in no set: sets have at most 2^29 bits.
const MAX_CATEGORY: i64 = 1 << 30;

/// Classes of slots, in the order of their slots.
pub(super) const N_CLASSES: usize = 10;
const FIRST_CATEGORY: usize = 4;
/// From here on the members of a set go right.
const FIRST_RIGHT_SET: usize = 7;

/// Ends of the runs of slots of one class. Slot 0 stands for leaves; those of the first class follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Classes {
    pub(super) ends: [usize; N_CLASSES],
}

/// The class of a split's slot; `None` for leaves.
pub(super) fn class_of(split: &Split) -> Option<(usize, u16)> {
    match *split {
        Split::Numeric { feature, missing, .. } => Some((
            match missing {
                Missing::Left => 0,
                Missing::Right => 1,
                Missing::ZeroLeft => 2,
                Missing::ZeroRight => 3,
            },
            feature,
        )),
        Split::Categorical { feature, rule, .. } => Some((
            match rule {
                CategoryRule::Lightgbm => FIRST_CATEGORY,
                CategoryRule::MemberLeft => FIRST_CATEGORY + 1,
                CategoryRule::MemberOrMissingLeft => FIRST_CATEGORY + 2,
                CategoryRule::XgboostMissingLeft => FIRST_RIGHT_SET,
                CategoryRule::XgboostMissingRight => FIRST_RIGHT_SET + 1,
                CategoryRule::MemberRight => FIRST_RIGHT_SET + 2,
            },
            feature,
        )),
        Split::Leaf { .. } | Split::Vector { .. } => None,
    }
}

impl Classes {
    pub(super) fn n_slots(&self) -> usize {
        self.ends[N_CLASSES - 1]
    }

    pub(super) fn first_category(&self) -> usize {
        self.ends[FIRST_CATEGORY - 1]
    }

    pub(super) fn first_right_set(&self) -> usize {
        self.ends[FIRST_RIGHT_SET - 1]
    }

    /// The number of slots, if the ends are in order and within the limit.
    pub(super) fn check(&self) -> Result<usize, String> {
        let (limit, n) = (1 + N_CLASSES * MAX_FEATURES, self.n_slots());
        if self.ends[0] == 0 || !self.ends.is_sorted() || n > limit {
            return Err(format!("slots up to {:?}, must rise from 1 to at most {limit}", self.ends));
        }
        Ok(n)
    }

    /// The keys of a row by slot; `features` are the slots' features. The key of slot 0 is never looked at.
    pub(super) fn keys(&self, features: &[u16], row: &[f32], keys: &mut [u32]) {
        let mut class = 0;
        // In the order of the classes.
        let mut fill = |key: &dyn Fn(&[u16], &mut [u32])| {
            let start = if class == 0 { 1 } else { self.ends[class - 1] };
            let run = start..self.ends[class];
            class += 1;
            key(&features[run.clone()], &mut keys[run]);
        };
        fill(&|run, keys| each(run, row, keys, |x| if x.is_nan() { LEFT } else { number(x) }));
        fill(&|run, keys| each(run, row, keys, |x| if x.is_nan() { RIGHT } else { number(x) }));
        fill(&|run, keys| each(run, row, keys, |x| if x.is_nan() || x == 0.0 { LEFT } else { number(x) }));
        fill(&|run, keys| each(run, row, keys, |x| if x.is_nan() || x == 0.0 { RIGHT } else { number(x) }));
        fill(&|run, keys| each(run, row, keys, |x| if x.is_nan() { OUTSIDE } else { whole_part(x) }));
        fill(&|run, keys| each(run, row, keys, exact));
        fill(&|run, keys| each(run, row, keys, |x| if x.is_nan() { INSIDE } else { exact(x) }));
        fill(&|run, keys| each(run, row, keys, |x| if x.is_nan() { OUTSIDE } else { not_negative(x) }));
        fill(&|run, keys| each(run, row, keys, |x| if x.is_nan() { INSIDE } else { not_negative(x) }));
        fill(&|run, keys| each(run, row, keys, exact));
    }
}

/// The keys of a run of slots.
#[inline(always)]
fn each(features: &[u16], row: &[f32], keys: &mut [u32], key: impl Fn(f32) -> u32) {
    for (slot, &feature) in keys.iter_mut().zip(features) {
        *slot = key(row[usize::from(feature)]);
    }
}

/// Key of a threshold.
pub(super) fn threshold(t: f32) -> u32 {
    if t.is_nan() { RIGHT } else { number(t) }
}

/// Key of a number that is not `NaN`.
#[inline]
fn number(x: f32) -> u32 {
    /// What the image of -0.0 would be; that of 0.0 is next.
    const MINUS_ZERO: u32 = 0x7fff_ffff;
    let bits = x.to_bits();
    let image = bits ^ (((bits as i32) >> 31) as u32 | 0x8000_0000);
    image + u32::from(image == MINUS_ZERO)
}

/// Key of a category that is truncated: LightGBM's -0.5 is its category 0.
fn whole_part(x: f32) -> u32 {
    match x as i64 {
        c @ 0..MAX_CATEGORY => c as u32,
        _ => OUTSIDE,
    }
}

/// Key of a category that is truncated, its sign looked at before: XGBoost's -0.5 is none.
fn not_negative(x: f32) -> u32 {
    if x < 0.0 { OUTSIDE } else { whole_part(x) }
}

/// Key of a category that is a whole number.
fn exact(x: f32) -> u32 {
    if x == x.trunc() { whole_part(x) } else { OUTSIDE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_as_numbers_are() {
        let numbers = [
            f32::NEG_INFINITY,
            f32::MIN,
            -1.0,
            -f32::MIN_POSITIVE,
            -1e-45,
            0.0,
            1e-45,
            f32::MIN_POSITIVE,
            1.0,
            1.0_f32.next_up(),
            f32::MAX,
            f32::INFINITY,
        ];
        for pair in numbers.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        }
        assert_eq!(number(-0.0), number(0.0));
        assert!(numbers.iter().all(|&x| (LEFT + 1..RIGHT).contains(&number(x))));
        assert_eq!(threshold(f32::NAN), RIGHT);
    }

    #[test]
    fn categories_that_no_set_holds_are_outside() {
        for x in [-1.0, 1e10, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(whole_part(x), OUTSIDE, "{x}");
        }
        assert_eq!((whole_part(-0.5), whole_part(2.9), whole_part(31.0)), (0, 2, 31));
        assert_eq!((not_negative(-0.5), not_negative(-0.0), not_negative(2.9)), (OUTSIDE, 0, 2));
        assert_eq!((exact(-0.5), exact(2.9), exact(f32::NAN), exact(31.0)), (OUTSIDE, OUTSIDE, OUTSIDE, 31));
    }
}
