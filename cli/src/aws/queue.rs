//! Sending to and reading from the queues, in the batches that SQS takes.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};

use super::explain::Reach;

/// Most messages of one batch: SQS's limit.
pub(crate) const MAX_BATCH_MESSAGES: usize = 10;
/// Most bytes of one batch, all bodies together: SQS takes 1 MiB, attributes and all.
pub(crate) const MAX_BATCH_BYTES: usize = 1_000_000;
/// How often a failed entry is sent again before it is given up.
const SEND_ATTEMPTS: u32 = 6;

/// A queue, through a client.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
    reach: Reach,
}

/// How full a queue is; SQS calls these numbers approximate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Depth {
    /// Messages that wait.
    pub(crate) waiting: u64,
    /// Messages that somebody is working on.
    pub(crate) in_flight: u64,
}

/// A message that was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsent {
    /// Its position in the batch.
    pub(crate) index: usize,
    /// Why.
    pub(crate) reason: String,
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Ids of the messages on the queue.
    pub(crate) ids: Vec<String>,
    /// Those that are not.
    pub(crate) unsent: Vec<Unsent>,
}

impl Queue {
    /// A queue by its URL.
    pub(crate) fn new(client: aws_sdk_sqs::Client, url: &str, reach: &Reach) -> Self {
        Self { client, url: url.to_owned(), reach: reach.clone() }
    }

    /// Sends at most [`MAX_BATCH_MESSAGES`] bodies, and again those that failed for a reason that may pass.
    pub(crate) async fn send(&self, bodies: &[String]) -> anyhow::Result<Sent> {
        let mut pending: Vec<usize> = (0..bodies.len()).collect();
        let mut sent = Sent::default();
        for attempt in 1..=SEND_ATTEMPTS {
            let failed = self.send_once(bodies, &pending, &mut sent.ids).await?;
            pending.clear();
            for (failure, retry) in failed {
                if retry && attempt < SEND_ATTEMPTS {
                    pending.push(failure.index);
                } else {
                    sent.unsent.push(failure);
                }
            }
            if pending.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
        }
        Ok(sent)
    }

    async fn send_once(
        &self,
        bodies: &[String],
        which: &[usize],
        ids: &mut Vec<String>,
    ) -> anyhow::Result<Vec<(Unsent, bool)>> {
        let mut request = self.client.send_message_batch().queue_url(&self.url);
        for index in which {
            let entry =
                SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(&bodies[*index]);
            request = request.entries(entry.build()?);
        }
        let answer = request.send().await.map_err(|e| self.reach.explain("cannot send to the queue", e))?;
        ids.extend(answer.successful().iter().map(|sent| sent.message_id().to_owned()));
        let failed = answer.failed().iter().map(|failure| {
            let index = failure.id().parse().unwrap_or(0);
            let reason = format!("{}: {}", failure.code(), failure.message().unwrap_or("no reason given"));
            (Unsent { index, reason }, !failure.sender_fault())
        });
        Ok(failed.collect())
    }

    /// Receives up to ten messages and hides them for `visibility`; empty when there are none to be had now.
    pub(crate) async fn receive(&self, visibility: Duration) -> anyhow::Result<Vec<Message>> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .wait_time_seconds(1)
            .visibility_timeout(i32::try_from(visibility.as_secs()).unwrap_or(60))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .map_err(|e| self.reach.explain("cannot read the queue", e))?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// Makes received messages visible again.
    pub(crate) async fn release(&self, handles: &[String]) -> anyhow::Result<()> {
        for chunk in handles.chunks(MAX_BATCH_MESSAGES) {
            let mut request = self.client.change_message_visibility_batch().queue_url(&self.url);
            for (i, handle) in chunk.iter().enumerate() {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(i.to_string())
                    .receipt_handle(handle)
                    .visibility_timeout(0);
                request = request.entries(entry.build()?);
            }
            // One that is not released becomes visible by itself when its time is up.
            request.send().await.map_err(|e| self.reach.explain("cannot release messages", e))?;
        }
        Ok(())
    }

    /// Deletes received messages; gives the reasons of those that were not deleted.
    pub(crate) async fn delete(&self, handles: &[String]) -> anyhow::Result<Vec<String>> {
        let mut reasons = Vec::new();
        for chunk in handles.chunks(MAX_BATCH_MESSAGES) {
            let mut request = self.client.delete_message_batch().queue_url(&self.url);
            for (i, handle) in chunk.iter().enumerate() {
                let entry =
                    DeleteMessageBatchRequestEntry::builder().id(i.to_string()).receipt_handle(handle);
                request = request.entries(entry.build()?);
            }
            let answer = request.send().await.map_err(|e| self.reach.explain("cannot delete messages", e))?;
            reasons.extend(answer.failed().iter().map(|f| f.message().unwrap_or(f.code()).to_owned()));
        }
        Ok(reasons)
    }

    /// After how many deliveries SQS moves a message to the dead-letter queue; `None` when it never does.
    pub(crate) async fn tries(&self) -> anyhow::Result<Option<u64>> {
        let attributes = self.attributes(&[QueueAttributeName::RedrivePolicy]).await?;
        Ok(attributes.get(&QueueAttributeName::RedrivePolicy).and_then(|policy| max_receive_count(policy)))
    }

    /// How full the queue is.
    pub(crate) async fn depth(&self) -> anyhow::Result<Depth> {
        let attributes = self
            .attributes(&[
                QueueAttributeName::ApproximateNumberOfMessages,
                QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            ])
            .await?;
        Ok(Depth {
            waiting: attribute(&attributes, &QueueAttributeName::ApproximateNumberOfMessages),
            in_flight: attribute(&attributes, &QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        })
    }

    async fn attributes(
        &self,
        names: &[QueueAttributeName],
    ) -> anyhow::Result<HashMap<QueueAttributeName, String>> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await
            .map_err(|e| self.reach.explain("cannot read the queue's attributes", e))?;
        Ok(answer.attributes.unwrap_or_default())
    }
}

fn attribute(attributes: &HashMap<QueueAttributeName, String>, name: &QueueAttributeName) -> u64 {
    attributes.get(name).and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// A number, or a number as text: SQS gives what it was given.
fn max_receive_count(policy: &str) -> Option<u64> {
    let policy: serde_json::Value = serde_json::from_str(policy).ok()?;
    let count = policy.get("maxReceiveCount")?;
    count.as_u64().or_else(|| count.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::max_receive_count;

    #[test]
    fn the_number_of_tries_is_read_in_either_form() {
        assert_eq!(max_receive_count(r#"{"deadLetterTargetArn":"a","maxReceiveCount":3}"#), Some(3));
        assert_eq!(max_receive_count(r#"{"maxReceiveCount":"5"}"#), Some(5));
        assert_eq!(max_receive_count("{}"), None);
        assert_eq!(max_receive_count("x"), None);
    }
}
