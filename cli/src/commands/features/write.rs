//! Vectors with what was carried, as CSV or JSON lines.

use std::collections::HashSet;
use std::io::Write;

use serde_json::{Map, Value};
use tribunal_core::Entity;

use super::OutputFormat;

/// Writes rows.
pub(super) struct Rows {
    out: Box<dyn Write>,
    format: OutputFormat,
    features: Vec<String>,
    /// Names that a carried column must not have.
    taken: HashSet<String>,
    /// Columns carried, once the header is written.
    carried: Option<Vec<String>>,
    row: Vec<u8>,
}

impl Rows {
    /// Rows of `features` to `out`.
    pub(super) fn new(out: Box<dyn Write>, format: OutputFormat, features: Vec<String>) -> Self {
        let mut taken: HashSet<String> = features.iter().cloned().collect();
        taken.extend(["entity", "kind"].map(str::to_owned));
        Self { out, format, features, taken, carried: None, row: Vec::with_capacity(4_096) }
    }

    /// Writes one row. `columns` are those that the input named before its rows; without them those of the
    /// first row are carried.
    pub(super) fn write(
        &mut self,
        entity: &Entity,
        columns: &[String],
        carried: &Map<String, Value>,
        vector: &[f32],
    ) -> anyhow::Result<()> {
        self.row.clear();
        match self.format {
            OutputFormat::Csv => self.csv(entity, columns, carried, vector)?,
            OutputFormat::Jsonl => self.json(entity, carried, vector)?,
        }
        self.row.push(b'\n');
        self.out.write_all(&self.row)?;
        Ok(())
    }

    /// Writes what is still held back.
    pub(super) fn finish(mut self) -> std::io::Result<()> {
        self.out.flush()
    }

    fn csv(
        &mut self,
        entity: &Entity,
        columns: &[String],
        carried: &Map<String, Value>,
        vector: &[f32],
    ) -> anyhow::Result<()> {
        if self.carried.is_none() {
            let named: Vec<String> =
                if columns.is_empty() { carried.keys().cloned().collect() } else { columns.to_vec() };
            let named: Vec<String> = named.into_iter().filter(|name| !self.taken.contains(name)).collect();
            let mut header = csv::Writer::from_writer(&mut self.out);
            header.write_record(
                ["entity", "kind"].into_iter().chain(named.iter().chain(&self.features).map(String::as_str)),
            )?;
            header.flush()?;
            drop(header);
            self.carried = Some(named);
        }
        self.row.extend_from_slice(entity.name().as_bytes());
        self.row.push(b',');
        self.row.extend_from_slice(entity.kind().as_str().as_bytes());
        for name in self.carried.iter().flatten() {
            self.row.push(b',');
            match carried.get(name) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => quoted(&mut self.row, text),
                Some(other) => quoted(&mut self.row, &other.to_string()),
            }
        }
        for value in vector {
            self.row.push(b',');
            if !value.is_nan() {
                number(&mut self.row, *value)?;
            }
        }
        Ok(())
    }

    fn json(&mut self, entity: &Entity, carried: &Map<String, Value>, vector: &[f32]) -> anyhow::Result<()> {
        write!(self.row, "{{\"entity\":\"{}\",\"kind\":\"{}\"", entity.name(), entity.kind().as_str())?;
        for (name, value) in carried.iter().filter(|(name, _)| !self.taken.contains(*name)) {
            self.row.push(b',');
            serde_json::to_writer(&mut self.row, name)?;
            self.row.push(b':');
            serde_json::to_writer(&mut self.row, value)?;
        }
        self.row.extend_from_slice(b",\"features\":{");
        for (i, (name, value)) in self.features.iter().zip(vector).enumerate() {
            write!(self.row, "{}\"{name}\":", if i == 0 { "" } else { "," })?;
            if value.is_nan() {
                self.row.extend_from_slice(b"null");
            } else {
                number(&mut self.row, *value)?;
            }
        }
        self.row.extend_from_slice(b"}}");
        Ok(())
    }
}

/// A field of CSV, quoted where it has to be.
fn quoted(row: &mut Vec<u8>, text: &str) {
    if !text.contains([',', '"', '\n', '\r']) {
        row.extend_from_slice(text.as_bytes());
        return;
    }
    row.push(b'"');
    row.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    row.push(b'"');
}

/// The shortest text that reads as the same `f32`. Most values are small whole numbers.
fn number(row: &mut Vec<u8>, value: f32) -> std::io::Result<()> {
    if value.fract() == 0.0 && (0.0..10.0).contains(&value) {
        row.push(b'0' + value as u8);
        return Ok(());
    }
    write!(row, "{value}")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Rc<RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn written(format: OutputFormat, columns: &[&str], carried: &Value) -> String {
        let shared = Shared::default();
        let names = ["one", "two", "three"].map(str::to_owned).to_vec();
        let mut rows = Rows::new(Box::new(shared.clone()), format, names);
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        let entity = Entity::parse("a.example").unwrap();
        rows.write(&entity, &columns, carried.as_object().unwrap(), &[1.0, f32::NAN, -0.25]).unwrap();
        rows.finish().unwrap();
        String::from_utf8(shared.0.take()).unwrap()
    }

    #[test]
    fn csv_has_carried_columns_in_their_order_and_empty_cells() {
        let carried = serde_json::json!({ "label": "1", "two": "mine", "family": "a,\"b\"" });
        assert_eq!(
            written(OutputFormat::Csv, &["label", "entity", "two", "family"], &carried),
            "entity,kind,label,family,one,two,three\na.example,domain,1,\"a,\"\"b\"\"\",1,,-0.25\n"
        );
    }

    #[test]
    fn json_has_null_for_missing_and_keeps_types() {
        assert_eq!(
            written(OutputFormat::Jsonl, &[], &serde_json::json!({ "label": 1, "kind": "x" })),
            "{\"entity\":\"a.example\",\"kind\":\"domain\",\"label\":1,\
             \"features\":{\"one\":1,\"two\":null,\"three\":-0.25}}\n"
        );
    }
}
