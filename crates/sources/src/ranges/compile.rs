//! Compiles published tables of ranges to one data set.
//!
//! | table | columns | header |
//! |---|---|---|
//! | network | first address, last address, number of the autonomous system, name of the organisation | no |
//! | country | first address, last address, ISO 3166-1 alpha-2 | no |
//! | hosting | `type,provider,cidr` | yes |
//!
//! IPv4 and IPv6 may come in one file or in two. Network and country tables are sorted by first address, each
//! family on its own. What is not of this form is an error that names file, line and value: a table that is
//! broken in one place is not to be trusted in the others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::pieces::{split_v6, write};
use super::resolve::{Row, resolve};
use super::{About, DatasetError, FORMAT, Origin};

/// Most rows of a kind of table: six times what is published.
const MAX_ROWS: usize = 4_000_000;
/// Longest name kept, in bytes.
const MAX_NAME: usize = 120;

/// Kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Range -> autonomous system.
    Network,
    /// Range -> country.
    Country,
    /// Hosting ranges.
    Hosting,
}

/// A table to compile.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// Kind.
    pub table: Table,
    /// Name of the file, for errors and for the record.
    pub file: &'a str,
    /// Its content.
    pub content: &'a [u8],
}

#[derive(Default)]
struct Rows {
    v4: Vec<Row>,
    v6: Vec<Row>,
}

/// Compiles a data set.
pub fn compile(inputs: &[Input<'_>]) -> Result<Vec<u8>, DatasetError> {
    let mut names: BTreeMap<u32, String> = BTreeMap::new();
    let mut sections = Vec::new();
    let mut about = About::default();
    for (table, tag, value_bytes) in
        [(Table::Network, "asn", 4), (Table::Country, "country", 2), (Table::Hosting, "hosting", 1)]
    {
        let mut rows = Rows::default();
        let mut given = false;
        for input in inputs.iter().filter(|input| input.table == table) {
            let read = read_table(input, &mut rows, &mut names)?;
            given = true;
            let digest = tribunal_core::digest::sha256(input.content);
            about.origins.push(Origin { file: input.file.to_owned(), digest, rows: read });
        }
        if table == Table::Hosting && !given {
            continue;
        }
        let overlapping = write_tables(&mut sections, tag, value_bytes, &mut rows, table);
        about.overlapping.insert(tag.to_owned(), overlapping);
    }
    sections.push(("names".to_owned(), write_names(&names)));
    sections.push(("about".to_owned(), serde_json::to_vec(&about).unwrap_or_default()));
    Ok(FORMAT.write(&sections)?)
}

/// Resolves both families, and adds their sections.
fn write_tables(
    sections: &mut Vec<(String, Vec<u8>)>,
    tag: &str,
    value_bytes: usize,
    rows: &mut Rows,
    table: Table,
) -> u64 {
    if table == Table::Hosting {
        rows.v4.sort_by_key(|row| row.first);
        rows.v6.sort_by_key(|row| row.first);
    }
    // Neighbouring ranges of one network stay apart: the size of a range is a feature.
    let merge = table != Table::Network;
    let (v4, overlapping_v4) = resolve(&rows.v4, merge);
    let (v6, overlapping_v6) = resolve(&rows.v6, merge);
    // What `last + 1` begins after the end of the IPv4 space has no address.
    let v4: Vec<(u128, u32)> = v4.into_iter().filter(|(start, _)| *start <= u128::from(u32::MAX)).collect();
    let [coarse, fine] = split_v6(&v6, u32::MAX >> (32 - 8 * value_bytes));
    sections.push((format!("{tag}.v4"), write(&v4, 4, value_bytes)));
    sections.push((format!("{tag}.v6"), write(&coarse, 8, value_bytes)));
    sections.push((format!("{tag}.v6.fine"), write(&fine, 16, value_bytes)));
    overlapping_v4 + overlapping_v6
}

fn read_table(
    input: &Input<'_>,
    rows: &mut Rows,
    names: &mut BTreeMap<u32, String>,
) -> Result<u64, DatasetError> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(input.table == Table::Hosting)
        .flexible(true)
        .from_reader(input.content);
    let file = || input.file.to_owned();
    let mut record = csv::StringRecord::new();
    let mut read = 0;
    while reader.read_record(&mut record).map_err(|source| DatasetError::Csv { file: file(), source })? {
        read += 1;
        if rows.v4.len() + rows.v6.len() >= MAX_ROWS {
            return Err(DatasetError::TooManyRows { file: file(), limit: MAX_ROWS });
        }
        add(input.table, &record, rows, names).map_err(|reason| DatasetError::Line {
            file: file(),
            line: record.position().map_or(0, csv::Position::line),
            reason,
        })?;
    }
    Ok(read)
}

