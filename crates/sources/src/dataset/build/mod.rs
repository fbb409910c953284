//! Builds a table: rows of CSV or JSON lines in, the bytes of a file out.
//!
//! Everything is read once. Each different text of a column is held once, so that a list of millions of rows with
//! few different values takes little memory; the types follow from the different values alone. The same input
//! makes the same bytes: a file's digest names its content.
//!
//! A row whose key is no key is left out and named ([`Refused`]); nothing else is, but rows over [`MAX_ROWS`] of one
//! key.

mod key;
mod read;
mod values;
mod write;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use tribunal_core::container::ContainerError;

pub use key::KeyKind;
use key::{OwnKey, Reason};
use values::{Cell, Values};

use super::column::ColumnType;
use super::table::{KeyCounts, MAX_COLUMN_NAME, MAX_COLUMNS, MAX_FILE_BYTES, MAX_TABLE_ROWS};
use crate::ranges::Origin;
use crate::source::MAX_ROWS;

/// Most bytes of a value.
pub const MAX_VALUE_BYTES: usize = 4_096;
/// Most bytes of a row of CSV or of a line of JSON.
pub const MAX_RECORD_BYTES: u64 = 1 << 20;
/// Most bytes of all inputs, decompressed.
pub const MAX_INPUT_BYTES: u64 = 8 << 30;
/// Most bytes of different texts that are held: what is more does not fit into a file.
const MAX_HELD_BYTES: usize = 2 * MAX_FILE_BYTES;
/// Most refused rows that are named; the others are counted.
pub const MAX_REFUSED: usize = 1_000;
/// Inputs that are named in the file, and characters of a name.
const MAX_ORIGINS: usize = 500;
const MAX_ORIGIN_CHARS: usize = 255;
/// The column of a list that has no columns but its key.
const LISTED: &str = "listed";

/// What a table is built of.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// Column of the key.
    pub key: Option<String>,
    /// Columns of the first and the last address of a range; a row that has both is of that key.
    pub range: Option<(String, String)>,
    /// What the column of the key holds.
    pub kind: KeyKind,
    /// The columns that are kept; all but those of the key if not given.
    pub columns: Option<Vec<String>>,
    /// Types of columns that are not to be inferred.
    pub types: BTreeMap<String, ColumnType>,
    /// Names of the columns of CSV that has no header.
    pub header: Option<Vec<String>>,
    /// What separates the fields of CSV; a comma if not given.
    pub delimiter: Option<u8>,
}

/// Why no table can be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Neither a key nor a range is said.
    #[error("no column of keys: name one, or the two columns of a range")]
    NoKey,
    /// A column is not there.
    #[error("{file} has no column {column:?}, only: {found}")]
    NoColumn {
        /// The input.
        file: String,
        /// The column.
        column: String,
        /// Those that are there.
        found: String,
    },
    /// A name of a column is not one, or comes twice.
    #[error("{file}: column {column:?}: {reason}")]
    Column {
        /// The input.
        file: String,
        /// The column.
        column: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// More columns than a table may have.
    #[error("more than {MAX_COLUMNS} columns: say which are kept")]
    TooManyColumns,
    /// More rows than a table may have.
    #[error("more than {MAX_TABLE_ROWS} rows")]
    TooManyRows,
    /// More than a file may hold.
    #[error("keys and values of more than {limit} bytes: keep fewer columns")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The input cannot be read.
    #[error("cannot read {file}")]
    Read {
        /// The input.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not one row is left.
    #[error("no row has a key that can be looked up, of {rows}")]
    NothingLeft {
        /// Rows read.
        rows: u64,
        /// What happened to them.
        report: Box<Report>,
    },
    /// Keys collide, whatever the seed: somebody made them so.
    #[error("the keys cannot be hashed: too many of them collide")]
    Collisions,
    /// The file is too large.
    #[error("the file")]
    Container(#[from] ContainerError),
    /// The description cannot be written.
    #[error("the description")]
    About(#[source] serde_json::Error),
}

/// A row that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The input.
    pub file: String,
    /// Its line, from one.
    pub line: u64,
    /// Stable code of the reason.
    pub code: &'static str,
    /// What is wrong, with the value.
    pub reason: String,
}

/// What became of the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rows read.
    pub read: u64,
    /// Rows in the table.
    pub rows: u64,
    /// Keys by kind.
    pub keys: KeyCounts,
    /// Rows left out.
    pub refused: u64,
    /// Rows left out, by the code of the reason.
    pub refused_by: BTreeMap<&'static str, u64>,
    /// The first [`MAX_REFUSED`] of them.
    pub refused_rows: Vec<Refused>,
    /// Rows left out because their key has [`MAX_ROWS`] already.
    pub over_limit: u64,
    /// By column, how many values are not of the type that was said, and are missing.
    pub unreadable: BTreeMap<String, u64>,
}

/// A table that was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// The file.
    pub bytes: Vec<u8>,
    /// What became of the rows.
    pub report: Report,
}

/// Rows that are to become a table.
#[derive(Debug)]
pub struct Builder {
    options: BuildOptions,
    keys: HashMap<OwnKey, u32>,
    /// Rows by key.
    counts: Vec<u32>,
    /// Key by row.
    rows: Vec<u32>,
    columns: Vec<(String, Values)>,
    held: usize,
    origins: Vec<Origin>,
    report: Report,
}

