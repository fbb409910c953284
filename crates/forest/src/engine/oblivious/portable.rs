//! One row, in plain Rust.

use super::{Codes, Group, Line, Positions};

/// See [`super::kernels::positions`].
pub(super) fn positions(groups: &[Group], mut levels: &[Line], codes: &Codes, out: &mut [Positions]) {
    for (group, out) in groups.iter().zip(out) {
        let (lines, rest) = levels.split_at(group.level_lines());
        let (high, low) = lines.split_at(lines.len() - lines.len().min(16));
        *out = Positions { low: answers(low, codes), high: answers(high, codes) };
        levels = rest;
    }
}

/// The answers of up to eight levels.
fn answers(levels: &[Line], codes: &Codes) -> Line {
    let mut positions = [0; 64];
    for level in levels.chunks_exact(2) {
        // Two loops: the look-ups are one by one whatever the processor, the rest is not.
        let mut found = [0; 64];
        for (found, &slot) in found.iter_mut().zip(&level[0].0) {
            *found = codes.0[usize::from(slot)];
        }
        for ((position, &code), &rank) in positions.iter_mut().zip(&found).zip(&level[1].0) {
            *position = *position << 1 | u8::from(code < rank);
        }
    }
    Line(positions)
}
