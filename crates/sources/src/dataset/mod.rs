//! Data sets: files that are built once, published, and searched in memory, where they lie.
//!
//! ```text
//! CSV, JSON lines --Builder--> one file (a table) --registry--> DatasetHolder --DatasetSource--> rows of JSON
//! ```
//! | format | answers about | made by |
//! |---|---|---|
//! | table ([`Table`]) | domains, addresses, ranges, top-level domains, autonomous systems, countries: rows of columns | [`Builder`] |
//! | address ranges ([`crate::IpRanges`]) | addresses: system, its name, country, hosting | [`crate::compile`] |
//! | MaxMind DB ([`MaxMind`]) | addresses: one record | MaxMind and others |
//!
//! A file is hostile: its frame is held against its checksum, every offset in it is checked when it is opened, and
//! searching it cannot leave it, take unbounded time, or panic.
//!
//! It does not merge data sets, and does not answer about networks as a whole.

mod build;
mod bytes;
mod column;
mod holder;
mod maxmind;
mod names;
#[cfg(test)]
mod near_tests;
mod source;
mod table;
#[cfg(test)]
mod tests;

use ::bytes::Bytes;
use maxminddb::MaxMindDbError;
use serde_json::{Value, json};
use tribunal_core::{AddressFacts, Entity};

pub use build::{
    BuildError, BuildOptions, Builder, Built, KeyKind, MAX_INPUT_BYTES, MAX_RECORD_BYTES, MAX_REFUSED,
    MAX_VALUE_BYTES, Refused, Report,
};
pub use column::{ColumnAbout, ColumnType};
pub use holder::{DatasetHolder, LoadError, Loaded, REVALIDATE_AFTER, Refreshed, State};
pub use maxmind::{MaxMind, MaxMindAbout};
pub use source::DatasetSource;
pub use table::{
    Key, KeyCounts, MAX_COLUMNS, MAX_FILE_BYTES, MAX_TABLE_ROWS, Rows, Table, TableAbout, TableError,
};

use crate::config::{MatchBy, Near};
use crate::ranges::{DatasetError as RangesError, IpRanges};

