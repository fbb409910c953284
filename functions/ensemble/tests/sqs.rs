//! Messages that are queued again, on a local AWS.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, in its helpers too, and says when it is left out"
)]

#[path = "../../../crates/sources/tests/local_aws/mod.rs"]
mod local_aws;

use aws_sdk_sqs::types::QueueAttributeName;
use tribunal_ensemble::requeue::{EntityQueue as _, MAX_DELAY_S, Message, Sent, SqsQueue};

use local_aws::local;

fn message(body: &str, delay_s: u32) -> Message {
    Message { body: body.to_owned(), entities: 1, delay_s }
}

#[tokio::test]
async fn messages_arrive_after_their_delay() {
    let Some(config) = local() else { return };
    let client = aws_sdk_sqs::Client::new(&config);
    let created = Box::pin(client.create_queue().queue_name("again").send()).await.unwrap();
    let url = created.queue_url().unwrap();
    let longest = u32::try_from(MAX_DELAY_S).unwrap();
    let body = "{\"entities\":[\"http://a.com/\\ufffe\"],\"attempt\":1}";
    let messages = [message("{\"later\":1}", longest), message(body, 1)];
    assert_eq!(SqsQueue::new(&config, url).send(&messages).await.unwrap(), Sent::default());
    let delayed = QueueAttributeName::ApproximateNumberOfMessagesDelayed;
    let attributes = client.get_queue_attributes().queue_url(url).attribute_names(delayed.clone());
    let attributes = Box::pin(attributes.send()).await.unwrap();
    assert_eq!(attributes.attributes().unwrap()[&delayed], "2");
    // Waits until one comes.
    let receive = client.receive_message().queue_url(url).max_number_of_messages(10).wait_time_seconds(20);
    let received = Box::pin(receive.send()).await.unwrap();
    assert_eq!(received.messages().iter().map(|m| m.body().unwrap()).collect::<Vec<_>>(), [body]);
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_an_error() {
    let Some(config) = local() else { return };
    let queue = SqsQueue::new(&config, "http://127.0.0.1:1/000000000000/none");
    let error = queue.send(&[message("x", 1)]).await.unwrap_err();
    assert_eq!(error.to_string(), "SendMessageBatch failed");
}