/// One row as it was read: its key's texts, and its values by the position of the column.
#[derive(Debug, Default)]
struct RowTexts<'r> {
    key: Option<&'r str>,
    range: Option<(&'r str, &'r str)>,
    cells: Vec<(usize, Cell<'r>)>,
}

impl Builder {
    /// Without rows.
    ///
    /// # Errors
    /// When the options name no key, or a name of a column is not one.
    pub fn new(options: BuildOptions) -> Result<Self, BuildError> {
        if options.key.is_none() && options.range.is_none() {
            return Err(BuildError::NoKey);
        }
        let mut builder = Self {
            keys: HashMap::new(),
            counts: Vec::new(),
            rows: Vec::new(),
            columns: Vec::new(),
            held: 0,
            origins: Vec::new(),
            report: Report::default(),
            options,
        };
        for name in builder.options.columns.clone().unwrap_or_default() {
            if builder.columns.iter().any(|(known, _)| *known == name) {
                return Err(BuildError::Column {
                    file: "the options".to_owned(),
                    column: name,
                    reason: "comes twice",
                });
            }
            builder.column("the options", &name)?;
        }
        Ok(builder)
    }

    /// Rows read so far.
    pub const fn read(&self) -> u64 {
        self.report.read
    }

    /// Says what was read: kept in the file, for a person; of the first 500 inputs.
    pub fn origin(&mut self, file: &str, digest: String, rows: u64) {
        if self.origins.len() < MAX_ORIGINS {
            let file = file.chars().take(MAX_ORIGIN_CHARS).collect();
            self.origins.push(Origin { file, digest, rows });
        }
    }

    /// The position of a column, which becomes one if it is none yet.
    fn column(&mut self, file: &str, name: &str) -> Result<usize, BuildError> {
        if let Some(position) = self.columns.iter().position(|(known, _)| known == name) {
            return Ok(position);
        }
        let wrong = |reason| {
            let column = name.chars().take(MAX_COLUMN_NAME).collect();
            BuildError::Column { file: file.to_owned(), column, reason }
        };
        if name.is_empty() || name.len() > MAX_COLUMN_NAME {
            return Err(wrong("a name has 1 to 64 bytes"));
        }
        if name.chars().any(char::is_control) {
            return Err(wrong("a name has no control characters"));
        }
        if self.columns.len() == MAX_COLUMNS {
            return Err(BuildError::TooManyColumns);
        }
        self.columns.push((name.to_owned(), Values::default()));
        Ok(self.columns.len() - 1)
    }

    /// Whether a column of the input is kept.
    fn is_kept(&self, name: &str) -> bool {
        if let Some(columns) = &self.options.columns {
            return columns.iter().any(|column| column == name);
        }
        let of_range = self.options.range.as_ref().is_some_and(|(first, last)| first == name || last == name);
        !of_range && self.options.key.as_deref() != Some(name)
    }

    /// Adds a row, or says why not.
    fn add(&mut self, file: &str, line: u64, row: &RowTexts<'_>) -> Result<(), BuildError> {
        self.report.read += 1;
        let parsed = match (row.range, row.key) {
            (Some((first, last)), _) => key::parse_range(first, last),
            (None, Some(text)) => key::parse(self.options.kind, text),
            (None, None) => Err(Reason::new("empty", "no key")),
        };
        let too_long = row.cells.iter().find(|(_, cell)| cell.text().len() > MAX_VALUE_BYTES);
        let parsed = match too_long {
            None => parsed,
            Some((position, cell)) => {
                let (column, bytes) = (&self.columns[*position].0, cell.text().len());
                let text = format!("column {column:?} has {bytes} bytes, at most {MAX_VALUE_BYTES} are kept");
                Err(Reason::new("value_too_long", text))
            }
        };
        match parsed {
            Ok(key) => self.push(key, row),
            Err(reason) => {
                self.refuse(file, line, reason);
                Ok(())
            }
        }
    }

    fn push(&mut self, key: OwnKey, row: &RowTexts<'_>) -> Result<(), BuildError> {
        let next = self.counts.len() as u32;
        let bytes = if let OwnKey::Name(name) = &key { name.len() } else { 32 };
        let number = *self.keys.entry(key).or_insert(next);
        if number == next {
            self.counts.push(0);
            self.held += bytes;
        }
        let count = &mut self.counts[number as usize];
        if *count as usize == MAX_ROWS {
            self.report.over_limit += 1;
            return Ok(());
        }
        *count += 1;
        let position = self.rows.len();
        if position == MAX_TABLE_ROWS {
            return Err(BuildError::TooManyRows);
        }
        self.rows.push(number);
        for (column, cell) in &row.cells {
            self.held += self.columns[*column].1.set(position, *cell);
        }
        if self.held > MAX_HELD_BYTES {
            return Err(BuildError::TooLarge { limit: MAX_HELD_BYTES });
        }
        Ok(())
    }

    fn refuse(&mut self, file: &str, line: u64, reason: Reason) {
        self.report.refused += 1;
        *self.report.refused_by.entry(reason.code).or_default() += 1;
        if self.report.refused_rows.len() < MAX_REFUSED {
            let file = file.to_owned();
            self.report.refused_rows.push(Refused { file, line, code: reason.code, reason: reason.text });
        }
    }
}

#[cfg(test)]
mod tests;
