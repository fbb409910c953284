//! Writes a table: keys sorted, rows grouped by key, and every section of the file.

use std::collections::HashMap;

use tribunal_core::digest::sha256;

use super::super::bytes::{greatest, width_for};
use super::super::column::ColumnAbout;
use super::super::names::Names;
use super::super::table::{ASN, COUNTRY, DOMAIN, FORMAT, KeyCounts, MAX_FILE_BYTES, TLD, TableAbout};
use super::{BuildError, Builder, Built, Cell, LISTED, OwnKey, Values};
use crate::ranges::pieces::{split_v6, write};
use crate::ranges::resolve::{Row, resolve};

type Sections = Vec<(String, Vec<u8>)>;

impl Builder {
    /// Writes the file.
    ///
    /// # Errors
    /// When no row is left, or the file is larger than one may be.
    pub fn finish(mut self) -> Result<Built, BuildError> {
        if self.rows.is_empty() {
            return Err(BuildError::NothingLeft { rows: self.report.read, report: Box::new(self.report) });
        }
        self.check_types()?;
        let mut keys: Vec<(OwnKey, u32)> = std::mem::take(&mut self.keys).into_iter().collect();
        keys.sort_unstable();
        let (order, starts) = self.group(&keys);
        self.report.rows = self.rows.len() as u64;
        self.report.keys = count(&keys);
        let mut sections = Sections::new();
        let single = starts.len() == self.rows.len() + 1;
        let groups =
            if single { Vec::new() } else { starts.into_iter().flat_map(u32::to_le_bytes).collect() };
        sections.push(("groups".to_owned(), groups));
        write_names(&mut sections, &keys)?;
        write_ranges(&mut sections, &keys);
        drop(keys);
        let columns = self.write_columns(&mut sections, &order)?;
        let about = TableAbout {
            rows: self.report.rows,
            keys: self.report.keys,
            columns,
            origins: std::mem::take(&mut self.origins),
        };
        let about = serde_json::to_vec(&about).map_err(BuildError::About)?;
        sections.insert(0, ("about".to_owned(), about));
        Ok(Built { bytes: FORMAT.write(&sections)?, report: self.report })
    }

    /// Refuses a type that is said of a column that is not there: its name is misspelt.
    fn check_types(&self) -> Result<(), BuildError> {
        let known = |name: &String| self.columns.iter().any(|(column, _)| column == name);
        match self.options.types.keys().find(|name| !known(name)) {
            None => Ok(()),
            Some(column) => Err(BuildError::NoColumn {
                file: "the table".to_owned(),
                column: column.clone(),
                found: self.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// The rows in the order of the keys, and where each key's begin (and the last one's end).
    fn group(&self, keys: &[(OwnKey, u32)]) -> (Vec<u32>, Vec<u32>) {
        let mut next = vec![0_u32; keys.len()];
        let mut starts = Vec::with_capacity(keys.len() + 1);
        let mut start = 0;
        for (_, number) in keys {
            starts.push(start);
            next[*number as usize] = start;
            start += self.counts[*number as usize];
        }
        starts.push(start);
        let mut order = vec![0_u32; self.rows.len()];
        for (row, number) in (0_u32..).zip(&self.rows) {
            let place = &mut next[*number as usize];
            order[*place as usize] = row;
            *place += 1;
        }
        (order, starts)
    }

    fn write_columns(
        &mut self,
        sections: &mut Sections,
        order: &[u32],
    ) -> Result<Vec<ColumnAbout>, BuildError> {
        let mut columns = std::mem::take(&mut self.columns);
        if columns.is_empty() {
            let mut listed = Values::default();
            for row in 0..order.len() {
                listed.set(row, Cell::Bare("true"));
            }
            columns.push((LISTED.to_owned(), listed));
        }
        let mut about = Vec::with_capacity(columns.len());
        for (i, (name, mut values)) in columns.into_iter().enumerate() {
            let kind = self.options.types.get(&name).copied().unwrap_or_else(|| values.infer());
            let too_large = BuildError::TooLarge { limit: MAX_FILE_BYTES };
            let (section, unreadable) = values.encode(kind, order).ok_or(too_large)?;
            sections.push((format!("column.{i}"), section));
            if unreadable > 0 {
                self.report.unreadable.insert(name.clone(), unreadable);
            }
            about.push(ColumnAbout { name, kind });
        }
        Ok(about)
    }
}

fn names(keys: &[(OwnKey, u32)]) -> impl Iterator<Item = &[u8]> + Clone {
    keys.iter().map_while(|(key, _)| match key {
        OwnKey::Name(name) => Some(name.as_bytes()),
        OwnKey::V4(..) | OwnKey::V6(..) => None,
    })
}

fn write_names(sections: &mut Sections, keys: &[(OwnKey, u32)]) -> Result<(), BuildError> {
    let texts = Names::write(names(keys)).ok_or(BuildError::TooLarge { limit: MAX_FILE_BYTES })?;
    // Of the content, so that the same keys make the same file, and nobody knows it before all keys are there.
    let seed = sha256(&texts).bytes().rev().take(8).fold(0_u64, |seed, byte| (seed << 8) | u64::from(byte));
    let hash = Names::write_hash(&names(keys), seed).ok_or(BuildError::Collisions)?;
    sections.push(("names".to_owned(), texts));
    sections.push(("hash".to_owned(), hash));
    Ok(())
}

fn write_ranges(sections: &mut Sections, keys: &[(OwnKey, u32)]) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for (value, (key, _)) in (1_u32..).zip(keys) {
        match key {
            OwnKey::Name(_) => {}
            OwnKey::V4(first, last) => v4.push(Row { first: (*first).into(), last: (*last).into(), value }),
            OwnKey::V6(first, last) => v6.push(Row { first: *first, last: *last, value }),
        }
    }
    let width = width_for(keys.len() as u64);
    let (v4, _) = resolve(&v4, true);
    // What `last + 1` begins after the end of the IPv4 space has no address.
    let v4: Vec<(u128, u32)> = v4.into_iter().filter(|(start, _)| *start <= u128::from(u32::MAX)).collect();
    let (v6, _) = resolve(&v6, true);
    let [coarse, fine] = split_v6(&v6, greatest(width) as u32);
    sections.push(("v4".to_owned(), write(&v4, 4, width)));
    sections.push(("v6".to_owned(), write(&coarse, 8, width)));
    sections.push(("v6.fine".to_owned(), write(&fine, 16, width)));
}

fn count(keys: &[(OwnKey, u32)]) -> KeyCounts {
    let mut counts = KeyCounts::default();
    let mut letters: HashMap<u8, u64> = HashMap::new();
    for (key, _) in keys {
        match key {
            OwnKey::Name(name) => *letters.entry(name.as_bytes()[0]).or_default() += 1,
            OwnKey::V4(first, last) if first == last => counts.address += 1,
            OwnKey::V6(first, last) if first == last => counts.address += 1,
            OwnKey::V4(..) | OwnKey::V6(..) => counts.range += 1,
        }
    }
    let of = |letter: u8| letters.get(&letter).copied().unwrap_or_default();
    counts.tld = of(TLD);
    counts.asn = of(ASN);
    counts.country = of(COUNTRY);
    counts.domain = of(DOMAIN);
    counts
}
