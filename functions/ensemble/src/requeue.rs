//! Entities that a source's quota left out, put on the queue again: a delayed message for when the tokens are back.
//!
//! ```text
//! FeatureBatch.rescore -> messages (pure) -> SendMessageBatch -> dispatch, after the delay, as attempt n + 1
//! ```
//! It is done after the scores are written, and at least once: a batch that is scored a second time queues its
//! entities a second time. The first score stands until the next is written, and for good if the message is lost: a
//! queue that fails is logged and counted, and does not fail the batch.
//!
//! SQS delays a message by 15 minutes at most. Where tokens take longer, the attempt is made then and may be in vain;
//! attempts are few and bounded, by the source and by [`MAX_ATTEMPT`].

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use serde::Serialize;
use tribunal_core::Entity;
use tribunal_core::message::{FeatureBatch, Item, MAX_ATTEMPT};

use crate::bounds::{MAX_REASON_BYTES, cut, label};

/// Longest delay of a message: what SQS takes.
pub const MAX_DELAY_S: u64 = 900;
/// Most messages of one request: what SQS takes.
pub const MAX_REQUEST_MESSAGES: usize = 10;
const CONNECT_TIMEOUT: Duration = Duration::from_millis(700);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 2;

/// A message for the queue of entities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// JSON, as dispatch reads it.
    pub body: String,
    /// How many entities it asks for.
    pub entities: usize,
    /// Seconds that SQS keeps it back.
    pub delay_s: u32,
}

/// What is queued again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Requeue {
    /// To be sent.
    pub messages: Vec<Message>,
    /// Entities that are not queued again: unknown to the batch, or queued too often.
    pub left_out: usize,
}

/// The form of a message that dispatch reads.
#[derive(Serialize)]
struct Body<'a> {
    entities: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tlp: Option<&'a str>,
    attempt: u32,
}

/// What the messages are told apart by: delay, who asks, marking, attempt.
type Group<'a> = (u32, Option<String>, Option<&'a str>, u32);

/// The messages that a batch asks for, soonest first. An entity that is named twice is queued once, at the earlier time:
/// a source that has no tokens then asks for another attempt.
pub fn requeue(batch: &FeatureBatch) -> Requeue {
    let items: HashMap<&str, &Item> =
        batch.rows.iter().map(|row| (row.item.entity.as_str(), &row.item)).collect();
    let mut delays: BTreeMap<&str, u64> = BTreeMap::new();
    for rescore in &batch.rescore {
        let delay = delays.entry(&rescore.entity).or_insert(u64::MAX);
        *delay = rescore.after_s.clamp(1, MAX_DELAY_S).min(*delay);
    }
    let mut groups: BTreeMap<Group<'_>, Vec<&str>> = BTreeMap::new();
    let mut left_out = 0;
    for (entity, delay) in delays {
        match items.get(entity) {
            Some(item) if item.attempt < MAX_ATTEMPT => {
                let delay = u32::try_from(delay).unwrap_or(u32::MAX);
                let source = item.source.as_deref().map(label);
                let group = (delay, source, item.tlp.as_deref(), item.attempt + 1);
                groups.entry(group).or_default().push(text_of(item));
            }
            _ => left_out += 1,
        }
    }
    Requeue {
        messages: groups.into_iter().map(|(group, entities)| message(group, entities)).collect(),
        left_out,
    }
}

#[expect(clippy::expect_used, reason = "texts and a number are JSON always")]
fn message((delay_s, source, tlp, attempt): Group<'_>, entities: Vec<&str>) -> Message {
    let count = entities.len();
    let body = Body { entities, source, tlp, attempt };
    let body = serde_json::to_string(&body).expect("a message is JSON");
    // The two characters that JSON takes as they are, and SQS does not.
    let body = body.replace('\u{FFFE}', "\\ufffe").replace('\u{FFFF}', "\\uffff");
    Message { body, entities: count, delay_s }
}

/// The text that was asked for, so that the next score keeps it; the normal form where that text means something else.
fn text_of(item: &Item) -> &str {
    let same = Entity::parse(&item.original).is_ok_and(|entity| entity.name() == item.entity);
    if same { &item.original } else { &item.entity }
}

/// What became of the messages of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Positions of those that the queue did not take.
    pub failed: Vec<usize>,
    /// Code of the first reason.
    pub code: Option<String>,
}

/// A call to the queue that failed.
#[derive(Debug, thiserror::Error)]
#[error("SendMessageBatch failed")]
pub struct QueueError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The queue of entities.
pub trait EntityQueue {
    /// Sends at most [`MAX_REQUEST_MESSAGES`] messages.
    fn send(&self, messages: &[Message]) -> impl Future<Output = Result<Sent, QueueError>>;
}

/// What became of all messages.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Entities that are on the queue.
    pub queued: usize,
    /// Entities that are not.
    pub failed: usize,
    /// The first reason why not.
    pub error: Option<String>,
}

/// Sends all messages within `budget`, one request after the other.
pub async fn send_all<Q: EntityQueue>(queue: &Q, messages: &[Message], budget: Duration) -> Outcome {
    let mut outcome = Outcome { failed: count(messages), ..Outcome::default() };
    let all = async {
        for request in messages.chunks(MAX_REQUEST_MESSAGES) {
            let (failed, error) = match queue.send(request).await {
                Ok(Sent { failed, code }) => {
                    (failed.iter().filter_map(|at| request.get(*at)).map(|m| m.entities).sum(), code)
                }
                Err(error) => (count(request), Some(cut(&tribunal_runtime::chain(&error), MAX_REASON_BYTES))),
            };
            let queued = count(request).saturating_sub(failed);
            outcome.queued += queued;
            outcome.failed -= queued;
            outcome.error = outcome.error.take().or(error);
        }
    };
    if tokio::time::timeout(budget, all).await.is_err() {
        outcome.error.get_or_insert_with(|| format!("no time left after {} ms", budget.as_millis()));
    }
    outcome
}

fn count(messages: &[Message]) -> usize {
    messages.iter().map(|message| message.entities).sum()
}

/// A queue of SQS.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl SqsQueue {
    /// The queue with the URL `url`.
    pub fn new(config: &SdkConfig, url: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let config = aws_sdk_sqs::config::Builder::from(config)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .build();
        Self { client: aws_sdk_sqs::Client::from_conf(config), url: url.to_owned() }
    }
}

impl EntityQueue for SqsQueue {
    async fn send(&self, messages: &[Message]) -> Result<Sent, QueueError> {
        let entries = messages
            .iter()
            .enumerate()
            .map(|(at, message)| {
                SendMessageBatchRequestEntry::builder()
                    .id(at.to_string())
                    .message_body(&message.body)
                    .delay_seconds(i32::try_from(message.delay_s).unwrap_or(i32::MAX))
                    .build()
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| QueueError(Box::new(error)))?;
        let call = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send();
        let output = Box::pin(call).await.map_err(|error| QueueError(Box::new(error)))?;
        let failed = output.failed();
        Ok(Sent {
            // An id that was not sent cannot come back; if it does, it stands for nothing.
            failed: failed.iter().filter_map(|entry| entry.id().parse().ok()).collect(),
            code: failed.first().map(|entry| label(entry.code())),
        })
    }
}
