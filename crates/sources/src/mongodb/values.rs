//! Documents of MongoDB as JSON.
//!
//! | BSON | JSON |
//! |---|---|
//! | 32-bit and 64-bit integers | number |
//! | double, decimal | number: a decimal exact when it is a whole number of 64 bits, else the nearest double |
//! | date | RFC 3339 in UTC: `2026-11-24T10:20:30.5Z` |
//! | timestamp | likewise, whole seconds |
//! | object id | 24 hexadecimal digits |
//! | string, symbol, JavaScript | text |
//! | binary | a UUID as text, else `0x` and hexadecimal digits |
//! | regular expression | `/pattern/options` |
//! | null, undefined, what JSON has no number for (NaN), keys of the protocol itself | null |

use jiff::Timestamp;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{RawArray, RawBsonRef, RawDocument};
use serde_json::{Map, Value};

use crate::SourceError;
use crate::params::{Found, decimal, float, hexadecimal};

/// Deepest nesting that is read: less than the server allows, more than a fact needs.
const MAX_DEPTH: usize = 32;

/// A document as a JSON object; its fields are counted as they are made.
pub(crate) fn json(document: &RawDocument, found: &mut Found<'_>) -> Result<Value, SourceError> {
    object(document, found, MAX_DEPTH)
}

fn object(document: &RawDocument, found: &mut Found<'_>, depth: usize) -> Result<Value, SourceError> {
    let mut object = Map::new();
    for field in document {
        let (name, field) = field.map_err(|_| malformed("it is not BSON"))?;
        object.insert(name.as_str().to_owned(), value(field, found, depth)?);
    }
    Ok(Value::Object(object))
}

fn value(value: RawBsonRef<'_>, found: &mut Found<'_>, depth: usize) -> Result<Value, SourceError> {
    found.count_fields(1)?;
    let deeper = || depth.checked_sub(1).ok_or_else(|| malformed("a document is nested too deeply"));
    Ok(match value {
        RawBsonRef::Double(number) => float(number),
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) | RawBsonRef::JavaScriptCode(text) => text.into(),
        RawBsonRef::Array(items) => array(items, found, deeper()?)?,
        RawBsonRef::Document(document) => object(document, found, deeper()?)?,
        RawBsonRef::Boolean(flag) => flag.into(),
        RawBsonRef::Int32(number) => number.into(),
        RawBsonRef::Int64(number) => number.into(),
        RawBsonRef::ObjectId(id) => id.to_hex().into(),
        RawBsonRef::DateTime(time) => Timestamp::from_millisecond(time.timestamp_millis())
            .map_or(Value::Null, |time| time.to_string().into()),
        RawBsonRef::Timestamp(time) => {
            Timestamp::from_second(time.time.into()).map_or(Value::Null, |time| time.to_string().into())
        }
        RawBsonRef::Decimal128(number) => decimal(&number.to_string()).unwrap_or_default(),
        RawBsonRef::Binary(binary) => match (binary.subtype, <[u8; 16]>::try_from(binary.bytes)) {
            (BinarySubtype::Uuid, Ok(bytes)) => mongodb::bson::Uuid::from_bytes(bytes).to_string().into(),
            _ => hexadecimal(binary.bytes).into(),
        },
        RawBsonRef::RegularExpression(expression) => {
            format!("/{}/{}", expression.pattern.as_str(), expression.options.as_str()).into()
        }
        RawBsonRef::JavaScriptCodeWithScope(code) => code.code.into(),
        RawBsonRef::Null
        | RawBsonRef::Undefined
        | RawBsonRef::MaxKey
        | RawBsonRef::MinKey
        | RawBsonRef::DbPointer(_) => Value::Null,
    })
}

fn array(items: &RawArray, found: &mut Found<'_>, depth: usize) -> Result<Value, SourceError> {
    let mut values = Vec::new();
    for item in items {
        values.push(value(item.map_err(|_| malformed("it is not BSON"))?, found, depth)?);
    }
    Ok(Value::Array(values))
}

pub(super) fn malformed(reason: &str) -> SourceError {
    SourceError::Malformed { reason: reason.to_owned() }
}
