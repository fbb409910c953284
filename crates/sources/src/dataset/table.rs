//! A table: rows of columns, grouped by key. Sections of the file (all integers little-endian):
//!
//! | section | holds |
//! |---|---|
//! | `about` | JSON: columns, number of rows and keys, what it was built from |
//! | `groups` | group → its first row: groups + 1 integers of 32 bits; empty when every group has one row |
//! | `names`, `hash` | the keys that are texts ([`super::names`]): the first groups |
//! | `v4`, `v6`, `v6.fine` | pieces of the address space → number of the group plus one, or 0; as in [`crate::ranges`] |
//! | `column.0`, ... | one section per column ([`super::column`]) |
//!
//! A key of kind text is a letter for its kind and then its normal form: `d` domain, `t` top-level domain, `a` number
//! of an autonomous system, `c` country. Opening checks every offset and every reference; a search reads
//! bytes where they lie, and takes no memory but for the rows that it returns.

mod near;

use std::net::IpAddr;
use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tribunal_core::Entity;
use tribunal_core::container::{Container, ContainerError};

use super::bytes::u32_at;
use super::column::{Column, ColumnAbout};
use super::names::Names;
use crate::ranges::Origin;
use crate::ranges::pieces::Pieces;
use crate::source::MAX_ROWS;

/// Most bytes of a file: as many as a registry takes.
pub const MAX_FILE_BYTES: usize = 256 << 20;
/// Most columns.
pub const MAX_COLUMNS: usize = 24;
/// Most rows of a file.
pub const MAX_TABLE_ROWS: usize = 16_000_000;

/// Most bytes of the description.
const MAX_ABOUT_BYTES: usize = 1 << 20;
/// Most bytes of a column's name.
pub(super) const MAX_COLUMN_NAME: usize = 64;
/// Most bytes of texts in the rows of one answer; rows after them are left out.
const MAX_ANSWER_BYTES: usize = 4 << 20;

pub(super) const FORMAT: Container =
    Container { magic: *b"TRIBTBL\0", version: 1, max_bytes: MAX_FILE_BYTES };

pub(super) const DOMAIN: u8 = b'd';
pub(super) const TLD: u8 = b't';
pub(super) const ASN: u8 = b'a';
pub(super) const COUNTRY: u8 = b'c';

/// Why a file cannot be used as a table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not a table, cut short, or changed; or more than one may hold.
    #[error("the file's frame")]
    Container(#[from] ContainerError),
    /// A section is absent, has an impossible size, or leads out of the file.
    #[error("section {section} is absent or not sound")]
    Section {
        /// Its tag.
        section: String,
    },
    /// The description is not of its form.
    #[error("section about is not of its form")]
    About(#[source] serde_json::Error),
}

/// How many keys of each kind there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCounts {
    /// Domain names.
    pub domain: u64,
    /// Single addresses.
    pub address: u64,
    /// Ranges of addresses, CIDR blocks among them.
    pub range: u64,
    /// Top-level domains.
    pub tld: u64,
    /// Numbers of autonomous systems.
    pub asn: u64,
    /// Countries.
    pub country: u64,
}

/// What a table holds, for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableAbout {
    /// Rows.
    pub rows: u64,
    /// Keys by kind.
    pub keys: KeyCounts,
    /// The columns, in the order of the rows' fields.
    pub columns: Vec<ColumnAbout>,
    /// What it was built from.
    pub origins: Vec<Origin>,
}

