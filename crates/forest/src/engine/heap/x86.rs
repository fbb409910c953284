//! Steps of a walk on x86-64, in four or five instructions. LLVM makes six or seven of it, as it does not take the
//! comparison's carry into the doubled position.

#![expect(unsafe_code, reason = "assembly, which reads the layout's lines unchecked")]

use std::arch::asm;

use crate::engine::lines::LINE;

/// One step in tree `K`'s top: twice the position, plus one if the code is below the rank.
///
/// # Safety
/// `at` below `EXITS`, `(K + 1) * EXITS` nodes behind `tops`, 256 codes behind `codes`.
#[inline(always)]
pub(super) unsafe fn top_step<const EXITS: usize, const K: usize>(
    tops: *const u8,
    mut at: u64,
    codes: *const u8,
) -> u64 {
    // SAFETY: reads two bytes of the tree's node at `at`, and the code at one of 256 slots; no flags or registers
    // survive that are not declared.
    unsafe {
        asm!(
            "movzx {node:e}, word ptr [{tops} + 2*{at} + {offset}]",
            "movzx {slot:e}, {node:l}",
            "cmp byte ptr [rdi + {slot:r}], {node:h}",
            "adc {at:e}, {at:e}",
            tops = in(reg) tops,
            at = inout(reg) at,
            in("rdi") codes,
            node = out(reg_abcd) _,
            slot = out(reg_abcd) _,
            offset = const 2 * EXITS * K,
            options(pure, readonly, nostack),
        );
    }
    at
}

/// One step in tree `K`'s exit line: the node is at `8 SCALE at + OFFSET`.
///
/// # Safety
/// A node there, counted from `exits` and `K * EXITS` lines; 256 codes behind `codes`.
#[inline(always)]
pub(super) unsafe fn exit_step<
    const EXITS: usize,
    const K: usize,
    const SCALE: usize,
    const OFFSET: usize,
>(
    exits: *const u8,
    mut at: u64,
    codes: *const u8,
) -> u64 {
    // SAFETY: as in `top_step`.
    unsafe {
        asm!(
            "lea {node:e}, [{scale}*{at}]",
            "movzx {code:e}, byte ptr [{exits} + 8*{node} + {offset}]",
            "movzx {code:e}, byte ptr [{codes} + {code}]",
            "cmp {code:l}, byte ptr [{exits} + 8*{node} + {offset} + 1]",
            "adc {at:e}, {at:e}",
            exits = in(reg) exits,
            at = inout(reg) at,
            codes = in(reg) codes,
            code = out(reg) _,
            node = out(reg) _,
            scale = const SCALE,
            offset = const LINE * EXITS * K + OFFSET,
            options(pure, readonly, nostack),
        );
    }
    at
}
