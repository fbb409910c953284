//! Reading keys: whatever a list says, in the normal form in which it is looked up.

use std::net::IpAddr;

use tribunal_core::Entity;
use tribunal_core::entity::shown;

use super::super::table::{ASN, COUNTRY, DOMAIN, TLD};

/// What a column of keys holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// Domain names, addresses, CIDR blocks and ranges `first-last`, mixed as they come.
    #[default]
    Entity,
    /// Numbers of autonomous systems: `64500` or `AS64500`.
    Asn,
    /// Countries: ISO 3166-1 alpha-2.
    Country,
    /// Top-level domains.
    Tld,
}

/// Why a row was left out: a stable code, and words for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) code: &'static str,
    pub(super) text: String,
}

impl Reason {
    pub(super) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// A key; the order is that of the groups in the file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum OwnKey {
    /// The letter of its kind, and the normal form.
    Name(Box<str>),
    /// IPv4, both ends included.
    V4(u32, u32),
    /// IPv6, both ends included.
    V6(u128, u128),
}

impl OwnKey {
    fn name(letter: u8, text: &str) -> Self {
        Self::Name(format!("{}{text}", char::from(letter)).into_boxed_str())
    }

    fn of_range(first: IpAddr, last: IpAddr) -> Result<Self, Reason> {
        let wrong = |text: &str| Reason::new("range", format!("{first} to {last}: {text}"));
        match (first.to_canonical(), last.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) if a <= b => Ok(Self::V4(a.to_bits(), b.to_bits())),
            (IpAddr::V6(a), IpAddr::V6(b)) if a <= b => Ok(Self::V6(a.to_bits(), b.to_bits())),
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                Err(wrong("the first is above the last"))
            }
            _ => Err(wrong("not of one family")),
        }
    }
}

/// Reads a key.
pub(super) fn parse(kind: KeyKind, text: &str) -> Result<OwnKey, Reason> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Reason::new("empty", "no key"));
    }
    match kind {
        KeyKind::Entity => entity(text),
        KeyKind::Asn => asn(text),
        KeyKind::Country => country(text),
        KeyKind::Tld => tld(text),
    }
}

/// Reads a range whose ends stand in two columns.
pub(super) fn parse_range(first: &str, last: &str) -> Result<OwnKey, Reason> {
    OwnKey::of_range(address(first.trim())?, address(last.trim())?)
}

fn address(text: &str) -> Result<IpAddr, Reason> {
    text.parse().map_err(|_| Reason::new("address", format!("`{}` is not an IP address", shown(text))))
}

fn entity(text: &str) -> Result<OwnKey, Reason> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        let advice = "a bare number: an autonomous system? Then say that the keys are asn";
        return Err(Reason::new("number", format!("`{}` is {advice}", shown(text))));
    }
    if let Some((base, length)) = text.split_once('/')
        && let Ok(base) = base.parse::<IpAddr>()
        && length.bytes().all(|b| b.is_ascii_digit())
    {
        return cidr(text, base, length);
    }
    if let Some((first, last)) = text.split_once('-')
        && let (Ok(first), Ok(last)) = (first.trim().parse(), last.trim().parse())
    {
        return OwnKey::of_range(first, last);
    }
    let entity = Entity::parse(text).map_err(|refusal| Reason::new(refusal.code(), refusal.to_string()))?;
    match entity.address() {
        Some(address) => OwnKey::of_range(address, address),
        None => Ok(OwnKey::name(DOMAIN, entity.name())),
    }
}

fn cidr(text: &str, base: IpAddr, length: &str) -> Result<OwnKey, Reason> {
    let wrong = |what: &str| Reason::new("cidr", format!("`{}`: {what}", shown(text)));
    let width: u32 = if base.is_ipv6() { 128 } else { 32 };
    let length: u32 = length
        .parse()
        .ok()
        .filter(|length| *length <= width)
        .ok_or_else(|| wrong(&format!("the length of the prefix is not 0 to {width}")))?;
    let host = u128::MAX.checked_shr(128 - (width - length)).unwrap_or(0);
    let (first, last) = match base {
        IpAddr::V4(base) => {
            let first = u128::from(base.to_bits());
            (first, IpAddr::V4(((first | host) as u32).into()))
        }
        IpAddr::V6(base) => (base.to_bits(), IpAddr::V6((base.to_bits() | host).into())),
    };
    if first & host != 0 {
        return Err(wrong("bits below the prefix are set"));
    }
    OwnKey::of_range(base, last)
}

