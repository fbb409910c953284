//! The data set of address ranges: autonomous system, its name, country, and whether a range is hosting.
//!
//! Sections of the file (all integers little-endian):
//!
//! | section | holds |
//! |---|---|
//! | `asn.v4`, `asn.v6`, `asn.v6.fine` | pieces of the space -> number of the system; 0: not announced |
//! | `country.v4`, `country.v6`, `country.v6.fine` | pieces -> the two letters of the country; 0: none |
//! | `hosting.v4`, `hosting.v6`, `hosting.v6.fine` | pieces -> 1: hosting, 0: not; absent without a list |
//! | `names` | number of entries; numbers, sorted; ends of the names in the text; the text in UTF-8 |
//! | `about` | JSON: what it was compiled from |
//!
//! A table of pieces covers the whole space: a piece begins at its key and ends before the next. Most IPv6
//! ranges end at a /64, so their keys are the upper 64 bits; a /64 that is divided further has the greatest
//! value, which says to look in the table with `.fine`, whose keys are whole addresses. That halves the file.

mod compile;
pub(crate) mod pieces;
pub(crate) mod resolve;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use tribunal_core::AddressFacts;
use tribunal_core::container::{Container, ContainerError, read_u32};

pub use compile::{Input, Table, compile};
use pieces::Pieces;

/// The file's format. The published tables make about a fifth of the limit.
const FORMAT: Container = Container { magic: *b"TRIBIPR\0", version: 1, max_bytes: 64 << 20 };

/// Why a data set cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// Not a data set, cut short, or changed; or more than one may hold.
    #[error("the data set file")]
    File(#[from] ContainerError),
    /// A section is absent or has an impossible size.
    #[error("section {section} of the data set is absent or has an impossible size")]
    Section {
        /// Its tag.
        section: String,
    },
    /// A table to compile cannot be read as CSV.
    #[error("{file} is not CSV")]
    Csv {
        /// Name of the file.
        file: String,
        /// Why.
        #[source]
        source: csv::Error,
    },
    /// A line of a table to compile is not of its format.
    #[error("{file}:{line}: {reason}")]
    Line {
        /// Name of the file.
        file: String,
        /// From one.
        line: u64,
        /// What is wrong, with the value.
        reason: String,
    },
    /// More rows than a table may have.
    #[error("{file} has more than {limit} rows")]
    TooManyRows {
        /// Name of the file.
        file: String,
        /// Most allowed.
        limit: usize,
    },
}

/// One table that a data set was compiled from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the file, without folders.
    pub file: String,
    /// Of the file.
    pub digest: String,
    /// Of the file.
    pub rows: u64,
}

/// What a data set was compiled from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The tables, in the order given.
    pub origins: Vec<Origin>,
    /// By fact, how many rows lie within or across others: the narrowest range counts.
    pub overlapping: BTreeMap<String, u64>,
}

/// What a data set holds, for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Of the whole file.
    pub digest: String,
    /// Of the whole file.
    pub bytes: usize,
    /// Every table's tag and number of pieces, and the number of names.
    pub sections: Vec<(String, usize)>,
    /// What it was compiled from.
    #[serde(flatten)]
    pub about: About,
}

/// A checked data set.
pub struct IpRanges {
    bytes: Cow<'static, [u8]>,
    digest: String,
    asn: Family,
    country: Family,
    hosting: Option<Family>,
    names: Names,
    about: Range<usize>,
}

/// The tables of one fact.
struct Family {
    v4: Pieces,
    v6: Pieces,
    v6_fine: Pieces,
}

/// Where the names lie.
struct Names {
    count: usize,
    numbers: usize,
    ends: usize,
    text: Range<usize>,
}

impl IpRanges {
    /// Whether `bytes` begin as such a file does.
    pub fn is_one(bytes: &[u8]) -> bool {
        bytes.starts_with(&FORMAT.magic)
    }

