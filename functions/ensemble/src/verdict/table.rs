//! What entities stand at: one item per entity, in a table of its own.
//!
//! | attribute | type | |
//! |---|---|---|
//! | `entity` | S | partition key |
//! | `verdict` | S | of the newest request that had one |
//! | `scored_key` | S | of that request's score |
//! | `expires_at` | N | seconds since 1970 from which DynamoDB may delete the item: with it, what it stands at is forgotten |
//! | `pending_id`, `pending_detail` | S | the change that is still to be told, if there is one |
//! | `pending_until` | N | milliseconds since 1970 until which it is somebody's to tell |
//!
//! Every write is an `UpdateItem` on a condition. One that fails costs a write unit as well, and hands back the item.

use std::collections::HashMap;
use std::future::Future;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

use crate::items::{ENTITY, EXPIRES_AT, Item, SCORED_KEY};
use crate::store::{Fault, StoreError, classify, client};

const VERDICT: &str = "verdict";
const PENDING_ID: &str = "pending_id";
const PENDING_DETAIL: &str = "pending_detail";
const PENDING_UNTIL: &str = "pending_until";

/// What an entity stands at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Verdict of the newest request.
    pub verdict: String,
    /// Sort key of its score.
    pub scored_key: String,
    /// The change to it, if that is still to be told.
    pub pending: Option<Pending>,
}

/// A change that is still to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its identity.
    pub id: String,
    /// The event's detail.
    pub detail: String,
    /// Milliseconds since 1970 until which it is somebody's to tell.
    pub until_ms: u64,
}

/// What a score would have an entity stand at.
#[derive(Debug, Clone, Copy)]
pub struct Next<'a> {
    /// The entity.
    pub entity: &'a str,
    /// The score's verdict.
    pub verdict: &'a str,
    /// The score's sort key.
    pub scored_key: &'a str,
    /// When the item may be deleted.
    pub expires_at: u64,
    /// Whether the first score of an entity with this verdict is no change.
    pub starts_quietly: bool,
}

/// Answer of [`VerdictTable::confirm`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmed {
    /// The verdict stays, or begins quietly: the standing was moved forward.
    Same,
    /// Something else is there, or nothing; nothing was written.
    Not(Option<Standing>),
}

/// A table of standings. All writes are atomic, each on its condition.
pub trait VerdictTable {
    /// Moves the standing forward, if its verdict is the same, it is older, and no change of it is to be told; or if
    /// there is none, and the verdict starts quietly.
    fn confirm(&self, next: &Next<'_>) -> impl Future<Output = Result<Confirmed, StoreError>>;
    /// Replaces the standing `before`, or none, which has no change to be told; false when it is another by now.
    fn record(
        &self,
        next: &Next<'_>,
        before: Option<&Standing>,
        pending: &Pending,
    ) -> impl Future<Output = Result<bool, StoreError>>;
    /// Makes a change somebody's until `until_ms`; false when it is not as it was seen.
    fn claim(
        &self,
        entity: &str,
        seen: &Pending,
        until_ms: u64,
    ) -> impl Future<Output = Result<bool, StoreError>>;
    /// Strikes a change out that was told. One that is not there any more is fine.
    fn settle(&self, entity: &str, id: &str) -> impl Future<Output = Result<(), StoreError>>;
}

/// A DynamoDB table.
#[derive(Debug, Clone)]
pub struct DynamoVerdicts {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl DynamoVerdicts {
    /// The table of that name.
    pub fn new(config: &aws_config::SdkConfig, table: &str) -> Self {
        Self { client: client(config), table: table.to_owned() }
    }

    fn update(&self, entity: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key(ENTITY, text(entity))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    }

    /// Writes; the item that is there instead when the condition failed.
    async fn send(&self, update: UpdateItemFluentBuilder) -> Result<Result<(), Item>, StoreError> {
        let Err(error) = Box::pin(update.send()).await else { return Ok(Ok(())) };
        match classify(&error) {
            None => Ok(Err(found(&error))),
            Some(fault) => Err(self.error(fault, Box::new(error))),
        }
    }

