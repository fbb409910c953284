//! The lists that overrule the models, compiled for lookup.
//!
//! An entry fits an entity that it names, a domain below the one after its `*.`, or an address in its network. Of the
//! entries that fit and have not expired, the first in the definition decides: order is the only precedence, so that a
//! person reads the list from the top as the ensemble does. A lookup takes one step per label of a name, or one per
//! length of prefix that occurs, however long the lists are.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use super::definition::{EnsembleDefinition, ListEntry};
use crate::time::parse_rfc3339;

/// Longest domain name, in bytes, and longest label.
const MAX_DOMAIN_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// What an entry fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern<'a> {
    /// This entity.
    Exact(&'a str),
    /// Every domain below this one.
    Below(&'a str),
    /// Every address of this network.
    Network(Network),
}

/// A network: its family, the number of leading bits that are fixed, and these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Network {
    is_v4: bool,
    prefix: u8,
    bits: u128,
}

impl Network {
    /// The network with `prefix` fixed bits around an address; `None` where its family has fewer.
    fn around(address: IpAddr, prefix: u8) -> Option<Self> {
        let (is_v4, width, number) = match address {
            IpAddr::V4(v4) => (true, 32, u128::from(v4.to_bits())),
            IpAddr::V6(v6) => (false, 128, v6.to_bits()),
        };
        let host_bits = u32::from(u8::checked_sub(width, prefix)?);
        let bits = number.checked_shr(host_bits).unwrap_or(0).checked_shl(host_bits).unwrap_or(0);
        Some(Self { is_v4, prefix, bits })
    }
}

impl<'a> Pattern<'a> {
    /// `None` when the text is none of the three.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if let Some(domain) = text.strip_prefix("*.") {
            return is_domain(domain).then_some(Self::Below(domain));
        }
        if let Some((address, length)) = text.split_once('/') {
            let prefix: u8 = length.parse().ok().filter(|n: &u8| n.to_string() == length)?;
            let address = normal_address(address)?;
            let network = Network::around(address, prefix)?;
            let whole = Network::around(address, if address.is_ipv4() { 32 } else { 128 })?;
            return (whole.bits == network.bits).then_some(Self::Network(network));
        }
        (normal_address(text).is_some() || is_domain(text)).then_some(Self::Exact(text))
    }
}

/// An address that is spelled as entities are.
fn normal_address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    // An IPv4 address within IPv6 is the IPv4 address to every entity, so that such an entry could never fit.
    (address.to_canonical() == address && address.to_string() == text).then_some(address)
}

/// Whether a text is a domain name as entities spell it: lower case, no dot at the end, labels of letters, digits,
/// hyphens and underscores.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= MAX_DOMAIN_BYTES && text.split('.').all(label) && !last.bytes().all(|b| b.is_ascii_digit())
}

/// An entry, and when it ends.
#[derive(Debug, Clone, PartialEq)]
struct Listing {
    entry: ListEntry,
    /// Milliseconds since 1970; `None` never.
    expires_ms: Option<u64>,
}

/// A definition's lists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lists {
    entries: Vec<Listing>,
    /// Positions in `entries`, rising.
    exact: HashMap<String, Vec<usize>>,
    below: HashMap<String, Vec<usize>>,
    networks: HashMap<Network, Vec<usize>>,
    /// Lengths of prefix that occur: (IPv4, bits).
    prefixes: BTreeSet<(bool, u8)>,
}

impl Lists {
    /// Those of a definition; entries that fit nothing, which a checked definition does not have, are left out.
    pub fn of(definition: &EnsembleDefinition) -> Self {
        let mut lists = Self::default();
        for (i, entry) in definition.lists.iter().enumerate() {
            match Pattern::parse(&entry.pattern) {
                Some(Pattern::Exact(name)) => lists.exact.entry(name.to_owned()).or_default().push(i),
                Some(Pattern::Below(name)) => lists.below.entry(name.to_owned()).or_default().push(i),
                Some(Pattern::Network(network)) => {
                    lists.prefixes.insert((network.is_v4, network.prefix));
                    lists.networks.entry(network).or_default().push(i);
                }
                None => {}
            }
            // A time that is none ends at once: better no rule than one for ever.
            let expires_ms = entry.expires.as_deref().map(|text| parse_rfc3339(text).unwrap_or(0));
            lists.entries.push(Listing { entry: entry.clone(), expires_ms });
        }
        lists
    }

    /// The entry that decides on an entity in normal form at a time (milliseconds since 1970), if one does.
    pub fn find(&self, entity: &str, at_ms: u64) -> Option<&ListEntry> {
        if self.entries.is_empty() {
            return None;
        }
        let exact = self.exact.get(entity).map(Vec::as_slice);
        let first = match entity.parse::<IpAddr>() {
            Ok(address) => self.first(exact.into_iter().chain(self.around(address)), at_ms),
            Err(_) => self.first(exact.into_iter().chain(self.above(entity)), at_ms),
        };
        first.and_then(|i| self.entries.get(i)).map(|listing| &listing.entry)
    }

    fn around(&self, address: IpAddr) -> impl Iterator<Item = &[usize]> {
        let lengths = self.prefixes.iter().filter(move |(is_v4, _)| *is_v4 == address.is_ipv4());
        let networks = lengths.filter_map(move |(_, prefix)| Network::around(address, *prefix));
        networks.filter_map(|network| self.networks.get(&network)).map(Vec::as_slice)
    }

    fn above<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [usize]> {
        let parents = name.match_indices('.').filter_map(move |(dot, _)| name.get(dot + 1..));
        parents.filter_map(|parent| self.below.get(parent)).map(Vec::as_slice)
    }

    fn first<'a>(&self, fitting: impl Iterator<Item = &'a [usize]>, at_ms: u64) -> Option<usize> {
        let in_force =
            |i: &usize| self.entries.get(*i).is_some_and(|e| e.expires_ms.is_none_or(|end| at_ms < end));
        fitting.filter_map(|positions| positions.iter().copied().find(in_force)).min()
    }
}

#[cfg(test)]
mod tests;