fn add(
    table: Table,
    record: &csv::StringRecord,
    rows: &mut Rows,
    names: &mut BTreeMap<u32, String>,
) -> Result<(), String> {
    let expected = if table == Table::Network { 4 } else { 3 };
    if record.len() != expected {
        return Err(format!("{} fields, {expected} are expected", record.len()));
    }
    if table == Table::Hosting {
        let (v6, row) = cidr(&record[2])?;
        let family = if v6 { &mut rows.v6 } else { &mut rows.v4 };
        family.push(row);
        return Ok(());
    }
    let value = match table {
        Table::Network => asn(&record[2], &record[3], names)?,
        _ => country(&record[2])?,
    };
    let (v6, first, last) = range(&record[0], &record[1])?;
    let family = if v6 { &mut rows.v6 } else { &mut rows.v4 };
    if let Some(before) = family.last().filter(|before| before.first > first) {
        let name = if v6 { address_v6(before.first) } else { address_v4(before.first) };
        return Err(format!("not sorted: {} comes after {name}", &record[0]));
    }
    family.push(Row { first, last, value });
    Ok(())
}

fn address_v4(bits: u128) -> String {
    std::net::Ipv4Addr::from_bits(bits as u32).to_string()
}

fn address_v6(bits: u128) -> String {
    std::net::Ipv6Addr::from_bits(bits).to_string()
}

/// Family and bits of an address.
fn address(text: &str) -> Result<(bool, u128), String> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => Ok((false, u128::from(address.to_bits()))),
        Ok(IpAddr::V6(address)) => Ok((true, address.to_bits())),
        Err(_) => Err(format!("{text:?} is not an IP address")),
    }
}

fn range(first: &str, last: &str) -> Result<(bool, u128, u128), String> {
    let ((v6, from), (other, to)) = (address(first)?, address(last)?);
    if v6 != other {
        return Err(format!("{first} and {last} are not of one family"));
    }
    if from > to {
        return Err(format!("{first} is above {last}"));
    }
    Ok((v6, from, to))
}

fn cidr(text: &str) -> Result<(bool, Row), String> {
    let (base, length) = text.split_once('/').ok_or_else(|| format!("{text:?} is not a CIDR block"))?;
    let (v6, first) = address(base)?;
    let width: u32 = if v6 { 128 } else { 32 };
    let length: u32 = length.parse().map_err(|_| format!("{text:?} is not a CIDR block"))?;
    if length > width {
        return Err(format!("{text}: a prefix of {length} bits, at most {width}"));
    }
    let host = u128::MAX.checked_shr(128 - (width - length)).unwrap_or(0);
    if first & host != 0 {
        return Err(format!("{text}: bits below the prefix are set"));
    }
    Ok((v6, Row { first, last: first | host, value: 1 }))
}

fn asn(number: &str, name: &str, names: &mut BTreeMap<u32, String>) -> Result<u32, String> {
    // Zero is "none", and the greatest is reserved (RFC 7300): in the file it says to look further.
    let value: u32 = number
        .parse()
        .ok()
        .filter(|value| (1..u32::MAX).contains(value))
        .ok_or_else(|| format!("{number:?} is not the number of an autonomous system"))?;
    names.entry(value).or_insert_with(|| {
        let end = (0..=MAX_NAME.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
        name[..end].to_owned()
    });
    Ok(value)
}

fn country(text: &str) -> Result<u32, String> {
    match text.as_bytes() {
        [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Ok(u32::from(*a) << 8 | u32::from(*b)),
        _ => Err(format!("{text:?} is not a country code of two capitals")),
    }
}

fn write_names(names: &BTreeMap<u32, String>) -> Vec<u8> {
    let mut section = (names.len() as u32).to_le_bytes().to_vec();
    section.extend(names.keys().flat_map(|number| number.to_le_bytes()));
    let mut end = 0_u32;
    for name in names.values() {
        end += name.len() as u32;
        section.extend_from_slice(&end.to_le_bytes());
    }
    section.extend(names.values().flat_map(|name| name.bytes()));
    section
}
