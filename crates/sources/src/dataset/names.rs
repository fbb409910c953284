//! Keys that are texts, found by a hash table that lies in the file.
//!
//! ```text
//! section `names`: texts, sorted; the key of group i is text i
//! section `hash`:  0   u64            seed
//!                  8   u32            slots; at least one more than there are names
//!                  12  u32            most slots that a search looks at
//!                  16  slots × u8     0: empty; else a part of the name's hash, never 0
//!                  ..  slots × u32    number of the name, where the slot is not empty
//! ```
//! A name's first slot follows from its hash; it is in the first slot from there on (the last is followed by the
//! first) that was empty. A search compares the name itself, and gives up at an empty slot or after the number of
//! slots above: at most [`MAX_PROBES`], whatever the file says. The writer tries seeds until that holds, so that names
//! that somebody chose to collide do not.

use std::ops::Range;

use super::bytes::{Texts, u32_at, u64_at};

/// Most slots that a search looks at.
pub(super) const MAX_PROBES: u32 = 250;
/// A letter, and the longest domain name.
const MAX_NAME_BYTES: usize = 1 + tribunal_core::entity::MAX_NAME_BYTES;
const HEADER: usize = 16;
/// Seeds that are tried; the first one suffices for names that nobody chose.
const SEEDS: u64 = 16;

/// Where the names lie in the file.
#[derive(Debug, Clone)]
pub(super) struct Names {
    texts: Texts,
    seed: u64,
    slots: usize,
    probes: usize,
    tags: usize,
    numbers: usize,
}

impl Names {
    /// Checks both sections; the name of the one that is not sound otherwise.
    pub(super) fn open(bytes: &[u8], names: Range<usize>, hash: Range<usize>) -> Result<Self, &'static str> {
        let texts = Texts::open(bytes, names, MAX_NAME_BYTES).ok_or("names")?;
        Self::open_hash(bytes, texts, &hash).ok_or("hash")
    }

    fn open_hash(bytes: &[u8], texts: Texts, hash: &Range<usize>) -> Option<Self> {
        let seed = u64_at(bytes, hash.start)?;
        let slots = u32_at(bytes, hash.start + 8)? as usize;
        let probes = u32_at(bytes, hash.start + 12)?;
        if slots.checked_mul(5)?.checked_add(HEADER)? != hash.len()
            || slots <= texts.len()
            || probes > MAX_PROBES
        {
            return None;
        }
        let tags = hash.start + HEADER;
        let numbers = tags + slots;
        for slot in 0..slots {
            let used = *bytes.get(tags + slot)? != 0;
            if used && u32_at(bytes, numbers + 4 * slot)? as usize >= texts.len() {
                return None;
            }
        }
        Some(Self { texts, seed, slots, probes: probes as usize, tags, numbers })
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// The text of a name.
    pub(super) fn get<'b>(&self, bytes: &'b [u8], i: usize) -> Option<&'b [u8]> {
        self.texts.get(bytes, i)
    }

    /// The number of the name that is `prefix` and then `rest`.
    #[inline]
    pub(super) fn find(&self, bytes: &[u8], prefix: u8, rest: &[u8]) -> Option<usize> {
        let hash = hash(self.seed, prefix, rest);
        let tags = bytes.get(self.tags..self.numbers)?;
        let tag = tag(hash);
        let mut slot = first_slot(hash, self.slots);
        for _ in 0..self.probes {
            let found = *tags.get(slot)?;
            if found == 0 {
                return None;
            }
            if found == tag {
                let number = u32_at(bytes, self.numbers + 4 * slot)? as usize;
                let name = self.texts.get(bytes, number)?;
                if name.split_first() == Some((&prefix, rest)) {
                    return Some(number);
                }
            }
            slot += 1;
            if slot == self.slots {
                slot = 0;
            }
        }
        None
    }

    /// Writes section `hash` for names in their order; `None` when no seed keeps searches short.
    pub(super) fn write_hash<'n>(
        names: &(impl Iterator<Item = &'n [u8]> + Clone),
        seed: u64,
    ) -> Option<Vec<u8>> {
        let count = names.clone().count();
        let slots = count + count / 4 + 1;
        (0..SEEDS).find_map(|i| fill(names.clone(), slots, seed.wrapping_add(i)))
    }
}

