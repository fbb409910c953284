//! What an IP address says of itself, and what its network and country say of it.
//!
//! Network and country come from the caller (`AddressFacts`), their rates from the lexicon.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tribunal_core::AddressFacts;

use crate::definition::{IP, count, features, flag};
use crate::extractor::AddressTables;

features! { Address for IP;
    Version "ip_version" "version" 4.0 6.0 "4 or 6" "";
    Global "ip_global" "flag" 0.0 1.0
        "none of private, loopback, link-local, multicast, documentation, reserved" "";
    Transition "ip_transition" "flag" 0.0 1.0 "IPv6 that carries IPv4 (6to4, Teredo, NAT64)" "";
    First "ip_first_octet" "octet" 0.0 255.0 "first octet" "IPv6";
    Last "ip_last_octet" "octet" 0.0 255.0 "last octet" "IPv6";
    LastLow "ip_last_octet_low" "flag" 0.0 1.0 "last octet from 1 to 20: routers and servers" "IPv6";
    LastEdge "ip_last_octet_edge" "flag" 0.0 1.0 "last octet 0, 254 or 255" "IPv6";
    DistinctOctets "ip_distinct_octets" "count" 1.0 4.0 "different octets" "IPv6";
    Ones "ip_interface_bits" "count" 0.0 64.0
        "bits set in the lower 64: few for servers, near 32 for temporary addresses" "IPv4";
    Eui64 "ip_eui64" "flag" 0.0 1.0 "interface identifier made of a hardware address" "IPv4";
    ZeroGroups "ip_zero_groups" "count" 0.0 8.0 "groups of 16 bits that are zero" "IPv4";
    AsnKnown "asn_known" "flag" 0.0 1.0
        "the address lies in an announced range of the data set" "no data set";
    AsnLog "asn_log10" "log10" 0.0 10.0
        "log10 of the autonomous system's number: late numbers are young systems"
        "no data set, or not announced";
    AsnRate "asn_rate" "ratio" 0.0 1.0
        "smoothed share of malicious addresses of the autonomous system in training"
        "no table, no data set, or not announced";
    AsnSupport "asn_support" "log10" 0.0 10.0
        "log10 of 1 + addresses of the autonomous system in training"
        "no table, no data set, or not announced";
    HostingShare "asn_hosting_share" "ratio" 0.0 1.0
        "share of the autonomous system's addresses in hosting ranges" "no table, or not in it";
    HostingName "as_name_hosting" "flag" 0.0 1.0
        "the organisation's name has a word of hosting (host, cloud, server, vps, ...)"
        "no data set, or no name";
    AccessName "as_name_access" "flag" 0.0 1.0
        "the organisation's name has a word of access networks (telecom, broadband, mobile, cable, ...)"
        "no data set, or no name";
    PublicName "as_name_public" "flag" 0.0 1.0
        "the organisation's name has a word of universities and authorities" "no data set, or no name";
    HostingRange "ip_hosting_range" "flag" 0.0 1.0
        "the address lies in a known hosting range" "no list of hosting ranges";
    NetworkSize "network_size_log2" "log2" 0.0 128.0
        "log2 of the number of addresses in the announced range" "no data set, or not announced";
    NetworkPlace "network_place" "ratio" 0.0 1.0
        "how far into the announced range the address lies" "no data set, or not announced";
    CountryKnown "country_known" "flag" 0.0 1.0 "the address is registered in a country" "no data set";
    CountryRate "country_rate" "ratio" 0.0 1.0
        "smoothed share of malicious addresses of the country in training"
        "no table, no data set, or no country";
    CountrySupport "country_support" "log10" 0.0 10.0
        "log10 of 1 + addresses of the country in training" "no table, no data set, or no country";
}

const HOSTING_WORDS: [&str; 16] = [
    "host",
    "cloud",
    "server",
    "vps",
    "datacenter",
    "data center",
    "datacentre",
    "colo",
    "dedicated",
    "digitalocean",
    "ovh",
    "hetzner",
    "linode",
    "amazon",
    "contabo",
    "internet solutions",
];
const ACCESS_WORDS: [&str; 14] = [
    "telecom",
    "telekom",
    "telefonica",
    "broadband",
    "mobile",
    "cable",
    "wireless",
    "communications",
    "chinanet",
    "unicom",
    "comcast",
    "fiber",
    "fibra",
    "isp",
];
const PUBLIC_WORDS: [&str; 10] = [
    "universit",
    "college",
    "school",
    "research",
    "education",
    "ministry",
    "government",
    "department of",
    "academ",
    "institute",
];
/// Most bytes of a name that are looked at.
const MAX_NAME: usize = 256;

