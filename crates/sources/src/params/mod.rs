//! What of a batch a database is asked for, and whose an answer's rows are.
//!
//! ```text
//! subjects -> Wanted: distinct texts of one variable -> requests of at most SUBJECTS_PER_REQUEST
//! rows with a key -> Found: a record for each text of a request, rows and bytes bounded -> replies
//! ```
//! A key is compared in normal form: any case, with or without the trailing dot and spaces around, an address in any
//! spelling. A row whose key was not asked for is dropped: a collation may hold more for equal than names are.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use serde_json::{Number, Value};

use crate::source::{Record, Replies, SourceError, Subject};

pub(crate) mod target;
#[cfg(test)]
pub(crate) mod tests;

/// Most subjects of one request to a database.
pub(crate) const SUBJECTS_PER_REQUEST: usize = 1_000;

/// Most bytes of one request's answer: 8 MiB.
pub(crate) const MAX_ANSWER_BYTES: usize = 8 << 20;

/// What a field takes beside its texts.
const FIELD_BYTES: usize = 64;

/// A variable of a query or a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    /// Every subject, by its normal form.
    Entities,
    /// Domains, by their registrable domain.
    RegistrableDomains,
    /// Addresses.
    Addresses,
}

impl Variable {
    /// Every variable.
    pub(crate) const ALL: [Self; 3] = [Self::Entities, Self::RegistrableDomains, Self::Addresses];

    /// As it is written.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Entities => ":entities",
            Self::RegistrableDomains => ":registrable_domains",
            Self::Addresses => ":addresses",
        }
    }

    /// The variable that is written so.
    pub(crate) fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| variable.text() == text)
    }

    /// All of them, for a message.
    pub(crate) fn listed() -> String {
        Self::ALL.map(Self::text).join(", ")
    }

    fn of<'a>(self, subject: &Subject<'a>) -> Option<&'a str> {
        match self {
            Self::Entities => Some(subject.entity.name()),
            Self::RegistrableDomains => subject.entity.registrable_domain(),
            Self::Addresses => subject.entity.address().map(|_| subject.entity.name()),
        }
    }
}

/// The distinct texts that a batch is asked for, and the subjects behind each.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    texts: Vec<&'a str>,
    positions: Vec<Vec<usize>>,
    nothing: Vec<usize>,
}

impl<'a> Wanted<'a> {
    /// What `variable` is for these subjects.
    pub(crate) fn new(variable: Variable, subjects: &[Subject<'a>]) -> Self {
        let mut wanted = Self { texts: Vec::new(), positions: Vec::new(), nothing: Vec::new() };
        let mut known = HashMap::new();
        for (position, subject) in subjects.iter().enumerate() {
            let Some(text) = variable.of(subject) else {
                wanted.nothing.push(position);
                continue;
            };
            let at = *known.entry(text).or_insert_with(|| {
                wanted.texts.push(text);
                wanted.positions.push(Vec::new());
                wanted.texts.len() - 1
            });
            if let Some(positions) = wanted.positions.get_mut(at) {
                positions.push(position);
            }
        }
        wanted
    }

    /// Answers for the subjects that the variable says nothing of (an address has no registrable domain).
    pub(crate) fn answer_nothing(&self, replies: &Replies) {
        for position in &self.nothing {
            replies.put(*position, Ok(Record::default()));
        }
    }

    /// The number of the request that each of `subjects` is asked about in.
    pub(crate) fn numbers(&self, subjects: usize) -> Vec<Option<usize>> {
        let mut numbers = vec![None; subjects];
        for (at, positions) in self.positions.iter().enumerate() {
            for position in positions {
                if let Some(place) = numbers.get_mut(*position) {
                    *place = Some(at / SUBJECTS_PER_REQUEST);
                }
            }
        }
        numbers
    }

    /// The texts, in requests.
    pub(crate) fn requests(&self) -> impl Iterator<Item = Request<'_>> {
        let texts = self.texts.chunks(SUBJECTS_PER_REQUEST);
        texts
            .zip(self.positions.chunks(SUBJECTS_PER_REQUEST))
            .map(|(texts, positions)| Request { texts, positions })
    }
}

/// The texts of one request, and the subjects behind each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Request<'a> {
    /// Distinct.
    pub(crate) texts: &'a [&'a str],
    positions: &'a [Vec<usize>],
}

