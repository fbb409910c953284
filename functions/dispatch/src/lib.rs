//! dispatch: messages of a queue to executions of the scoring state machine.
//!
//! ```text
//! SQS batch -> plan -> executions, run synchronously -> messages to deliver again
//!                  \-> letters, to the dead-letter queue
//! ```
//! A message leaves the queue only when every good entity of it is scored and every refused one is on the
//! dead-letter queue. If anything of that fails, the message is reported as a batch item failure, alone: SQS
//! delivers it again, and the same scores are written again, under the same keys.
//!
//! Refused entities of a message that has good ones too are put on the dead-letter queue after these are scored, so
//! that a second delivery does not put them there twice.
//!
//! The event as a whole fails only if it is not one of SQS (`InvalidInput`). No entity is written to the log.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tribunal_runtime::{EventLog, FunctionError, Invocation, Step, now_ms};

pub mod aws;
mod body;
mod event;
pub mod letter;
mod plan;
mod ports;
mod run;
#[cfg(test)]
mod tests;

pub use body::{MAX_BODY_BYTES, MAX_MESSAGE_ENTITIES, MAX_SOURCE_BYTES, MessageRefusal};
pub use event::{BatchResponse, ItemFailure, Record, RecordAttributes, SqsEvent};
pub use letter::Letter;
pub use plan::{Counts, Execution, Plan, plan};
pub use ports::{CallError, DeadLetters, Ended, Executions, Rejected};

use run::{ExecutionFailure, Sent, run_all, send_all};

/// Kept of the invocation's time after the last wait for an execution: for letters and the answer.
const RESERVE_FOR_LETTERS: Duration = Duration::from_secs(10);
/// Kept after the last letter: for the answer.
const RESERVE_FOR_ANSWER: Duration = Duration::from_secs(1);
/// Time of an invocation that does not say when it ends.
const DEFAULT_TIME: Duration = Duration::from_secs(180);
/// Most failures that are told one by one in the log line.
const MAX_LOGGED_FAILURES: usize = 10;

/// The dispatcher.
#[derive(Debug)]
pub struct Dispatch<E, D> {
    executions: E,
    dead_letters: D,
}

impl<E: Executions, D: DeadLetters> Dispatch<E, D> {
    /// A dispatcher over the two services.
    pub const fn new(executions: E, dead_letters: D) -> Self {
        Self { executions, dead_letters }
    }

    /// Carries a plan out; yields the positions of the messages that failed.
    async fn carry_out(&self, plan: &Plan, invocation: &Invocation, log: &mut EventLog) -> BTreeSet<usize> {
        let until = Deadlines::of(invocation);
        let waiting: BTreeSet<usize> = plan.executions.iter().flat_map(|e| &e.records).copied().collect();
        let (later, now): (Vec<usize>, Vec<usize>) =
            (0..plan.letters.len()).partition(|at| waiting.contains(&plan.letters[*at].record));
        let trace = invocation.trace_header.as_deref();
        let (failures, first) = futures::future::join(
            run_all(&self.executions, &plan.executions, &invocation.request_id, trace, until.executions),
            send_all(&self.dead_letters, &plan.letters, &now, until.letters),
        )
        .await;
        let mut failed: BTreeSet<usize> =
            failures.iter().flat_map(|(at, _)| &plan.executions[*at].records).copied().collect();
        let later: Vec<usize> =
            later.into_iter().filter(|at| !failed.contains(&plan.letters[*at].record)).collect();
        let second = send_all(&self.dead_letters, &plan.letters, &later, until.letters).await;
        log_failures(plan, &failures, log);
        log_letters(&first, &second, log);
        failed.extend(first.failed);
        failed.extend(second.failed);
        failed
    }
}

impl<E: Executions, D: DeadLetters> Step for Dispatch<E, D> {
    const NAME: &'static str = "dispatch";
    type Input = SqsEvent;
    type Output = BatchResponse;

    async fn handle(
        &self,
        input: SqsEvent,
        invocation: &Invocation,
        log: &mut EventLog,
    ) -> Result<BatchResponse, FunctionError> {
        let plan = plan(&input.records, now_ms());
        log.count("MessagesReceived", input.records.len());
        log.count("EntitiesReceived", plan.counts.received);
        log.count("EntitiesRefused", plan.counts.refused);
        log.count("Duplicates", plan.counts.duplicates);
        log.count("Executions", plan.executions.len());
        let failed = self.carry_out(&plan, invocation, log).await;
        let ids: BTreeSet<&str> = failed.iter().map(|at| input.records[*at].message_id.as_str()).collect();
        log.count("MessagesFailed", ids.len());
        let failures = ids.into_iter().map(|id| ItemFailure { item_identifier: id.to_owned() });
        Ok(BatchResponse { batch_item_failures: failures.collect() })
    }
}

/// When waiting ends, so that the answer is given before Lambda ends the function.
struct Deadlines {
    executions: Instant,
    letters: Instant,
}

impl Deadlines {
    fn of(invocation: &Invocation) -> Self {
        let left = if invocation.deadline_ms == 0 { DEFAULT_TIME } else { invocation.remaining() };
        let now = Instant::now();
        Self {
            executions: now + left.saturating_sub(RESERVE_FOR_LETTERS),
            letters: now + left.saturating_sub(RESERVE_FOR_ANSWER),
        }
    }
}

fn log_failures(plan: &Plan, failures: &[(usize, ExecutionFailure)], log: &mut EventLog) {
    log.count("ExecutionsFailed", failures.len());
    if failures.is_empty() {
        return;
    }
    let told = failures.iter().take(MAX_LOGGED_FAILURES).map(|(at, failure)| {
        json!({"batch": plan.executions[*at].batch, "error": failure.name(), "cause": failure.cause()})
    });
    log.field("execution_failures", told.collect::<Vec<_>>());
}

fn log_letters(first: &Sent, second: &Sent, log: &mut EventLog) {
    log.count("DeadLetters", first.count + second.count);
    let errors: BTreeSet<&String> = first.errors.iter().chain(&second.errors).collect();
    if !errors.is_empty() {
        log.field(
            "dead_letter_errors",
            errors.into_iter().take(MAX_LOGGED_FAILURES).cloned().collect::<Vec<_>>(),
        );
    }
}
