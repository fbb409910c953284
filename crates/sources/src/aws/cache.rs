//! Answers in DynamoDB.
//!
//! Reads are eventually consistent: an answer that was written a moment ago may be missed, and is asked for once more.
//! What DynamoDB leaves undone because it is busy is asked for again [`AGAIN`] times with growing pauses, then left
//! out: an answer that was not read is one that is not there. An expired one is not there either, also before
//! DynamoDB deletes it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, PutRequest, WriteRequest};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::{EXPIRES_AT, KEY, StateTable, TableError, pause};
use crate::clock::{Clock, Steady, SystemClock};
use crate::shared_cache::{SharedCache, decode, encode};
use crate::source::{Cause, Record};

/// Keys of one `BatchGetItem`: what DynamoDB takes.
const MAX_GET: usize = 100;
/// Items of one `BatchWriteItem`: what DynamoDB takes.
const MAX_PUT: usize = 25;
/// Requests under way at once.
const CONCURRENCY: usize = 4;
/// How often what was left undone is asked for again.
const AGAIN: u32 = 3;
/// Most of the pause before the first time; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

const ANSWER: &str = "answer";

type Item = HashMap<String, AttributeValue>;

/// A shared cache in a DynamoDB table.
#[derive(Debug)]
pub struct DynamoCache {
    table: StateTable,
    clock: Steady,
}

impl DynamoCache {
    /// Answers in the table of that name, by the system's clock.
    pub fn new(config: &aws_config::SdkConfig, table: &str) -> Self {
        Self::with_clock(config, table, Arc::new(SystemClock))
    }

    /// Answers in the table of that name, by this clock.
    pub fn with_clock(config: &aws_config::SdkConfig, table: &str, clock: Arc<dyn Clock>) -> Self {
        Self { table: StateTable::new(config, table), clock: Steady::new(clock) }
    }

    fn now_s(&self) -> u64 {
        self.clock.now_ms() / 1_000
    }

    /// Reads at most [`MAX_GET`] different keys.
    async fn get_some(&self, keys: Vec<Item>) -> Result<Vec<Item>, TableError> {
        let failed = |error| self.table.failed("BatchGetItem", error);
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).build().map_err(failed)?;
        let mut pending = Some(HashMap::from([(self.table.name.clone(), keys)]));
        let mut found = Vec::new();
        for again in 0..=AGAIN {
            let Some(request) = pending.take().filter(|tables| !tables.is_empty()) else { break };
            if again > 0 {
                tokio::time::sleep(pause(again, FIRST_PAUSE)).await;
            }
            let call = self.table.client.batch_get_item().set_request_items(Some(request)).send();
            let output = Box::pin(call).await.map_err(|e| self.table.failed("BatchGetItem", e))?;
            found.extend(output.responses.into_iter().flatten().flat_map(|(_, items)| items));
            pending = output.unprocessed_keys;
        }
        Ok(found)
    }

    /// Writes at most [`MAX_PUT`] items of different keys.
    async fn put_some(&self, writes: Vec<WriteRequest>) -> Result<(), TableError> {
        let mut pending = Some(HashMap::from([(self.table.name.clone(), writes)]));
        for again in 0..=AGAIN {
            let Some(request) = pending.take().filter(|tables| !tables.is_empty()) else { break };
            if again > 0 {
                tokio::time::sleep(pause(again, FIRST_PAUSE)).await;
            }
            let call = self.table.client.batch_write_item().set_request_items(Some(request)).send();
            let output = Box::pin(call).await.map_err(|e| self.table.failed("BatchWriteItem", e))?;
            pending = output.unprocessed_items;
        }
        Ok(())
    }

    /// The item that keeps an answer; `None` for one that is too large, or expires at once.
    fn item(&self, key: String, record: &Record, lifetime: Duration) -> Option<Item> {
        let expires_at = self.now_s().saturating_add(lifetime.as_secs());
        let answer = if lifetime.as_secs() > 0 { encode(record) } else { None };
        answer.map(|answer| {
            HashMap::from([
                (KEY.to_owned(), AttributeValue::S(key)),
                (ANSWER.to_owned(), AttributeValue::S(answer)),
                (EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.to_string())),
            ])
        })
    }
}

#[async_trait::async_trait]
impl SharedCache for DynamoCache {
    async fn get(&self, source_key: &str, entities: &[&str]) -> Result<HashMap<String, Record>, Cause> {
        let prefix = prefix_of(source_key);
        // DynamoDB refuses a request that names a key twice.
        let entities: BTreeSet<&str> = entities.iter().copied().collect();
        let keys: Vec<Item> = entities
            .into_iter()
            .map(|entity| HashMap::from([(KEY.to_owned(), AttributeValue::S(format!("{prefix}{entity}")))]))
            .collect();
        let chunks: Vec<Vec<Item>> = keys.chunks(MAX_GET).map(<[Item]>::to_vec).collect();
        let items: Vec<Vec<Item>> = stream::iter(chunks)
            .map(|keys| self.get_some(keys))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        let now = self.now_s();
        Ok(items.iter().flatten().filter_map(|item| answer_of(item, &prefix, now)).collect())
    }

    async fn put(&self, source_key: &str, answers: &[(String, Record, Duration)]) -> Result<(), Cause> {
        let prefix = prefix_of(source_key);
        let by_entity: HashMap<&str, &(String, Record, Duration)> =
            answers.iter().map(|answer| (answer.0.as_str(), answer)).collect();
        let writes = by_entity
            .values()
            .filter_map(|(entity, record, lifetime)| {
                self.item(format!("{prefix}{entity}"), record, *lifetime)
            })
            .map(|item| PutRequest::builder().set_item(Some(item)).build())
            .map(|put| put.map(|put| WriteRequest::builder().put_request(put).build()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| self.table.failed("BatchWriteItem", e))?;
        let chunks: Vec<Vec<WriteRequest>> = writes.chunks(MAX_PUT).map(<[WriteRequest]>::to_vec).collect();
        let () = stream::iter(chunks)
            .map(|writes| self.put_some(writes))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        Ok(())
    }
}

fn prefix_of(source_key: &str) -> String {
    format!("cache#{source_key}#")
}

/// The entity and the answer of an item; `None` when it has expired, or is none.
fn answer_of(item: &Item, prefix: &str, now_s: u64) -> Option<(String, Record)> {
    let text = |name: &str| item.get(name)?.as_s().ok();
    let expires_at: u64 = item.get(EXPIRES_AT)?.as_n().ok()?.parse().ok()?;
    if expires_at <= now_s {
        return None;
    }
    Some((text(KEY)?.strip_prefix(prefix)?.to_owned(), decode(text(ANSWER)?)?))
}
