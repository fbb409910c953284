//! Adding up the leaves that rows reach: the same for every set of instructions.
#![expect(unsafe_code, reason = "positions are within a tree's leaves by their number of bits")]

use bytemuck::Pod;

use super::{Group, Positions};

/// What leaves and sums are.
pub(super) trait Value: Pod {
    /// From the sum's carrier; exact.
    fn from_f64(value: f64) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    /// One step of the sum.
    fn plus(self, leaf: Self) -> Self;

    /// Adds the leaf that a row reaches in each tree of a group, in their order. `leaves` are those of one output.
    #[inline]
    fn plus_leaves(self, leaves: &[Self], group: Group, positions: &Positions) -> Self {
        assert!(leaves.len() == group.leaves());
        let depth = group.depth();
        let low = positions.low.0.iter().take(group.trees()).enumerate();
        if depth <= 8 {
            let mask = (1 << depth) - 1;
            low.fold(self, |sum, (tree, &low)| {
                let at = (tree << depth) + (usize::from(low) & mask);
                // SAFETY: `tree < group.trees` and the position below `1 << depth`, so `at` is less than
                // `group.trees << depth`, which the assertion holds against the length.
                sum.plus(unsafe { *leaves.get_unchecked(at) })
            })
        } else {
            low.zip(&positions.high.0).fold(self, |sum, ((tree, &low), &high)| {
                let position = usize::from(high) << 8 | usize::from(low);
                sum.plus(leaves[(tree << depth) + position])
            })
        }
    }
}

impl Value for f32 {
    fn from_f64(value: f64) -> Self {
        value as Self
    }

    fn to_f64(self) -> f64 {
        self.into()
    }

    fn plus(self, leaf: Self) -> Self {
        self + leaf
    }
}

impl Value for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn plus(self, leaf: Self) -> Self {
        self + leaf
    }
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
