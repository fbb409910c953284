//! Walks with each step in a few instructions of assembly, on x86-64 and aarch64; else as in plain Rust.

#![expect(unsafe_code, reason = "steps in assembly, which read the layout's lines unchecked")]

#[cfg(target_arch = "aarch64")]
use super::aarch64 as steps;
use super::rows::{Kernel, Sink, Total, Trees};
#[cfg(target_arch = "x86_64")]
use super::x86 as steps;
use super::{GROUP, Heap};
use crate::engine::fetch::fetch;
use crate::engine::lines::LINE;
use crate::engine::slots::Codes;
use steps::{exit_step, top_step};

/// Groups whose exits are on their way from memory while the tops of the next one are walked.
const AHEAD: usize = 4;
/// Bytes of the walk's code, about.
const CODE: usize = 2560;
/// Bytes of the first tops.
const FIRST_TOPS: usize = 2048;

/// See the module.
pub(super) struct Walk;

/// Writes an expression for each tree of a group.
macro_rules! for_group {
    ($k:ident, $body:expr) => {
        for_group!(@ $k, $body, 0 1 2 3 4 5 6 7 8 9)
    };
    (@ $k:ident, $body:expr, $($number:literal)*) => {
        $({ const $k: usize = $number; $body })*
    };
}

impl Kernel for Walk {
    #[inline(never)]
    fn walk<const EXITS: usize, S: Sink>(trees: Trees<'_, EXITS>, codes: &Codes, sink: &mut S) {
        let n_groups = trees.tops.len() / (GROUP * EXITS);
        assert!(trees.exits.len() == trees.tops.len());
        let (tops, codes) = (trees.tops.as_ptr().cast::<u8>(), codes.0.as_ptr());
        // Positions count from 1, `EXITS` lines before the first.
        let exits = trees.exits.as_ptr().cast::<u8>().wrapping_sub(EXITS * LINE);
        let of_group = |group: usize| exits.wrapping_add(group * GROUP * EXITS * LINE);
        let mut under_way = [[0; GROUP]; AHEAD];
        for group in 0..n_groups + AHEAD {
            let at = &mut under_way[group % AHEAD];
            if let Some(group) = group.checked_sub(AHEAD) {
                // SAFETY: `GROUP * EXITS` lines for each of `n_groups` groups lie `EXITS` lines behind `exits`, and
                // `at` came from `exits_of`, `AHEAD` turns before.
                sink.take(&unsafe { leaves_of::<EXITS>(of_group(group), at, codes) });
            }
            if group < n_groups {
                // SAFETY: `GROUP * EXITS` nodes for each of `n_groups` groups lie behind `tops`.
                *at = unsafe { exits_of::<EXITS>(tops.add(2 * group * GROUP * EXITS), codes) };
                for (k, &at) in at.iter().enumerate() {
                    let line = of_group(group).wrapping_add(k * EXITS * LINE + LINE * at as usize);
                    fetch(line, LINE);
                }
            }
        }
    }

    fn fetch_ahead<const EXITS: usize>(heap: &Heap) {
        // The processor fetches code from memory a line or two at a time, and waits for each.
        let code = Self::walk::<EXITS, Total> as fn(Trees<'_, EXITS>, &Codes, &mut Total);
        fetch(code as *const u8, CODE);
        heap.slots.fetch_ahead();
        fetch(heap.tops().as_ptr().cast(), FIRST_TOPS.min(size_of_val(heap.tops())));
    }
}

/// Takes a row through a group's tops; positions `EXITS..2 EXITS`.
///
/// # Safety
/// `GROUP * EXITS` nodes behind `tops`, 256 codes behind `codes`.
#[inline(always)]
unsafe fn exits_of<const EXITS: usize>(tops: *const u8, codes: *const u8) -> [u64; GROUP] {
    let mut at = [1; GROUP];
    for _ in 0..EXITS.trailing_zeros() {
        for_group!(K, {
            // SAFETY: positions are 1 at first, and double with each step, plus one at most: below `EXITS` at the
            // start of the last of log2(EXITS) steps. A node is read from tree K's own.
            at[K] = unsafe { top_step::<EXITS, K>(tops, at[K], codes) };
        });
    }
    at
}

/// Takes a row from its exits to a group's leaves.
///
/// # Safety
/// `GROUP * EXITS` lines `EXITS` lines behind `exits`, 256 codes behind `codes`; every `at` in `EXITS..2 EXITS`.
#[inline(always)]
unsafe fn leaves_of<const EXITS: usize>(
    exits: *const u8,
    at: &[u64; GROUP],
    codes: *const u8,
) -> [f32; GROUP] {
    let mut at = *at;
    // SAFETY: a position `i` of the first level is an exit's; 64 i + 12, as are 32 i + 6 and 16 i + 4 of the positions
    // after one and two steps, is within the exit's line, which is the tree's `i`th counted from `EXITS`.
    unsafe {
        for_group!(K, at[K] = exit_step::<EXITS, K, 8, 12>(exits, at[K], codes));
        for_group!(K, at[K] = exit_step::<EXITS, K, 4, 6>(exits, at[K], codes));
        for_group!(K, at[K] = exit_step::<EXITS, K, 2, 4>(exits, at[K], codes));
    }
    let mut leaves = [0.0; GROUP];
    for (k, (leaf, at)) in leaves.iter_mut().zip(at).enumerate() {
        // SAFETY: likewise, 8 i is a multiple of 8 in the line, so that four bytes are.
        *leaf = unsafe { exits.wrapping_add(k * EXITS * LINE + 8 * at as usize).cast::<f32>().read() };
    }
    leaves
}
