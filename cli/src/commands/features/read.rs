//! Entities with whatever stands beside them, one at a time.

use std::io::{self, BufRead as _, BufReader, Read as _};

use anyhow::Context as _;
use serde_json::{Map, Value};

use crate::exit::Failure;
use crate::input::{MAX_LINE_BYTES, Refused};

type Source = BufReader<Box<dyn io::Read>>;

/// One entity as it was given.
pub(crate) struct Record {
    /// Line of the file, from one.
    pub(crate) line: Option<u64>,
    /// The entity.
    pub(crate) text: String,
    /// What else stood in the row.
    pub(crate) carried: Map<String, Value>,
}

/// The entities of an input, in its order.
pub(crate) enum Records {
    /// Given as arguments.
    Texts(std::vec::IntoIter<String>),
    /// One a line.
    Lines { source: Source, line: u64 },
    /// An object with `entity`, or a string, a line.
    Json { source: Source, line: u64 },
    /// A header with a column `entity`.
    Csv { reader: Box<csv::Reader<Source>>, columns: Vec<String>, entity: usize },
}

impl Records {
    /// Of arguments.
    pub(crate) fn of_texts(texts: Vec<String>) -> Self {
        Self::Texts(texts.into_iter())
    }

    /// Of a file, whose format is told by its first line.
    pub(crate) fn open(source: Box<dyn io::Read>) -> anyhow::Result<Self> {
        let mut source = BufReader::with_capacity(1 << 16, source);
        let start = source.fill_buf()?;
        let bom = usize::from(start.starts_with(b"\xef\xbb\xbf")) * 3;
        let first = start[bom..].split(|byte| *byte == b'\n').next().unwrap_or_default();
        let first = String::from_utf8_lossy(first).trim().to_owned();
        source.consume(bom);
        let header = first.split(',').any(|column| column.trim().trim_matches('"') == "entity");
        if first.starts_with('{') || (first.starts_with('"') && !header) {
            return Ok(Self::Json { source, line: 0 });
        }
        if !header && first.contains(',') {
            return Err(Failure::usage("the first line has commas, but no column named entity")
                .hint("name the column entity, or give one entity per line")
                .into());
        }
        if !header {
            return Ok(Self::Lines { source, line: 0 });
        }
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
        let columns: Vec<String> = reader
            .headers()
            .context("cannot read the header of the CSV")?
            .iter()
            .map(|name| name.trim().to_owned())
            .collect();
        let entity = columns.iter().position(|name| name == "entity").unwrap_or(0);
        Ok(Self::Csv { reader: Box::new(reader), columns, entity })
    }

    /// Names of the columns, in their order, where the input says them before the first row.
    pub(crate) fn columns(&self) -> Vec<String> {
        match self {
            Self::Csv { columns, .. } => columns.clone(),
            _ => Vec::new(),
        }
    }
}

impl Iterator for Records {
    type Item = anyhow::Result<Result<Record, Refused>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Texts(texts) => {
                texts.next().map(|text| Ok(Ok(Record { line: None, text, carried: Map::new() })))
            }
            Self::Lines { source, line } => loop {
                match next_line(source, line) {
                    Ok(Some(Ok(text))) if text.is_empty() || text.starts_with('#') => {}
                    Ok(Some(Ok(text))) => {
                        return Some(Ok(Ok(Record { line: Some(*line), text, carried: Map::new() })));
                    }
                    other => return flat(other),
                }
            },
            Self::Json { source, line } => loop {
                match next_line(source, line) {
                    Ok(Some(Ok(text))) if text.is_empty() => {}
                    Ok(Some(Ok(text))) => return Some(Ok(of_json(*line, &text))),
                    other => return flat(other),
                }
            },
            Self::Csv { reader, columns, entity } => {
                let mut record = csv::ByteRecord::new();
                match reader.read_byte_record(&mut record) {
                    Ok(false) => None,
                    Ok(true) => Some(Ok(of_csv(&record, columns, *entity))),
                    Err(error) => Some(Err(error.into())),
                }
            }
        }
    }
}

/// What reading a line gave when that is no record.
fn flat(
    line: io::Result<Option<Result<String, Refused>>>,
) -> Option<anyhow::Result<Result<Record, Refused>>> {
    match line {
        Ok(None) => None,
        Ok(Some(Err(refused))) => Some(Ok(Err(refused))),
        Ok(Some(Ok(text))) => Some(Ok(Ok(Record { line: None, text, carried: Map::new() }))),
        Err(error) => Some(Err(error.into())),
    }
}

