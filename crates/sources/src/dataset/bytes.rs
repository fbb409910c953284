//! Reading numbers and texts out of a file, without trust: what lies outside of it is `None`.

use std::ops::Range;

/// The bytes of `range`, if all of them are there.
#[inline]
pub(super) fn slice(bytes: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(length)?)
}

#[inline]
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(slice(bytes, at, 4)?.try_into().ok()?))
}

#[inline]
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(slice(bytes, at, 8)?.try_into().ok()?))
}

/// An integer of 1, 2, 4 or 8 bytes.
#[inline]
pub(super) fn integer(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    match width {
        1 => bytes.get(at).map(|byte| u64::from(*byte)),
        2 => Some(u64::from(u16::from_le_bytes(slice(bytes, at, 2)?.try_into().ok()?))),
        4 => u32_at(bytes, at).map(u64::from),
        8 => u64_at(bytes, at),
        _ => None,
    }
}

/// The greatest integer of a width: "none".
pub(super) const fn greatest(width: usize) -> u64 {
    u64::MAX >> (64 - 8 * width)
}

/// The narrowest width in which every integer up to `value` differs from "none".
pub(super) const fn width_for(value: u64) -> usize {
    if value < greatest(1) {
        1
    } else if value < greatest(2) {
        2
    } else if value < greatest(4) {
        4
    } else {
        8
    }
}

pub(super) fn put(out: &mut Vec<u8>, value: u64, width: usize) {
    out.extend_from_slice(&value.to_le_bytes()[..width]);
}

/// Texts, one after the other.
///
/// ```text
/// 0  u32          number of texts
/// 4  u32          zero
/// 8  texts × u32  where each ends in the text
/// .. the text
/// ```
#[derive(Debug, Clone)]
pub(super) struct Texts {
    count: usize,
    ends: usize,
    text: Range<usize>,
}

impl Texts {
    /// The texts that fill `section`; `None` when they do not, or one has more than `most` bytes.
    pub(super) fn open(bytes: &[u8], section: Range<usize>, most: usize) -> Option<Self> {
        let count = u32_at(bytes, section.start)? as usize;
        let ends = section.start.checked_add(8)?;
        let text = ends.checked_add(count.checked_mul(4)?)?..section.end;
        if text.start > text.end || text.end > bytes.len() {
            return None;
        }
        let mut before = 0;
        for i in 0..count {
            let end = u32_at(bytes, ends + 4 * i)?;
            if end.checked_sub(before)? as usize > most {
                return None;
            }
            before = end;
        }
        (before as usize == text.len()).then_some(Self { count, ends, text })
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The bytes of a text.
    #[inline]
    pub(super) fn get<'b>(&self, bytes: &'b [u8], i: usize) -> Option<&'b [u8]> {
        if i >= self.count {
            return None;
        }
        let end = u32_at(bytes, self.ends + 4 * i)? as usize;
        let start = if i == 0 { 0 } else { u32_at(bytes, self.ends + 4 * i - 4)? as usize };
        bytes.get(self.text.start..self.text.end)?.get(start..end)
    }

    /// Writes texts; `None` when they are more than 4 GiB.
    pub(super) fn write<'t>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'t [u8]> + Clone) -> Option<()> {
        out.extend_from_slice(&u32::try_from(texts.clone().count()).ok()?.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        let mut end = 0_u32;
        for text in texts.clone() {
            end = end.checked_add(u32::try_from(text.len()).ok()?)?;
            out.extend_from_slice(&end.to_le_bytes());
        }
        for text in texts {
            out.extend_from_slice(text);
        }
        Some(())
    }
}
