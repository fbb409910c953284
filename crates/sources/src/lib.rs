//! What extraction asks: data sets, MySQL, MongoDB, HTTP services, DNS.
//!
//! A file `sources.toml` ([`config`]) declares the sources; each is asked through one port ([`Source`]) about the
//! entities of a batch. A source that fails costs its own features and never the score.
//!
//! A data set ([`dataset`]) is a file that is searched in memory: published, and picked up without a deployment.
//! [`IpRanges`] says which network and country an IP address belongs to. It is compiled once from published
//! tables ([`compile`]) and read by every function from the bytes of one file.
//!
//! Nothing here makes a request to an entity itself.

pub mod aws;
mod breaker;
mod cache;
pub mod clock;
pub mod config;
pub mod dataset;
pub mod declare;
mod dns;
mod entry;
mod evaluate;
mod http;
mod mongodb;
mod mysql;
mod open;
mod opening;
mod params;
pub mod quota;
pub mod ranges;
pub mod secret;
pub mod shared_cache;
pub mod source;
mod sources;
mod template;

pub use config::Declaration;
pub use declare::{DeclarationError, Problem};
pub use evaluate::MAX_EVIDENCE;
pub use open::{FactsOf, OpenError, open_dns, open_server};
pub use opening::{Context, Unopened};
pub use ranges::{About, DatasetError, Input, IpRanges, Origin, Summary, Table, compile};
pub use source::{Record, Replies, Reply, Source, SourceError, Subject};
pub use sources::{Answers, Asked, Found, Report, Sources, Stores};

/// The servers of the contract suite, for the tests of what it cannot reach.
#[cfg(test)]
#[path = "../tests/contract/server.rs"]
#[allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::print_stderr,
    reason = "a file of another test binary"
)]
mod test_server;
#[cfg(test)]
extern crate self as tribunal_sources;
