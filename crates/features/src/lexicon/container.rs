//! The file that holds a lexicon: a header, a table of sections, and the sections.
//!
//! ```text
//! 0   8 bytes   magic "TRIBLEX\0"
//! 8   u32       version of the format
//! 12  u32       number of sections, at most 32
//! 16  u64       length of the file in bytes
//! 24  32 bytes  SHA-256 of everything from byte 56 on
//! 56  sections × { tag: 16 bytes, zero-padded; offset: u64; length: u64 }
//! ..  the sections, each at a multiple of eight
//! ```
//! All integers are little-endian. The digest is checked before anything else is read, so that what follows can
//! trust the bytes to be those that were compiled; it is a check against damage, not against forgery.

use sha2::{Digest, Sha256};

use super::LexiconError;

const MAGIC: &[u8; 8] = b"TRIBLEX\0";
const VERSION: u32 = 1;
const HEADER: usize = 56;
const ENTRY: usize = 32;
const TAG: usize = 16;
const MAX_SECTIONS: usize = 32;
/// Most bytes of a lexicon: it is linked into a function whose whole archive has a limit.
pub(crate) const MAX_BYTES: usize = 4 << 20;

/// A section's name and the bytes that it takes in the file.
pub(crate) type Section = (String, std::ops::Range<usize>);

/// Joins `sections` to a file.
pub(crate) fn write(sections: &[(String, Vec<u8>)]) -> Result<Vec<u8>, LexiconError> {
    if sections.len() > MAX_SECTIONS {
        return Err(LexiconError::Damaged(format!("{} sections, at most {MAX_SECTIONS}", sections.len())));
    }
    let mut offset = HEADER + ENTRY * sections.len();
    let mut table = Vec::new();
    let mut body = Vec::new();
    for (tag, bytes) in sections {
        let padded = bytes.len().next_multiple_of(8);
        let mut name = [0_u8; TAG];
        let length = tag.len().min(TAG);
        name[..length].copy_from_slice(&tag.as_bytes()[..length]);
        table.extend_from_slice(&name);
        table.extend_from_slice(&(offset as u64).to_le_bytes());
        table.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        body.extend_from_slice(bytes);
        body.resize(body.len() + padded - bytes.len(), 0);
        offset += padded;
    }
    if offset > MAX_BYTES {
        return Err(LexiconError::TooLarge { bytes: offset, limit: MAX_BYTES });
    }
    table.extend_from_slice(&body);
    let mut file = Vec::with_capacity(offset);
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&VERSION.to_le_bytes());
    file.extend_from_slice(&(sections.len() as u32).to_le_bytes());
    file.extend_from_slice(&(offset as u64).to_le_bytes());
    file.extend_from_slice(&Sha256::digest(&table));
    file.extend_from_slice(&table);
    Ok(file)
}

/// Checks a file and lists its sections.
pub(crate) fn read(file: &[u8]) -> Result<Vec<Section>, LexiconError> {
    let damaged = |what: String| Err(LexiconError::Damaged(what));
    if file.len() > MAX_BYTES {
        return Err(LexiconError::TooLarge { bytes: file.len(), limit: MAX_BYTES });
    }
    if file.len() < HEADER || &file[..8] != MAGIC {
        return damaged(format!("not a lexicon ({} bytes)", file.len()));
    }
    let version = u32_at(file, 8);
    if version != VERSION {
        return Err(LexiconError::Version { found: version, known: VERSION });
    }
    let length = u64_at(file, 16);
    if length != file.len() as u64 {
        return damaged(format!("{} bytes where the header says {length}", file.len()));
    }
    if Sha256::digest(&file[HEADER..])[..] != file[24..HEADER] {
        return damaged("the digest does not match".to_owned());
    }
    let count = u32_at(file, 12) as usize;
    if count > MAX_SECTIONS || HEADER + count * ENTRY > file.len() {
        return damaged(format!("{count} sections, at most {MAX_SECTIONS}"));
    }
    (0..count).map(|i| entry(file, HEADER + i * ENTRY)).collect()
}

fn entry(file: &[u8], at: usize) -> Result<Section, LexiconError> {
    let tag: String = file[at..at + TAG].iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
    let offset = u64_at(file, at + TAG) as usize;
    let length = u64_at(file, at + TAG + 8) as usize;
    match offset.checked_add(length) {
        Some(end) if end <= file.len() => Ok((tag, offset..end)),
        _ => Err(LexiconError::Damaged(format!("section {tag} lies outside of the file"))),
    }
}

/// The digest in the header, as text.
pub(crate) fn digest(file: &[u8]) -> String {
    tribunal_core::digest::sha256(file)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0_u8; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0_u8; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
