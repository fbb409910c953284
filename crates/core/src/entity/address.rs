//! IP addresses in the one form that every program reads the same way.
//!
//! IPv4 is four decimal numbers; octal, hexadecimal, short and single-number forms are refused, since what they
//! mean depends on who reads them. IPv6 is RFC 4291 text; the zone is cut (it means something on one machine
//! only), and an IPv4-mapped address becomes the IPv4 address that it is. Canonical text is RFC 5952.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::refusal::{Refusal, shown};

/// Parses the text of an IPv6 address, or what stood in brackets.
pub(super) fn parse_v6(text: &str) -> Result<IpAddr, Refusal> {
    let text = text.split_once('%').map_or(text, |(address, _zone)| address);
    // RFC 5321 address literals: `user@[IPv6:2001:db8::1]`.
    let text = match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => &text[5..],
        _ => text,
    };
    match text.parse::<Ipv6Addr>() {
        Ok(v6) => Ok(v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)),
        Err(_) => Err(Refusal::InvalidAddress { text: shown(text) }),
    }
}

/// The IPv4 address that `host` is, `None` if it is a name, a refusal if it looks like one and is not.
///
/// As browsers do, a host whose last label is a number is an address or nothing at all.
pub(super) fn parse_v4(host: &str) -> Result<Option<IpAddr>, Refusal> {
    let last = host.rsplit('.').next().unwrap_or(host);
    if !is_number(last) {
        return Ok(None);
    }
    if let Ok(v4) = host.parse::<Ipv4Addr>() {
        return Ok(Some(IpAddr::V4(v4)));
    }
    if is_range(host) {
        return Err(Refusal::Cidr { text: shown(host) });
    }
    if !host.split('.').all(is_number) {
        return Err(Refusal::InvalidTld { label: shown(last) });
    }
    let count = host.split('.').count();
    let plain = host.split('.').all(|n| n == "0" || (!n.starts_with('0') && !n.contains(['x', 'X'])));
    if count > 4 || (count == 4 && plain) {
        Err(Refusal::InvalidAddress { text: shown(host) })
    } else {
        Err(Refusal::AmbiguousAddress { text: shown(host) })
    }
}

/// Whether `host` and what follows it write a network: `10.0.0.0/8`, `10/8`, `10.0.0.0/255.0.0.0`, `2001:db8::/32`.
pub(super) fn is_network(host: &str, tail: &str) -> bool {
    let Some(prefix) = tail.strip_prefix('/') else { return false };
    let digits = |s: &str| !s.is_empty() && s.len() <= 3 && s.bytes().all(|b| b.is_ascii_digit());
    let numeric = !host.is_empty() && host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    (numeric || host.contains(':')) && (digits(prefix) || prefix.parse::<Ipv4Addr>().is_ok())
}

/// `10.0.0.1-10.0.0.9`
fn is_range(host: &str) -> bool {
    host.split_once('-')
        .is_some_and(|(from, to)| from.parse::<Ipv4Addr>().is_ok() && to.parse::<Ipv4Addr>().is_ok())
}

/// Decimal, octal or hexadecimal.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit()),
    }
}
