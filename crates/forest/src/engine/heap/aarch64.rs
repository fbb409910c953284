//! Steps of a walk on aarch64. A comparison's carry is set where the code is not below the rank, so that it cannot be
//! added as on x86-64: the doubled position is incremented if it is clear.

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
            "ldrh {node:w}, [{top}, {at}, lsl #1]",
            "and {slot:w}, {node:w}, #0xff",
            "ldrb {slot:w}, [{codes}, {slot}]",
            "add {at}, {at}, {at}",
            "cmp {slot:w}, {node:w}, lsr #8",
            "cinc {at}, {at}, lo",
            top = in(reg) tops.add(2 * EXITS * K),
            at = inout(reg) at,
            codes = in(reg) codes,
            node = out(reg) _,
            slot = out(reg) _,
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
    let line = exits.wrapping_add(LINE * EXITS * K);
    // SAFETY: as in `top_step`.
    unsafe {
        asm!(
            "add {node}, {line}, {at}, lsl #{shift}",
            "ldrh {node:w}, [{node}, #{offset}]",
            "and {slot:w}, {node:w}, #0xff",
            "ldrb {slot:w}, [{codes}, {slot}]",
            "add {at}, {at}, {at}",
            "cmp {slot:w}, {node:w}, lsr #8",
            "cinc {at}, {at}, lo",
            line = in(reg) line,
            at = inout(reg) at,
            codes = in(reg) codes,
            node = out(reg) _,
            slot = out(reg) _,
            shift = const (8 * SCALE).ilog2(),
            offset = const OFFSET,
            options(pure, readonly, nostack),
        );
    }
    at
}
