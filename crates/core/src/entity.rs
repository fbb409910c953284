//! What can be scored: domain names and IP addresses, in one normal form.
//!
//! [`Entity::parse`] takes what an analyst pastes (a name, an address, a URL, an e-mail address, defanged or not)
//! and yields the normal form, or a [`Refusal`] that says what is wrong and what to give instead.
//!
//! - A domain: lower-case A-labels, no trailing dot, ASCII, at most 253 bytes.
//! - An address: canonical text (RFC 5952); an IPv4-mapped IPv6 address is the IPv4 address.
//!
//! The normal form is the key of an entity everywhere; parsing it again yields the same entity. No input panics,
//! and a text over 2,048 bytes is refused before it is looked at. A name that is plain already costs one
//! allocation.
//!
//! It does not resolve names, and does not ask whether a top-level domain exists: the root changes, an entity
//! seen in an old log does not.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::message::MAX_ORIGINAL_BYTES;

mod address;
mod host;
mod pasted;
mod refusal;
mod special;
#[cfg(test)]
mod tests;

pub use refusal::{MAX_LABEL_BYTES, MAX_NAME_BYTES, Refusal, shown, shown_up_to};
pub use special::SpecialUse;

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

/// An entity in normal form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entity {
    name: String,
    address: Option<IpAddr>,
    /// Where the registrable domain begins in `name`.
    registrable: Option<u8>,
    /// Where the public suffix begins in `name`.
    suffix: Option<u8>,
    suffix_is_private: bool,
    special: Option<SpecialUse>,
}

impl Entity {
    /// Reads what an analyst pasted.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > MAX_ORIGINAL_BYTES {
            return Err(Refusal::TextTooLong { bytes: text.len() });
        }
        let text = pasted::trim(text);
        if text.is_empty() {
            return Err(Refusal::Empty);
        }
        if text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')) {
            return Self::from_host(text);
        }
        if let Some((position, c)) = text.char_indices().find(|(_, c)| c.is_control()) {
            return Err(Refusal::ControlCharacter { code_point: u32::from(c), position });
        }
        let refanged = pasted::refang(text);
        let found = pasted::locate(&refanged)?;
        if !found.in_url && address::is_network(found.host, found.tail) {
            return Err(Refusal::Cidr { text: shown(&refanged) });
        }
        if found.host.contains(':') {
            return address::parse_v6(found.host).map(Self::from_address);
        }
        Self::from_host(found.host)
    }

    fn from_host(host: &str) -> Result<Self, Refusal> {
        // A number in wide digits is one only after it is mapped, hence not on the text as it was given.
        let name = host::to_ascii(host)?;
        if let Some(address) = address::parse_v4(&name)? {
            return Ok(Self::from_address(address));
        }
        let host = host::judge(name)?;
        Ok(Self {
            name: host.name,
            address: None,
            registrable: host.registrable,
            suffix: host.suffix,
            suffix_is_private: host.private,
            special: host.special,
        })
    }

    fn from_address(address: IpAddr) -> Self {
        Self {
            name: address.to_string(),
            address: Some(address),
            registrable: None,
            suffix: None,
            suffix_is_private: false,
            special: special::of_address(address),
        }
    }

    /// Domain or address.
    pub const fn kind(&self) -> Kind {
        match self.address {
            Some(_) => Kind::Ip,
            None => Kind::Domain,
        }
    }

    /// The normal form: the key everywhere.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The part of a domain that somebody registered: one label more than the public suffix.
    ///
    /// `None` for addresses and for names that are set aside and have none (`localhost`, `home.arpa`).
    pub fn registrable_domain(&self) -> Option<&str> {
        self.registrable.and_then(|at| self.name.get(usize::from(at)..))
    }

    /// The part of a domain under which names are registered, by the public suffix list with its private section.
    ///
    /// A private suffix that is the whole name is taken as a site under its ICANN suffix: `io` for `github.io`.
    pub fn public_suffix(&self) -> Option<&str> {
        self.suffix.and_then(|at| self.name.get(usize::from(at)..))
    }

    /// Whether the public suffix is one that a company offers below its own name (`github.io`).
    pub const fn suffix_is_private(&self) -> bool {
        self.suffix_is_private
    }

    /// The labels of a domain, leftmost first; none for an address.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        let name = if self.address.is_some() { None } else { Some(self.name.as_str()) };
        name.into_iter().flat_map(|name| name.split('.'))
    }

    /// As people read it: internationalised labels decoded. For display only; it may look like another name.
    pub fn unicode(&self) -> String {
        host::to_unicode(&self.name).into_owned()
    }

    /// The address, if it is one.
    pub const fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Why scoring makes no sense, if it does not.
    pub const fn special(&self) -> Option<SpecialUse> {
        self.special
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
