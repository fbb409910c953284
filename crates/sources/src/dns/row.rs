//! One row about one name. What was not asked for has no field.
//!
//! | field | what it is |
//! |---|---|
//! | `nxdomain` | whether the name does not exist |
//! | `a_count`, `aaaa_count`, `ns_count`, `mx_count`, `txt_count` | how many different records there are |
//! | `cname_count` | aliases on the way from the name to its addresses |
//! | `ttl_min`, `ttl_max` | seconds, of addresses and the aliases on the way to them |
//! | `ns_ttl`, `mx_ttl`, `txt_ttl` | seconds, the least of each kind |
//! | `addresses` | texts |
//! | `asns`, `as_names`, `countries` | of the addresses, as the data set of ranges knows them |
//! | `name_servers`, `mx`, `cnames` | names |
//!
//! Lists have no value twice, are sorted (a resolver rotates its answers, and a row must not change with that), and
//! end after [`MAX_LISTED`] values; counts count all. Name servers are those of the registrable domain. The exchange
//! `.` that says that a name takes no mail (RFC 7505) is none. Seconds are what the resolver had left of its records.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hickory_resolver::proto::rr::{Name, RData, Record};
use serde_json::{Map, Value};
use tribunal_core::AddressFacts;
use tribunal_core::entity::MAX_NAME_BYTES;

use crate::config::RecordKind;

/// Most values of a list.
pub(super) const MAX_LISTED: usize = 64;
/// Most bytes of a name of an autonomous system.
const MAX_AS_NAME_BYTES: usize = 128;

/// What one question came to.
#[derive(Debug)]
pub(super) struct Answer {
    kind: RecordKind,
    exists: bool,
    values: BTreeSet<Found>,
    aliases: BTreeSet<String>,
    /// Least and greatest.
    ttl: Option<(u32, u32)>,
}

/// A record's value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Address(IpAddr),
    Name(String),
    Text(Vec<u8>),
}

impl Answer {
    /// Takes of an answer what was asked for, and the aliases that led there.
    pub(super) fn new(kind: RecordKind, records: &[Record], exists: bool) -> Self {
        let mut answer = Self { kind, exists, values: BTreeSet::new(), aliases: BTreeSet::new(), ttl: None };
        for record in records {
            let value = match (kind, &record.data) {
                (RecordKind::A, RData::A(v4)) => Some(Found::Address(IpAddr::V4(v4.0))),
                (RecordKind::AAAA, RData::AAAA(v6)) => Some(Found::Address(IpAddr::V6(v6.0))),
                (RecordKind::NS, RData::NS(name)) => Some(Found::Name(text_of(&name.0))),
                (RecordKind::MX, RData::MX(mx)) if mx.exchange.is_root() => None,
                (RecordKind::MX, RData::MX(mx)) => Some(Found::Name(text_of(&mx.exchange))),
                (RecordKind::TXT, RData::TXT(text)) => Some(Found::Text(text.txt_data.concat())),
                (_, RData::CNAME(name)) => {
                    answer.aliases.insert(text_of(&name.0));
                    None
                }
                // What was not asked for is not believed.
                _ => continue,
            };
            answer.values.extend(value);
            let (least, greatest) = answer.ttl.unwrap_or((record.ttl, record.ttl));
            answer.ttl = Some((least.min(record.ttl), greatest.max(record.ttl)));
        }
        answer
    }
}

