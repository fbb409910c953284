//! The values of a column while a table is built: each different text once, and at the end its type.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;

use super::super::bytes::{Texts, greatest, put, width_for};
use super::super::column::{ColumnType, FLOATS, HEADER, INTEGERS, TEXTS};

/// No value.
const NONE: u32 = u32::MAX;
/// Integers that 64 bits of floating point hold exactly.
const MAX_INTEGER: i64 = 1 << 53;
/// Epoch times from here on are milliseconds: seconds would be after the year 5000.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// A column that is being read.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// Number of each different text, and likewise of each different JSON.
    texts: HashMap<Box<str>, u32>,
    json: HashMap<Box<str>, u32>,
    /// By row.
    rows: Vec<u32>,
    /// Whether a text came from a JSON text: then digits are no number.
    quoted: bool,
}

/// One value as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell<'c> {
    /// Of a CSV, or a number or truth value of JSON.
    Bare(&'c str),
    /// A text of JSON.
    Quoted(&'c str),
    /// An array or an object of JSON.
    Json(&'c str),
}

impl Cell<'_> {
    /// Bytes of its text.
    pub(super) const fn text(&self) -> &str {
        match self {
            Self::Bare(text) | Self::Quoted(text) | Self::Json(text) => text,
        }
    }
}

/// A number that was read.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Parsed {
    Integer(i64),
    Float(f64),
}

impl Values {
    /// Sets the value of row `row`, where rows only grow; the rows between have none. The bytes that this adds.
    pub(super) fn set(&mut self, row: usize, cell: Cell<'_>) -> usize {
        self.rows.resize(row, NONE);
        let next = (self.texts.len() + self.json.len()) as u32;
        let (pool, text) = match cell {
            Cell::Bare(text) | Cell::Quoted(text) => (&mut self.texts, text),
            Cell::Json(text) => (&mut self.json, text),
        };
        self.quoted |= matches!(cell, Cell::Quoted(_));
        if let Some(number) = pool.get(text) {
            self.rows.push(*number);
            return 4;
        }
        pool.insert(text.into(), next);
        self.rows.push(next);
        text.len() + 4
    }

    /// The type that every value has.
    pub(super) fn infer(&self) -> ColumnType {
        if !self.json.is_empty() {
            return ColumnType::Json;
        }
        if self.texts.is_empty() {
            return ColumnType::Text;
        }
        let candidates = [ColumnType::Flag, ColumnType::Number, ColumnType::Date, ColumnType::Time];
        let fits = |kind: &ColumnType| {
            let digits_are_text = self.quoted && matches!(kind, ColumnType::Flag | ColumnType::Number);
            !digits_are_text && self.texts.keys().all(|text| is_plainly(*kind, text))
        };
        match candidates.into_iter().find(fits) {
            Some(ColumnType::Time) if self.texts.keys().any(|text| has_milliseconds(text)) => {
                ColumnType::TimeMs
            }
            Some(kind) => kind,
            None => ColumnType::Text,
        }
    }

    /// Writes the section, rows in the order of `order`. Also how many values are not of type `kind`: they are
    /// missing. `None` when the texts are more than a section can hold.
    pub(super) fn encode(&mut self, kind: ColumnType, order: &[u32]) -> Option<(Vec<u8>, u64)> {
        let count = self.texts.len() + self.json.len();
        let mut distinct: Vec<(&str, bool)> = vec![("", false); count];
        for (json, pool) in [(false, &self.texts), (true, &self.json)] {
            for (text, number) in pool {
                distinct[*number as usize] = (text, json);
            }
        }
        self.rows.resize(order.len(), NONE);
        let rows = order.iter().map(|row| Some(self.rows[*row as usize]).filter(|number| *number != NONE));
        match kind {
            ColumnType::Text => {
                Some((write_texts(distinct.iter().map(|(text, _)| text.as_bytes()), rows)?, 0))
            }
            ColumnType::Json => {
                let texts: Vec<String> = distinct.iter().map(|(text, json)| as_json(text, *json)).collect();
                Some((write_texts(texts.iter().map(String::as_bytes), rows)?, 0))
            }
            _ => {
                let parsed: Vec<Option<Parsed>> =
                    distinct.iter().map(|(text, _)| parse(kind, text)).collect();
                let unreadable = rows.clone().flatten().filter(|i| parsed[*i as usize].is_none()).count();
                Some((write_numbers(&parsed, rows), unreadable as u64))
            }
        }
    }
}

