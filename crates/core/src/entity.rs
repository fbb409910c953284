//! What can be scored: domain names and IP addresses, in one normal form.

use serde::{Deserialize, Serialize};

/// Kind of entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A domain name.
    Domain,
    /// An IPv4 or IPv6 address.
    Ip,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Domain, Self::Ip];

    /// As in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Ip => "ip",
        }
    }
}

/// Why scoring an entity makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpecialUse {
    /// Placeholder.
    Localhost,
}

/// An entity in normal form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entity {
    kind: Kind,
    name: String,
    registrable_len: usize,
    special: Option<SpecialUse>,
}

/// Why a text is not an entity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing was given.
    #[error("empty text: give a domain name or an IP address")]
    Empty,
}
