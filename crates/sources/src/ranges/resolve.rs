//! Ranges that lie within each other, to pieces that do not.
//!
//! Registries hand out parts of what they handed out before, so published tables nest. Of the ranges that
//! hold an address the narrowest counts, and of equally narrow ones the later line.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// A range of addresses, both ends included, and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) first: u128,
    pub(crate) last: u128,
    pub(crate) value: u32,
}

/// Divides the space into pieces. `rows` are sorted by `first`. With `merge`, neighbours of one value are one
/// piece. Returns the pieces and how many rows overlap one before.
pub(crate) fn resolve(rows: &[Row], merge: bool) -> (Vec<(u128, u32)>, u64) {
    let mut sweep = Sweep { rows, pieces: vec![(0, None)], active: BTreeSet::new(), ends: BinaryHeap::new() };
    let mut overlapping = 0;
    for (index, row) in rows.iter().enumerate() {
        sweep.close(Some(row.first));
        overlapping += u64::from(!sweep.active.is_empty());
        sweep.active.insert((row.last - row.first, Reverse(index)));
        sweep.ends.push(Reverse((row.last, index)));
        sweep.begin(row.first);
    }
    sweep.close(None);
    let mut out: Vec<(u128, u32)> = Vec::with_capacity(sweep.pieces.len());
    for (start, row) in sweep.pieces {
        let value = row.map_or(0, |index| rows[index].value);
        if !(merge && out.last().is_some_and(|last| last.1 == value)) {
            out.push((start, value));
        }
    }
    (out, overlapping)
}

struct Sweep<'a> {
    rows: &'a [Row],
    /// Start, and the row that counts from there.
    pieces: Vec<(u128, Option<usize>)>,
    /// Rows that hold the place of the sweep, narrowest and then latest first.
    active: BTreeSet<(u128, Reverse<usize>)>,
    ends: BinaryHeap<Reverse<(u128, usize)>>,
}

impl Sweep<'_> {
    /// Ends the rows that end before `until`, or all.
    fn close(&mut self, until: Option<u128>) {
        while let Some(Reverse((last, index))) = self.ends.peek().copied() {
            if until.is_some_and(|until| last >= until) {
                break;
            }
            self.ends.pop();
            self.active.remove(&(last - self.rows[index].first, Reverse(index)));
            if let Some(next) = last.checked_add(1) {
                self.begin(next);
            }
        }
    }

    /// Begins a piece of what counts now.
    fn begin(&mut self, start: u128) {
        let row = self.active.first().map(|(_, Reverse(index))| *index);
        if self.pieces.last().is_some_and(|(at, _)| *at == start) {
            self.pieces.pop();
        }
        if self.pieces.last().is_none_or(|(_, before)| *before != row) {
            self.pieces.push((start, row));
        }
    }
}
