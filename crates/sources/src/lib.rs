//! Data sets that extraction asks: compact, checksummed, searched where they lie.
//!
//! [`IpRanges`] says which network and country an IP address belongs to. It is compiled once from published
//! tables ([`compile`]) and read by every function from the bytes of one file.
//!
//! Nothing here asks a server, and nothing here knows of features.

pub mod ranges;

pub use ranges::{About, DatasetError, Input, IpRanges, Origin, Summary, Table, compile};
