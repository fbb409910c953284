//! Buckets in DynamoDB: one item for each source, shared by all environments.
//!
//! An environment computes the next state of the bucket from the last that it knows, and writes it on the condition
//! that the item still has that state; a lost race hands it the state that won. So a grant costs one request, two
//! after a race. A race that is lost [`RACES`] times more grants nothing.
//!
//! What an environment knows is never less than what there is, since others only take. So when the bucket that it
//! knows is empty, the real one is too, and DynamoDB is not asked before the next token has come.
//!
//! An item that was deleted by hand is a full bucket; one that DynamoDB deleted as expired was full anyway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use super::{EXPIRES_AT, KEY, StateTable, TableError, pause};
use crate::clock::{Clock, Steady, SystemClock};
use crate::config::QuotaConfig;
use crate::quota::{Bucket, Grant, Level, Quota};
use crate::source::Cause;

/// How often a lost race is run again.
pub const RACES: u32 = 4;
/// Most of the pause before the first of them; it doubles.
const RACE_PAUSE: Duration = Duration::from_millis(10);
/// When to come again after losing all races.
const CROWDED: Duration = Duration::from_secs(1);
/// How long an item is kept after its bucket is full again, in seconds.
const KEPT_S: u64 = 24 * 60 * 60;

const UNITS: &str = "units";
const PER_TOKEN: &str = "per_token";
const AT_MS: &str = "at_ms";

type Item = HashMap<String, AttributeValue>;
/// The last known state of a bucket. Held while it is asked about, so that an environment does not race itself.
type Known = Arc<tokio::sync::Mutex<Option<Bucket>>>;

/// Quotas in a DynamoDB table.
#[derive(Debug)]
pub struct DynamoQuota {
    table: StateTable,
    clock: Steady,
    known: Mutex<HashMap<String, Known>>,
}

/// What became of a conditional write.
enum Written {
    Won,
    Lost(Option<Bucket>),
}

impl DynamoQuota {
    /// Buckets in the table of that name, by the system's clock.
    pub fn new(config: &aws_config::SdkConfig, table: &str) -> Self {
        Self::with_clock(config, table, Arc::new(SystemClock))
    }

    /// Buckets in the table of that name, by this clock.
    pub fn with_clock(config: &aws_config::SdkConfig, table: &str, clock: Arc<dyn Clock>) -> Self {
        Self { table: StateTable::new(config, table), clock: Steady::new(clock), known: Mutex::default() }
    }

    fn known(&self, source: &str) -> Known {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(source.to_owned()).or_default())
    }

    async fn read(&self, source: &str) -> Result<Option<Bucket>, TableError> {
        let get = self
            .table
            .client
            .get_item()
            .table_name(&self.table.name)
            .key(KEY, AttributeValue::S(key_of(source)))
            .consistent_read(true);
        let output = Box::pin(get.send()).await.map_err(|e| self.table.failed("GetItem", e))?;
        Ok(output.item.as_ref().and_then(bucket_of))
    }

    /// Replaces the state `from` (`None`: there is no item) by `to`.
    async fn replace(
        &self,
        source: &str,
        config: &QuotaConfig,
        from: Option<Bucket>,
        to: Bucket,
    ) -> Result<Written, TableError> {
        let expires_at = to.full_at(config) / 1_000 + KEPT_S;
        let mut update = self
            .table
            .client
            .update_item()
            .table_name(&self.table.name)
            .key(KEY, AttributeValue::S(key_of(source)))
            .update_expression("SET #u = :u, #p = :p, #t = :t, #e = :e")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        for (name, attribute) in [("#u", UNITS), ("#p", PER_TOKEN), ("#t", AT_MS), ("#e", EXPIRES_AT)] {
            update = update.expression_attribute_names(name, attribute);
        }
        for (name, value) in numbers(to, [":u", ":p", ":t"]) {
            update = update.expression_attribute_values(name, value);
        }
        update = update.expression_attribute_values(":e", AttributeValue::N(expires_at.to_string()));
        update = match from {
            // An item that is no bucket is as good as none: it is written over.
            None => update.condition_expression("attribute_not_exists(#u)"),
            Some(from) => {
                for (name, value) in numbers(from, [":fu", ":fp", ":ft"]) {
                    update = update.expression_attribute_values(name, value);
                }
                update.condition_expression("#u = :fu AND #p = :fp AND #t = :ft")
            }
        };
        match Box::pin(update.send()).await {
            Ok(_) => Ok(Written::Won),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(lost)) => {
                    Ok(Written::Lost(lost.item().and_then(bucket_of)))
                }
                _ => Err(self.table.failed("UpdateItem", error)),
            },
        }
    }
}

#[async_trait::async_trait]
impl Quota for DynamoQuota {
    async fn take(&self, source: &str, config: &QuotaConfig, wanted: u64) -> Result<Grant, Cause> {
        if wanted == 0 {
            return Ok(Grant::default());
        }
        let known = self.known(source);
        let mut known = known.lock().await;
        // Taken out: if this fails, or is dropped in the middle, the state is not known any more.
        let mut state = match known.take() {
            Some(bucket) => Some(bucket),
            None => self.read(source).await?,
        };
        for race in 0..=RACES {
            if race > 0 {
                tokio::time::sleep(pause(race, RACE_PAUSE)).await;
            }
            let now = self.clock.now_ms();
            let bucket = state.unwrap_or_else(|| Bucket::full(config, now));
            let (next, grant) = bucket.take(config, now, wanted);
            if grant.granted == 0 {
                *known = state;
                return Ok(grant);
            }
            match self.replace(source, config, state, next).await? {
                Written::Won => {
                    *known = Some(next);
                    return Ok(grant);
                }
                Written::Lost(actual) => state = actual,
            }
        }
        *known = state;
        Ok(Grant { granted: 0, next_in: Some(CROWDED) })
    }

    async fn level(&self, source: &str, config: &QuotaConfig) -> Result<Level, Cause> {
        let bucket = self.read(source).await?;
        let now = self.clock.now_ms();
        Ok(bucket.unwrap_or_else(|| Bucket::full(config, now)).level(config, now))
    }
}

fn key_of(source: &str) -> String {
    format!("quota#{source}")
}

fn numbers(bucket: Bucket, names: [&str; 3]) -> [(&str, AttributeValue); 3] {
    let (units, per_token, at_ms) = bucket.parts();
    let [u, p, t] = names;
    [
        (u, AttributeValue::N(units.to_string())),
        (p, AttributeValue::N(per_token.to_string())),
        (t, AttributeValue::N(at_ms.to_string())),
    ]
}

/// The bucket of an item; `None` if it is not one.
fn bucket_of(item: &Item) -> Option<Bucket> {
    let number = |name: &str| item.get(name)?.as_n().ok();
    Bucket::stored(
        number(UNITS)?.parse().ok()?,
        number(PER_TOKEN)?.parse().ok()?,
        number(AT_MS)?.parse().ok()?,
    )
}
