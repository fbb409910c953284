//! CSV and JSON lines.

use std::collections::HashMap;
use std::io::{BufRead, Read, Write};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::{Matrix, Values};
use crate::output::{cut, escape};

/// Longest line of JSON.
const MAX_LINE: u64 = 64 << 20;
/// Most values that lines of JSON may lack, in all: 512 MiB of them.
const MAX_LACKING: usize = 1 << 26;

/// Reads CSV; its first line names the columns.
pub(crate) fn read_csv(reader: impl Read) -> anyhow::Result<Matrix> {
    let mut csv = csv::Reader::from_reader(reader);
    let names: Vec<String> = csv.headers()?.iter().map(|name| name.trim().to_owned()).collect();
    let mut values = Vec::new();
    let mut record = csv::StringRecord::new();
    while csv.read_record(&mut record)? {
        for (field, name) in record.iter().zip(&names) {
            let line = record.position().map_or(0, csv::Position::line);
            values.push(number(field).with_context(|| format!("line {line}, column {}", escape(name)))?);
        }
    }
    Ok(Matrix { values: Values::Double(values), columns: names.len(), names: Some(names) })
}

fn number(text: &str) -> anyhow::Result<f64> {
    let text = text.trim();
    if matches!(text, "" | "NA" | "null" | "None") {
        return Ok(f64::NAN);
    }
    match text {
        "true" | "True" => Ok(1.0),
        "false" | "False" => Ok(0.0),
        _ => text.parse().map_err(|_| anyhow::anyhow!("{:?} is not a number", escape(&cut(text, 40)))),
    }
}

/// Reads JSON lines: all objects, whose members are columns in the order in which they first appear and missing
/// where a line lacks them; or all arrays.
pub(crate) fn read_json_lines(mut reader: impl BufRead) -> anyhow::Result<Matrix> {
    let mut table = JsonTable::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        ensure!((line.len() as u64) < MAX_LINE, "line {number} is longer than the limit of {MAX_LINE} bytes");
        if !line.trim_ascii().is_empty() {
            let value = serde_json::from_slice(&line).with_context(|| format!("line {number}"))?;
            table.push(value).with_context(|| format!("line {number}"))?;
        }
    }
    table.finish()
}

#[derive(Default)]
struct JsonTable {
    positions: HashMap<String, usize>,
    names: Vec<String>,
    rows: Vec<Vec<f64>>,
    /// Values that no line holds.
    lacking: usize,
}

impl JsonTable {
    fn push(&mut self, line: Value) -> anyhow::Result<()> {
        match line {
            Value::Array(values) => {
                ensure!(self.names.is_empty(), "an array, the lines before are objects");
                let expected = self.rows.first().map_or(values.len(), Vec::len);
                let len = values.len();
                ensure!(len == expected, "{len} values, the lines before have {expected}");
                self.rows.push(values.iter().map(json_number).collect::<Result<_, _>>()?);
            }
            Value::Object(members) => {
                let arrays = self.names.is_empty() && !self.rows.is_empty();
                ensure!(!arrays, "an object, the lines before are arrays");
                self.lack(self.names.len().saturating_sub(members.len()))?;
                let mut row = vec![f64::NAN; self.names.len()];
                for (name, value) in members {
                    let value = json_number(&value)?;
                    match self.positions.get(&name) {
                        Some(&at) => row[at] = value,
                        None => {
                            self.positions.insert(name.clone(), row.len());
                            self.names.push(name);
                            row.push(value);
                        }
                    }
                }
                self.rows.push(row);
            }
            _ => bail!("need an object or an array"),
        }
        Ok(())
    }

    /// Counts values that are put in where lines lack a name: a short file may not become a huge table.
    fn lack(&mut self, values: usize) -> anyhow::Result<()> {
        self.lacking = self.lacking.saturating_add(values);
        let lacking = self.lacking;
        ensure!(
            lacking <= MAX_LACKING,
            "the lines lack {lacking} names of others, more than the limit {MAX_LACKING}"
        );
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<Matrix> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        self.lack(self.rows.iter().map(|row| columns - row.len()).sum())?;
        let mut values = Vec::with_capacity(columns * self.rows.len());
        for row in self.rows {
            let missing = columns - row.len();
            values.extend(row);
            values.extend(std::iter::repeat_n(f64::NAN, missing));
        }
        let names = (!self.names.is_empty()).then_some(self.names);
        Ok(Matrix { values: Values::Double(values), columns, names })
    }
}

fn json_number(value: &Value) -> anyhow::Result<f64> {
    match value {
        Value::Null => Ok(f64::NAN),
        Value::Bool(flag) => Ok(f64::from(u8::from(*flag))),
        Value::Number(number) => number.as_f64().with_context(|| format!("{number} is not a number")),
        // JSON has no NaN and no infinity; pandas and others write them as text.
        Value::String(text) if matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity" | "inf" | "-inf") => {
            number(text)
        }
        other => bail!("{} is not a number", escape(&cut(&other.to_string(), 40))),
    }
}

/// Writes CSV: names or numbers of the columns, then the shortest decimal numbers that read back as the same bits.
pub(crate) fn write_csv(out: &mut impl Write, matrix: &Matrix) -> anyhow::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    match &matrix.names {
        Some(names) => csv.write_record(names)?,
        None => csv.write_record((0..matrix.columns).map(|i| i.to_string()))?,
    }
    match &matrix.values {
        Values::Single(values) => records(&mut csv, values, matrix.columns)?,
        Values::Double(values) => records(&mut csv, values, matrix.columns)?,
    }
    csv.flush()?;
    Ok(())
}

fn records<T: ToString>(
    csv: &mut csv::Writer<impl Write>,
    values: &[T],
    columns: usize,
) -> anyhow::Result<()> {
    for row in values.chunks_exact(columns) {
        csv.write_record(row.iter().map(T::to_string))?;
    }
    Ok(())
}
