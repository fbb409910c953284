//! Which kernel runs for a set of instructions.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls of functions that are compiled for more than every processor has")
)]

use super::super::real::Real;
use super::batch::{self, Accumulator, Columns};
use super::leaves::Position;
use super::{Codes, Group, Isa, Line, Positions, portable};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// Rows from which on a block is cheaper than one row after the other.
pub(super) fn least_block(isa: Isa) -> usize {
    match isa {
        Isa::Portable | Isa::Neon => 18,
        Isa::Avx2 => 30,
        Isa::Avx512 => 30,
    }
}

/// Positions of the leaves that a row reaches in the trees of `groups`, whose levels are `levels`.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(unused_variables, reason = "the look-ups of vectors depend on the number of slots")
)]
pub(super) fn positions(
    isa: Isa,
    n_slots: usize,
    groups: &[Group],
    levels: &[Line],
    codes: &Codes,
    out: &mut [Positions],
) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the engines are called with sets that `Isa::is_available` affirms.
        Isa::Avx512 => unsafe { avx512::positions(n_slots, groups, levels, codes, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx2 => unsafe { avx2::positions(n_slots, groups, levels, codes, out) },
        _ => portable::positions(groups, levels, codes, out),
    }
}

/// See [`batch::add_group`].
pub(super) fn add_group<T: Real>(
    isa: Isa,
    group: Group,
    levels: &[Line],
    leaves: &[T],
    columns: &[Columns],
    accumulators: &mut [Accumulator<T>],
) {
    if group.depth() <= u8::WIDTH {
        add_group_by::<T, u8>(isa, group, levels, leaves, columns, accumulators);
    } else {
        add_group_by::<T, u16>(isa, group, levels, leaves, columns, accumulators);
    }
}

fn add_group_by<T: Real, P: Position>(
    isa: Isa,
    group: Group,
    levels: &[Line],
    leaves: &[T],
    columns: &[Columns],
    accumulators: &mut [Accumulator<T>],
) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the engines are called with sets that `Isa::is_available` affirms.
        Isa::Avx512 => unsafe { avx512::add_group::<T, P>(group, levels, leaves, columns, accumulators) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx2 => unsafe { avx2::add_group::<T, P>(group, levels, leaves, columns, accumulators) },
        _ => batch::add_group::<T, P>(group, levels, leaves, columns, accumulators),
    }
}