/// What a table is asked for, in normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'k> {
    /// A domain name.
    Domain(&'k str),
    /// An address: itself, or the narrowest range around it.
    Address(IpAddr),
    /// A top-level domain.
    Tld(&'k str),
    /// An autonomous system.
    Asn(u32),
    /// A country: two capitals.
    Country(&'k str),
}

/// A checked table.
#[derive(Debug)]
pub struct Table {
    bytes: Bytes,
    about: TableAbout,
    /// Where the groups' first rows lie; `None`: group i has row i alone.
    groups: Option<usize>,
    group_count: usize,
    names: Names,
    v4: Pieces,
    v6: Pieces,
    v6_fine: Pieces,
    columns: Vec<Column>,
}

/// The rows of one key.
#[derive(Debug, Clone)]
pub struct Rows<'t> {
    table: &'t Table,
    range: Range<usize>,
}

impl Table {
    /// Checks `bytes`, the content of a file.
    ///
    /// # Errors
    /// When it is no table, or any part of it is not sound.
    pub fn open(bytes: impl Into<Bytes>) -> Result<Self, TableError> {
        let bytes = bytes.into();
        let sections = FORMAT.read(&bytes)?;
        let section = |tag: &str| {
            let found = sections.iter().find(|(name, _)| name == tag).map(|(_, range)| range.clone());
            found.ok_or_else(|| unsound(tag))
        };
        let about = open_about(&bytes, section("about")?)?;
        let rows = usize::try_from(about.rows).ok().filter(|rows| *rows <= MAX_TABLE_ROWS);
        let rows = rows.ok_or_else(|| unsound("about"))?;
        let (groups, group_count) = open_groups(&bytes, section("groups")?, rows)?;
        let names = Names::open(&bytes, section("names")?, section("hash")?).map_err(unsound)?;
        if names.len() > group_count {
            return Err(unsound("names"));
        }
        let pieces = |tag: &str| {
            let pieces = Pieces::open(&bytes, section(tag)?, tag).map_err(|_| unsound(tag))?;
            let sound = pieces.is_sound(&bytes, u32::try_from(group_count).unwrap_or(u32::MAX));
            if sound { Ok(pieces) } else { Err(unsound(tag)) }
        };
        let (v4, v6, v6_fine) = (pieces("v4")?, pieces("v6")?, pieces("v6.fine")?);
        let columns = about.columns.iter().enumerate().map(|(i, column)| {
            let tag = format!("column.{i}");
            Column::open(&bytes, section(&tag)?, rows, column.clone()).ok_or_else(|| unsound(&tag))
        });
        let columns = columns.collect::<Result<_, _>>()?;
        Ok(Self { about, groups, group_count, names, v4, v6, v6_fine, columns, bytes })
    }

    /// What it holds.
    pub const fn about(&self) -> &TableAbout {
        &self.about
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The rows of a key; `None` when it is not there.
    pub fn lookup(&self, key: Key<'_>) -> Option<Rows<'_>> {
        let group = match key {
            Key::Domain(name) => self.names.find(&self.bytes, DOMAIN, name.as_bytes())?,
            Key::Tld(name) => self.names.find(&self.bytes, TLD, name.as_bytes())?,
            Key::Asn(number) => self.names.find(&self.bytes, ASN, number.to_string().as_bytes())?,
            Key::Country(letters) => self.names.find(&self.bytes, COUNTRY, letters.as_bytes())?,
            Key::Address(address) => self.group_of(address)?,
        };
        self.rows_of(group)
    }

    /// The rows of a domain, or else of the first of its parents that is there, down to its registrable domain.
    pub fn lookup_parents(&self, domain: &Entity) -> Option<Rows<'_>> {
        let mut name = domain.name();
        let end = domain.registrable_domain().unwrap_or(name).len();
        loop {
            if let Some(rows) = self.lookup(Key::Domain(name)) {
                return Some(rows);
            }
            name = name.split_once('.').map(|(_, parent)| parent).filter(|parent| parent.len() >= end)?;
        }
    }

    /// Up to `limit` rows, from the first on.
    pub fn first_rows(&self, limit: usize) -> Rows<'_> {
        let rows = usize::try_from(self.about.rows).unwrap_or(usize::MAX);
        Rows { table: self, range: 0..rows.min(limit) }
    }

    /// Up to `limit` keys that are texts, without the letter of their kind: examples.
    pub fn first_names(&self, limit: usize) -> Vec<&str> {
        let names = self.names.first(&self.bytes, limit).into_iter().filter_map(|name| name.get(1..));
        names.filter_map(|name| std::str::from_utf8(name).ok()).collect()
    }

    fn group_of(&self, address: IpAddr) -> Option<usize> {
        let value = match address {
            IpAddr::V4(address) => {
                self.v4.find(&self.bytes, u128::from(address.to_bits()), u128::from(u32::MAX)).0
            }
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                let (coarse, _) = self.v6.find(&self.bytes, bits >> 64, u128::from(u64::MAX));
                if coarse == self.v6.greatest() {
                    self.v6_fine.find(&self.bytes, bits, u128::MAX).0
                } else {
                    coarse
                }
            }
        };
        (value as usize).checked_sub(1)
    }

    fn rows_of(&self, group: usize) -> Option<Rows<'_>> {
        if group >= self.group_count {
            return None;
        }
        let range = match self.groups {
            None => group..group + 1,
            Some(at) => {
                let start = |i: usize| u32_at(&self.bytes, at + 4 * i).map(|row| row as usize);
                start(group)?..start(group + 1)?
            }
        };
        Some(Rows { table: self, range })
    }
}

