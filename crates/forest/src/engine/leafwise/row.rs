//! The kernel for one row, in plain Rust and, on x86-64, with four instructions of assembly per step.
#![expect(unsafe_code, reason = "exits and splits were checked when the layout was made; steps in assembly")]

use super::{CHUNK, LANES, LEVELS, Leafwise, UNIT};
use crate::engine::isa::Isa;
use crate::engine::lines::LINE;
use crate::engine::real::Real;
use crate::engine::slots::Codes;

/// Walks of the list side by side.
const LIST_LANES: usize = 8;
/// Walks of a chunk, and those that fill up the last step of the list.
const ROOM: usize = CHUNK + LIST_LANES;

/// Where a chunk lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Byte of the first top.
    pub(super) top: usize,
    /// Byte of the store.
    pub(super) store: usize,
    /// Units of leaves before the blocks.
    pub(super) first_block: usize,
    /// Tops, a multiple of [`LANES`], at most [`CHUNK`].
    pub(super) n_trees: usize,
    pub(super) output: usize,
}

/// A step from a split to the one below.
trait Step {
    /// `2 i + (codes[slot] < rank)` for the split, two bytes, at `base + SCALE i + OFFSET`.
    ///
    /// # Safety
    /// Two bytes can be read there.
    unsafe fn step<const SCALE: usize, const OFFSET: usize>(
        base: *const u8,
        i: usize,
        codes: &Codes,
    ) -> usize;
}

struct Plain;

impl Step for Plain {
    #[inline(always)]
    unsafe fn step<const SCALE: usize, const OFFSET: usize>(
        base: *const u8,
        i: usize,
        codes: &Codes,
    ) -> usize {
        // SAFETY: the caller's promise.
        let [slot, rank] = unsafe { base.add(SCALE * i + OFFSET).cast::<[u8; 2]>().read() };
        2 * i + usize::from(codes.0[usize::from(slot)] < rank)
    }
}

#[cfg(target_arch = "x86_64")]
struct Assembly;

#[cfg(target_arch = "x86_64")]
impl Step for Assembly {
    #[inline(always)]
    unsafe fn step<const SCALE: usize, const OFFSET: usize>(
        base: *const u8,
        mut i: usize,
        codes: &Codes,
    ) -> usize {
        let codes = codes.0.as_ptr();
        // SAFETY, for both: reads two bytes of a split, by the caller's promise, and one of the first 256 codes, of
        // which there are more. The carry of the comparison is the bit that is added. `codes` is in a register that
        // needs no prefix, which an instruction with a second byte (`:h`) cannot have.
        if SCALE <= 8 {
            unsafe {
                std::arch::asm!(
                    "movzx {split:e}, word ptr [{base} + {scale} * {i} + {offset}]",
                    "movzx {slot:e}, {split:l}",
                    "cmp byte ptr [rdi + {slot:r}], {split:h}",
                    "adc {i:e}, {i:e}",
                    base = in(reg) base,
                    scale = const SCALE,
                    offset = const OFFSET,
                    i = inout(reg) i,
                    in("rdi") codes,
                    split = out(reg_abcd) _,
                    slot = out(reg_abcd) _,
                    options(pure, readonly, nostack),
                );
            }
        } else {
            unsafe {
                std::arch::asm!(
                    "lea {slot:e}, [{scale} * {i}]",
                    "movzx {split:e}, word ptr [{base} + 8 * {slot:r} + {offset}]",
                    "movzx {slot:e}, {split:l}",
                    "cmp byte ptr [rdi + {slot:r}], {split:h}",
                    "adc {i:e}, {i:e}",
                    base = in(reg) base,
                    scale = const SCALE / 8,
                    offset = const OFFSET,
                    i = inout(reg) i,
                    in("rdi") codes,
                    split = out(reg_abcd) _,
                    slot = out(reg_abcd) _,
                    options(pure, readonly, nostack),
                );
            }
        }
        i
    }
}

impl Leafwise {
    /// Adds the leaves of a row to its totals.
    pub(super) fn add_row<T: Real>(&self, isa: Isa, codes: &Codes, totals: &mut [T]) {
        match isa {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `from_parts` checked the arena.
            Isa::Avx2 | Isa::Avx512 => unsafe { self.add_row_by::<Assembly, T>(codes, totals) },
            // SAFETY: as above.
            _ => unsafe { self.add_row_by::<Plain, T>(codes, totals) },
        }
    }

    /// # Safety
    /// The layout's places lie in its arena, and every exit of a top or a block of a chunk in the chunk's store.
    #[inline(always)]
    unsafe fn add_row_by<S: Step, T: Real>(&self, codes: &Codes, totals: &mut [T]) {
        let arena = self.arena.as_slice().as_ptr().cast::<u8>();
        let mut states = [[0_u16; ROOM]; 2];
        let mut list = [0_u16; ROOM + LANES];
        let mut before: Option<&Place> = None;
        for place in &self.places {
            let [state, leaves] = &mut states;
            // SAFETY: the caller's promise: tops and store lie in the arena.
            let (mut top, store) = unsafe { (arena.add(place.top), arena.add(place.store)) };
            let mut adder = before.map(|before| {
                // SAFETY: as above.
                let store = unsafe { arena.add(before.store) };
                Adder { store, leaves: &leaves[..before.n_trees], total: totals[before.output] }
            });
            let mut n_listed = 0;
            for first in (0..place.n_trees).step_by(LANES) {
                // SAFETY: the LANES tops from `top` on are this chunk's, whose n_trees is a multiple of LANES.
                let exits = unsafe { tops::<S>(top, codes) };
                top = top.wrapping_add(LANES * LINE);
                for (lane, exit) in exits.into_iter().enumerate() {
                    let tree = first + lane;
                    prefetch(store.wrapping_add(UNIT * usize::from(exit)));
                    state[tree] = exit;
                    // `n_listed <= tree`.
                    list[n_listed] = tree as u16;
                    n_listed += usize::from(usize::from(exit) >= place.first_block);
                }
                if let Some(adder) = &mut adder {
                    // SAFETY: the states of the chunk before are exits of its tops and blocks.
                    unsafe { adder.add(LANES) };
                }
            }
            if let (Some(mut adder), Some(before)) = (adder, before) {
                // SAFETY: as above.
                unsafe { adder.add(CHUNK) };
                totals[before.output] = adder.total;
            }
            // SAFETY: the listed walks stand at exits of this chunk that are not leaves.
            unsafe { self.rounds::<S>(store, place, codes, state, &mut list, n_listed) };
            states.swap(0, 1);
            before = Some(place);
        }
        if let Some(before) = before {
            // SAFETY: as above.
            let store = unsafe { arena.add(before.store) };
            let total = totals[before.output];
            let mut adder = Adder { store, leaves: &states[1][..before.n_trees], total };
            // SAFETY: as above.
            unsafe { adder.add(CHUNK) };
            totals[before.output] = adder.total;
        }
    }

