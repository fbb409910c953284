//! AWS behind the ports: quotas and shared answers in one DynamoDB table, secrets in Secrets Manager.
//!
//! The table has one partition key, `key`, and a lifetime, `expires_at` (seconds since 1970):
//!
//! | `key` | attributes |
//! |---|---|
//! | `quota#<source>` | `units`, `per_token`, `at_ms`: a bucket ([`crate::quota::Bucket`]) |
//! | `cache#<source>#<digest>#<entity>` | `answer`: rows as compact JSON |
//!
//! Nothing in it is lost for good: a bucket expires a day after it is full again, and an answer can be asked for again.
//!
//! Requests are few, bounded in time, and tried again a bounded number of times with growing pauses.

mod cache;
mod quota;
mod secrets;

use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;

pub use cache::DynamoCache;
pub use quota::{DynamoQuota, RACES};
pub use secrets::{FRESH, KEPT, SecretFailure, SecretsManager};

/// The environment variable with the name of the table.
pub const SOURCE_TABLE: &str = "TRIBUNAL_SOURCE_TABLE";
/// Partition key of the table.
pub const KEY: &str = "key";
/// When an item may be deleted, in seconds since 1970.
pub const EXPIRES_AT: &str = "expires_at";

const CONNECT_TIMEOUT: Duration = Duration::from_millis(700);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 2;

/// A call to the table that failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation} on table {table} failed")]
pub struct TableError {
    /// Name of the operation.
    pub operation: &'static str,
    /// Name of the table.
    pub table: String,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The table of the sources' state.
#[derive(Debug, Clone)]
struct StateTable {
    client: aws_sdk_dynamodb::Client,
    name: String,
}

impl StateTable {
    fn new(config: &aws_config::SdkConfig, name: &str) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(config)
            .timeout_config(timeouts())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .build();
        Self { client: aws_sdk_dynamodb::Client::from_conf(config), name: name.to_owned() }
    }

    fn failed<E>(&self, operation: &'static str, error: E) -> TableError
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        TableError { operation, table: self.name.clone(), source: Box::new(error) }
    }
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build()
}

/// The pause before an attempt, 1 being the first that is made again: it doubles, and is drawn from its upper half,
/// so that those who collided once do not collide again.
fn pause(again: u32, first: Duration) -> Duration {
    let most = first.saturating_mul(2_u32.saturating_pow(again.saturating_sub(1).min(16)));
    let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(fastrand::u64(micros / 2..=micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ() {
        let first = Duration::from_millis(10);
        for (again, most) in [(1, 10), (2, 20), (4, 80), (99, 10 << 16)] {
            let most = Duration::from_millis(most);
            let drawn: Vec<Duration> = (0..50).map(|_| pause(again, first)).collect();
            assert!(drawn.iter().all(|p| (most / 2..=most).contains(p)), "{again}: {drawn:?}");
            assert!(drawn.iter().any(|p| *p != drawn[0]), "{again}");
        }
    }
}
