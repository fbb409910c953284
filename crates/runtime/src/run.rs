//! The loop of a function: configuration, cold start, events.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lambda_runtime::{Context, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use tribunal_core::ErrorName;

use crate::error::{FunctionError, chain};
use crate::telemetry::{EventLog, Unit, now_ms};

/// What is known of the invocation of one event.
#[derive(Debug, Clone, Default)]
pub struct Invocation {
    /// Lambda's request id.
    pub request_id: String,
    /// When Lambda ends the function, in milliseconds since 1970; 0 when unknown.
    pub deadline_ms: u64,
    /// The X-Ray trace header, to be handed on to what the function calls.
    pub trace_header: Option<String>,
}

impl Invocation {
    /// Time left until Lambda ends the function.
    pub fn remaining(&self) -> Duration {
        Duration::from_millis(self.deadline_ms.saturating_sub(now_ms()))
    }

    /// Time for a part of the work: at most `limit`, and so that `reserve` is left of the event's time. All of `limit`
    /// when the event's time is not known.
    pub fn time_for(&self, limit: Duration, reserve: Duration) -> Duration {
        match self.deadline_ms {
            0 => limit,
            _ => limit.min(self.remaining().saturating_sub(reserve)),
        }
    }
}

impl From<&Context> for Invocation {
    fn from(context: &Context) -> Self {
        Self {
            request_id: context.request_id.clone(),
            deadline_ms: context.deadline,
            trace_header: context.xray_trace_id.clone(),
        }
    }
}

/// A function: a context built once per cold start, and what it does with an event.
pub trait Step {
    /// Name in logs and metrics: `dispatch`, `extract`, `predict`, `ensemble`.
    const NAME: &'static str;
    /// The event.
    type Input: DeserializeOwned;
    /// The answer.
    type Output: Serialize;

    /// Adds dimensions to every log line, before the event is handled.
    fn label(&self, _log: &mut EventLog) {}

    /// Handles one event; counts and identifiers go to `log`.
    fn handle(
        &self,
        input: Self::Input,
        invocation: &Invocation,
        log: &mut EventLog,
    ) -> impl Future<Output = Result<Self::Output, FunctionError>>;
}

/// An event, or why it is not one: parsing must not fail before the function can name the error.
struct Event<T>(Result<T, String>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Event<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(T::deserialize(deserializer).map_err(|error| error.to_string())))
    }
}

/// Why an event was not parsed.
#[derive(Debug, thiserror::Error)]
#[error("event is not of the contract: {0}")]
struct NotOfTheContract(String);

/// Runs a function until its environment ends.
///
/// `cold_start` runs before the first event is asked for. Its failure is logged with the whole chain of causes
/// and ends the process, which Lambda reports as a failed initialisation.
pub fn start<S: Step + 'static>(
    cold_start: impl AsyncFnOnce() -> Result<S, Box<dyn std::error::Error + Send + Sync>>,
) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cannot_start::<S>(&error),
    };
    runtime.block_on(async {
        let started = Instant::now();
        let step = match cold_start().await {
            Ok(step) => step,
            Err(error) => return cannot_start::<S>(error.as_ref()),
        };
        let mut log = EventLog::new(S::NAME);
        step.label(&mut log);
        log.field("event", "cold_start");
        log.metric("ColdStartMs", Unit::Milliseconds, millis(started));
        log.emit();
        match serve(step).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => cannot_start::<S>(error.as_ref()),
        }
    })
}

async fn serve<S: Step + 'static>(step: S) -> Result<(), lambda_runtime::Error> {
    let step = Arc::new(step);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Event<S::Input>>| {
        let step = Arc::clone(&step);
        async move {
            let invocation = Invocation::from(&event.context);
            handle(step.as_ref(), event.payload.0, &invocation).await
        }
    }))
    .await
}

async fn handle<S: Step>(
    step: &S,
    input: Result<S::Input, String>,
    invocation: &Invocation,
) -> Result<S::Output, FunctionError> {
    let started = Instant::now();
    let mut log = EventLog::new(S::NAME);
    step.label(&mut log);
    log.field("request_id", invocation.request_id.as_str());
    let result = match input {
        Ok(input) => step.handle(input, invocation, &mut log).await,
        Err(reason) => Err(FunctionError::new(ErrorName::InvalidInput, NotOfTheContract(reason))),
    };
    log.metric("DurationMs", Unit::Milliseconds, millis(started));
    if let Some(trace) = &invocation.trace_header {
        log.field("trace", trace.as_str());
    }
    match &result {
        Ok(_) => log.field("outcome", "ok"),
        Err(error) => {
            log.field("outcome", "failed");
            log.field("error", error.name().as_str());
            // What is wrong with an event is told to the caller, not to the log: it may quote the event.
            if error.name() != ErrorName::InvalidInput {
                log.field("cause", chain(error));
            }
            log.count("Failures", 1);
        }
    }
    log.emit();
    result
}

fn cannot_start<S: Step>(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    let mut log = EventLog::new(S::NAME);
    log.field("event", "cannot_start");
    log.field("cause", chain(error));
    log.count("Failures", 1);
    log.emit();
    ExitCode::FAILURE
}

fn millis(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Doubler;

    impl Step for Doubler {
        const NAME: &'static str = "doubler";
        type Input = u32;
        type Output = u32;

        async fn handle(&self, input: u32, _: &Invocation, log: &mut EventLog) -> Result<u32, FunctionError> {
            log.count("Numbers", 1);
            Ok(input * 2)
        }
    }

    fn run(text: &str) -> Result<u32, FunctionError> {
        let event: Event<u32> = Event::deserialize(&mut serde_json::Deserializer::from_str(text)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(handle(&Doubler, event.0, &Invocation::default()))
    }

    #[test]
    fn an_event_reaches_the_step() {
        assert_eq!(run("21").unwrap(), 42);
    }

    #[test]
    fn an_event_of_another_shape_has_a_stable_name() {
        for text in ["{\"a\": 1}", "-1", "\"x\"", "[[[[[[1]]]]]]"] {
            let error = run(text).unwrap_err();
            assert_eq!(error.name(), ErrorName::InvalidInput);
            assert!(chain(&error).contains("event is not of the contract"), "{}", chain(&error));
        }
    }

    #[test]
    fn time_remaining_is_never_negative() {
        let late = Invocation { deadline_ms: 1, ..Invocation::default() };
        let second = Duration::from_secs(1);
        assert_eq!(
            (late.remaining(), late.time_for(second, Duration::ZERO)),
            (Duration::ZERO, Duration::ZERO)
        );
        assert_eq!(Invocation::default().time_for(second, second), second);
        let soon = Invocation { deadline_ms: now_ms() + 60_000, ..Invocation::default() };
        assert_eq!(soon.time_for(second, second), second);
        assert!(soon.time_for(60 * second, 10 * second) <= 50 * second);
    }
}
