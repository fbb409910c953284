//! From the body of an answer to rows.
//!
//! | what the pointer leads to | rows |
//! |---|---|
//! | an array | its items, without nulls |
//! | an object, a text, a number | itself |
//! | nothing, `null`, `{}`, `[]` | none: the service knows nothing |
//!
//! A body is third-party text: it is not parsed when its values would take many times the memory of the text.

use std::collections::HashMap;

use serde_json::Value;
use tribunal_core::Entity;

use crate::config::HttpConfig;
use crate::open::OpenError;
use crate::source::{Record, SourceError};

/// How many times its size an answer may take in memory: each `{"a":1}` of 8 bytes takes a map of 650.
const MEMORY_FACTOR: usize = 16;

/// Where in an answer the rows are.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// Steps of the JSON pointer, unescaped.
    steps: Vec<String>,
    /// Field or JSON pointer of a row that holds the entity.
    key: Option<String>,
    max_bytes: usize,
}

impl Shape {
    pub(super) fn new(config: &HttpConfig) -> Result<Self, OpenError> {
        if !(config.rows.is_empty() || config.rows.starts_with('/')) {
            let reason = "must be a JSON pointer (/data/rows), or empty for the whole body";
            return Err(OpenError::new("http.rows", reason));
        }
        if config.key.as_deref().is_some_and(str::is_empty) {
            return Err(OpenError::new("http.key", "must be a field or a JSON pointer"));
        }
        let unescaped = |step: &str| step.replace("~1", "/").replace("~0", "~");
        let steps = config.rows.split('/').skip(1).map(unescaped).collect();
        Ok(Self { steps, key: config.key.clone(), max_bytes: config.max_bytes })
    }

    /// The rows about the one entity that was asked about.
    pub(super) fn one(&self, body: &[u8]) -> Result<Record, SourceError> {
        let mut body = self.parse(body)?;
        let found = self.find(&mut body)?;
        if self.steps.is_empty() && !(found.is_null() || found.is_array() || found.is_object()) {
            return Err(malformed("neither an object nor an array"));
        }
        Ok(record(found))
    }

    /// The rows about each of the entities that were asked about, by place in `names`.
    pub(super) fn many(&self, body: &[u8], names: &[&str]) -> Result<Vec<Record>, SourceError> {
        let mut body = self.parse(body)?;
        let found = self.find(&mut body)?;
        let mut records: Vec<Record> = names.iter().map(|_| Record::default()).collect();
        match (&self.key, found) {
            (_, Value::Null) => {}
            (Some(key), Value::Array(rows)) => by_key(key, rows, names, &mut records)?,
            (None, Value::Object(mut fields)) => {
                for (name, slot) in names.iter().zip(&mut records) {
                    *slot = record(fields.remove(*name).unwrap_or_default());
                }
            }
            (Some(_), _) => return Err(malformed("no array of rows where they are declared")),
            (None, _) => return Err(malformed("no object by entity where it is declared")),
        }
        Ok(records)
    }

    fn parse(&self, body: &[u8]) -> Result<Value, SourceError> {
        let limit = self.max_bytes.saturating_mul(MEMORY_FACTOR);
        if memory(body) > limit {
            return Err(SourceError::TooLarge { limit: limit as u64, unit: "bytes in memory" });
        }
        serde_json::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).map_err(|error| {
            let what = if error.is_eof() { "JSON that ends too soon" } else { "not JSON" };
            malformed(&format!("{what}, at line {} column {}", error.line(), error.column()))
        })
    }

    /// Follows the pointer. What the last step does not find is nothing; what an earlier step does not find is
    /// another form of answer than the declared one.
    fn find(&self, body: &mut Value) -> Result<Value, SourceError> {
        let mut at = body;
        for (i, step) in self.steps.iter().enumerate() {
            let is_last = i + 1 == self.steps.len();
            let next = match at {
                Value::Null => return Ok(Value::Null),
                Value::Object(fields) => fields.get_mut(step),
                Value::Array(items) => step.parse().ok().and_then(|index: usize| items.get_mut(index)),
                _ => return Err(malformed("a value where the pointer to the rows needs an object")),
            };
            at = match next {
                Some(next) => next,
                None if is_last => return Ok(Value::Null),
                None => return Err(malformed("nothing where the pointer to the rows leads")),
            };
        }
        Ok(at.take())
    }
}

fn malformed(reason: &str) -> SourceError {
    SourceError::Malformed { reason: reason.to_owned() }
}

fn record(value: Value) -> Record {
    let mut record = Record::default();
    match value {
        Value::Null => {}
        Value::Object(fields) if fields.is_empty() => {}
        Value::Array(items) => {
            for item in items {
                if !item.is_null() {
                    record.push(item);
                }
            }
        }
        other => record.push(other),
    }
    record
}

