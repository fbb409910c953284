//! What is known of an IP address: the facts that a data set gives, and the features read.
//!
//! The type stands here because the data set that fills it and the features that read it do not know each
//! other. Every field is optional: without a data set nothing is known, and nothing fails.

/// Facts about one address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressFacts {
    /// Number of the autonomous system that announces the address.
    pub asn: Option<u32>,
    /// Name of the organisation behind the autonomous system.
    pub as_name: Option<String>,
    /// Country that the address is registered in: ISO 3166-1 alpha-2, upper case.
    pub country: Option<String>,
    /// First and last address of the announced range around the address, as integers (IPv4 in the low 32
    /// bits).
    pub range: Option<(u128, u128)>,
    /// Whether the address lies in a known hosting range; `None` without such a list.
    pub hosting: Option<bool>,
}

impl AddressFacts {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
