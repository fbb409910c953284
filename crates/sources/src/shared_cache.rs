//! Answers that all environments share, for sources that cost money or quota.
//!
//! A key is the source's name, a digest of how it is asked ([`source_key`]), and the entity: a changed query does not
//! read old answers. An answer larger than [`MAX_VALUE_BYTES`] is not kept. The lifetime is counted from the time
//! of writing and checked when it is read; a reader that keeps what it read for a lifetime of its own may show an
//! answer that is twice as old.
//!
//! A cache that fails costs a request to the source, and never an answer.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use tribunal_core::digest;

use crate::config::{DatasetConfig, DnsConfig, HttpConfig, MongodbConfig, MysqlConfig, SourceConfig};
use crate::source::{Cause, MAX_ROWS, Record};

/// Most bytes of an answer as it is kept: a batch of 100 stays under a megabyte.
pub const MAX_VALUE_BYTES: usize = 8 * 1024;

/// Answers, shared.
#[async_trait::async_trait]
pub trait SharedCache: Send + Sync + fmt::Debug {
    /// The answers that are there, by entity.
    ///
    /// # Errors
    /// When the cache cannot be read.
    async fn get(&self, source_key: &str, entities: &[&str]) -> Result<HashMap<String, Record>, Cause>;

    /// Keeps answers: entity, answer, lifetime.
    ///
    /// # Errors
    /// When the cache cannot be written.
    async fn put(&self, source_key: &str, answers: &[(String, Record, Duration)]) -> Result<(), Cause>;
}

/// How a source is asked: all that its answers depend on, and nothing of what is made of them.
#[derive(Serialize)]
struct Asked<'a> {
    dataset: &'a Option<DatasetConfig>,
    mysql: &'a Option<MysqlConfig>,
    mongodb: &'a Option<MongodbConfig>,
    http: &'a Option<HttpConfig>,
    dns: &'a Option<DnsConfig>,
}

/// The source's name and a digest of how it is asked.
#[expect(clippy::expect_used, reason = "texts, numbers and maps by text are JSON always")]
pub fn source_key(name: &str, config: &SourceConfig) -> String {
    let SourceConfig { dataset, mysql, mongodb, http, dns, .. } = config;
    let asked = Asked { dataset, mysql, mongodb, http, dns };
    let json = serde_json::to_vec(&asked).expect("a declaration is JSON");
    let digest = digest::sha256(&json);
    let hex = digest.strip_prefix("sha256:").unwrap_or(&digest);
    format!("{name}#{}", hex.get(..32).unwrap_or(hex))
}

/// An answer as it is kept: its rows as compact JSON; `None` when that is larger than it may be.
pub(crate) fn encode(record: &Record) -> Option<String> {
    let mut bounded = Bounded(Vec::new());
    serde_json::to_writer(&mut bounded, &record.rows).ok()?;
    String::from_utf8(bounded.0).ok()
}

/// An answer that was kept; `None` when it is not one, as of another release.
pub(crate) fn decode(text: &str) -> Option<Record> {
    if text.len() > MAX_VALUE_BYTES {
        return None;
    }
    let mut rows: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
    rows.truncate(MAX_ROWS);
    Some(Record::of(rows))
}

/// Takes [`MAX_VALUE_BYTES`], and refuses what is more before memory is taken for it.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_VALUE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::Declaration;

    fn source(more: &str) -> SourceConfig {
        let text = format!("[sources.a]\n{more}\n[sources.a.dns]\nrecords = [\"A\"]\n");
        toml::from_str::<Declaration>(&text).unwrap().sources["a"].clone()
    }

    #[test]
    fn a_changed_query_has_another_key_and_a_changed_timeout_has_not() {
        let plain = source_key("a", &source(""));
        assert!(plain.starts_with("a#") && plain.len() == 2 + 32, "{plain}");
        assert_eq!(plain, source_key("a", &source("timeout_ms = 50\nquota = { requests = 1, per_s = 1 }")));
        assert_ne!(plain, source_key("b", &source("")));
        let mut other = source("");
        other.dns.as_mut().unwrap().records.clear();
        assert_ne!(plain, source_key("a", &other));
    }

    #[test]
    fn answers_are_bounded() {
        let of = |bytes: usize| Record::of(vec![json!("x".repeat(bytes))]);
        let largest = of(MAX_VALUE_BYTES - 4);
        let text = encode(&largest).unwrap();
        assert_eq!(text.len(), MAX_VALUE_BYTES);
        assert_eq!(decode(&text), Some(largest));
        assert_eq!(encode(&of(MAX_VALUE_BYTES - 3)), None);
        assert_eq!(decode(&format!("{text} ")), None);
        assert_eq!(encode(&Record::default()).as_deref(), Some("[]"), "knows nothing");
        assert_eq!(decode("{}"), None);
    }
}
