//! What SQS hands to the function, and what the function answers: the parts that are used.

use serde::{Deserialize, Serialize};

/// A batch of messages.
#[derive(Debug, Clone, Deserialize)]
pub struct SqsEvent {
    /// The messages.
    #[serde(rename = "Records")]
    pub records: Vec<Record>,
}

/// A message.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its id: the request id of its entities.
    pub message_id: String,
    /// Its text.
    #[serde(default)]
    pub body: String,
    /// What SQS knows of it.
    #[serde(default)]
    pub attributes: RecordAttributes,
    /// The queue that it came from.
    #[serde(rename = "eventSourceARN", default)]
    pub event_source_arn: String,
}

/// What SQS knows of a message.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct RecordAttributes {
    /// When it was sent, in milliseconds since 1970, as decimal text.
    #[serde(rename = "SentTimestamp", default)]
    pub sent_timestamp: String,
}

/// The messages that SQS is to deliver again; it deletes all others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BatchResponse {
    /// One per message that failed.
    #[serde(rename = "batchItemFailures")]
    pub batch_item_failures: Vec<ItemFailure>,
}

/// A message that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ItemFailure {
    /// Its id.
    #[serde(rename = "itemIdentifier")]
    pub item_identifier: String,
}