    fn error(&self, fault: Fault, source: Box<dyn std::error::Error + Send + Sync>) -> StoreError {
        StoreError::Verdict { table: self.table.clone(), fault, source }
    }
}

impl VerdictTable for DynamoVerdicts {
    async fn confirm(&self, next: &Next<'_>) -> Result<Confirmed, StoreError> {
        const SAME: &str = "(#v = :v AND #k < :k AND attribute_not_exists(#p))";
        let update = standing(self.update(next.entity), next)
            .update_expression("SET #v = :v, #k = :k, #x = :x")
            .expression_attribute_names("#p", PENDING_ID);
        let update = if next.starts_quietly {
            update
                .condition_expression(format!("{SAME} OR attribute_not_exists(#e)"))
                .expression_attribute_names("#e", ENTITY)
        } else {
            update.condition_expression(SAME)
        };
        match self.send(update).await? {
            Ok(()) => Ok(Confirmed::Same),
            Err(item) if item.is_empty() => Ok(Confirmed::Not(None)),
            Err(item) => match read(&item) {
                Some(standing) => Ok(Confirmed::Not(Some(standing))),
                None => Err(self.error(Fault::Refused, "an item has another form".into())),
            },
        }
    }

    async fn record(
        &self,
        next: &Next<'_>,
        before: Option<&Standing>,
        pending: &Pending,
    ) -> Result<bool, StoreError> {
        let update = standing(self.update(next.entity), next)
            .update_expression("SET #v = :v, #k = :k, #x = :x, #p = :p, #d = :d, #u = :u")
            .expression_attribute_names("#p", PENDING_ID)
            .expression_attribute_names("#d", PENDING_DETAIL)
            .expression_attribute_names("#u", PENDING_UNTIL)
            .expression_attribute_values(":p", text(&pending.id))
            .expression_attribute_values(":d", text(&pending.detail))
            .expression_attribute_values(":u", number(pending.until_ms));
        let update = match before {
            None => update
                .condition_expression("attribute_not_exists(#e)")
                .expression_attribute_names("#e", ENTITY),
            Some(before) => update
                .condition_expression("#v = :was AND #k = :key AND attribute_not_exists(#p)")
                .expression_attribute_values(":was", text(&before.verdict))
                .expression_attribute_values(":key", text(&before.scored_key)),
        };
        Ok(self.send(update).await?.is_ok())
    }

    async fn claim(&self, entity: &str, seen: &Pending, until_ms: u64) -> Result<bool, StoreError> {
        let update = self
            .update(entity)
            .update_expression("SET #u = :u")
            .condition_expression("#p = :p AND #u = :seen")
            .expression_attribute_names("#p", PENDING_ID)
            .expression_attribute_names("#u", PENDING_UNTIL)
            .expression_attribute_values(":p", text(&seen.id))
            .expression_attribute_values(":seen", number(seen.until_ms))
            .expression_attribute_values(":u", number(until_ms));
        Ok(self.send(update).await?.is_ok())
    }

    async fn settle(&self, entity: &str, id: &str) -> Result<(), StoreError> {
        let update = self
            .update(entity)
            .update_expression("REMOVE #p, #d, #u")
            .condition_expression("#p = :p")
            .expression_attribute_names("#p", PENDING_ID)
            .expression_attribute_names("#d", PENDING_DETAIL)
            .expression_attribute_names("#u", PENDING_UNTIL)
            .expression_attribute_values(":p", text(id));
        self.send(update).await.map(|_| ())
    }
}

/// What every write of a standing names.
fn standing(update: UpdateItemFluentBuilder, next: &Next<'_>) -> UpdateItemFluentBuilder {
    update
        .expression_attribute_names("#v", VERDICT)
        .expression_attribute_names("#k", SCORED_KEY)
        .expression_attribute_names("#x", EXPIRES_AT)
        .expression_attribute_values(":v", text(next.verdict))
        .expression_attribute_values(":k", text(next.scored_key))
        .expression_attribute_values(":x", number(next.expires_at))
}

/// The item that a failed condition hands back; empty when there is none.
fn found(error: &SdkError<UpdateItemError>) -> Item {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
            failed.item().cloned().unwrap_or_default()
        }
        _ => HashMap::new(),
    }
}

fn read(item: &Item) -> Option<Standing> {
    let string = |name: &str| item.get(name)?.as_s().ok().cloned();
    let pending = match item.get(PENDING_ID) {
        None => None,
        Some(_) => Some(Pending {
            id: string(PENDING_ID)?,
            detail: string(PENDING_DETAIL)?,
            until_ms: item.get(PENDING_UNTIL)?.as_n().ok()?.parse().ok()?,
        }),
    };
    Some(Standing { verdict: string(VERDICT)?, scored_key: string(SCORED_KEY)?, pending })
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