/// A text of a column that holds arrays and objects too.
fn as_json(text: &str, json: bool) -> String {
    if json { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn write_header(encoding: u8, width: usize, addend: i64, rows: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + width * rows);
    out.extend_from_slice(&[encoding, width as u8, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(&addend.to_le_bytes());
    out
}

fn write_texts<'t>(
    texts: impl ExactSizeIterator<Item = &'t [u8]> + Clone,
    rows: impl ExactSizeIterator<Item = Option<u32>>,
) -> Option<Vec<u8>> {
    let width = width_for(texts.len() as u64);
    let mut out = write_header(TEXTS, width, 0, rows.len());
    for row in rows {
        put(&mut out, row.map_or(greatest(width), u64::from), width);
    }
    Texts::write(&mut out, texts)?;
    Some(out)
}

fn write_numbers(parsed: &[Option<Parsed>], rows: impl ExactSizeIterator<Item = Option<u32>>) -> Vec<u8> {
    let rows = rows.map(|row| row.and_then(|number| parsed[number as usize]));
    if parsed.iter().flatten().any(|value| matches!(value, Parsed::Float(_))) {
        let mut out = write_header(FLOATS, 8, 0, rows.len());
        for row in rows {
            let value = match row {
                Some(Parsed::Float(value)) => value,
                Some(Parsed::Integer(value)) => value as f64,
                None => f64::NAN,
            };
            out.extend_from_slice(&value.to_le_bytes());
        }
        return out;
    }
    let integers = parsed.iter().flatten().map(|value| if let Parsed::Integer(i) = value { *i } else { 0 });
    let addend = integers.clone().min().unwrap_or(0);
    let width = width_for(integers.max().unwrap_or(0).abs_diff(addend));
    let mut out = write_header(INTEGERS, width, addend, rows.len());
    for row in rows {
        let entry = match row {
            Some(Parsed::Integer(value)) => value.abs_diff(addend),
            _ => greatest(width),
        };
        put(&mut out, entry, width);
    }
    out
}

/// Whether a text is of a type, when nobody said that it is.
fn is_plainly(kind: ColumnType, text: &str) -> bool {
    match kind {
        ColumnType::Flag => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
        ColumnType::Number => number(text).is_some(),
        ColumnType::Date => date(text).is_some(),
        ColumnType::Time => date(text).is_some() || time(text).is_some(),
        _ => false,
    }
}

fn has_milliseconds(text: &str) -> bool {
    time(text).is_some_and(|time| time.subsec_nanosecond() != 0)
}

/// A text as a value of a type that was inferred, or that somebody said. Of a bound on a time (`<=2026-08-22`) the
/// time counts.
fn parse(kind: ColumnType, text: &str) -> Option<Parsed> {
    let bound = text.strip_prefix("<=").or_else(|| text.strip_prefix(">="));
    let text = match kind {
        ColumnType::Date | ColumnType::Time | ColumnType::TimeMs => bound.unwrap_or(text),
        _ => text,
    };
    match kind {
        ColumnType::Flag => flag(text).map(|flag| Parsed::Integer(i64::from(flag))),
        ColumnType::Number => number(text),
        ColumnType::Date => {
            let day = date(text).or_else(|| Some(Offset::UTC.to_datetime(any_time(text)?).date()))?;
            let days = day.since(Date::constant(1970, 1, 1)).ok()?.get_days();
            Some(Parsed::Integer(i64::from(days)))
        }
        ColumnType::Time => any_time(text).map(|time| Parsed::Integer(time.as_second())),
        ColumnType::TimeMs => any_time(text).map(|time| Parsed::Integer(time.as_millisecond())),
        ColumnType::Text | ColumnType::Json => None,
    }
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// A number as JSON writes it; an integer only where floating point holds it exactly, so that a long identifier
/// stays a text.
fn number(text: &str) -> Option<Parsed> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    if whole == 0 || (whole > 1 && digits.starts_with('0')) || digits.ends_with('.') {
        return None;
    }
    if whole == digits.len() {
        let value: i64 = text.parse().ok()?;
        return (-MAX_INTEGER..=MAX_INTEGER).contains(&value).then_some(Parsed::Integer(value));
    }
    text.parse().ok().filter(|value: &f64| value.is_finite()).map(Parsed::Float)
}

/// `2026-11-24`.
fn date(text: &str) -> Option<Date> {
    if text.len() == 10 && text.as_bytes()[4] == b'-' { text.parse().ok() } else { None }
}

/// RFC 3339, or `2026-11-24 07:49:58` (also with ` UTC`), which is UTC.
fn time(text: &str) -> Option<Timestamp> {
    if text.len() < 19 || text.len() > 40 {
        return None;
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let civil: DateTime = text.strip_suffix(" UTC").unwrap_or(text).parse().ok()?;
    Offset::UTC.to_timestamp(civil).ok()
}

/// A time, a day at midnight UTC, or seconds or milliseconds since 1970.
fn any_time(text: &str) -> Option<Timestamp> {
    if let Some(day) = date(text) {
        return Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok();
    }
    match number(text) {
        Some(Parsed::Integer(epoch)) if epoch.abs() >= MILLISECONDS_FROM => {
            Timestamp::from_millisecond(epoch).ok()
        }
        Some(Parsed::Integer(epoch)) => Timestamp::from_second(epoch).ok(),
        _ => time(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inferred(texts: &[&str]) -> ColumnType {
        let mut values = Values::default();
        for (row, text) in texts.iter().enumerate() {
            values.set(row, Cell::Bare(text));
        }
        values.infer()
    }

    #[test]
    fn a_type_is_inferred_only_when_every_value_has_it() {
        assert_eq!(inferred(&[]), ColumnType::Text);
        assert_eq!(inferred(&["1", "-20", "0.5", "1e3"]), ColumnType::Number);
        assert_eq!(inferred(&["1", "007"]), ColumnType::Text, "leading zeros mean something");
        assert_eq!(inferred(&["12345678901234567890"]), ColumnType::Text, "an identifier keeps its digits");
        assert_eq!(inferred(&["nan", "inf"]), ColumnType::Text);
        assert_eq!(inferred(&["1."]), ColumnType::Text);
        assert_eq!(inferred(&["2026-11-24", "1997-03-29"]), ColumnType::Date);
        assert_eq!(inferred(&["2026-11-24", "2026-11-24 07:49:58"]), ColumnType::Time);
        assert_eq!(inferred(&["2026-11-24 07:49:58 UTC"]), ColumnType::Time);
        assert_eq!(inferred(&["2026-11-24T07:49:58.5+02:00"]), ColumnType::TimeMs);
        assert_eq!(inferred(&["2026-13-24"]), ColumnType::Text);
        assert_eq!(inferred(&["true", "False"]), ColumnType::Flag);
        assert_eq!(inferred(&["true", "1"]), ColumnType::Text);
    }

    #[test]
    fn a_quoted_number_stays_a_text() {
        let mut values = Values::default();
        values.set(0, Cell::Quoted("123"));
        assert_eq!(values.infer(), ColumnType::Text);
        values.set(1, Cell::Json("[1]"));
        assert_eq!(values.infer(), ColumnType::Json);
    }

    #[test]
    fn a_type_that_somebody_said_reads_more() {
        assert_eq!(parse(ColumnType::Flag, "No"), Some(Parsed::Integer(0)));
        assert_eq!(parse(ColumnType::Time, "1795506598"), Some(Parsed::Integer(1_795_506_598)));
        assert_eq!(parse(ColumnType::Time, "1795506598123"), Some(Parsed::Integer(1_795_506_598)));
        assert_eq!(parse(ColumnType::Date, "1970-01-02T12:00:00Z"), Some(Parsed::Integer(1)));
        assert_eq!(parse(ColumnType::Date, "<=1970-01-03"), Some(Parsed::Integer(2)));
        assert_eq!(parse(ColumnType::Number, "<=3"), None);
        assert_eq!(parse(ColumnType::Date, "yesterday"), None);
    }
}