/// A name in lower case without its last dot. Bytes that no host name has are escaped as in a zone file (RFC 1035
/// section 5.1), in decimal.
fn text_of(name: &Name) -> String {
    let mut text = String::new();
    for (i, label) in name.iter().enumerate() {
        if i > 0 {
            text.push('.');
        }
        for byte in label {
            match byte.to_ascii_lowercase() {
                b @ (b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') => text.push(char::from(b)),
                b @ (b'.' | b'\\') => text.extend(['\\', char::from(b)]),
                b => text.push_str(&format!("\\{b:03}")),
            }
        }
    }
    text
}

/// The answers about one name, until they are all there.
#[derive(Debug)]
pub(super) struct Gathering {
    missing: usize,
    row: Row,
}

impl Gathering {
    /// Waits for `questions` answers.
    pub(super) fn new(questions: usize) -> Self {
        Self { missing: questions, row: Row::default() }
    }

    /// Adds an answer; the row, once it is whole.
    pub(super) fn add(&mut self, answer: Answer) -> Option<Row> {
        self.row.answers.push(answer);
        self.missing = self.missing.checked_sub(1)?;
        (self.missing == 0).then(|| std::mem::take(&mut self.row))
    }
}

/// All that was answered about one name.
#[derive(Debug, Default)]
pub(super) struct Row {
    answers: Vec<Answer>,
}

impl Row {
    /// As an adapter answers.
    pub(super) fn into_value(
        mut self,
        facts_of: &(dyn Fn(IpAddr) -> Option<AddressFacts> + Send + Sync),
    ) -> Value {
        self.answers.sort_by_key(|answer| answer.kind);
        let mut row = Map::new();
        row.insert("nxdomain".to_owned(), self.answers.iter().any(|answer| !answer.exists).into());
        for answer in &self.answers {
            let (count, list, ttl) = match answer.kind {
                RecordKind::A => ("a_count", None, None),
                RecordKind::AAAA => ("aaaa_count", None, None),
                RecordKind::NS => ("ns_count", Some("name_servers"), Some("ns_ttl")),
                RecordKind::MX => ("mx_count", Some("mx"), Some("mx_ttl")),
                RecordKind::TXT => ("txt_count", None, Some("txt_ttl")),
            };
            row.insert(count.to_owned(), answer.values.len().into());
            if let Some(list) = list {
                row.insert(list.to_owned(), names(answer.values.iter().filter_map(Found::name)));
            }
            if let (Some(key), Some((least, _))) = (ttl, answer.ttl) {
                row.insert(key.to_owned(), least.into());
            }
        }
        self.add_addresses(&mut row, facts_of);
        Value::Object(row)
    }

    fn add_addresses(
        &self,
        row: &mut Map<String, Value>,
        facts_of: &(dyn Fn(IpAddr) -> Option<AddressFacts> + Send + Sync),
    ) {
        let answers = || self.answers.iter().filter(|answer| answer.kind <= RecordKind::AAAA);
        if answers().next().is_none() {
            return;
        }
        let aliases: BTreeSet<&str> =
            answers().flat_map(|answer| &answer.aliases).map(String::as_str).collect();
        row.insert("cname_count".to_owned(), aliases.len().into());
        row.insert("cnames".to_owned(), names(aliases.into_iter()));
        if let Some(least) = answers().filter_map(|answer| answer.ttl).map(|(least, _)| least).min() {
            row.insert("ttl_min".to_owned(), least.into());
        }
        if let Some(greatest) = answers().filter_map(|answer| answer.ttl).map(|(_, greatest)| greatest).max()
        {
            row.insert("ttl_max".to_owned(), greatest.into());
        }
        let addresses: Vec<IpAddr> =
            answers().flat_map(|answer| &answer.values).filter_map(Found::address).collect();
        let (mut asns, mut as_names, mut countries) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for facts in addresses.iter().take(MAX_LISTED).filter_map(|address| facts_of(address.to_canonical()))
        {
            asns.extend(facts.asn);
            as_names.extend(facts.as_name.filter(|name| name.len() <= MAX_AS_NAME_BYTES));
            countries.extend(facts.country);
        }
        row.insert(
            "addresses".to_owned(),
            addresses.iter().take(MAX_LISTED).map(IpAddr::to_string).collect(),
        );
        row.insert("asns".to_owned(), asns.into_iter().collect());
        row.insert("as_names".to_owned(), as_names.into_iter().collect());
        row.insert("countries".to_owned(), countries.into_iter().collect());
    }
}

impl Found {
    fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            _ => None,
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// A list of names. One that is longer than names are has escapes in it, and is not shown.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> Value {
    names.filter(|name| name.len() <= MAX_NAME_BYTES).take(MAX_LISTED).collect()
}