/// The description, of at most [`MAX_ABOUT_BYTES`].
fn open_about(bytes: &[u8], section: Range<usize>) -> Result<TableAbout, TableError> {
    let text = bytes.get(section).filter(|text| text.len() <= MAX_ABOUT_BYTES);
    let about: TableAbout =
        serde_json::from_slice(text.ok_or_else(|| unsound("about"))?).map_err(TableError::About)?;
    let named = about.columns.iter().all(|column| column.name.len() <= MAX_COLUMN_NAME);
    if named && about.columns.len() <= MAX_COLUMNS { Ok(about) } else { Err(unsound("about")) }
}

fn unsound(section: &str) -> TableError {
    TableError::Section { section: section.to_owned() }
}

/// Where the groups lie, and how many there are.
fn open_groups(
    bytes: &[u8],
    section: Range<usize>,
    rows: usize,
) -> Result<(Option<usize>, usize), TableError> {
    if section.is_empty() {
        return Ok((None, rows));
    }
    let starts = section.len() / 4;
    let mut before = 0;
    let sound = section.len().is_multiple_of(4)
        && (0..starts).all(|i| {
            let start = u32_at(bytes, section.start + 4 * i);
            let in_order = start.is_some_and(|start| if i == 0 { start == 0 } else { start > before });
            before = start.unwrap_or_default();
            in_order
        });
    if sound && before as usize == rows {
        Ok((Some(section.start), starts - 1))
    } else {
        Err(unsound("groups"))
    }
}

impl Rows<'_> {
    /// How many there are; at least one.
    pub fn count(&self) -> usize {
        self.range.len()
    }

    /// One value: of a row of these, by its position, and of a column, by its position in [`TableAbout::columns`].
    pub fn value(&self, row: usize, column: usize) -> Option<Value> {
        let row = self.range.start.checked_add(row).filter(|row| self.range.contains(row))?;
        self.table.columns.get(column)?.value(&self.table.bytes, row)
    }

    /// The rows as objects of their columns, in the order in which they were given; at most [`MAX_ROWS`], and no more
    /// than come to 4 MiB of texts. A value that is missing is no field.
    pub fn to_json(&self) -> Vec<Value> {
        let bytes = &self.table.bytes;
        let mut left = MAX_ANSWER_BYTES;
        let row = |row: usize| {
            let mut fields = Map::new();
            for column in &self.table.columns {
                left = left.checked_sub(column.text_bytes(bytes, row))?;
                if let Some(value) = column.value(bytes, row) {
                    fields.insert(column.about().name.clone(), value);
                }
            }
            Some(Value::Object(fields))
        };
        self.range.clone().take(MAX_ROWS).map_while(row).collect()
    }
}
