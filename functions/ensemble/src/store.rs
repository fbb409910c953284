//! The table as the step sees it: items that are written once.
//!
//! One `PutItem` per item, on the condition that there is none of its key, [`CONCURRENCY`] at a time. "There
//! is one already" is success: the same message was delivered before. `BatchWriteItem` takes no condition,
//! and `TransactWriteItems` costs twice as much and fails as a whole (`docs/scores.md`).
//!
//! When some items fail, all others are still written, so that the batch, when it comes again, has less to
//! do; then the batch fails with the error that most deserves another try.

use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use futures::stream::{self, StreamExt};
use tribunal_core::ErrorName;

use crate::items::{ENTITY, Item, ItemError, SCORED_KEY};

/// Writes at a time: 50 items take four rounds, and a cold function opens no more connections than that.
const CONCURRENCY: usize = 16;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const WRITE_TIMEOUT: Duration = Duration::from_secs(6);
const ATTEMPTS: u32 = 3;

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The item is new.
    New,
    /// There is an item of this key: it was written before.
    AlreadyThere,
}

/// Kind of a store's failure. Ordered: of several, the greatest says what is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It refused for a reason that trying again does not mend.
    Refused,
    /// It could not be reached, or failed.
    Unavailable,
    /// It asked to slow down.
    Throttled,
}

/// Why scores were not written. Names the request, never the entity: errors are logged.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The table failed a write.
    #[error("cannot write score {scored_key} to table {table}")]
    Put {
        /// Sort key of the score.
        scored_key: String,
        /// Name of the table.
        table: String,
        /// What kind of failure it is.
        fault: Fault,
        /// What the table says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The table of verdicts failed a write, or holds something else.
    #[error("cannot write a verdict to table {table}")]
    Verdict {
        /// Name of the table.
        table: String,
        /// What kind of failure it is.
        fault: Fault,
        /// What the table says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Other deliveries are at the same entities.
    #[error("changes of {entities} verdicts are being told by other deliveries")]
    Held {
        /// How many.
        entities: usize,
    },
    /// The time of the event is used up.
    #[error("{written} of {of} scores written after {budget_ms} ms, and no time left")]
    OutOfTime {
        /// Scores written.
        written: usize,
        /// Scores of the batch.
        of: usize,
        /// Time there was.
        budget_ms: u128,
    },
    /// A score has a form that the table has no type for.
    #[error("cannot write a score")]
    Item(#[from] ItemError),
}

impl StoreError {
    /// As a state machine sees it.
    pub fn error_name(&self) -> ErrorName {
        match self.fault() {
            Fault::Throttled => ErrorName::StoreThrottled,
            Fault::Unavailable => ErrorName::StoreUnavailable,
            Fault::Refused => ErrorName::StoreRefused,
        }
    }

    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Put { fault, .. } | Self::Verdict { fault, .. } => *fault,
            Self::OutOfTime { .. } | Self::Held { .. } => Fault::Unavailable,
            Self::Item(_) => Fault::Refused,
        }
    }
}

/// A table of scores.
pub trait ScoreStore {
    /// Writes an item, unless there is one of its key.
    fn put_new(&self, item: Item) -> impl Future<Output = Result<Written, StoreError>>;
}

/// Writes all items within `budget`, and says how many were new.
///
/// # Errors
/// When an item was not written, the most hopeful of the errors; all other items are written then. When the
/// time is used up, how many were.
pub async fn write_all<S: ScoreStore>(
    store: &S,
    items: Vec<Item>,
    budget: Duration,
) -> Result<usize, StoreError> {
    let of = items.len();
    let (mut new, mut written) = (0, 0);
    let mut worst: Option<StoreError> = None;
    let mut writes = stream::iter(items).map(|item| store.put_new(item)).buffer_unordered(CONCURRENCY);
    let all = async {
        while let Some(result) = writes.next().await {
            match result {
                Ok(outcome) => {
                    written += 1;
                    new += usize::from(outcome == Written::New);
                }
                Err(error) if worst.as_ref().is_none_or(|w| error.fault() > w.fault()) => worst = Some(error),
                Err(_) => {}
            }
        }
    };
    let in_time = tokio::time::timeout(budget, all).await.is_ok();
    match worst {
        Some(error) => Err(error),
        None if in_time => Ok(new),
        None => Err(StoreError::OutOfTime { written, of, budget_ms: budget.as_millis() }),
    }
}

/// A DynamoDB table.
#[derive(Debug, Clone)]
pub struct DynamoStore {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl DynamoStore {
    /// The table of that name.
    pub fn new(config: &aws_config::SdkConfig, table: &str) -> Self {
        Self { client: client(config), table: table.to_owned() }
    }
}

/// A client whose timeouts and attempts are bounded so that a batch fits into its step's time.
pub(crate) fn client(config: &aws_config::SdkConfig) -> aws_sdk_dynamodb::Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(WRITE_TIMEOUT)
        .build();
    let config = aws_sdk_dynamodb::config::Builder::from(config)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

impl ScoreStore for DynamoStore {
    async fn put_new(&self, item: Item) -> Result<Written, StoreError> {
        let scored_key = match item.get(SCORED_KEY) {
            Some(AttributeValue::S(key)) => key.clone(),
            _ => String::new(),
        };
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#entity)")
            .expression_attribute_names("#entity", ENTITY);
        match put.send().await {
            Ok(_) => Ok(Written::New),
            Err(error) => match classify(&error) {
                None => Ok(Written::AlreadyThere),
                Some(fault) => Err(StoreError::Put {
                    scored_key,
                    table: self.table.clone(),
                    fault,
                    source: Box::new(error),
                }),
            },
        }
    }
}

/// What a failed write means; `None` when the condition failed.
pub(crate) fn classify<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<Fault> {
    let SdkError::ServiceError(answer) = error else {
        // A request that cannot be built is a mistake; all else is the network's.
        let built = !matches!(error, SdkError::ConstructionFailure(_));
        return Some(if built { Fault::Unavailable } else { Fault::Refused });
    };
    match answer.err().code() {
        Some("ConditionalCheckFailedException") => None,
        Some(
            "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException",
        ) => Some(Fault::Throttled),
        // Another write of the same item is under way: it will be there the next time.
        Some("TransactionConflictException" | "ReplicatedWriteConflictException" | "InternalServerError") => {
            Some(Fault::Unavailable)
        }
        _ => Some(match answer.raw().status().as_u16() {
            429 => Fault::Throttled,
            500.. => Fault::Unavailable,
            _ => Fault::Refused,
        }),
    }
}
