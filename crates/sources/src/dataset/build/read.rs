//! Reads rows out of CSV and JSON lines.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use serde_json::{Map, Value};
use tribunal_core::entity::shown_up_to;

use super::values::Cell as ValueCell;
use super::{BuildError, Builder, MAX_INPUT_BYTES, MAX_RECORD_BYTES, Reason, RowTexts};

/// Bytes that the CSV reader reads ahead.
const BUFFER_BYTES: usize = 64 << 10;
/// Most bytes of a name or a reason that are repeated.
const MAX_SHOWN: usize = 200;

/// Where the columns of a CSV go.
struct Header {
    key: Option<usize>,
    range: Option<(usize, usize)>,
    /// Field of the CSV, and column of the table.
    kept: Vec<(usize, usize)>,
    fields: usize,
}

/// Hands on bytes up to a limit that the reader of records moves along, and notes where lines end: the CSV reader
/// counts empty lines, comments and CR LF to the record after them.
struct Limited<R> {
    inner: R,
    read: u64,
    shared: Rc<Shared>,
}

struct Shared {
    limit: Cell<u64>,
    /// Where line feeds are that were read ahead.
    line_feeds: RefCell<VecDeque<u64>>,
}

impl Shared {
    fn new() -> Rc<Self> {
        Rc::new(Self { limit: Cell::new(u64::MAX), line_feeds: RefCell::default() })
    }

    /// How many lines end before `end`, of those that were not counted yet.
    fn lines_before(&self, end: u64) -> u64 {
        let mut line_feeds = self.line_feeds.borrow_mut();
        let count = line_feeds.partition_point(|at| *at < end);
        line_feeds.drain(..count);
        count as u64
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        let bytes = buffer.get(..n).unwrap_or_default();
        let line_feeds = (self.read..).zip(bytes).filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
        self.shared.line_feeds.borrow_mut().extend(line_feeds);
        self.read += n as u64;
        if self.read > MAX_INPUT_BYTES {
            return Err(too_much(format!("more than {MAX_INPUT_BYTES} bytes")));
        }
        if self.read > self.shared.limit.get() {
            let text = format!("a row of more than {MAX_RECORD_BYTES} bytes: is a quote left open?");
            return Err(too_much(text));
        }
        Ok(n)
    }
}

