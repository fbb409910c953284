//! Entities as a person gives them: arguments, a file, or standard input.
//!
//! Three formats, told apart by the file's name or else by its first bytes:
//! - plain lines: one entity each; empty lines and lines that begin with `#` are left out,
//! - CSV with a header that has a column `entity`; other columns are ignored,
//! - JSON lines: a string, an array of strings, or an object with `entity` or `entities`.
//!
//! Reading is streaming: memory does not grow with the file. A line that cannot be read (not UTF-8, not JSON,
//! over [`MAX_LINE_BYTES`]) becomes a [`Refused`] with its number; it never ends the whole.

mod lines;
mod refused;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use crate::exit::Failure;
use lines::{Lines, parse_json_line};
pub(crate) use refused::{Refused, normalise};

/// Most bytes of a line; a message on the queue takes no more either.
pub(crate) const MAX_LINE_BYTES: usize = 1024 * 1024;

/// Format of a file of entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// By the file's name, else by its first bytes.
    Auto,
    /// One entity per line.
    Lines,
    /// CSV with a column `entity`.
    Csv,
    /// A string, an array of strings, or an object with `entity` or `entities` per line.
    Jsonl,
}

/// Where entities come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct InputArgs {
    /// Domain names and IP addresses, as pasted (defanged, URLs and e-mail addresses too).
    #[arg(value_name = "ENTITY")]
    pub(crate) entities: Vec<String>,
    /// Read entities from a file; `-` is standard input (also when nothing is given and it is not a
    /// terminal).
    #[arg(long, short, value_name = "PATH", conflicts_with = "entities")]
    pub(crate) file: Option<PathBuf>,
    /// Format of the file.
    #[arg(long, value_enum, default_value_t = Format::Auto, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// One text that was given, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// Line of the file, from 1; `None` for an argument.
    pub(crate) line: Option<u64>,
    /// The text.
    pub(crate) text: String,
}

/// What the input yields: a text, or why there is none.
pub(crate) type Next = Result<Given, Refused>;

/// The entities given, one after the other.
pub(crate) struct Input {
    reader: Reader,
    /// Given but not yet handed out: several stand in one line of JSON.
    queue: VecDeque<Next>,
    total_bytes: Option<u64>,
    read_bytes: Arc<AtomicU64>,
}

enum Reader {
    Nothing,
    Lines(Lines),
    Json(Lines),
    Csv { records: csv::ByteRecordsIntoIter<Box<dyn Read + Send>>, column: usize },
}

impl InputArgs {
    /// Opens what the arguments name.
    pub(crate) fn open(&self) -> anyhow::Result<Input> {
        if !self.entities.is_empty() {
            let queue =
                self.entities.iter().map(|text| Ok(Given { line: None, text: text.clone() })).collect();
            return Ok(Input {
                reader: Reader::Nothing,
                queue,
                total_bytes: None,
                read_bytes: Arc::default(),
            });
        }
        match self.file.as_deref() {
            Some(path) if path != Path::new("-") => self.open_file(path),
            None if io::stdin().is_terminal() => Err(Failure::usage("no entities given")
                .hint("give them as arguments, with --file PATH, or on standard input")
                .into()),
            _ => Input::new(Box::new(io::stdin()), self.format, None, None),
        }
    }

    fn open_file(&self, path: &Path) -> anyhow::Result<Input> {
        let name = crate::output::escape(&path.display().to_string()).into_owned();
        let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
        let size = file.metadata().with_context(|| format!("cannot read {name}"))?;
        anyhow::ensure!(!size.is_dir(), "{name} is a directory: give a file of entities");
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
        Input::new(Box::new(file), self.format, Some(&extension), Some(size.len()).filter(|_| size.is_file()))
    }
}