    /// Takes the first `n_listed` walks of the list to their leaves, a block in each round.
    ///
    /// # Safety
    /// As for [`Leafwise::add_row_by`]; `state` holds exits of the chunk.
    #[inline(always)]
    unsafe fn rounds<S: Step>(
        &self,
        store: *const u8,
        place: &Place,
        codes: &Codes,
        state: &mut [u16; ROOM],
        list: &mut [u16; ROOM + LANES],
        mut n_listed: usize,
    ) {
        // More rounds than the depth has blocks: only in a file made to deceive.
        for _ in 0..=self.meta.depth / LEVELS.1 {
            if n_listed == 0 {
                break;
            }
            // What fills up the last step of the list walks through the first block, which leads to the first leaf.
            for lane in 0..LIST_LANES {
                state[CHUNK + lane] = place.first_block as u16;
                list[n_listed + lane] = (CHUNK + lane) as u16;
            }
            let n = n_listed;
            n_listed = 0;
            for first in (0..n).step_by(LIST_LANES) {
                let trees: [usize; LIST_LANES] = std::array::from_fn(|lane| usize::from(list[first + lane]));
                let at: [usize; LIST_LANES] = std::array::from_fn(|lane| usize::from(state[trees[lane]]));
                // SAFETY: the states are exits of the chunk, so they lie in its store.
                let exits = unsafe { blocks::<S>(store, at, codes) };
                for (tree, exit) in trees.into_iter().zip(exits) {
                    prefetch(store.wrapping_add(UNIT * usize::from(exit)));
                    state[tree] = exit;
                    list[n_listed] = tree as u16;
                    n_listed += usize::from(usize::from(exit) >= place.first_block);
                }
            }
        }
    }
}

/// The exits of LANES tops, side by side.
///
/// # Safety
/// As many lines can be read at `top`.
#[inline(always)]
unsafe fn tops<S: Step>(top: *const u8, codes: &Codes) -> [u16; LANES] {
    let mut i = [1_usize; LANES];
    macro_rules! step {
        ($($lane:literal)*) => {
            // SAFETY: after 0..3 steps from 1, `i < 16`.
            $( i[$lane] = unsafe { S::step::<2, { $lane * LINE }>(top, i[$lane], codes) }; )*
        };
    }
    for _ in 0..LEVELS.0 {
        step!(0 1 2 3 4 5 6 7 8 9);
    }
    // SAFETY: after four steps, `16 <= i < 32`.
    std::array::from_fn(|lane| unsafe { top.add(lane * LINE + 2 * i[lane]).cast::<u16>().read() })
}

/// The exits of the blocks at `at`, in units of the store, side by side.
///
/// # Safety
/// `at` lie in the store, which is whole lines: the blocks that they are in can be read.
#[inline(always)]
unsafe fn blocks<S: Step>(store: *const u8, at: [usize; LIST_LANES], codes: &Codes) -> [u16; LIST_LANES] {
    let mut i = at.map(|at| at >> 2);
    // SAFETY, for all: block number `at / 4` of the store is 32 bytes from `32 i`; each step doubles `i` and halves
    // the factor, so that a split lies at 14, at 6 or 22, at 2, 10, 18 or 26, and an exit at a multiple of 4.
    for i in &mut i {
        *i = unsafe { S::step::<32, 14>(store, *i, codes) };
    }
    for i in &mut i {
        *i = unsafe { S::step::<16, 6>(store, *i, codes) };
    }
    for i in &mut i {
        *i = unsafe { S::step::<8, 2>(store, *i, codes) };
    }
    i.map(|i| unsafe { store.add(4 * i).cast::<u16>().read() })
}

/// Leaves of a chunk that are yet to be added.
struct Adder<'a, T> {
    store: *const u8,
    leaves: &'a [u16],
    total: T,
}

impl<T: Real> Adder<'_, T> {
    /// Adds the next leaves, at most `n`.
    ///
    /// # Safety
    /// The leaves lie in the store.
    #[inline(always)]
    unsafe fn add(&mut self, n: usize) {
        let (next, rest) = self.leaves.split_at(n.min(self.leaves.len()));
        self.leaves = rest;
        for &leaf in next {
            // SAFETY: the caller's promise.
            let value = unsafe { self.store.add(UNIT * usize::from(leaf)).cast::<f64>().read() };
            self.total += T::from_f64(value);
        }
    }
}

/// Asks for the line at an address, which may be any.
#[inline(always)]
fn prefetch(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing, whatever the address; SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: a prefetch reads nothing, whatever the address.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{at}]", at = in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = at;
}