fn too_much(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl Builder {
    /// Reads CSV: a header, unless the options name the columns, and rows; a line that begins with `#` is none.
    /// Returns how many rows were read.
    ///
    /// # Errors
    /// When it cannot be read, lacks a column, or there is more than a table may hold.
    pub fn add_csv(&mut self, file: &str, input: impl Read) -> Result<u64, BuildError> {
        let shared = Shared::new();
        let input = Limited { inner: input, read: 0, shared: Rc::clone(&shared) };
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .delimiter(self.options.delimiter.unwrap_or(b','))
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(input);
        let failed = |source: csv::Error| BuildError::Read { file: file.to_owned(), source: source.into() };
        let mut record = csv::ByteRecord::new();
        let mut line = 1;
        let mut next = |record: &mut csv::ByteRecord| {
            shared.limit.set(reader.position().byte() + MAX_RECORD_BYTES + 2 * BUFFER_BYTES as u64);
            if !reader.read_byte_record(record).map_err(failed)? {
                return Ok::<_, BuildError>(None);
            }
            // The byte before the end is what ends the record.
            line += shared.lines_before(reader.position().byte().saturating_sub(1));
            let within = record.as_slice().iter().filter(|byte| **byte == b'\n').count() as u64;
            Ok(Some(line - within.min(line - 1)))
        };
        let names = match self.options.header.clone() {
            Some(names) => names,
            None if next(&mut record)?.is_some() => field_names(&record),
            None => Vec::new(),
        };
        let header = self.header(file, &names)?;
        let before = self.report.read;
        while let Some(line) = next(&mut record)? {
            self.add_record(file, line, &record, &header)?;
        }
        Ok(self.report.read - before)
    }

    fn header(&mut self, file: &str, names: &[String]) -> Result<Header, BuildError> {
        let position = |name: &str| {
            names.iter().position(|known| known == name).ok_or_else(|| BuildError::NoColumn {
                file: file.to_owned(),
                column: name.to_owned(),
                found: shown_up_to(&names.join(", "), MAX_SHOWN),
            })
        };
        let range = match &self.options.range {
            Some((first, last)) => Some((position(first)?, position(last)?)),
            None => None,
        };
        let key = self.options.key.as_deref().map(position).transpose()?;
        for column in self.options.columns.iter().flatten() {
            position(column)?;
        }
        let mut kept = Vec::new();
        for (field, name) in names.iter().enumerate() {
            if names[..field].contains(name) {
                let (file, column) = (file.to_owned(), name.clone());
                return Err(BuildError::Column { file, column, reason: "comes twice" });
            }
            if self.is_kept(name) {
                kept.push((field, self.column(file, name)?));
            }
        }
        Ok(Header { key, range, kept, fields: names.len() })
    }

    fn add_record(
        &mut self,
        file: &str,
        line: u64,
        record: &csv::ByteRecord,
        header: &Header,
    ) -> Result<(), BuildError> {
        let texts: Option<Vec<&str>> = record.iter().map(|field| std::str::from_utf8(field).ok()).collect();
        let wrong = match texts {
            None => Reason::new("not_utf8", "not UTF-8"),
            Some(texts) if texts.len() != header.fields => {
                Reason::new("fields", format!("{} fields, the header has {}", texts.len(), header.fields))
            }
            Some(texts) => {
                let range = header.range.map(|(first, last)| (texts[first], texts[last]));
                let cells = header.kept.iter().map(|(field, column)| (*column, texts[*field]));
                let row = RowTexts {
                    key: header.key.map(|field| texts[field]),
                    range: range.filter(|(first, last)| {
                        header.key.is_none() || !(first.is_empty() && last.is_empty())
                    }),
                    cells: cells
                        .filter(|(_, t)| !t.is_empty())
                        .map(|(c, t)| (c, ValueCell::Bare(t)))
                        .collect(),
                };
                return self.add(file, line, &row);
            }
        };
        self.report.read += 1;
        self.refuse(file, line, wrong);
        Ok(())
    }

    /// Reads JSON lines: an object per line; fields that are null, and empty lines, are none. Returns how many
    /// rows were read.
    ///
    /// # Errors
    /// When it cannot be read, or there is more than a table may hold.
    pub fn add_json_lines(&mut self, file: &str, input: impl Read) -> Result<u64, BuildError> {
        let failed = |source| BuildError::Read { file: file.to_owned(), source };
        let mut input = BufReader::with_capacity(BUFFER_BYTES, input).take(MAX_INPUT_BYTES + 1);
        let before = self.report.read;
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            line.clear();
            number += 1;
            let mut bounded = (&mut input).take(MAX_RECORD_BYTES + 1);
            if bounded.read_until(b'\n', &mut line).map_err(failed)? == 0 {
                return Ok(self.report.read - before);
            }
            if line.len() as u64 > MAX_RECORD_BYTES {
                return Err(failed(too_much(format!(
                    "line {number} has more than {MAX_RECORD_BYTES} bytes"
                ))));
            }
            if input.limit() == 0 {
                return Err(failed(too_much(format!("more than {MAX_INPUT_BYTES} bytes"))));
            }
            let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line).trim_ascii();
            if text.is_empty() {
                continue;
            }
            match serde_json::from_slice::<Map<String, Value>>(text) {
                Ok(object) => self.add_object(file, number, &object)?,
                Err(error) => {
                    self.report.read += 1;
                    let reason = format!("not an object of JSON: {error}");
                    self.refuse(file, number, Reason::new("invalid_json", shown_up_to(&reason, MAX_SHOWN)));
                }
            }
        }
    }

    fn add_object(&mut self, file: &str, line: u64, object: &Map<String, Value>) -> Result<(), BuildError> {
        let bare: Vec<(&str, String)> = object
            .iter()
            .filter_map(|(name, value)| match value {
                Value::Null | Value::String(_) => None,
                other => Some((name.as_str(), other.to_string())),
            })
            .collect();
        let text_of = |name: &str| match object.get(name) {
            Some(Value::String(text)) => Some(text.as_str()),
            _ => bare.iter().find(|(known, _)| *known == name).map(|(_, text)| text.as_str()),
        };
        let mut cells = Vec::with_capacity(object.len());
        for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            if !self.is_kept(name) {
                continue;
            }
            let text = text_of(name).unwrap_or_default();
            let cell = match value {
                Value::String(_) if text.is_empty() => continue,
                Value::String(_) => ValueCell::Quoted(text),
                Value::Array(_) | Value::Object(_) => ValueCell::Json(text),
                _ => ValueCell::Bare(text),
            };
            cells.push((self.column(file, name)?, cell));
        }
        let key = self.options.key.as_deref().and_then(text_of);
        let range = self.options.range.as_ref();
        let range = range.and_then(|(first, last)| Some((text_of(first)?, text_of(last)?)));
        self.add(file, line, &RowTexts { key, range, cells })
    }
}

fn field_names(record: &csv::ByteRecord) -> Vec<String> {
    let names = record.iter().enumerate().map(|(i, name)| {
        let name = if i == 0 { name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name) } else { name };
        String::from_utf8_lossy(name).trim().to_owned()
    });
    names.collect()
}