impl Input {
    fn new(
        source: Box<dyn Read + Send>,
        format: Format,
        extension: Option<&str>,
        total_bytes: Option<u64>,
    ) -> anyhow::Result<Self> {
        let read_bytes = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: source, read: Arc::clone(&read_bytes) };
        let mut buffered = BufReader::with_capacity(64 * 1024, counted);
        let format = match format {
            Format::Auto => by_extension(extension).map_or_else(|| by_content(&mut buffered), Ok)?,
            chosen => chosen,
        };
        let reader = match format {
            Format::Csv => open_csv(Box::new(buffered))?,
            Format::Jsonl => Reader::Json(Lines::new(Box::new(buffered))),
            Format::Lines | Format::Auto => Reader::Lines(Lines::new(Box::new(buffered))),
        };
        Ok(Self { reader, queue: VecDeque::new(), total_bytes, read_bytes })
    }

    /// Size of the file, when it is one.
    pub(crate) fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// Bytes read so far.
    pub(crate) fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }

    fn fill(&mut self) -> io::Result<bool> {
        match &mut self.reader {
            Reader::Nothing => return Ok(false),
            Reader::Lines(lines) => match lines.next()? {
                Some((line, Ok(text))) => {
                    let text = text.trim();
                    if !text.is_empty() && !text.starts_with('#') {
                        self.queue.push_back(Ok(Given { line: Some(line), text: text.to_owned() }));
                    }
                }
                Some((_, Err(refused))) => self.queue.push_back(Err(refused)),
                None => return Ok(false),
            },
            Reader::Json(lines) => match lines.next()? {
                Some((line, Ok(text))) => parse_json_line(line, &text, &mut self.queue),
                Some((_, Err(refused))) => self.queue.push_back(Err(refused)),
                None => return Ok(false),
            },
            Reader::Csv { records, column } => match records.next() {
                Some(record) => self.queue.push_back(field(record, *column)?),
                None => return Ok(false),
            },
        }
        Ok(true)
    }
}

impl Iterator for Input {
    type Item = io::Result<Next>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(next) = self.queue.pop_front() {
                return Some(Ok(next));
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.reader = Reader::Nothing;
                    return Some(Err(error));
                }
            }
        }
    }
}

struct Counted {
    inner: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

fn by_extension(extension: Option<&str>) -> Option<Format> {
    match extension? {
        "csv" => Some(Format::Csv),
        "jsonl" | "ndjson" | "json" => Some(Format::Jsonl),
        "txt" | "list" => Some(Format::Lines),
        _ => None,
    }
}

/// JSON begins with a bracket or a quote; CSV has a header with the column.
fn by_content(buffered: &mut impl BufRead) -> anyhow::Result<Format> {
    let start = buffered.fill_buf().context("cannot read the entities")?;
    let line = start.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line));
    let line = line.trim();
    if line.starts_with('{') || line.starts_with("[\"") || line == "[]" {
        return Ok(Format::Jsonl);
    }
    let header = line.split(',').any(|column| column.trim().trim_matches('"') == "entity");
    // A quoted line is JSON, unless it is a quoted header.
    Ok(if header {
        Format::Csv
    } else if line.starts_with('"') {
        Format::Jsonl
    } else {
        Format::Lines
    })
}

fn open_csv(source: Box<dyn Read + Send>) -> anyhow::Result<Reader> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
    let header = reader.byte_headers().context("cannot read the header of the CSV")?;
    let column = header
        .iter()
        .map(|name| name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name))
        .position(|name| name.trim_ascii() == b"entity")
        .ok_or_else(|| {
            let names =
                header.iter().map(|n| String::from_utf8_lossy(n).into_owned()).collect::<Vec<_>>().join(", ");
            let names = crate::output::cut(&names, 200).into_owned();
            Failure::usage(format!("the CSV has no column named entity, only: {names}"))
                .hint("name the column entity, or give one entity per line with --format lines")
        })?;
    Ok(Reader::Csv { records: reader.into_byte_records(), column })
}

fn field(record: csv::Result<csv::ByteRecord>, column: usize) -> io::Result<Next> {
    // Flexible and by bytes: what is left to fail is the reading itself.
    let record = record.map_err(io::Error::from)?;
    let line = record.position().map(csv::Position::line);
    let bytes = record.get(column).unwrap_or_default();
    if bytes.len() > MAX_LINE_BYTES {
        return Ok(Err(Refused::line_too_long(line, bytes)));
    }
    Ok(match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Given { line, text: text.trim().to_owned() }),
        Err(_) => Err(Refused::not_utf8(line, bytes)),
    })
}

#[cfg(test)]
mod tests;
