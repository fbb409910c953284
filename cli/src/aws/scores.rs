//! Reads scores from the table: the latest of an entity, those of an execution, and those of a verdict.

use anyhow::Context as _;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tribunal_core::Score;
use tribunal_core::message::ScoreKey;
use tribunal_core::time::rfc3339_millis;
use tribunal_ensemble::index::{INDEX, VERDICT_DAY};
use tribunal_ensemble::items::{ENTITY, Item, SCORED_KEY, ScoreItem, key, score_from_item};

use super::explain::Reach;
use super::stack::Stack;

/// Most keys of one BatchGetItem.
const MAX_KEYS: usize = 100;
/// The last moment of a year with four digits: times sort as text up to there.
const LAST_MS: u64 = 253_402_300_799_999;
/// Queries under way at once.
const CONCURRENCY: usize = 8;
/// How often keys that DynamoDB left unprocessed are asked for again.
const ATTEMPTS: u32 = 8;

/// The table of scores.
#[derive(Debug, Clone)]
pub(crate) struct Scores {
    client: aws_sdk_dynamodb::Client,
    table: String,
    reach: Reach,
}

impl Scores {
    /// The table of a deployment.
    pub(crate) fn of(stack: &Stack) -> Self {
        Self { client: stack.dynamodb(), table: stack.outputs.table.clone(), reach: stack.reach.clone() }
    }

    /// The latest scores of an entity, newest request first.
    pub(crate) async fn history(&self, entity: &str, limit: usize) -> anyhow::Result<Vec<Score>> {
        let items = self.between(entity, 0, LAST_MS, limit).await?;
        Ok(items.into_iter().map(|item| item.score).collect())
    }

    /// The score of an entity that was the latest at a time, with its vector.
    pub(crate) async fn latest(&self, entity: &str, at_ms: u64) -> anyhow::Result<Option<ScoreItem>> {
        Ok(self.between(entity, 0, at_ms, 1).await?.pop())
    }

    /// The scores of an entity that were asked for between two times (both included), newest request first.
    pub(crate) async fn between(
        &self,
        entity: &str,
        since_ms: u64,
        until_ms: u64,
        limit: usize,
    ) -> anyhow::Result<Vec<ScoreItem>> {
        // A sort key is a time, `#` and an id; `$` comes after `#`.
        let until = format!("{}$", rfc3339_millis(until_ms.min(LAST_MS)));
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#key = :entity AND #time BETWEEN :since AND :until")
            .expression_attribute_names("#key", ENTITY)
            .expression_attribute_names("#time", SCORED_KEY)
            .expression_attribute_values(":entity", AttributeValue::S(entity.to_owned()))
            .expression_attribute_values(":since", AttributeValue::S(rfc3339_millis(since_ms.min(LAST_MS))))
            .expression_attribute_values(":until", AttributeValue::S(until))
            .consistent_read(true)
            .scan_index_forward(false)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .into_paginator()
            .items()
            .send();
        let mut scores = Vec::new();
        while scores.len() < limit {
            let Some(item) = pages.next().await else { break };
            let item = item.map_err(|e| self.reach.explain("cannot read the table of scores", e))?;
            scores.push(decode_item(item)?);
        }
        Ok(scores)
    }

    /// Scores by their keys; those that are not there are left out.
    pub(crate) async fn by_keys(&self, keys: &[ScoreKey]) -> anyhow::Result<Vec<Score>> {
        let mut scores = Vec::with_capacity(keys.len());
        for chunk in keys.chunks(MAX_KEYS) {
            let mut pending: Vec<Item> = chunk.iter().map(key).collect();
            for attempt in 0..ATTEMPTS {
                let (found, rest) = self.get(std::mem::take(&mut pending)).await?;
                for item in found {
                    scores.push(decode(item)?);
                }
                if rest.is_empty() {
                    break;
                }
                anyhow::ensure!(
                    attempt + 1 < ATTEMPTS,
                    "the table answers too slowly: {} scores are missing",
                    rest.len()
                );
                pending = rest;
                tokio::time::sleep(std::time::Duration::from_millis(50 << attempt)).await;
            }
        }
        Ok(scores)
    }

    async fn get(&self, keys: Vec<Item>) -> anyhow::Result<(Vec<Item>, Vec<Item>)> {
        let request = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build()?;
        let mut answer = self
            .client
            .batch_get_item()
            .request_items(&self.table, request)
            .send()
            .await
            .map_err(|e| self.reach.explain("cannot read the table of scores", e))?;
        let found = answer.responses.as_mut().and_then(|r| r.remove(&self.table)).unwrap_or_default();
        let rest = answer.unprocessed_keys.as_mut().and_then(|u| u.remove(&self.table));
        Ok((found, rest.map(|rest| rest.keys).unwrap_or_default()))
    }

    /// At most `limit` scores of each partition of the index that `keep` accepts, greatest risk first in
    /// each.
    pub(crate) async fn partitions(
        &self,
        partitions: Vec<String>,
        limit: usize,
        keep: impl Fn(&Score) -> bool + Copy,
    ) -> anyhow::Result<Vec<Score>> {
        let found: Vec<Vec<Score>> = stream::iter(partitions)
            .map(|partition| self.partition(partition, limit, keep))
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn partition(
        &self,
        partition: String,
        limit: usize,
        keep: impl Fn(&Score) -> bool,
    ) -> anyhow::Result<Vec<Score>> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(INDEX)
            .key_condition_expression("#key = :day")
            .expression_attribute_names("#key", VERDICT_DAY)
            .expression_attribute_values(":day", AttributeValue::S(partition))
            .scan_index_forward(false)
            .into_paginator()
            .items()
            .send();
        let mut scores = Vec::new();
        while scores.len() < limit {
            let Some(item) = pages.next().await else { break };
            let score = decode(item.map_err(|e| self.reach.explain("cannot read the index by verdict", e))?)?;
            if keep(&score) {
                scores.push(score);
            }
        }
        Ok(scores)
    }
}

fn decode(item: Item) -> anyhow::Result<Score> {
    Ok(decode_item(item)?.score)
}

fn decode_item(item: Item) -> anyhow::Result<ScoreItem> {
    let entity = item.get("entity").and_then(|v| v.as_s().ok()).cloned().unwrap_or_default();
    score_from_item(item).with_context(|| {
        format!("the stored score of {entity:?} cannot be read: was it written by another version?")
    })
}
