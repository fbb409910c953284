//! Step Functions and SQS.

use std::time::Duration;

use aws_sdk_sfn::config::StalledStreamProtectionConfig;
use aws_sdk_sfn::types::SyncExecutionStatus;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use tribunal_runtime::sdk::HostPrefix;

use crate::letter::Letter;
use crate::ports::{CallError, DeadLetters, Ended, Executions, Rejected};

/// Most bytes of a trace header that Step Functions takes.
const MAX_TRACE_HEADER_BYTES: usize = 256;
/// How long one attempt to send letters may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Executions of one Express state machine.
#[derive(Debug)]
pub struct StateMachine {
    client: aws_sdk_sfn::Client,
    host_prefix: HostPrefix,
    arn: String,
}

impl StateMachine {
    /// The state machine with the ARN `arn`.
    pub fn new(config: &aws_config::SdkConfig, arn: &str) -> Self {
        // A synchronous execution is silent for minutes, which is no stalled stream. The caller has a deadline.
        let client_config = aws_sdk_sfn::config::Builder::from(config)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Self {
            client: aws_sdk_sfn::Client::from_conf(client_config),
            host_prefix: HostPrefix::for_endpoint(config.endpoint_url()),
            arn: arn.to_owned(),
        }
    }
}

impl Executions for StateMachine {
    async fn run(&self, name: &str, input: &str, trace_header: Option<&str>) -> Result<Ended, CallError> {
        let trace_header = trace_header.filter(|t| t.is_ascii() && t.len() <= MAX_TRACE_HEADER_BYTES);
        let call = self
            .client
            .start_sync_execution()
            .state_machine_arn(&self.arn)
            .name(name)
            .input(input)
            .set_trace_header(trace_header.map(str::to_owned))
            .customize()
            .interceptor(self.host_prefix)
            .send();
        // The client's future is large and deeply nested: behind a pointer it costs its callers nothing.
        let output = Box::pin(call)
            .await
            .map_err(|error| CallError { operation: "StartSyncExecution", source: Box::new(error) })?;
        Ok(Ended {
            succeeded: *output.status() == SyncExecutionStatus::Succeeded,
            status: output.status().as_str().to_owned(),
            error: output.error,
            cause: output.cause,
            output: output.output,
        })
    }
}

/// A queue.
#[derive(Debug)]
pub struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl Queue {
    /// The queue with the URL `url`.
    pub fn new(config: &aws_config::SdkConfig, url: &str) -> Self {
        let client_config = aws_sdk_sqs::config::Builder::from(config)
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(SEND_TIMEOUT).build())
            .build();
        Self { client: aws_sdk_sqs::Client::from_conf(client_config), url: url.to_owned() }
    }
}

impl DeadLetters for Queue {
    async fn send(&self, letters: &[&Letter]) -> Result<Vec<Rejected>, CallError> {
        let failed = |source| CallError { operation: "SendMessageBatch", source };
        let entries: Vec<_> = letters
            .iter()
            .enumerate()
            .map(|(position, letter)| entry(position, letter))
            .collect::<Result<_, _>>()
            .map_err(|error| failed(Box::new(error)))?;
        let call = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send();
        let output = Box::pin(call).await.map_err(|error| failed(Box::new(error)))?;
        // An id that was not sent cannot come back; if it does, it stands for nothing.
        Ok(output
            .failed()
            .iter()
            .map(|f| Rejected {
                position: f.id().parse().unwrap_or(usize::MAX),
                code: f.code().to_owned(),
                may_pass: !f.sender_fault(),
            })
            .collect())
    }
}

fn entry(
    position: usize,
    letter: &Letter,
) -> Result<SendMessageBatchRequestEntry, aws_sdk_sqs::error::BuildError> {
    let mut entry =
        SendMessageBatchRequestEntry::builder().id(position.to_string()).message_body(&letter.body);
    for (name, value) in &letter.attributes {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value).build()?;
        entry = entry.message_attributes(*name, value);
    }
    entry.build()
}
