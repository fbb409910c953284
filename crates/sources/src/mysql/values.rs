//! Rows of MySQL as JSON.
//!
//! | column | JSON |
//! |---|---|
//! | integers, `YEAR`, `BIT` | number |
//! | `DECIMAL` | number: exact when it has no decimals and fits 64 bits, else the nearest double |
//! | `FLOAT`, `DOUBLE` | number |
//! | `DATE` | `2026-11-24` |
//! | `DATETIME`, `TIMESTAMP` | RFC 3339 in UTC, which is the session's time zone: `2026-11-24T10:20:30Z` |
//! | `TIME` | `-12:34:56.000001`, hours beyond 24 |
//! | texts, `ENUM`, `SET` | text |
//! | `JSON` (MySQL; MariaDB has texts) | what it holds |
//! | `BINARY`, `BLOB` and the like | text if it is UTF-8, else `0x` and hexadecimal digits |
//! | NULL, dates with a zero in them | null |

use mysql_async::consts::ColumnType;
use mysql_async::{Column, Value as Sql};
use serde_json::Value;

use crate::params::{decimal, float, text_of_bytes};

/// Whether the driver can read values of a column: it panics at the types that it does not list.
pub(crate) const fn is_readable(column: ColumnType) -> bool {
    !matches!(
        column,
        ColumnType::MYSQL_TYPE_UNKNOWN
            | ColumnType::MYSQL_TYPE_TYPED_ARRAY
            | ColumnType::MYSQL_TYPE_TIMESTAMP2
            | ColumnType::MYSQL_TYPE_DATETIME2
            | ColumnType::MYSQL_TYPE_TIME2
    )
}

/// What a parsed value takes for each byte of its text, at most about: `[0,0,0]`.
const PARSED: usize = 16;

/// Bytes that a value takes when it is JSON, about.
pub(crate) fn size(value: &Sql, column: &Column) -> usize {
    match value {
        Sql::Bytes(bytes) if column.column_type() == ColumnType::MYSQL_TYPE_JSON => {
            bytes.len().saturating_mul(PARSED)
        }
        Sql::Bytes(bytes) => bytes.len(),
        _ => 0,
    }
}

/// A value as JSON.
pub(crate) fn json(value: Sql, column: &Column) -> Value {
    match value {
        Sql::NULL => Value::Null,
        Sql::Bytes(bytes) => of_bytes(bytes, column.column_type()),
        Sql::Int(number) => number.into(),
        Sql::UInt(number) => number.into(),
        // The shortest decimal form: 0.1, not the double next to it.
        Sql::Float(number) => number.to_string().parse().map_or(Value::Null, float),
        Sql::Double(number) => float(number),
        Sql::Date(year, month, day, hour, minute, second, micros) => {
            if year == 0 || month == 0 || day == 0 {
                return Value::Null;
            }
            let date = format!("{year:04}-{month:02}-{day:02}");
            if column.column_type() == ColumnType::MYSQL_TYPE_DATE {
                return date.into();
            }
            format!("{date}T{hour:02}:{minute:02}:{second:02}{}Z", fraction(micros)).into()
        }
        Sql::Time(negative, days, hours, minutes, seconds, micros) => {
            let sign = if negative { "-" } else { "" };
            let hours = u64::from(days) * 24 + u64::from(hours);
            format!("{sign}{hours:02}:{minutes:02}:{seconds:02}{}", fraction(micros)).into()
        }
    }
}

fn of_bytes(bytes: Vec<u8>, kind: ColumnType) -> Value {
    match kind {
        ColumnType::MYSQL_TYPE_BIT if bytes.len() <= 8 => {
            bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)).into()
        }
        ColumnType::MYSQL_TYPE_DECIMAL | ColumnType::MYSQL_TYPE_NEWDECIMAL => {
            let text = text_of_bytes(bytes);
            decimal(&text).unwrap_or(Value::String(text))
        }
        // Nested deeper than the parser goes, it stays a text.
        ColumnType::MYSQL_TYPE_JSON => {
            serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(text_of_bytes(bytes)))
        }
        _ => Value::String(text_of_bytes(bytes)),
    }
}

fn fraction(micros: u32) -> String {
    if micros == 0 { String::new() } else { format!(".{micros:06}") }
}