/// Computes the group.
pub(crate) fn fill(
    address: IpAddr,
    facts: Option<&AddressFacts>,
    tables: &AddressTables<'_>,
    out: &mut [f32],
) {
    match address {
        IpAddr::V4(address) => v4(address, out),
        IpAddr::V6(address) => v6(address, out),
    }
    if let Some(facts) = facts {
        network(address, facts, tables, out);
        organisation(facts, out);
    }
}

fn v4(address: Ipv4Addr, out: &mut [f32]) {
    let octets = address.octets();
    let local = address.is_private() || address.is_loopback() || address.is_link_local();
    let shared = octets[0] == 100 && octets[1] & 0xc0 == 64;
    let reserved = octets[0] == 0 || octets[0] >= 224 || address.is_documentation();
    Address::Version.set(out, 4.0);
    Address::Global.set(out, flag(!(local || shared || reserved)));
    Address::Transition.set(out, 0.0);
    Address::First.set(out, f32::from(octets[0]));
    Address::Last.set(out, f32::from(octets[3]));
    Address::LastLow.set(out, flag((1..=20).contains(&octets[3])));
    Address::LastEdge.set(out, flag(matches!(octets[3], 0 | 254 | 255)));
    let distinct = (0..4).filter(|i| !octets[..*i].contains(&octets[*i])).count();
    Address::DistinctOctets.set(out, count(distinct));
}

fn v6(address: Ipv6Addr, out: &mut [f32]) {
    let groups = address.segments();
    let documentation = groups[0] == 0x2001 && groups[1] == 0xdb8;
    let transition = groups[0] == 0x2002
        || (groups[0] == 0x2001 && groups[1] == 0)
        || (groups[0] == 0x64 && groups[1] == 0xff9b);
    let unicast = groups[0] & 0xe000 == 0x2000 || groups[0] == 0x64;
    let interface = address.to_bits() as u64;
    Address::Version.set(out, 6.0);
    Address::Global.set(out, flag(unicast && !documentation));
    Address::Transition.set(out, flag(transition));
    Address::Ones.set(out, interface.count_ones() as f32);
    Address::Eui64.set(out, flag(interface >> 24 & 0xffff == 0xfffe));
    Address::ZeroGroups.set(out, count(groups.iter().filter(|group| **group == 0).count()));
}

fn network(address: IpAddr, facts: &AddressFacts, tables: &AddressTables<'_>, out: &mut [f32]) {
    Address::AsnKnown.set(out, flag(facts.asn.is_some()));
    Address::CountryKnown.set(out, flag(facts.country.is_some()));
    if let Some(asn) = facts.asn {
        let key = asn.to_be_bytes();
        Address::AsnLog.set(out, f64::from(asn).max(1.0).log10() as f32);
        if let Some((rate, support)) = tables.asn.as_ref().and_then(|table| table.get(&key)) {
            Address::AsnRate.set(out, rate);
            Address::AsnSupport.set(out, (1.0 + support).log10());
        }
        if let Some((share, _)) = tables.hosting.as_ref().and_then(|table| table.get(&key)) {
            Address::HostingShare.set(out, share);
        }
    }
    if let Some((rate, support)) =
        facts.country.as_ref().and_then(|country| tables.country.as_ref()?.get(country.as_bytes()))
    {
        Address::CountryRate.set(out, rate);
        Address::CountrySupport.set(out, (1.0 + support).log10());
    }
    if let Some((first, last)) = facts.range {
        let bits = match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        let size = last.saturating_sub(first) as f64 + 1.0;
        Address::NetworkSize.set(out, (size.log2() as f32).clamp(0.0, 128.0));
        Address::NetworkPlace.set(out, ((bits.saturating_sub(first) as f64 / size) as f32).clamp(0.0, 1.0));
    }
    if let Some(hosting) = facts.hosting {
        Address::HostingRange.set(out, flag(hosting));
    }
}

fn organisation(facts: &AddressFacts, out: &mut [f32]) {
    let Some(name) = &facts.as_name else { return };
    let name: String = name.chars().take(MAX_NAME).collect::<String>().to_ascii_lowercase();
    let has = |words: &[&str]| flag(words.iter().any(|word| name.contains(word)));
    Address::HostingName.set(out, has(&HOSTING_WORDS));
    Address::AccessName.set(out, has(&ACCESS_WORDS));
    Address::PublicName.set(out, has(&PUBLIC_WORDS));
}
