//! A file of named sections behind a digest: what the lexicon and the data sets are kept in.
//!
//! ```text
//! 0   8 bytes   magic
//! 8   u32       version of the format
//! 12  u32       number of sections, at most 32
//! 16  u64       length of the file in bytes
//! 24  32 bytes  SHA-256 of bytes 0 to 23 and of everything from byte 56 on
//! 56  sections × { tag: 16 bytes, zero-padded; offset: u64; length: u64 }
//! ..  the sections, each at a multiple of eight
//! ```
//! All integers are little-endian. Digest and length are checked before anything else is read, so that a
//! reader can trust the sections to be those that were written. It is a check against damage, not against
//! forgery.

use std::ops::Range;

use sha2::{Digest, Sha256};

const HEADER: usize = 56;
const ENTRY: usize = 32;
const TAG: usize = 16;
/// Most sections of a file.
pub const MAX_SECTIONS: usize = 32;

/// What tells one kind of file from another.
#[derive(Debug, Clone, Copy)]
pub struct Container {
    /// First eight bytes.
    pub magic: [u8; 8],
    /// Version of the format that this program writes, and the only one that it reads.
    pub version: u32,
    /// Most bytes of a file.
    pub max_bytes: usize,
}

/// Why a file cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// Another kind of file, or none.
    #[error("not a file of this kind: {bytes} bytes that do not begin with the magic")]
    Magic {
        /// Of the file.
        bytes: usize,
    },
    /// Written by another version.
    #[error("format version {found}, this program reads version {known}")]
    Version {
        /// In the file.
        found: u32,
        /// Of this program.
        known: u32,
    },
    /// Cut short or grown.
    #[error("{bytes} bytes where the header says {expected}")]
    Length {
        /// Of the file.
        bytes: usize,
        /// In the header.
        expected: u64,
    },
    /// More than a reader takes.
    #[error("{bytes} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Of the file.
        bytes: usize,
        /// Most allowed.
        limit: usize,
    },
    /// Changed since it was written.
    #[error("the digest does not match: the file was changed or damaged")]
    Digest,
    /// More sections than a file may have.
    #[error("{count} sections, at most {MAX_SECTIONS} are allowed")]
    Sections {
        /// In the file.
        count: usize,
    },
    /// A section's tag or place is not possible.
    #[error("section {tag:?} has a tag over {TAG} bytes, or lies outside of the file")]
    Section {
        /// Of the section.
        tag: String,
    },
}

impl Container {
    /// Joins `sections` to a file.
    pub fn write(&self, sections: &[(String, Vec<u8>)]) -> Result<Vec<u8>, ContainerError> {
        if sections.len() > MAX_SECTIONS {
            return Err(ContainerError::Sections { count: sections.len() });
        }
        let mut offset = HEADER + ENTRY * sections.len();
        let (mut table, mut body) = (Vec::new(), Vec::new());
        for (tag, bytes) in sections {
            if tag.len() > TAG {
                return Err(ContainerError::Section { tag: tag.clone() });
            }
            table.extend_from_slice(tag.as_bytes());
            table.resize(table.len() + TAG - tag.len(), 0);
            table.extend_from_slice(&(offset as u64).to_le_bytes());
            table.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            body.extend_from_slice(bytes);
            body.resize(body.len().next_multiple_of(8), 0);
            offset = HEADER + ENTRY * sections.len() + body.len();
        }
        if offset > self.max_bytes {
            return Err(ContainerError::TooLarge { bytes: offset, limit: self.max_bytes });
        }
        table.extend_from_slice(&body);
        let mut file = Vec::with_capacity(offset);
        file.extend_from_slice(&self.magic);
        file.extend_from_slice(&self.version.to_le_bytes());
        file.extend_from_slice(&(sections.len() as u32).to_le_bytes());
        file.extend_from_slice(&(offset as u64).to_le_bytes());
        let digest = digest(&file, &table);
        file.extend_from_slice(&digest);
        file.extend_from_slice(&table);
        Ok(file)
    }

    /// Checks a file and says where each section lies, in the order of the file.
    pub fn read(&self, file: &[u8]) -> Result<Vec<(String, Range<usize>)>, ContainerError> {
        if file.len() > self.max_bytes {
            return Err(ContainerError::TooLarge { bytes: file.len(), limit: self.max_bytes });
        }
        if file.len() < HEADER || file[..8] != self.magic {
            return Err(ContainerError::Magic { bytes: file.len() });
        }
        let found = read_u32(file, 8);
        if found != self.version {
            return Err(ContainerError::Version { found, known: self.version });
        }
        let expected = read_u64(file, 16);
        if expected != file.len() as u64 {
            return Err(ContainerError::Length { bytes: file.len(), expected });
        }
        if digest(&file[..24], &file[HEADER..])[..] != file[24..HEADER] {
            return Err(ContainerError::Digest);
        }
        let count = read_u32(file, 12) as usize;
        if count > MAX_SECTIONS || HEADER + count * ENTRY > file.len() {
            return Err(ContainerError::Sections { count });
        }
        (0..count).map(|i| entry(file, HEADER + i * ENTRY)).collect()
    }
}

fn digest(start: &[u8], rest: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(start).chain_update(rest).finalize().into()
}

fn entry(file: &[u8], at: usize) -> Result<(String, Range<usize>), ContainerError> {
    let tag: String = file[at..at + TAG].iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
    let offset = usize::try_from(read_u64(file, at + TAG)).unwrap_or(usize::MAX);
    let length = usize::try_from(read_u64(file, at + TAG + 8)).unwrap_or(usize::MAX);
    match offset.checked_add(length) {
        Some(end) if end <= file.len() => Ok((tag, offset..end)),
        _ => Err(ContainerError::Section { tag }),
    }
}

/// The four bytes at `at` as a number. Panics when the slice ends before: the caller has checked lengths.
#[inline]
pub fn read_u32(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0_u8; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// The eight bytes at `at` as a number. Panics when the slice ends before: the caller has checked lengths.
#[inline]
pub fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0_u8; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Container = Container { magic: *b"TESTFILE", version: 3, max_bytes: 4096 };

    fn file() -> Vec<u8> {
        KIND.write(&[("first".to_owned(), b"abc".to_vec()), ("second".to_owned(), vec![7; 20])]).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let file = file();
        let sections = KIND.read(&file).unwrap();
        assert_eq!(sections[0].0, "first");
        assert_eq!(&file[sections[0].1.clone()], b"abc");
        assert_eq!(&file[sections[1].1.clone()], [7; 20]);
        assert_eq!(sections[1].1.start % 8, 0);
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let file = file();
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut changed = file.clone();
                changed[at] ^= 1 << bit;
                assert!(KIND.read(&changed).is_err(), "byte {at}");
            }
            assert!(KIND.read(&file[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn limits_are_held() {
        assert_eq!(
            KIND.write(&[("x".to_owned(), vec![0; 5000])]),
            Err(ContainerError::TooLarge { bytes: 5088, limit: 4096 })
        );
        assert!(KIND.write(&[("a-tag-that-is-too-long".to_owned(), Vec::new())]).is_err());
        assert_eq!(KIND.read(b"TESTFILE"), Err(ContainerError::Magic { bytes: 8 }));
    }
}