/// The next line without blanks at its ends; a line over the limit is skipped, and refused.
fn next_line(source: &mut Source, line: &mut u64) -> io::Result<Option<Result<String, Refused>>> {
    let mut bytes = Vec::new();
    let limit = MAX_LINE_BYTES as u64 + 1;
    if source.by_ref().take(limit).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    *line += 1;
    if bytes.len() > MAX_LINE_BYTES {
        while bytes.last() != Some(&b'\n') {
            bytes.clear();
            if source.by_ref().take(limit).read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
        }
        let reason = format!("the line has more than {MAX_LINE_BYTES} bytes");
        return Ok(Some(Err(Refused::new(Some(*line), "", "line_too_long", &reason))));
    }
    Ok(Some(match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(_) => Err(not_utf8(*line, &bytes)),
    }))
}

fn not_utf8(line: u64, bytes: &[u8]) -> Refused {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).into_owned();
    Refused::new(Some(line), &start, "not_utf8", "the text is not UTF-8: save the file as UTF-8")
}

fn of_json(line: u64, text: &str) -> Result<Record, Refused> {
    let refuse = |reason: &str| Refused::new(Some(line), text, "invalid_json", reason);
    match serde_json::from_str(text) {
        Ok(Value::String(text)) => Ok(Record { line: Some(line), text, carried: Map::new() }),
        Ok(Value::Object(mut carried)) => match carried.remove("entity") {
            Some(Value::String(text)) => Ok(Record { line: Some(line), text, carried }),
            _ => Err(refuse("the object has no text in its field entity")),
        },
        Ok(_) => Err(refuse("neither a string nor an object")),
        Err(error) => Err(refuse(&error.to_string())),
    }
}

fn of_csv(record: &csv::ByteRecord, columns: &[String], entity: usize) -> Result<Record, Refused> {
    let line = record.position().map(csv::Position::line);
    let mut carried = Map::new();
    let mut text = String::new();
    for (place, (name, field)) in columns.iter().zip(record).enumerate() {
        let field = std::str::from_utf8(field).map_err(|_| not_utf8(line.unwrap_or(0), field))?;
        if place == entity {
            text.push_str(field.trim());
        } else {
            carried.insert(name.clone(), Value::String(field.to_owned()));
        }
    }
    Ok(Record { line, text, carried })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Vec<Result<Record, Refused>> {
        Records::open(Box::new(text.as_bytes())).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn every_format_is_told_by_its_first_line() {
        for text in [
            "a.example\n# not this\n\nb.example",
            "label,entity\n1,a.example\n0,b.example\n",
            "\u{feff}\"entity\",label\n\"a.example\",1\nb.example,0\n",
            "{\"entity\":\"a.example\",\"label\":1}\n\"b.example\"\n",
        ] {
            let texts: Vec<String> = read(text).into_iter().map(|r| r.ok().unwrap().text).collect();
            assert_eq!(texts, ["a.example", "b.example"], "{text}");
        }
        assert!(Records::open(Box::new("label,name\n1,a.example\n".as_bytes())).is_err());
        assert!(read("").is_empty());
    }

    #[test]
    fn what_stands_beside_the_entity_is_carried() {
        let csv = read("label,entity,source\n1,a.example,\"x,y\"\n");
        assert_eq!(csv[0].as_ref().ok().unwrap().carried["source"], "x,y");
        let json = read("{\"entity\":\"a.example\",\"label\":1}\n");
        assert_eq!(json[0].as_ref().ok().unwrap().carried["label"], 1);
    }

    #[test]
    fn a_bad_line_is_refused_and_the_next_is_read() {
        let json = read("{\"entity\":1}\n{\n[]\n{\"entity\":\"b.example\"}\n");
        let codes: Vec<Option<String>> = json.into_iter().map(|r| r.err().map(|e| e.code)).collect();
        let bad = Some("invalid_json".to_owned());
        assert_eq!(codes, [bad.clone(), bad.clone(), bad, None]);
        let mut bytes = b"a.example\n".to_vec();
        bytes.resize(MAX_LINE_BYTES * 2, b'x');
        bytes.extend_from_slice(b"\n\xff\nb.example\n");
        let records = Records::open(Box::new(io::Cursor::new(bytes))).unwrap();
        let codes: Vec<String> = records
            .map(|record| record.unwrap().map_or_else(|refused| refused.code, |record| record.text))
            .collect();
        assert_eq!(codes, ["a.example", "line_too_long", "not_utf8", "b.example"]);
    }
}