fn asn(text: &str) -> Result<OwnKey, Reason> {
    let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
    let number = Some(digits).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    match number.and_then(|digits| digits.parse::<u32>().ok()) {
        Some(number) => Ok(OwnKey::name(ASN, &number.to_string())),
        None => {
            Err(Reason::new("asn", format!("`{}` is not the number of an autonomous system", shown(text))))
        }
    }
}

fn country(text: &str) -> Result<OwnKey, Reason> {
    if text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Ok(OwnKey::name(COUNTRY, &text.to_ascii_uppercase()));
    }
    Err(Reason::new("country", format!("`{}` is not a country code of two letters", shown(text))))
}

/// A label that a name could end in: read as the end of a name, so that it gets the same normal form.
fn tld(text: &str) -> Result<OwnKey, Reason> {
    let label = text.strip_prefix('.').unwrap_or(text);
    let wrong = || Reason::new("tld", format!("`{}` is not a top-level domain", shown(text)));
    if label.contains(['.', ':', '/', '@', '[']) {
        return Err(wrong());
    }
    // Two labels in front: under some, every name of two labels is a suffix.
    let entity = Entity::parse(&format!("a.example.{label}")).map_err(|_| wrong())?;
    match entity.name().strip_prefix("a.example.") {
        Some(label) if !label.contains('.') => Ok(OwnKey::name(TLD, label)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Result<OwnKey, &'static str> {
        Ok(OwnKey::Name(text.into()))
    }

    #[test]
    fn keys_are_read_into_normal_form() {
        let cases = [
            (KeyKind::Entity, "EVIL[.]Example.COM.", name("devil.example.com")),
            (KeyKind::Entity, "hxxp://evil.example.com/x?y", name("devil.example.com")),
            (KeyKind::Entity, "bücher.example", name("dxn--bcher-kva.example")),
            (KeyKind::Entity, "1.2.3.4", Ok(OwnKey::V4(0x0102_0304, 0x0102_0304))),
            (KeyKind::Entity, "::ffff:1.2.3.4", Ok(OwnKey::V4(0x0102_0304, 0x0102_0304))),
            (KeyKind::Entity, "1.2.0.0/16", Ok(OwnKey::V4(0x0102_0000, 0x0102_ffff))),
            (KeyKind::Entity, "0.0.0.0/0", Ok(OwnKey::V4(0, u32::MAX))),
            (KeyKind::Entity, "::/0", Ok(OwnKey::V6(0, u128::MAX))),
            (KeyKind::Entity, "2001:db8::/127", Ok(OwnKey::V6(0x2001_0db8 << 96, (0x2001_0db8 << 96) | 1))),
            (KeyKind::Entity, "1.2.3.4 - 1.2.3.9", Ok(OwnKey::V4(0x0102_0304, 0x0102_0309))),
            (KeyKind::Entity, "1.2.3.9-1.2.3.4", Err("range")),
            (KeyKind::Entity, "1.2.3.4-::1", Err("range")),
            (KeyKind::Entity, "1.2.3.4/16", Err("cidr")),
            (KeyKind::Entity, "1.2.3.4/33", Err("cidr")),
            (KeyKind::Entity, "13335", Err("number")),
            (KeyKind::Entity, " ", Err("empty")),
            (KeyKind::Asn, "AS13335", name("a13335")),
            (KeyKind::Asn, "013335", name("a13335")),
            (KeyKind::Asn, "4294967296", Err("asn")),
            (KeyKind::Asn, "+1", Err("asn")),
            (KeyKind::Asn, "AS", Err("asn")),
            (KeyKind::Country, "de", name("cDE")),
            (KeyKind::Country, "D3", Err("country")),
            (KeyKind::Tld, ".COM", name("tcom")),
            (KeyKind::Tld, "jm", name("tjm")),
            (KeyKind::Tld, "рф", name("txn--p1ai")),
            (KeyKind::Tld, "co.uk", Err("tld")),
            (KeyKind::Tld, "a b", Err("tld")),
        ];
        for (kind, text, expected) in cases {
            let parsed = parse(kind, text);
            assert_eq!(
                parsed.as_ref().map_err(|reason| reason.code),
                expected.as_ref().map_err(|c| *c),
                "{text}"
            );
        }
    }

    #[test]
    fn a_range_in_two_columns_is_read() {
        assert_eq!(parse_range("1.0.0.0", " 1.0.0.255"), Ok(OwnKey::V4(0x0100_0000, 0x0100_00ff)));
        assert_eq!(parse_range("1.0.0.0", "").unwrap_err().code, "address");
        assert_eq!(parse_range("2.0.0.0", "1.0.0.0").unwrap_err().code, "range");
    }
}
