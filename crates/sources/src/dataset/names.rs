//! Keys that are texts, found by a hash table that lies in the file.
//!
//! ```text
//! section `names`: 0   u32          number of names
//!                  4   u32          zero
//!                  8   names × { u32 its number: that of its group; u8 its length; the name }, sorted by name
//! section `hash`:  0   u64          seed
//!                  8   u32          slots; more than there are names
//!                  12  u32          most slots that a search looks at
//!                  16  slots × { u32 where the name lies in `names`, 0: empty; u32 the lower half of its hash }
//! ```
//! A name's first slot follows from the upper half of its hash; it is in the first slot from there on (the last is
//! followed by the first) that was empty. A search compares the name itself, and gives up at an empty slot or after the
//! number of slots above: at most [`MAX_PROBES`], whatever the file says. The writer tries seeds until that holds, so
//! that names that somebody chose to collide do not. A name that is there is found with two looks into memory: its
//! slot, and the name with its number beside it.

use std::ops::Range;

use super::bytes::{slice, u32_at, u64_at};

/// Most slots that a search looks at.
pub(super) const MAX_PROBES: u32 = 250;
const NAMES_HEADER: usize = 8;
/// Number and length of a name.
const ENTRY_HEADER: usize = 5;
const HEADER: usize = 16;
const SLOT: usize = 8;
/// Seeds that are tried; the first one suffices for names that nobody chose.
const SEEDS: u64 = 16;

/// Where the names lie in the file.
#[derive(Debug, Clone)]
pub(super) struct Names {
    count: usize,
    names: Range<usize>,
    seed: u64,
    slots: usize,
    probes: usize,
    table: usize,
}

