//! What an entry of the lists fits: as an analyst gives it, in the form that a definition has.
//!
//! An entity is read as everywhere (defanged, with a scheme, in any case); `*.` and a domain fits everything below it,
//! not itself; a network is an address, a slash and the number of its leading bits, without bits beyond them.

use std::net::IpAddr;

use tribunal_core::{Entity, Kind};

use crate::exit::Failure;

/// In the form of a definition.
pub(super) fn normal(text: &str) -> anyhow::Result<String> {
    let trimmed = text.trim();
    if let Some(rest) = trimmed.strip_prefix("*.") {
        let entity = entity(rest)?;
        if entity.kind() == Kind::Ip {
            let message = format!("{trimmed:?}: below an address there is nothing");
            return Err(Failure::usage(message).hint("a network is written 192.0.2.0/24").into());
        }
        return Ok(format!("*.{}", entity.name()));
    }
    match network(trimmed) {
        Some(network) => network.normal(trimmed),
        None => Ok(entity(trimmed)?.name().to_owned()),
    }
}

fn entity(text: &str) -> anyhow::Result<Entity> {
    Entity::parse(text).map_err(|refusal| {
        let hint = "give a domain, an address, *. and a domain, or a network (192.0.2.0/24)";
        Failure::usage(format!("not an entity: {refusal}")).hint(hint).into()
    })
}

/// An address and the number of leading bits that count.
#[derive(Debug, Clone, Copy)]
struct Network {
    address: IpAddr,
    length: u8,
}

fn network(text: &str) -> Option<Network> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let length = length.parse().ok().filter(|length| *length <= width)?;
    Some(Network { address, length })
}

impl Network {
    fn normal(self, given: &str) -> anyhow::Result<String> {
        let form = |address: IpAddr| format!("{address}/{}", self.length);
        if self.address.to_canonical() != self.address {
            let message = format!("{given:?}: an IPv4 network within IPv6 fits no entity");
            return Err(Failure::usage(message).hint("give the IPv4 network").into());
        }
        let first = self.first();
        if first != self.address {
            let message = format!("{given:?} has bits beyond the first {}", self.length);
            return Err(Failure::usage(message).hint(format!("the network is {}", form(first))).into());
        }
        Ok(form(first))
    }

    fn first(self) -> IpAddr {
        let length = u32::from(self.length);
        match self.address {
            IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & !u32::MAX.checked_shr(length).unwrap_or(0)).into()),
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::MAX.checked_shr(length).unwrap_or(0)).into()),
        }
    }

    fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && Self { address, length: self.length }.first() == self.first()
    }
}

/// Whether whatever fits `narrow` fits `wide` too. Both are of a definition's form.
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    if wide == narrow {
        return true;
    }
    if let Some(suffix) = wide.strip_prefix('*') {
        // `.example` ends `a.example` and `*.b.example`, and of `*.example` only the one that is equal.
        return narrow.strip_prefix('*').unwrap_or(narrow).ends_with(suffix) && narrow.len() > wide.len() - 1;
    }
    let Some(wide) = network(wide) else { return false };
    match (network(narrow), narrow.parse::<IpAddr>()) {
        (Some(narrow), _) => narrow.length >= wide.length && wide.contains(narrow.address),
        (None, Ok(address)) => wide.contains(address),
        (None, Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_analyst_gives_gets_the_form_of_a_definition() {
        let cases = [
            ("hxxps://Portal[.]Example.com/login", "portal.example.com"),
            (" *.Example.com ", "*.example.com"),
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8:0::/32", "2001:db8::/32"),
            ("2001:db8::1/128", "2001:db8::1/128"),
        ];
        for (given, expected) in cases {
            assert_eq!(normal(given).unwrap(), expected, "{given}");
        }
        for wrong in
            ["", "*.", "*.192.0.2.1", "192.0.2.1/24", "192.0.2.0/33", "::ffff:192.0.2.0/120", "*.*.x.com"]
        {
            assert!(normal(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_covers_what() {
        let covering = [
            ("*.example.com", "a.example.com"),
            ("*.example.com", "*.a.example.com"),
            ("*.example.com", "*.example.com"),
            ("192.0.2.0/24", "192.0.2.7"),
            ("192.0.2.0/24", "192.0.2.128/25"),
            ("0.0.0.0/0", "192.0.2.0/24"),
            ("::/0", "2001:db8::1"),
        ];
        for (wide, narrow) in covering {
            assert!(covers(wide, narrow), "{wide} {narrow}");
            assert!(wide == narrow || !covers(narrow, wide), "{narrow} {wide}");
        }
        let apart = [
            ("*.example.com", "example.com"),
            ("*.example.com", "badexample.com"),
            ("*.example.com", "*.com"),
            ("192.0.2.0/24", "192.0.3.1"),
            ("0.0.0.0/0", "::1"),
            ("192.0.2.0/24", "192.0.0.0/16"),
            ("192.0.2.0/24", "a.example"),
        ];
        for (wide, narrow) in apart {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
    }
}