impl<'a> Request<'a> {
    /// Of any texts.
    #[cfg(test)]
    pub(crate) const fn of(texts: &'a [&'a str], positions: &'a [Vec<usize>]) -> Self {
        Self { texts, positions }
    }

    /// Answers for the subjects behind the texts.
    pub(crate) fn answer(&self, records: Vec<Record>, replies: &Replies) {
        for (positions, record) in self.positions.iter().zip(records) {
            for position in positions {
                replies.put(*position, Ok(record.clone()));
            }
        }
    }
}

/// What one request's answer has brought so far.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    request: Request<'a>,
    by_text: HashMap<&'a str, usize>,
    records: Vec<Record>,
    rows: usize,
    max_rows: usize,
    /// Of all rows, for each subject that they are about.
    bytes: usize,
    /// Of the row that arrived last.
    row_bytes: usize,
}

impl<'a> Found<'a> {
    /// Nothing yet.
    pub(crate) fn new(request: Request<'a>, max_rows: usize) -> Self {
        Self {
            request,
            by_text: request.texts.iter().enumerate().map(|(at, text)| (*text, at)).collect(),
            records: vec![Record::default(); request.texts.len()],
            rows: 0,
            max_rows,
            bytes: 0,
            row_bytes: 0,
        }
    }

    /// Counts a row that has arrived and its bytes, before anything is made of it.
    pub(crate) fn count(&mut self, bytes: usize) -> Result<(), SourceError> {
        self.rows += 1;
        self.row_bytes = 0;
        if self.rows > self.max_rows {
            return Err(SourceError::TooLarge { limit: self.max_rows as u64, unit: "rows" });
        }
        self.count_bytes(bytes)
    }

    /// Counts fields of that row, before they are made.
    pub(crate) fn count_fields(&mut self, fields: usize) -> Result<(), SourceError> {
        self.count_bytes(fields.saturating_mul(FIELD_BYTES))
    }

    fn count_bytes(&mut self, bytes: usize) -> Result<(), SourceError> {
        self.row_bytes = self.row_bytes.saturating_add(bytes);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MAX_ANSWER_BYTES { Err(too_many_bytes()) } else { Ok(()) }
    }

    /// Gives that row to the texts that its keys name, as far as they were asked for.
    pub(crate) fn add(&mut self, keys: &[&Value], row: &Value) -> Result<(), SourceError> {
        let mut named = BTreeSet::new();
        for key in keys {
            let Value::String(key) = key else {
                return Err(SourceError::Malformed { reason: "the key of a row is no text".to_owned() });
            };
            let at = self.by_text.get(key.as_str()).or_else(|| self.by_text.get(normal(key).as_str()));
            named.extend(at.copied());
        }
        // It will be there once for each subject: what it takes is counted before it is copied.
        let subjects: usize =
            named.iter().filter_map(|at| self.request.positions.get(*at)).map(Vec::len).sum();
        self.bytes = self.bytes.saturating_add(self.row_bytes.saturating_mul(subjects.saturating_sub(1)));
        if self.bytes > MAX_ANSWER_BYTES {
            return Err(too_many_bytes());
        }
        for at in named {
            if let Some(record) = self.records.get_mut(at) {
                record.push(row.clone());
            }
        }
        Ok(())
    }

    /// A record for every text.
    pub(crate) fn into_records(self) -> Vec<Record> {
        self.records
    }
}

/// That an answer has more bytes than are taken.
pub(crate) const fn too_many_bytes() -> SourceError {
    SourceError::TooLarge { limit: MAX_ANSWER_BYTES as u64, unit: "bytes" }
}

/// A key as entities are written.
fn normal(key: &str) -> String {
    let key = key.trim_ascii();
    if let Ok(address) = key.parse::<IpAddr>() {
        return address.to_canonical().to_string();
    }
    key.strip_suffix('.').unwrap_or(key).to_ascii_lowercase()
}

/// Bytes as lossless text: themselves where they are UTF-8, else `0x` and hexadecimal digits.
pub(crate) fn text_of_bytes(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| hexadecimal(error.as_bytes()))
}

/// Bytes as `0x` and hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("0x");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A decimal number; `None` if it is none.
pub(crate) fn decimal(text: &str) -> Option<Value> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    if let Ok(number) = text.parse::<u64>() {
        return Some(number.into());
    }
    text.parse().ok().map(float)
}

/// A number; null for one that JSON lacks.
pub(crate) fn float(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}