impl Names {
    /// Checks both sections; the name of the one that is not sound otherwise.
    pub(super) fn open(bytes: &[u8], names: Range<usize>, hash: Range<usize>) -> Result<Self, &'static str> {
        let count = check_names(bytes, &names).ok_or("names")?;
        Self::open_hash(bytes, count, names, &hash).ok_or("hash")
    }

    fn open_hash(bytes: &[u8], count: usize, names: Range<usize>, hash: &Range<usize>) -> Option<Self> {
        let seed = u64_at(bytes, hash.start)?;
        let slots = u32_at(bytes, hash.start + 8)? as usize;
        let probes = u32_at(bytes, hash.start + 12)?;
        if slots.checked_mul(SLOT)?.checked_add(HEADER)? != hash.len()
            || slots <= count
            || probes > MAX_PROBES
        {
            return None;
        }
        let table = hash.start + HEADER;
        let opened = Self { count, names, seed, slots, probes: probes as usize, table };
        for slot in 0..slots {
            let place = u32_at(bytes, table + SLOT * slot)?;
            if place != 0 {
                opened.entry(bytes, place)?;
            }
        }
        Some(opened)
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Number and text of the name at a place in the section.
    #[inline]
    fn entry<'b>(&self, bytes: &'b [u8], place: u32) -> Option<(usize, &'b [u8])> {
        let at = self.names.start.checked_add(place as usize)?;
        let (number, name) = entry(bytes.get(..self.names.end)?, at)?;
        (number < self.count).then_some((number, name))
    }

    /// The first names, in their order.
    pub(super) fn first<'b>(&self, bytes: &'b [u8], limit: usize) -> Vec<&'b [u8]> {
        let mut at = self.names.start + NAMES_HEADER;
        let next = |_| {
            let (_, name) = entry(bytes, at)?;
            at += ENTRY_HEADER + name.len();
            Some(name)
        };
        (0..self.count.min(limit)).map_while(next).collect()
    }

    /// The number of the name that is `prefix` and then `rest`.
    #[inline]
    pub(super) fn find(&self, bytes: &[u8], prefix: u8, rest: &[u8]) -> Option<usize> {
        let hash = hash(self.seed, prefix, rest);
        let mut slot = first_slot(hash, self.slots);
        for _ in 0..self.probes {
            let found = u64_at(bytes, self.table + SLOT * slot)?;
            let place = found as u32;
            if place == 0 {
                return None;
            }
            if (found >> 32) as u32 == hash as u32 {
                let (number, name) = self.entry(bytes, place)?;
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

    /// Writes section `names`; `None` when a name is longer than one may be, or all are.
    pub(super) fn write<'n>(names: impl Iterator<Item = &'n [u8]>) -> Option<Vec<u8>> {
        let mut out = vec![0; NAMES_HEADER];
        let mut count = 0_u32;
        for name in names {
            out.extend_from_slice(&count.to_le_bytes());
            out.push(u8::try_from(name.len()).ok()?);
            out.extend_from_slice(name);
            count += 1;
        }
        u32::try_from(out.len()).ok()?;
        out[..4].copy_from_slice(&count.to_le_bytes());
        Some(out)
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

/// Number and text of the name that lies at `at`.
#[inline]
fn entry(bytes: &[u8], at: usize) -> Option<(usize, &[u8])> {
    let header: [u8; ENTRY_HEADER] = slice(bytes, at, ENTRY_HEADER)?.try_into().ok()?;
    let [a, b, c, d, length] = header;
    let name = slice(bytes, at + ENTRY_HEADER, usize::from(length))?;
    Some((u32::from_le_bytes([a, b, c, d]) as usize, name))
}

/// How many names fill the section, if their numbers are in order.
fn check_names(bytes: &[u8], names: &Range<usize>) -> Option<usize> {
    let count = u32_at(bytes, names.start)? as usize;
    let bytes = bytes.get(..names.end)?;
    let mut at = names.start.checked_add(NAMES_HEADER)?;
    for expected in 0..count {
        let (number, name) = entry(bytes, at)?;
        if number != expected {
            return None;
        }
        at += ENTRY_HEADER + name.len();
    }
    (at == names.end).then_some(count)
}

fn fill<'n>(names: impl Iterator<Item = &'n [u8]>, slots: usize, seed: u64) -> Option<Vec<u8>> {
    let mut table = vec![0_u64; slots];
    let mut longest = 0;
    let mut place = NAMES_HEADER;
    for name in names {
        let (prefix, rest) = name.split_first()?;
        let hash = hash(seed, *prefix, rest);
        let mut slot = first_slot(hash, slots);
        let mut probes = 1;
        while table[slot] != 0 {
            slot = if slot + 1 == slots { 0 } else { slot + 1 };
            probes += 1;
        }
        longest = longest.max(probes);
        if longest > MAX_PROBES {
            return None;
        }
        table[slot] = (hash << 32) | u64::from(u32::try_from(place).ok()?);
        place += ENTRY_HEADER + name.len();
    }
    let mut out = Vec::with_capacity(HEADER + SLOT * slots);
    out.extend_from_slice(&seed.to_le_bytes());
    out.extend_from_slice(&u32::try_from(slots).ok()?.to_le_bytes());
    out.extend_from_slice(&longest.to_le_bytes());
    out.extend(table.into_iter().flat_map(u64::to_le_bytes));
    Some(out)
}

/// The upper half of the hash decides the slot.
#[inline]
fn first_slot(hash: u64, slots: usize) -> usize {
    (((hash >> 32) * slots as u64) >> 32) as usize
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

    #[test]
    fn names_that_collide_by_design_get_another_seed() {
        // All of them begin in the first thousandth of the table: one search would look at each.
        let names: Vec<Vec<u8>> = (0_u32..)
            .map(|i| format!("dx{i}.example").into_bytes())
            .filter(|name| first_slot(hash(7, b'd', &name[1..]), 1_000) == 0)
            .take(2 * MAX_PROBES as usize)
            .collect();
        assert!(fill(names.iter().map(Vec::as_slice), 2 * names.len(), 7).is_none());
        let section = Names::write_hash(&names.iter().map(Vec::as_slice), 7).unwrap();
        assert_eq!(u64_at(&section, 0), Some(8));
    }

    #[test]
    fn a_search_ends_in_a_table_without_an_empty_slot() {
        let names = [&b"da.example"[..]];
        let mut file = Names::write(names.into_iter()).unwrap();
        let texts = 0..file.len();
        file.extend(Names::write_hash(&names.into_iter(), 1).unwrap());
        let hash = texts.end..file.len();
        let slots = hash.start + HEADER;
        for slot in 0..2 {
            file[slots + SLOT * slot] = NAMES_HEADER as u8;
        }
        let names = Names::open(&file, texts, hash).unwrap();
        assert_eq!(names.first(&file, 5), [b"da.example"]);
        assert_eq!(names.find(&file, b'd', b"b.example"), None);
    }
}
