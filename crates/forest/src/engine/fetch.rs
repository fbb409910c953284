//! Asking for lines of memory before they are read.
#![expect(unsafe_code, reason = "instructions that Rust has no safe form of")]

use super::lines::LINE;

/// Asks for the lines of so many bytes. Nothing is read: any address will do.
#[inline(always)]
pub(crate) fn fetch(start: *const u8, bytes: usize) {
    for at in (0..bytes).step_by(LINE) {
        fetch_line(start.wrapping_add(at));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn fetch_line(line: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: every x86-64 has SSE, and a prefetch of whatever address does not fault.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn fetch_line(line: *const u8) {
    // SAFETY: a prefetch of whatever address does not fault, and changes nothing that the compiler knows of.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{}]", in(reg) line, options(readonly, nostack, preserves_flags))
    };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn fetch_line(_line: *const u8) {}
