//! Names and addresses that are set aside: they lead nowhere on the public Internet, or mean something else on
//! every network, so a score would say nothing.
//!
//! Sources: IANA "Special-Use Domain Names" (RFC 6761 and those that add to it), "IPv4 Special-Purpose Address
//! Registry", "IPv6 Special-Purpose Address Registry" and "IPv6 Global Unicast Address Assignments", as of 2026-08;
//! `internal` by ICANN's resolution 2024.07.29.06. Blocks that the registries call globally reachable (anycast and
//! translation services, AS112) are not special.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Why scoring an entity makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SpecialUse {
    /// `localhost` and names below it (RFC 6761).
    Localhost,
    /// `.test` (RFC 6761).
    Test,
    /// `.example`, `example.com`, `example.net`, `example.org` (RFC 6761).
    Example,
    /// `.invalid` (RFC 6761).
    Invalid,
    /// `.local` (RFC 6762).
    Local,
    /// `.onion` (RFC 7686).
    Onion,
    /// `home.arpa` (RFC 8375).
    HomeArpa,
    /// `.internal` (ICANN 2024).
    Internal,
    /// `.alt` (RFC 9476).
    Alt,
    /// Names below `.arpa` that protocols use among themselves, and reverse names of private addresses.
    Infrastructure,
    /// 10/8, 172.16/12, 192.168/16 (RFC 1918).
    Private,
    /// 127/8, ::1.
    Loopback,
    /// 169.254/16, fe80::/10.
    LinkLocal,
    /// 224/4, ff00::/8.
    Multicast,
    /// 192.0.2/24, 198.51.100/24, 203.0.113/24, 2001:db8::/32, 3fff::/20.
    Documentation,
    /// Not assigned, or to protocols, or no longer: 0/8, 192.0.0/24, 240/4, all of IPv6 outside 2000::/3.
    Reserved,
    /// 0.0.0.0, ::.
    Unspecified,
    /// 255.255.255.255.
    Broadcast,
    /// 100.64/10, between a provider and its customers (RFC 6598).
    Shared,
    /// fc00::/7 (RFC 4193).
    UniqueLocal,
    /// 198.18/15, 2001:2::/48.
    Benchmarking,
}

impl SpecialUse {
    /// Every one, in the order of declaration.
    pub const ALL: [Self; 21] = [
        Self::Localhost,
        Self::Test,
        Self::Example,
        Self::Invalid,
        Self::Local,
        Self::Onion,
        Self::HomeArpa,
        Self::Internal,
        Self::Alt,
        Self::Infrastructure,
        Self::Private,
        Self::Loopback,
        Self::LinkLocal,
        Self::Multicast,
        Self::Documentation,
        Self::Reserved,
        Self::Unspecified,
        Self::Broadcast,
        Self::Shared,
        Self::UniqueLocal,
        Self::Benchmarking,
    ];

    /// As in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Localhost => "localhost",
            Self::Test => "test",
            Self::Example => "example",
            Self::Invalid => "invalid",
            Self::Local => "local",
            Self::Onion => "onion",
            Self::HomeArpa => "home_arpa",
            Self::Internal => "internal",
            Self::Alt => "alt",
            Self::Infrastructure => "infrastructure",
            Self::Private => "private",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link_local",
            Self::Multicast => "multicast",
            Self::Documentation => "documentation",
            Self::Reserved => "reserved",
            Self::Unspecified => "unspecified",
            Self::Broadcast => "broadcast",
            Self::Shared => "shared",
            Self::UniqueLocal => "unique_local",
            Self::Benchmarking => "benchmarking",
        }
    }

    /// Why, for a person.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Localhost => "localhost names the machine itself (RFC 6761)",
            Self::Test => "names under .test are for testing and never in public DNS (RFC 6761)",
            Self::Example => "example names are for documentation (RFC 6761)",
            Self::Invalid => "names under .invalid never exist (RFC 6761)",
            Self::Local => "names under .local belong to the local link (RFC 6762)",
            Self::Onion => "names under .onion are resolved by Tor, not by DNS (RFC 7686)",
            Self::HomeArpa => "names under home.arpa belong to a home network (RFC 8375)",
            Self::Internal => "names under .internal belong to a private network (ICANN 2024)",
            Self::Alt => "names under .alt are outside DNS (RFC 9476)",
            Self::Infrastructure => "the name is set aside for a protocol (IANA special-use domain names)",
            Self::Private => "private address: another machine on every network (RFC 1918)",
            Self::Loopback => "loopback address: the machine itself",
            Self::LinkLocal => "link-local address: means something on one link only",
            Self::Multicast => "multicast address: a group of receivers, not a machine",
            Self::Documentation => "documentation address: stands in texts, belongs to nobody",
            Self::Reserved => "reserved address: assigned to no network",
            Self::Unspecified => "unspecified address: stands for no address",
            Self::Broadcast => "broadcast address: every machine of a link",
            Self::Shared => "shared address between a provider and its customers (RFC 6598)",
            Self::UniqueLocal => "unique local address: private to a site (RFC 4193)",
            Self::Benchmarking => "benchmarking address: for tests of network devices (RFC 2544)",
        }
    }
}