/// Why a file is no data set.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// None of the formats.
    #[error("{bytes} bytes that are neither a table, nor address ranges, nor a MaxMind DB")]
    Unknown {
        /// Of the file.
        bytes: usize,
    },
    /// Sound, but of another format than is read under its name.
    #[error("it is {found}, and {expected} is read under its name")]
    Format {
        /// Of the file.
        found: &'static str,
        /// What its readers take.
        expected: &'static str,
    },
    /// A table that is not sound.
    #[error("the table is not sound")]
    Table(#[from] TableError),
    /// Address ranges that are not sound.
    #[error("the address ranges are not sound")]
    Ranges(#[from] RangesError),
    /// A MaxMind DB that is not sound.
    #[error("the MaxMind DB is not sound")]
    MaxMind(#[from] MaxMindDbError),
}

/// A checked data set of any format.
#[derive(Debug)]
pub enum Dataset {
    /// Rows of columns by key.
    Table(Box<Table>),
    /// Address ranges.
    Ranges(Box<IpRanges>),
    /// A MaxMind DB.
    MaxMind(Box<MaxMind>),
}

impl Dataset {
    /// Format of [`Dataset::Table`].
    pub const TABLE: &'static str = "table";
    /// Format of [`Dataset::Ranges`].
    pub const RANGES: &'static str = "ip-ranges";
    /// Format of [`Dataset::MaxMind`].
    pub const MAXMIND: &'static str = "maxmind";

    /// Checks `bytes`, the content of a file; its first bytes say its format.
    ///
    /// # Errors
    /// When it is of no format, or not sound.
    pub fn open(bytes: impl Into<Bytes>) -> Result<Self, OpenError> {
        let bytes = bytes.into();
        if bytes.starts_with(&table::FORMAT.magic) {
            return Ok(Self::Table(Box::new(Table::open(bytes)?)));
        }
        if IpRanges::is_one(&bytes) {
            return Ok(Self::Ranges(Box::new(IpRanges::open(Vec::from(bytes))?)));
        }
        if MaxMind::is_one(&bytes) {
            return Ok(Self::MaxMind(Box::new(MaxMind::open(bytes)?)));
        }
        Err(OpenError::Unknown { bytes: bytes.len() })
    }

    /// `table`, `ip-ranges` or `maxmind`.
    pub const fn format(&self) -> &'static str {
        match self {
            Self::Table(_) => Self::TABLE,
            Self::Ranges(_) => Self::RANGES,
            Self::MaxMind(_) => Self::MAXMIND,
        }
    }

    /// The address ranges, if it is these.
    pub fn ranges(&self) -> Option<&IpRanges> {
        match self {
            Self::Ranges(ranges) => Some(ranges),
            _ => None,
        }
    }

    /// What it says of one key: rows of JSON, at most [`crate::source::MAX_ROWS`]; none when the key is not there.
    ///
    /// # Errors
    /// When a record of a MaxMind DB is not sound.
    pub fn lookup(&self, key: Key<'_>) -> Result<Vec<Value>, MaxMindDbError> {
        match (self, key) {
            (Self::Table(table), key) => Ok(table.lookup(key).map_or_else(Vec::new, |rows| rows.to_json())),
            (Self::Ranges(ranges), Key::Address(address)) => {
                Ok(ranges_row(&ranges.lookup(address)).into_iter().collect())
            }
            (Self::MaxMind(database), Key::Address(address)) => {
                Ok(database.lookup(address)?.into_iter().collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// What it says of an entity by what is looked up of it, where `facts` are known of an address.
    ///
    /// # Errors
    /// As [`Dataset::lookup`].
    pub fn ask(
        &self,
        entity: &Entity,
        facts: Option<&AddressFacts>,
        by: MatchBy,
    ) -> Result<Vec<Value>, MaxMindDbError> {
        let whole = entity.address().map_or(Key::Domain(entity.name()), Key::Address);
        let key = match by {
            MatchBy::Entity => Some(whole),
            MatchBy::Parents if entity.address().is_some() => Some(whole),
            MatchBy::Parents => {
                let Self::Table(table) = self else { return Ok(Vec::new()) };
                return Ok(table.lookup_parents(entity).map_or_else(Vec::new, |rows| rows.to_json()));
            }
            MatchBy::RegistrableDomain => entity.registrable_domain().map(Key::Domain),
            MatchBy::Tld => entity.labels().next_back().map(Key::Tld),
            MatchBy::Asn => facts.and_then(|facts| facts.asn).map(Key::Asn),
            MatchBy::Country => facts.and_then(|facts| facts.country.as_deref()).map(Key::Country),
        };
        key.map_or_else(|| Ok(Vec::new()), |key| self.lookup(key))
    }

    /// The rows of the other keys in the network of an entity, with the columns alone that `keeps` lets through: at
    /// most [`crate::source::MAX_ROWS`]. `None` where there is no such thing: of a domain, of an address of a
    /// family for which `near` says nothing, in a data set that is no table.
    pub fn near(&self, entity: &Entity, near: Near, keeps: impl Fn(&str) -> bool) -> Option<Vec<Value>> {
        let Self::Table(table) = self else { return None };
        table.near(entity.address()?, near, keeps)
    }
}

/// Facts of an address as a row, unless nothing is known.
fn ranges_row(facts: &AddressFacts) -> Option<Value> {
    if facts.asn.is_none() && facts.country.is_none() && facts.hosting != Some(true) {
        return None;
    }
    let mut row = json!({
        "asn": facts.asn, "as_name": facts.as_name, "country": facts.country, "hosting": facts.hosting,
    });
    if let Some(fields) = row.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    Some(row)
}
