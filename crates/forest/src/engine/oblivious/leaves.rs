//! Adding up the leaves that rows reach: the same for every set of instructions.
#![expect(unsafe_code, reason = "positions are within a tree's leaves by their number of bits")]

use super::super::real::Real;
use super::{Group, Positions};

/// Adds to `sum` the leaf that a row reaches in each tree of a group, in their order. `leaves` are those of one output.
#[inline]
pub(super) fn add_row<T: Real>(mut sum: T, leaves: &[T], group: Group, positions: &Positions) -> T {
    assert!(leaves.len() == group.leaves());
    let depth = group.depth();
    let low = positions.low.0.iter().take(group.trees()).enumerate();
    if depth <= u8::WIDTH {
        let mask = (1 << depth) - 1;
        for (tree, &low) in low {
            let at = (tree << depth) + (usize::from(low) & mask);
            // SAFETY: `tree < group.trees` and the position below `1 << depth`, so `at` is less than
            // `group.trees << depth`, which the assertion holds against the length.
            sum += unsafe { *leaves.get_unchecked(at) };
        }
    } else {
        for ((tree, &low), &high) in low.zip(&positions.high.0) {
            sum += leaves[(tree << depth) + (usize::from(high) << 8 | usize::from(low))];
        }
    }
    sum
}

/// A position of a leaf: wide enough for a group's depth.
pub(super) trait Position: Copy {
    /// Bits.
    const WIDTH: usize;
    const ZERO: Self;
    /// With one more answer.
    fn push(self, left: bool) -> Self;
    fn index(self) -> usize;
}

impl Position for u8 {
    const WIDTH: usize = 8;
    const ZERO: Self = 0;

    #[inline(always)]
    fn push(self, left: bool) -> Self {
        self << 1 | Self::from(left)
    }

    #[inline(always)]
    fn index(self) -> usize {
        self.into()
    }
}

impl Position for u16 {
    const WIDTH: usize = 16;
    const ZERO: Self = 0;

    #[inline(always)]
    fn push(self, left: bool) -> Self {
        self << 1 | Self::from(left)
    }

    #[inline(always)]
    fn index(self) -> usize {
        self.into()
    }
}