/// Hands each row to the entity that its key names. Rows about others are dropped.
fn by_key(key: &str, rows: Vec<Value>, names: &[&str], records: &mut [Record]) -> Result<(), SourceError> {
    let places: HashMap<&str, usize> = names.iter().enumerate().map(|(i, name)| (*name, i)).collect();
    for (i, row) in rows.into_iter().enumerate() {
        let value = if key.starts_with('/') { row.pointer(key) } else { row.get(key) };
        let Some(text) = value.and_then(Value::as_str) else {
            return Err(malformed(&format!("row {i} has no text at its key")));
        };
        let place = match places.get(text) {
            Some(place) => Some(*place),
            // Services write names in their own way: `EVIL.com.`, `2001:DB8:0:0::1`.
            None => Entity::parse(text).ok().and_then(|entity| places.get(entity.name()).copied()),
        };
        if let Some(record) = place.and_then(|place| records.get_mut(place)) {
            record.push(row);
        }
    }
    Ok(())
}

/// About how many bytes the values of a JSON text take, without parsing it.
fn memory(text: &[u8]) -> usize {
    const VALUE: usize = 32;
    const MAP: usize = 650;
    const NAME: usize = 40;
    let (mut total, mut in_string, mut escaped) = (VALUE, false, false);
    for byte in text {
        if in_string {
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        total += match byte {
            b'"' => {
                in_string = true;
                0
            }
            b'{' => MAP,
            b'[' | b',' => VALUE,
            b':' => NAME,
            _ => 0,
        };
    }
    total
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn shape(rows: &str, key: Option<&str>) -> Shape {
        let url = "https://api.example.com/{entity}".to_owned();
        let mut config: HttpConfig = serde_json::from_value(json!({"url": url, "rows": rows})).unwrap();
        config.key = key.map(str::to_owned);
        Shape::new(&config).unwrap()
    }

    #[test]
    fn pointers_have_escapes_and_positions() {
        let body = br#"{"a/b": [{"m~n": {"": 7}}]}"#;
        assert_eq!(shape("/a~1b/0/m~0n/", None).one(body).unwrap().rows, [json!(7)]);
        assert!(shape("/a~1b/1", None).one(body).unwrap().is_empty());
        assert!(shape("/a~1b/x/y", None).one(body).is_err());
        assert_eq!(shape("", None).one(b"\xef\xbb\xbf{\"a\":1}").unwrap().rows.len(), 1);
    }

    #[test]
    fn keys_are_read_as_names() {
        let body = json!([
            {"id": "EVIL.com."}, {"id": "2001:DB8:0:0::1"}, {"id": "other.com"}, {"id": "evil.com"},
            {"id": "not a name"},
        ]);
        let body = body.to_string();
        let counts = |names: &[&str]| -> Vec<usize> {
            let records = shape("", Some("/id")).many(body.as_bytes(), names).unwrap();
            records.iter().map(|record| record.rows.len()).collect()
        };
        assert_eq!(counts(&["evil.com", "2001:db8::1", "nobody.com"]), [2, 1, 0]);
        for wrong in
            [json!([{"id": 1}]), json!([{"name": "evil.com"}]), json!(["evil.com"]), json!({"evil.com": 1})]
        {
            let result = shape("", Some("id")).many(wrong.to_string().as_bytes(), &["evil.com"]);
            assert!(matches!(result, Err(SourceError::Malformed { .. })), "{wrong}");
        }
        let array = shape("", None).many(b"[]", &["evil.com"]);
        assert!(matches!(array, Err(SourceError::Malformed { .. })));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}|[\"\\\\{},:\\[\\]]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map("[a-c]{0,2}|[\"{,:\\\\]{1,3}", inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    /// What the estimate counts, counted in the value itself.
    fn counted(value: &Value) -> usize {
        match value {
            Value::Array(items) => 32 + items.iter().map(counted).sum::<usize>(),
            Value::Object(fields) => 650 + fields.values().map(|field| 40 + counted(field)).sum::<usize>(),
            _ => 32,
        }
    }

    proptest! {
        #[test]
        fn any_json_is_rows_or_malformed(value in any_json(), rows in "(/[a-c0-2]{0,2}){0,3}") {
            let text = value.to_string();
            for key in [None, Some("a"), Some("/a/b")] {
                let shape = shape(&rows, key);
                if let Err(error) = shape.one(text.as_bytes()) {
                    prop_assert_eq!(error.code(), "malformed");
                }
                match shape.many(text.as_bytes(), &["a.com", "b.com"]) {
                    Ok(records) => prop_assert_eq!(records.len(), 2),
                    Err(error) => prop_assert_eq!(error.code(), "malformed"),
                }
            }
            if rows.is_empty() && (value.is_object() || value.is_array()) {
                prop_assert_eq!(shape("", None).one(text.as_bytes()).unwrap(), record(value));
            }
        }

        #[test]
        fn any_bytes_are_malformed_at_worst(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in any::<usize>()) {
            let text = json!([{"a": [1, "x\\\"{"]}, {"b": {"c": null}}]).to_string();
            for body in [bytes.as_slice(), &text.as_bytes()[..cut % text.len()]] {
                if let Err(error) = shape("", None).one(body) {
                    prop_assert_eq!(error.code(), "malformed");
                }
            }
        }

        /// Brackets and commas within texts count for nothing; each value counts for what it takes, about.
        #[test]
        fn memory_is_counted_without_parsing(value in any_json()) {
            let (estimate, exact) = (memory(value.to_string().as_bytes()), counted(&value));
            prop_assert!(exact / 2 <= estimate && estimate <= 2 * exact, "{estimate} for {exact}: {value}");
        }
    }
}
