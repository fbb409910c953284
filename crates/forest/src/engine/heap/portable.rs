//! Walks in plain Rust.

use super::GROUP;
use super::rows::{Kernel, Sink, Trees};
use crate::engine::lines::{LINE, Line};
use crate::engine::slots::{CodedSplit, Codes};

/// See the module.
pub(super) struct Walk;

impl Kernel for Walk {
    #[inline]
    fn walk<const EXITS: usize, S: Sink>(trees: Trees<'_, EXITS>, codes: &Codes, sink: &mut S) {
        let (tops, exits) = (trees.tops.as_chunks::<EXITS>().0, trees.exits.as_chunks::<EXITS>().0);
        for (tops, exits) in tops.as_chunks::<GROUP>().0.iter().zip(exits.as_chunks::<GROUP>().0) {
            let at = exits_of(tops, codes);
            sink.take(&std::array::from_fn(|tree| leaf_of(&exits[tree][at[tree] % EXITS], codes)));
        }
    }
}

/// Takes a row through a group's tops; the exits' heap positions, `EXITS..2 EXITS`.
#[inline]
fn exits_of<const EXITS: usize>(tops: &[[CodedSplit; EXITS]; GROUP], codes: &Codes) -> [usize; GROUP] {
    let mut at = [1; GROUP];
    for _ in 0..EXITS.trailing_zeros() {
        for (top, at) in tops.iter().zip(&mut at) {
            // The remainder is the position itself until the last level.
            let split = top[*at % EXITS];
            *at = 2 * *at + usize::from(codes.0[usize::from(split.slot)] < split.rank);
        }
    }
    at
}

/// The leaf of an exit; positions as in the module of the layout, counted from the line's start.
#[inline]
fn leaf_of(line: &Line, codes: &Codes) -> f32 {
    let step = |at: usize, spacing: usize, offset: usize| {
        let byte = (spacing * at + offset) % LINE;
        let (slot, rank) = (line.0[byte], line.0[(byte + 1) % LINE]);
        2 * at + usize::from(codes.0[usize::from(slot)] < rank)
    };
    let leaf = step(step(step(0, 64, 12), 32, 6), 16, 4);
    let byte = 8 * leaf % LINE;
    f32::from_ne_bytes([line.0[byte], line.0[byte + 1], line.0[byte + 2], line.0[byte + 3]])
}
