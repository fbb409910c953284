//! A column: one value per row, or none.
//!
//! ```text
//! 0  u8            encoding: 1 texts, 2 integers, 3 floating point
//! 1  u8            width of a row's entry in bytes: 1, 2, 4 or 8
//! 2  6 bytes       zero
//! 8  i64           integers: what is added to every entry; else zero
//! 16 rows × width  texts: number of the text; integers: value minus the addend; floating point: f64
//! .. texts         each different text once (encoding 1 only)
//! ```
//! An entry of all ones (floating point: NaN) is no value.

use std::ops::Range;

use jiff::civil::Date;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::MAX_VALUE_BYTES;
use super::bytes::{Texts, greatest, integer, u64_at};

pub(super) const HEADER: usize = 16;
/// Most bytes of a text: of a value, as JSON with every byte escaped, in quotes.
const MAX_TEXT_BYTES: usize = 6 * MAX_VALUE_BYTES + 2;
pub(super) const TEXTS: u8 = 1;
pub(super) const INTEGERS: u8 = 2;
pub(super) const FLOATS: u8 = 3;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// Text.
    Text,
    /// A number: an integer within ±2^53, or 64 bits of floating point.
    Number,
    /// A calendar day.
    Date,
    /// A time to the second, in UTC.
    Time,
    /// A time to the millisecond, in UTC.
    TimeMs,
    /// True or false.
    Flag,
    /// An array or an object of JSON.
    Json,
}

impl ColumnType {
    /// As in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Date => "date",
            Self::Time => "time",
            Self::TimeMs => "time_ms",
            Self::Flag => "flag",
            Self::Json => "json",
        }
    }
}

/// Name and type of a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnAbout {
    /// Name: the field of the rows.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub kind: ColumnType,
}

/// Where a column lies in the file.
#[derive(Debug, Clone)]
pub(super) struct Column {
    about: ColumnAbout,
    encoding: u8,
    width: usize,
    addend: i64,
    entries: usize,
    rows: usize,
    texts: Option<Texts>,
}

impl Column {
    /// Checks the section of a column of `rows` rows: every entry leads to a value, or is none.
    pub(super) fn open(bytes: &[u8], section: Range<usize>, rows: usize, about: ColumnAbout) -> Option<Self> {
        let at = section.start;
        let (encoding, width) = (*bytes.get(at)?, usize::from(*bytes.get(at + 1)?));
        let fits = match about.kind {
            ColumnType::Text | ColumnType::Json => encoding == TEXTS,
            ColumnType::Number => matches!(encoding, INTEGERS | FLOATS),
            ColumnType::Date | ColumnType::Time | ColumnType::TimeMs | ColumnType::Flag => {
                encoding == INTEGERS
            }
        };
        if !fits || !matches!(width, 1 | 2 | 4 | 8) || (encoding == FLOATS && width != 8) {
            return None;
        }
        let addend = i64::from_le_bytes(u64_at(bytes, at + 8)?.to_le_bytes());
        let entries = at + HEADER;
        let end = entries.checked_add(rows.checked_mul(width)?)?;
        if end > section.end || (encoding != TEXTS && end != section.end) {
            return None;
        }
        let mut column = Self { about, encoding, width, addend, entries, rows, texts: None };
        if encoding == TEXTS {
            let texts = Texts::open(bytes, end..section.end, MAX_TEXT_BYTES)?;
            let none = greatest(width);
            let sound = (0..rows)
                .all(|row| column.entry(bytes, row).is_some_and(|i| i == none || i < texts.len() as u64));
            column.texts = sound.then_some(texts);
            column.texts.as_ref()?;
        }
        Some(column)
    }

    pub(super) const fn about(&self) -> &ColumnAbout {
        &self.about
    }

    fn entry(&self, bytes: &[u8], row: usize) -> Option<u64> {
        if row >= self.rows { None } else { integer(bytes, self.entries + row * self.width, self.width) }
    }

    /// Bytes that the text of a row's value takes.
    pub(super) fn text_bytes(&self, bytes: &[u8], row: usize) -> usize {
        let Some(texts) = &self.texts else { return 0 };
        let entry = self.entry(bytes, row).and_then(|entry| usize::try_from(entry).ok());
        entry.and_then(|entry| texts.get(bytes, entry)).map_or(0, <[u8]>::len)
    }

    /// The value of a row; `None` where there is none, or the file lies about it (a day that is none, text that is
    /// not UTF-8).
    pub(super) fn value(&self, bytes: &[u8], row: usize) -> Option<Value> {
        let entry = self.entry(bytes, row)?;
        if self.encoding == FLOATS {
            return Number::from_f64(f64::from_bits(entry)).map(Value::Number);
        }
        if entry == greatest(self.width) {
            return None;
        }
        if let Some(texts) = &self.texts {
            let text = std::str::from_utf8(texts.get(bytes, usize::try_from(entry).ok()?)?).ok()?;
            return match self.about.kind {
                ColumnType::Json => serde_json::from_str(text).ok(),
                _ => Some(Value::from(text)),
            };
        }
        let integer = self.addend.checked_add_unsigned(entry)?;
        match self.about.kind {
            ColumnType::Flag => Some(Value::Bool(integer != 0)),
            ColumnType::Date => day(integer).map(Value::String),
            ColumnType::Time => {
                Timestamp::from_second(integer).ok().map(|time| Value::String(time.to_string()))
            }
            ColumnType::TimeMs => {
                Timestamp::from_millisecond(integer).ok().map(|time| Value::String(time.to_string()))
            }
            _ => Some(Value::from(integer)),
        }
    }
}

/// The calendar day that is `days` after 1970-01-01.
fn day(days: i64) -> Option<String> {
    let span = Span::new().try_days(days).ok()?;
    Date::constant(1970, 1, 1).checked_add(span).ok().map(|date| date.to_string())
}
