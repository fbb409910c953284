//! A MaxMind DB file, as it is: the record of an address is one row.
//!
//! The reader bounds the depth, the values and the bytes of a record, so that a file cannot make one that is larger
//! than itself by much. The file has no checksum; a registry's pointer has its digest.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Stands before the metadata, near the end of a file.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// Where the marker has to be: in this many bytes at the end.
const MARKER_WITHIN: usize = 128 << 10;
/// Field of a record that is not an object.
const VALUE: &str = "value";

/// A MaxMind DB.
pub struct MaxMind {
    reader: Reader<Bytes>,
    bytes: usize,
}

impl fmt::Debug for MaxMind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaxMind").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// What a MaxMind DB says of itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MaxMindAbout {
    /// `GeoLite2-ASN`.
    pub database_type: String,
    /// In English, if it is.
    pub description: Option<String>,
    /// Seconds since 1970.
    pub build_epoch: u64,
    /// 4, or 6 for both families.
    pub ip_version: u16,
    /// Nodes of the tree.
    pub nodes: u32,
}

impl MaxMind {
    /// Whether `bytes` look like one.
    pub fn is_one(bytes: &[u8]) -> bool {
        let end = &bytes[bytes.len().saturating_sub(MARKER_WITHIN)..];
        end.windows(MARKER.len()).any(|window| window == MARKER)
    }

    /// Checks the metadata and that tree and data lie in the file.
    ///
    /// # Errors
    /// When they do not.
    pub fn open(bytes: impl Into<Bytes>) -> Result<Self, MaxMindDbError> {
        let bytes = bytes.into();
        Ok(Self { bytes: bytes.len(), reader: Reader::from_source(bytes)? })
    }

    /// Bytes of the file.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it says of itself.
    pub fn about(&self) -> MaxMindAbout {
        let metadata = self.reader.metadata();
        MaxMindAbout {
            database_type: metadata.database_type.clone(),
            description: metadata.description.get("en").cloned(),
            build_epoch: metadata.build_epoch,
            ip_version: metadata.ip_version,
            nodes: metadata.node_count,
        }
    }

    /// The record of an address as a row; `None` when there is none.
    ///
    /// # Errors
    /// When the record is not sound.
    pub fn lookup(&self, address: IpAddr) -> Result<Option<Value>, MaxMindDbError> {
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Ok(None);
        }
        Ok(self.reader.lookup(address)?.decode::<Json>()?.map(|Json(value)| row(value)))
    }

    /// Up to `limit` records: examples.
    pub fn first_rows(&self, limit: usize) -> Vec<Value> {
        let Ok(networks) = self.reader.networks(WithinOptions::default()) else { return Vec::new() };
        let records = networks.map_while(Result::ok).map_while(|found| found.decode::<Json>().ok().flatten());
        records.take(limit).map(|Json(value)| row(value)).collect()
    }
}

fn row(value: Value) -> Value {
    if value.is_object() { value } else { Value::Object(Map::from_iter([(VALUE.to_owned(), value)])) }
}

/// A record as JSON: integers that JSON cannot hold exactly become texts, bytes become null.
struct Json(Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor).map(Json)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or_else(|_| Value::from(value.to_string()), Value::from))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Json(value)) = elements.next_element()? {
            array.push(value);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Json(value))) = entries.next_entry::<String, Json>()? {
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}
