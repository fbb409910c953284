//! Runs executions and sends letters, within the time that the invocation has left.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::time::{Instant, sleep, timeout_at};
use tribunal_core::ErrorName;
use tribunal_core::entity::shown_up_to;

use crate::letter::{Letter, requests};
use crate::plan::Execution;
use crate::ports::{CallError, DeadLetters, Ended, Executions};

/// Executions that run at the same time: each is one idle connection; the mapping's own concurrency is the brake
/// of the pipeline.
const MAX_CONCURRENT: usize = 16;
/// How often a letter is sent that SQS rejects for a reason that may pass.
const LETTER_ATTEMPTS: u32 = 4;
/// Wait before the second attempt; it doubles.
const LETTER_BACKOFF: Duration = Duration::from_millis(100);
/// Most characters of a cause in the log.
const MAX_CAUSE_CHARS: usize = 500;

/// Why the entities of an execution may not be scored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecutionFailure {
    /// It could not be started, or its end is not known.
    #[error("cannot run the execution")]
    Call(#[source] CallError),
    /// It failed or timed out.
    #[error("execution ended {status} with {error}: {cause}")]
    Ended { status: String, error: String, cause: String },
    /// It succeeded without the output that the contract promises.
    #[error("cannot read the output of the execution")]
    Output(#[source] serde_json::Error),
    /// It succeeded without a score for every entity.
    #[error("execution scored {scored} entities and refused {refused}, of {expected}")]
    Incomplete { scored: usize, refused: usize, expected: usize },
    /// The invocation ends before the execution does.
    #[error("no time left to wait for the execution")]
    OutOfTime,
}

impl ExecutionFailure {
    /// Name for the log: the execution's own error name if it has one.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Call(_) => "ExecutionNotRun",
            Self::Ended { error, .. } => error,
            Self::Output(_) => "OutputUnreadable",
            Self::Incomplete { .. } => "ScoresIncomplete",
            Self::OutOfTime => "OutOfTime",
        }
    }

    /// The chain of causes for the log; empty where it may quote an entity.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Ended { error, .. } if error == ErrorName::InvalidInput.as_str() => String::new(),
            _ => shown_up_to(&tribunal_runtime::chain(self), MAX_CAUSE_CHARS),
        }
    }
}

/// Runs all executions, a bounded number at a time; yields the positions of those that failed, and why.
pub(crate) async fn run_all<E: Executions>(
    port: &E,
    executions: &[Execution],
    request_id: &str,
    trace_header: Option<&str>,
    deadline: Instant,
) -> Vec<(usize, ExecutionFailure)> {
    stream::iter(executions.iter().enumerate())
        .map(|(at, execution)| async move {
            if Instant::now() >= deadline {
                return Some((at, ExecutionFailure::OutOfTime));
            }
            let name = execution_name(&execution.batch, request_id);
            let run = port.run(&name, &execution.input, trace_header);
            let result = match timeout_at(deadline, run).await {
                Err(_) => Err(ExecutionFailure::OutOfTime),
                Ok(Err(error)) => Err(ExecutionFailure::Call(error)),
                Ok(Ok(ended)) => check(&ended, execution.entities),
            };
            result.err().map(|failure| (at, failure))
        })
        .buffer_unordered(MAX_CONCURRENT)
        .filter_map(std::future::ready)
        .collect()
        .await
}

/// The batch, and the invocation: a batch that is tried again is told apart in logs. At most 80 characters, as
/// Step Functions asks.
fn execution_name(batch: &str, request_id: &str) -> String {
    let plain = request_id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    batch.chars().chain(std::iter::once('-')).chain(plain).take(80).collect()
}

/// The part of the ensemble's output that says whether anything is left.
#[derive(Deserialize)]
struct Output {
    scored: usize,
    #[serde(default)]
    refused: Vec<IgnoredAny>,
}

fn check(ended: &Ended, expected: usize) -> Result<(), ExecutionFailure> {
    if !ended.succeeded {
        return Err(ExecutionFailure::Ended {
            status: ended.status.clone(),
            error: ended.error.clone().unwrap_or_else(|| "Unnamed".to_owned()),
            cause: ended.cause.clone().unwrap_or_default(),
        });
    }
    let output: Output = serde_json::from_str(ended.output.as_deref().unwrap_or_default())
        .map_err(ExecutionFailure::Output)?;
    let (scored, refused) = (output.scored, output.refused.len());
    // Extract refuses what was accepted here only while two versions are deployed side by side: try again.
    if scored < expected || refused > 0 {
        return Err(ExecutionFailure::Incomplete { scored, refused, expected });
    }
    Ok(())
}

/// What became of sending letters.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// How many are on the queue.
    pub(crate) count: usize,
    /// Positions of the messages whose letter is not.
    pub(crate) failed: BTreeSet<usize>,
    /// Why, without repetitions.
    pub(crate) errors: BTreeSet<String>,
}

/// Sends the letters at `positions`.
pub(crate) async fn send_all<D: DeadLetters>(
    port: &D,
    letters: &[Letter],
    positions: &[usize],
    deadline: Instant,
) -> Sent {
    let mut sent = Sent::default();
    for request in requests(letters, positions) {
        // A request that may have been sent although its answer is late is sent again with the message: a letter
        // twice is better than none.
        let pending = match timeout_at(deadline, send(port, letters, request.clone(), &mut sent.errors)).await
        {
            Ok(pending) => pending,
            Err(_) => {
                sent.errors.insert("OutOfTime".to_owned());
                request.clone()
            }
        };
        sent.count += request.len() - pending.len();
        sent.failed.extend(pending.into_iter().map(|at| letters[at].record));
    }
    sent
}

/// Sends one request, and again what was rejected for a reason that may pass; yields what was not sent.
async fn send<D: DeadLetters>(
    port: &D,
    letters: &[Letter],
    request: Vec<usize>,
    errors: &mut BTreeSet<String>,
) -> Vec<usize> {
    let mut pending = request;
    let mut lost = Vec::new();
    for attempt in 0..LETTER_ATTEMPTS {
        if attempt > 0 {
            sleep(LETTER_BACKOFF * 2_u32.pow(attempt - 1)).await;
        }
        let batch: Vec<&Letter> = pending.iter().map(|at| &letters[*at]).collect();
        let rejected = match port.send(&batch).await {
            Ok(rejected) => rejected,
            Err(error) => {
                // The client has tried again already.
                errors.insert(shown_up_to(&tribunal_runtime::chain(&error), MAX_CAUSE_CHARS));
                break;
            }
        };
        let (again, never): (Vec<_>, Vec<_>) = rejected.into_iter().partition(|r| r.may_pass);
        errors.extend(again.iter().chain(&never).map(|r| r.code.clone()));
        lost.extend(never.iter().filter_map(|r| pending.get(r.position).copied()));
        pending = again.iter().filter_map(|r| pending.get(r.position).copied()).collect();
        if pending.is_empty() {
            break;
        }
    }
    lost.extend(pending);
    lost
}