fn fill<'n>(names: impl Iterator<Item = &'n [u8]>, slots: usize, seed: u64) -> Option<Vec<u8>> {
    let mut tags = vec![0_u8; slots];
    let mut numbers = vec![0_u32; slots];
    let mut longest = 0;
    for (number, name) in (0_u32..).zip(names) {
        let (prefix, rest) = name.split_first()?;
        let hash = hash(seed, *prefix, rest);
        let mut slot = first_slot(hash, slots);
        let mut probes = 1;
        while tags[slot] != 0 {
            slot = if slot + 1 == slots { 0 } else { slot + 1 };
            probes += 1;
        }
        longest = longest.max(probes);
        if longest > MAX_PROBES {
            return None;
        }
        tags[slot] = tag(hash);
        numbers[slot] = number;
    }
    let mut out = Vec::with_capacity(HEADER + 5 * slots);
    out.extend_from_slice(&seed.to_le_bytes());
    out.extend_from_slice(&u32::try_from(slots).ok()?.to_le_bytes());
    out.extend_from_slice(&longest.to_le_bytes());
    out.extend_from_slice(&tags);
    out.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
    Some(out)
}

/// The upper bits of the hash decide the slot.
#[inline]
fn first_slot(hash: u64, slots: usize) -> usize {
    ((u128::from(hash) * slots as u128) >> 64) as usize
}

/// The lowest bits, which say nothing of the slot.
#[inline]
fn tag(hash: u64) -> u8 {
    (hash as u8).max(1)
}

/// Eight bytes at a time, each folded in by a multiplication of 64 to 128 bits; part of the format.
#[inline]
fn hash(seed: u64, prefix: u8, rest: &[u8]) -> u64 {
    const A: u64 = 0x9e37_79b9_7f4a_7c15;
    const B: u64 = 0xd1b5_4a32_d192_ed03;
    let mut state = fold(seed ^ A, (((rest.len() as u64) << 8) | u64::from(prefix)) ^ B);
    let (words, tail) = rest.as_chunks::<8>();
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), A ^ seed);
    }
    let mut last = [0_u8; 8];
    last[..tail.len()].copy_from_slice(tail);
    state = fold(state ^ u64::from_le_bytes(last), B ^ seed);
    fold(state, A)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(names: &[Vec<u8>], seed: u64) -> Option<Vec<u8>> {
        Names::write_hash(&names.iter().map(Vec::as_slice), seed)
    }

    #[test]
    fn names_that_collide_by_design_get_another_seed() {
        // All of them begin in the first thousandth of the table: one search would look at each.
        let names: Vec<Vec<u8>> = (0_u32..)
            .map(|i| format!("dx{i}.example").into_bytes())
            .filter(|name| first_slot(hash(7, b'd', &name[1..]), 1_000) == 0)
            .take(2 * MAX_PROBES as usize)
            .collect();
        assert!(fill(names.iter().map(Vec::as_slice), 2 * names.len(), 7).is_none());
        let section = write(&names, 7).unwrap();
        assert_eq!(u64_at(&section, 0), Some(8));
    }

    #[test]
    fn a_search_ends_in_a_table_without_an_empty_slot() {
        let names = [b"da.example".to_vec()];
        let mut file = Vec::new();
        Texts::write(&mut file, names.iter().map(Vec::as_slice)).unwrap();
        let texts = 0..file.len();
        file.extend(write(&names, 1).unwrap());
        let hash = texts.end..file.len();
        let tags = hash.start + HEADER;
        file[tags..tags + 2].fill(9);
        let names = Names::open(&file, texts, hash).unwrap();
        assert_eq!(names.find(&file, b'd', b"b.example"), None);
    }
}