    /// Checks `bytes`, the content of a data set file.
    pub fn open(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, DatasetError> {
        let bytes = bytes.into();
        let sections = FORMAT.read(&bytes)?;
        let find = |tag: &str| sections.iter().find(|(name, _)| name == tag).map(|(_, range)| range.clone());
        let section = |tag: &str| find(tag).ok_or_else(|| DatasetError::Section { section: tag.to_owned() });
        let family = |fact: &str| -> Result<Family, DatasetError> {
            let pieces = |tag: String| Pieces::open(&bytes, section(&tag)?, &tag);
            Ok(Family {
                v4: pieces(format!("{fact}.v4"))?,
                v6: pieces(format!("{fact}.v6"))?,
                v6_fine: pieces(format!("{fact}.v6.fine"))?,
            })
        };
        let hosting = find("hosting.v4").map(|_| family("hosting")).transpose()?;
        let (asn, country) = (family("asn")?, family("country")?);
        let names = Names::open(&bytes, section("names")?)?;
        let about = section("about")?;
        let digest = tribunal_core::digest::sha256(&bytes);
        Ok(Self { asn, country, hosting, names, about, digest, bytes })
    }

    /// Digest of the whole file.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What is known of an address. An IPv4-mapped address is looked up as it stands: in IPv6.
    pub fn lookup(&self, address: IpAddr) -> AddressFacts {
        let (asn, range) = self.asn.find(&self.bytes, address);
        let (country, _) = self.country.find(&self.bytes, address);
        let hosting = self.hosting.as_ref().map(|family| family.find(&self.bytes, address).0 != 0);
        AddressFacts {
            asn: (asn != 0).then_some(asn),
            as_name: if asn == 0 { None } else { self.names.find(&self.bytes, asn).map(str::to_owned) },
            country: letters(country),
            range: (asn != 0).then_some(range),
            hosting,
        }
    }

    /// What the data set holds.
    pub fn summary(&self) -> Summary {
        let mut sections = Vec::new();
        let families =
            [("asn", Some(&self.asn)), ("country", Some(&self.country)), ("hosting", self.hosting.as_ref())];
        for (fact, family) in families {
            let Some(family) = family else { continue };
            sections.push((format!("{fact}.v4"), family.v4.len()));
            sections.push((format!("{fact}.v6"), family.v6.len()));
            sections.push((format!("{fact}.v6.fine"), family.v6_fine.len()));
        }
        sections.push(("names".to_owned(), self.names.count));
        // The digest has said that these bytes are those that were written.
        let about = serde_json::from_slice(&self.bytes[self.about.clone()]).unwrap_or_default();
        Summary { digest: self.digest.clone(), bytes: self.bytes.len(), sections, about }
    }
}

impl std::fmt::Debug for IpRanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not the bytes: they are millions.
        f.debug_struct("IpRanges").field("digest", &self.digest).field("bytes", &self.bytes.len()).finish()
    }
}

impl Family {
    /// The value of the piece that holds `address`, and the piece.
    fn find(&self, bytes: &[u8], address: IpAddr) -> (u32, (u128, u128)) {
        match address {
            IpAddr::V4(address) => self.v4.find(bytes, u128::from(address.to_bits()), u128::from(u32::MAX)),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                let (value, (first, last)) = self.v6.find(bytes, bits >> 64, u128::from(u64::MAX));
                let block = (first << 64, last << 64 | u128::from(u64::MAX));
                if value != self.v6.greatest() {
                    return (value, block);
                }
                let (value, (first, last)) = self.v6_fine.find(bytes, bits, u128::MAX);
                (value, (first.max(block.0), last.min(block.1)))
            }
        }
    }
}

/// Two letters as a number, and back.
fn letters(value: u32) -> Option<String> {
    let pair = [(value >> 8) as u8, value as u8];
    pair.iter().all(u8::is_ascii_uppercase).then(|| pair.iter().map(|b| char::from(*b)).collect())
}

impl Names {
    fn open(bytes: &[u8], section: Range<usize>) -> Result<Self, DatasetError> {
        let fail = || DatasetError::Section { section: "names".to_owned() };
        if section.len() < 4 {
            return Err(fail());
        }
        let count = read_u32(bytes, section.start) as usize;
        let numbers = section.start + 4;
        let ends = count.checked_mul(4).and_then(|n| n.checked_add(numbers)).ok_or_else(fail)?;
        let text = ends.checked_add(count * 4).filter(|start| *start <= section.end).ok_or_else(fail)?;
        Ok(Self { count, numbers, ends, text: text..section.end })
    }

    fn find<'b>(&self, bytes: &'b [u8], asn: u32) -> Option<&'b str> {
        let number = |i: usize| read_u32(bytes, self.numbers + 4 * i);
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if number(middle) < asn { low = middle + 1 } else { high = middle }
        }
        if low == self.count || number(low) != asn {
            return None;
        }
        let end = |i: usize| read_u32(bytes, self.ends + 4 * i) as usize;
        let start = if low == 0 { 0 } else { end(low - 1) };
        let name = bytes[self.text.clone()].get(start..end(low))?;
        std::str::from_utf8(name).ok().filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests;
