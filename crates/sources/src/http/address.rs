//! Which addresses a service may have: public ones, unless `allow_private` says otherwise.
//!
//! A declaration is written by the operator, but the name in it is resolved anew for every connection by whoever
//! owns the name. So the check is made on every address that a connection is about to be made to
//! ([`PublicOnly`]), not once on the name; the addresses of instance metadata and of the function's own network can
//! then not be reached by moving a name (DNS rebinding).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tribunal_core::Entity;

/// The virtual address that Azure's machines have their metadata at, beside the link-local one of all clouds.
const AZURE_PLATFORM: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// A service has no address that may be asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{host} has only private addresses, and allow_private is not set")]
pub(super) struct PrivateAddress {
    /// The name that was resolved.
    pub(super) host: String,
}

/// Whether an address leads to a machine of the public Internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => is_public_v4(v4),
            None => is_unreserved(IpAddr::V6(v6)),
        },
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    v4 != AZURE_PLATFORM && is_unreserved(IpAddr::V4(v4))
}

/// The registries of special-purpose addresses, as the entities' own normal form knows them.
fn is_unreserved(address: IpAddr) -> bool {
    Entity::parse(&address.to_string()).is_ok_and(|entity| entity.special().is_none())
}

/// The IPv4 machine behind an IPv6 address of a translator or tunnel: NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo
/// (RFC 4380: the client's address, inverted).
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        [0x2001, 0, .., high, low] => Some(v4(!high, !low)),
        _ => None,
    }
}

/// The system's resolver, of whose answers the public addresses are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str();
            let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            addresses.retain(|address| is_public(address.ip()));
            if addresses.is_empty() {
                return Err(PrivateAddress { host: host.to_owned() }.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_in_every_form() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:4136:e378:8000:63bf:80ff:fffe",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.169.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn names_of_this_machine_do_not_resolve() {
        let resolving = PublicOnly.resolve("localhost".parse().unwrap());
        let error = resolving.await.map(|addresses| addresses.count()).unwrap_err();
        assert!(error.downcast_ref::<PrivateAddress>().is_some(), "{error}");
    }
}
