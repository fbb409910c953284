//! A table of pieces of an address space, each with a value: sorted keys, searched by bisection where they
//! lie.
//!
//! ```text
//! 0  u32            number of pieces, at least one
//! 4  u8             bytes of a key: 4, 8 or 16
//! 5  u8             bytes of a value: 1, 2 or 4
//! 6  2 bytes        zero
//! 8  pieces × key   strictly increasing, the first is zero
//! .. pieces × value
//! ```

use std::ops::Range;

use tribunal_core::container::read_u32;

use super::DatasetError;

const HEADER: usize = 8;

/// Where a table lies in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pieces {
    count: usize,
    keys: usize,
    values: usize,
    key_bytes: usize,
    value_bytes: usize,
}

/// Writes a table; `pieces` are sorted, and start at zero.
pub(crate) fn write(pieces: &[(u128, u32)], key_bytes: usize, value_bytes: usize) -> Vec<u8> {
    let mut table = Vec::with_capacity(HEADER + pieces.len() * (key_bytes + value_bytes));
    table.extend_from_slice(&(pieces.len() as u32).to_le_bytes());
    table.extend_from_slice(&[key_bytes as u8, value_bytes as u8, 0, 0]);
    for (key, _) in pieces {
        table.extend_from_slice(&key.to_le_bytes()[..key_bytes]);
    }
    for (_, value) in pieces {
        table.extend_from_slice(&value.to_le_bytes()[..value_bytes]);
    }
    table
}

impl Pieces {
    /// Checks that the table fills its section.
    pub(crate) fn open(bytes: &[u8], section: Range<usize>, tag: &str) -> Result<Self, DatasetError> {
        let fail = || DatasetError::Section { section: tag.to_owned() };
        if section.len() < HEADER {
            return Err(fail());
        }
        let count = read_u32(bytes, section.start) as usize;
        let (key_bytes, value_bytes) =
            (usize::from(bytes[section.start + 4]), usize::from(bytes[section.start + 5]));
        let widths = matches!(key_bytes, 4 | 8 | 16) && matches!(value_bytes, 1 | 2 | 4);
        let length = count.checked_mul(key_bytes + value_bytes).and_then(|n| n.checked_add(HEADER));
        if !widths || count == 0 || length != Some(section.len()) {
            return Err(fail());
        }
        let keys = section.start + HEADER;
        Ok(Self { count, keys, values: keys + count * key_bytes, key_bytes, value_bytes })
    }

    /// Number of pieces.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The greatest value that a piece can have.
    pub(crate) fn greatest(&self) -> u32 {
        u32::MAX >> (32 - 8 * self.value_bytes)
    }

    /// Whether keys begin at zero and increase, and every value is at most `limit`, or the greatest of its width.
    pub(crate) fn is_sound(&self, bytes: &[u8], limit: u32) -> bool {
        let values = (0..self.count).map(|i| self.value(bytes, i));
        self.key(bytes, 0) == 0
            && (1..self.count).all(|i| self.key(bytes, i - 1) < self.key(bytes, i))
            && values.into_iter().all(|value| value <= limit || value == self.greatest())
    }

    /// Value, first and last key of the piece that holds `key`, in a space that ends at `end`.
    pub(crate) fn find(&self, bytes: &[u8], key: u128, end: u128) -> (u32, (u128, u128)) {
        let low = match self.key_bytes {
            4 => self.bisect::<4>(bytes, key),
            8 => self.bisect::<8>(bytes, key),
            _ => self.bisect::<16>(bytes, key),
        };
        let high = low + 1;
        let last = if high == self.count { end } else { self.key(bytes, high).saturating_sub(1) };
        (self.value(bytes, low), (self.key(bytes, low), last))
    }

    /// Key and value of the pieces that hold a key from `first` to `last`, in their order.
    pub(crate) fn overlapping(
        &self,
        bytes: &[u8],
        first: u128,
        last: u128,
    ) -> impl Iterator<Item = (u128, u32)> {
        let start = match self.key_bytes {
            4 => self.bisect::<4>(bytes, first),
            8 => self.bisect::<8>(bytes, first),
            _ => self.bisect::<16>(bytes, first),
        };
        let pieces = (start..self.count).map(|i| (self.key(bytes, i), self.value(bytes, i)));
        pieces.enumerate().take_while(move |(n, (key, _))| *n == 0 || *key <= last).map(|(_, piece)| piece)
    }

    /// The last piece whose key is not above `key`; the first if all are.
    fn bisect<const N: usize>(&self, bytes: &[u8], key: u128) -> usize {
        let keys = bytes[self.keys..self.values].as_chunks::<N>().0;
        let (mut low, mut high) = (0, keys.len());
        while high - low > 1 {
            let middle = low.midpoint(high);
            let mut word = [0_u8; 16];
            word[..N].copy_from_slice(&keys[middle]);
            if u128::from_le_bytes(word) <= key { low = middle } else { high = middle }
        }
        low
    }

    fn key(&self, bytes: &[u8], i: usize) -> u128 {
        let at = self.keys + i * self.key_bytes;
        let mut word = [0_u8; 16];
        word[..self.key_bytes].copy_from_slice(&bytes[at..at + self.key_bytes]);
        u128::from_le_bytes(word)
    }

    fn value(&self, bytes: &[u8], i: usize) -> u32 {
        let at = self.values + i * self.value_bytes;
        let mut word = [0_u8; 4];
        word[..self.value_bytes].copy_from_slice(&bytes[at..at + self.value_bytes]);
        u32::from_le_bytes(word)
    }
}

/// Splits pieces of the IPv6 space into those with the upper 64 bits as key, and those inside of a /64 that
/// is divided.
pub(crate) fn split_v6(pieces: &[(u128, u32)], divided: u32) -> [Vec<(u128, u32)>; 2] {
    let mut coarse: Vec<(u128, u32)> = Vec::new();
    let mut fine = vec![(0, 0)];
    let mut block = None;
    let mut before = 0;
    for (start, value) in pieces.iter().copied() {
        let upper = start >> 64;
        let aligned = start & u128::from(u64::MAX) == 0;
        // A block that was opened before has put a continuation at the block after it: it gives way to what
        // starts here. After the last block of the space there is none: then the last is this block itself.
        let gives_way = |key: u128| (key == upper && block != Some(upper)) || (!aligned && key == upper + 1);
        if coarse.last().is_some_and(|(key, _)| gives_way(*key)) {
            coarse.pop();
        }
        if aligned {
            coarse.push((upper, value));
        } else {
            if block != Some(upper) {
                push(&mut fine, upper << 64, before);
                coarse.push((upper, divided));
                block = Some(upper);
            }
            push(&mut fine, start, value);
            if upper < u128::from(u64::MAX) {
                coarse.push((upper + 1, value));
            }
        }
        before = value;
    }
    [coarse, fine]
}

fn push(pieces: &mut Vec<(u128, u32)>, start: u128, value: u32) {
    match pieces.last_mut() {
        Some(last) if last.0 == start => last.1 = value,
        _ => pieces.push((start, value)),
    }
}
