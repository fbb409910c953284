//! Answers kept in memory: bounded in number and in bytes, with a lifetime of their own for "knows nothing".

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use serde_json::Value;
use tokio::time::Instant;

use crate::config::CacheConfig;
use crate::source::Record;

/// Most bytes that a source's answers take, roughly.
const MAX_BYTES: usize = 16 << 20;
/// Most bytes of one answer, roughly: a larger one is not kept.
const MAX_RECORD_BYTES: usize = 64 << 10;

/// The answers of one source, by entity; the least recently used go first.
#[derive(Debug)]
pub(crate) struct Cache {
    positive: Duration,
    negative: Duration,
    held: Option<Mutex<Held>>,
}

#[derive(Debug)]
struct Held {
    answers: LruCache<String, Answer>,
    bytes: usize,
}

#[derive(Debug)]
struct Answer {
    record: Record,
    bytes: usize,
    until: Instant,
}

impl Cache {
    pub(crate) fn new(config: &CacheConfig) -> Self {
        // `unbounded` and then a limit: memory for most entries is never needed, and not taken at once.
        let held = NonZeroUsize::new(config.entries).map(|limit| {
            let mut answers = LruCache::unbounded();
            answers.resize(limit);
            Mutex::new(Held { answers, bytes: 0 })
        });
        Self {
            positive: Duration::from_secs(config.positive_s),
            negative: Duration::from_secs(config.negative_s),
            held,
        }
    }

    /// How long an answer lives.
    pub(crate) const fn lifetime(&self, record: &Record) -> Duration {
        if record.is_empty() { self.negative } else { self.positive }
    }

    pub(crate) fn get(&self, entity: &str) -> Option<Record> {
        let mut held = self.held.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = held.answers.get(entity)?;
        if answer.until > Instant::now() {
            return Some(answer.record.clone());
        }
        held.forget(entity);
        None
    }

    pub(crate) fn put(&self, entity: &str, record: &Record) {
        let lifetime = self.lifetime(record);
        let bytes = entity.len() + record.rows.iter().map(bytes_of).sum::<usize>() + 128;
        let Some(held) = &self.held else { return };
        if bytes > MAX_RECORD_BYTES || lifetime.is_zero() {
            return;
        }
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        held.forget(entity);
        while held.bytes + bytes > MAX_BYTES || held.answers.len() >= held.answers.cap().get() {
            let Some((_, oldest)) = held.answers.pop_lru() else { break };
            held.bytes -= oldest.bytes;
        }
        held.bytes += bytes;
        let answer = Answer { record: record.clone(), bytes, until: Instant::now() + lifetime };
        held.answers.put(entity.to_owned(), answer);
    }
}

impl Held {
    fn forget(&mut self, entity: &str) {
        if let Some(answer) = self.answers.pop(entity) {
            self.bytes -= answer.bytes;
        }
    }
}

/// Memory of a value, roughly.
fn bytes_of(value: &Value) -> usize {
    let own = size_of::<Value>();
    own + match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(bytes_of).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + 48 + bytes_of(value)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(text: &str) -> Record {
        Record::of(vec![json!({"a": text})])
    }

    #[tokio::test(start_paused = true)]
    async fn answers_live_as_long_as_is_declared() {
        let cache = Cache::new(&CacheConfig { entries: 10, positive_s: 60, negative_s: 5, shared: false });
        cache.put("a.example", &record("x"));
        cache.put("b.example", &Record::default());
        assert_eq!(cache.get("a.example"), Some(record("x")));
        assert_eq!(cache.get("b.example"), Some(Record::default()));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!((cache.get("a.example"), cache.get("b.example")), (Some(record("x")), None));
        tokio::time::advance(Duration::from_secs(55)).await;
        assert_eq!(cache.get("a.example"), None);
    }

    #[tokio::test]
    async fn number_and_bytes_are_bounded() {
        let few = Cache::new(&CacheConfig { entries: 2, ..CacheConfig::default() });
        for name in ["a", "b", "a", "c"] {
            few.put(name, &record(name));
        }
        assert_eq!((few.get("a"), few.get("b"), few.get("c")), (Some(record("a")), None, Some(record("c"))));
        let many = Cache::new(&CacheConfig { entries: 1_000_000, ..CacheConfig::default() });
        let large = "x".repeat(60_000);
        for n in 0..1_000 {
            many.put(&n.to_string(), &record(&large));
        }
        assert_eq!(many.get("0"), None);
        assert_eq!(many.get("999"), Some(record(&large)));
        assert!(many.held.as_ref().unwrap().lock().unwrap().bytes <= MAX_BYTES);
        many.put("huge", &record(&"x".repeat(70_000)));
        assert_eq!(many.get("huge"), None);
        let none = Cache::new(&CacheConfig { entries: 0, ..CacheConfig::default() });
        none.put("a", &record("a"));
        assert_eq!(none.get("a"), None);
    }
}