/// Whether a name in normal form is set aside.
pub(super) fn of_name(name: &str) -> Option<SpecialUse> {
    let (parent, tld) = name.rsplit_once('.').unwrap_or(("", name));
    let second = || parent.rsplit('.').next().unwrap_or(parent);
    let special = match tld {
        "localhost" => return Some(SpecialUse::Localhost),
        "test" => SpecialUse::Test,
        "example" => SpecialUse::Example,
        "com" | "net" | "org" if second() == "example" => SpecialUse::Example,
        "invalid" => SpecialUse::Invalid,
        "local" => SpecialUse::Local,
        "onion" => SpecialUse::Onion,
        "internal" => SpecialUse::Internal,
        "alt" => SpecialUse::Alt,
        "arpa" => return of_arpa(parent),
        _ => return None,
    };
    // Alone they are a single label, for which a person is asked to complete the name.
    (!parent.is_empty()).then_some(special)
}

/// Whether `parent`.arpa is set aside.
fn of_arpa(parent: &str) -> Option<SpecialUse> {
    let below =
        |zone: &str| parent.strip_suffix(zone).is_some_and(|left| left.is_empty() || left.ends_with('.'));
    if below("home") {
        return Some(SpecialUse::HomeArpa);
    }
    const PROTOCOLS: [&str; 7] =
        ["6tisch", "eap", "eap-noob", "ipv4only", "resolver", "service", "empty.as112"];
    if PROTOCOLS.into_iter().any(below) || of_reverse(parent) {
        return Some(SpecialUse::Infrastructure);
    }
    None
}

/// Whether it is the reverse name of a private or link-local network.
fn of_reverse(parent: &str) -> bool {
    const V4: [&str; 5] = ["10", "168.192", "254.169", "170.0.0.192", "171.0.0.192"];
    const V6: [&str; 4] = ["8.e.f", "9.e.f", "a.e.f", "b.e.f"];
    let under = |reversed: &str, zone: &str| {
        reversed.strip_suffix(zone).is_some_and(|left| left.is_empty() || left.ends_with('.'))
    };
    if let Some(reversed) = parent.strip_suffix(".in-addr") {
        let mut octets = reversed.rsplit('.');
        let private_b = octets.next() == Some("172")
            && octets.next().and_then(|o| o.parse::<u8>().ok()).is_some_and(|o| (16..=31).contains(&o));
        return private_b || V4.iter().any(|zone| under(reversed, zone));
    }
    parent.strip_suffix(".ip6").is_some_and(|reversed| V6.iter().any(|zone| under(reversed, zone)))
}

/// Whether an address is set aside.
pub(super) fn of_address(address: IpAddr) -> Option<SpecialUse> {
    match address {
        IpAddr::V4(v4) => of_v4(v4),
        IpAddr::V6(v6) => of_v6(v6),
    }
}

fn of_v4(v4: Ipv4Addr) -> Option<SpecialUse> {
    Some(match v4.octets() {
        [0, 0, 0, 0] => SpecialUse::Unspecified,
        [255, 255, 255, 255] => SpecialUse::Broadcast,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => SpecialUse::Private,
        [127, ..] => SpecialUse::Loopback,
        [169, 254, ..] => SpecialUse::LinkLocal,
        [100, 64..=127, ..] => SpecialUse::Shared,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => SpecialUse::Documentation,
        [198, 18 | 19, ..] => SpecialUse::Benchmarking,
        // Port control protocol and TURN anycast (RFC 7723, 8155) are globally reachable.
        [192, 0, 0, 9 | 10] => return None,
        [224..=239, ..] => SpecialUse::Multicast,
        [0, ..] | [192, 0, 0, _] | [240..=255, ..] => SpecialUse::Reserved,
        _ => return None,
    })
}

fn of_v6(v6: Ipv6Addr) -> Option<SpecialUse> {
    if v6.is_unspecified() {
        return Some(SpecialUse::Unspecified);
    }
    if v6.is_loopback() {
        return Some(SpecialUse::Loopback);
    }
    Some(match v6.segments() {
        [0xff00..=0xffff, ..] => SpecialUse::Multicast,
        [0xfc00..=0xfdff, ..] => SpecialUse::UniqueLocal,
        [0xfe80..=0xfebf, ..] => SpecialUse::LinkLocal,
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => SpecialUse::Documentation,
        [0x2001, 2, 0, ..] => SpecialUse::Benchmarking,
        // Addresses of an IPv4 machine seen through a translator (RFC 6052).
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => return None,
        [0x2000..=0x3fff, ..] => return None,
        _ => SpecialUse::Reserved,
    })
}
