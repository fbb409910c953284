//! The two services that the dispatcher needs, as it sees them.

use crate::letter::Letter;

/// A call to a service that gave no answer of the service's own contract.
#[derive(Debug, thiserror::Error)]
#[error("{operation} failed")]
pub struct CallError {
    /// Name of the operation.
    pub operation: &'static str,
    /// Why.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// How an execution ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// It reached its end.
    pub succeeded: bool,
    /// Status as Step Functions calls it.
    pub status: String,
    /// Error name, if it did not succeed.
    pub error: Option<String>,
    /// Cause, if it did not succeed.
    pub cause: Option<String>,
    /// Output, if it succeeded.
    pub output: Option<String>,
}

/// Runs executions.
pub trait Executions {
    /// Runs one, and waits for its end.
    fn run(
        &self,
        name: &str,
        input: &str,
        trace_header: Option<&str>,
    ) -> impl Future<Output = Result<Ended, CallError>>;
}

/// A letter that the queue did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its position in the request.
    pub position: usize,
    /// Code of the reason.
    pub code: String,
    /// Whether sending it again may help.
    pub may_pass: bool,
}

/// The dead-letter queue.
pub trait DeadLetters {
    /// Sends at most [`crate::letter::MAX_REQUEST_LETTERS`] letters of at most [`crate::letter::MAX_BYTES`] in all;
    /// yields those that were not taken.
    fn send(&self, letters: &[&Letter]) -> impl Future<Output = Result<Vec<Rejected>, CallError>>;
}
