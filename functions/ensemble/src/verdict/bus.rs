//! EventBridge, as far as the step uses it: one event at a time, since changes are few.

use std::future::Future;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_eventbridge::config::retry::RetryConfig;
use aws_sdk_eventbridge::config::timeout::TimeoutConfig;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;

use super::change::{DETAIL_TYPE, SOURCE};
use crate::bounds::label;

const CONNECT_TIMEOUT: Duration = Duration::from_millis(700);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 2;

/// Why an event was not taken. Names no entity: errors are logged.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The call failed.
    #[error("PutEvents failed")]
    Call(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The bus refused the event.
    #[error("the bus refused the event: {code}")]
    Refused {
        /// Its reason.
        code: String,
    },
}

/// Where events go.
pub trait EventBus {
    /// Puts an event with this detail, a JSON object.
    fn put(&self, detail: &str) -> impl Future<Output = Result<(), BusError>>;
}

/// A bus of EventBridge.
#[derive(Debug, Clone)]
pub struct EventBridge {
    client: aws_sdk_eventbridge::Client,
    bus: String,
}

impl EventBridge {
    /// The bus with the name or ARN `bus`.
    pub fn new(config: &SdkConfig, bus: &str) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .build();
        let config = aws_sdk_eventbridge::config::Builder::from(config)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .build();
        Self { client: aws_sdk_eventbridge::Client::from_conf(config), bus: bus.to_owned() }
    }
}

impl EventBus for EventBridge {
    async fn put(&self, detail: &str) -> Result<(), BusError> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(DETAIL_TYPE)
            .detail(detail)
            .build();
        let call = self.client.put_events().entries(entry).send();
        let output = Box::pin(call).await.map_err(|error| BusError::Call(Box::new(error)))?;
        // Taken by the call, and yet refused: the answer says so of each entry.
        match output.entries().iter().find_map(|entry| entry.error_code()) {
            Some(code) => Err(BusError::Refused { code: label(code) }),
            None if output.failed_entry_count() > 0 => {
                Err(BusError::Refused { code: "no reason given".to_owned() })
            }
            None => Ok(()),
        }
    }
}
