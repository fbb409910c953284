//! What the functions share at their edge: configuration from the environment, one structured log line per
//! event, error names that a state machine can match, and the HTTP client of the AWS SDKs.
//!
//! A function is a [`Step`]: a context that is built once per cold start, and an `async fn` over typed input.
//! [`start`] reads its configuration, builds it before the first event is asked for, and hands it every event.
//!
//! It does not retry, and it knows nothing of what a step computes.

mod config;
mod current;
mod error;
mod held;
mod run;
#[cfg(feature = "sdk")]
pub mod sdk;
mod telemetry;

pub use config::{Environment, MissingVariables};
pub use current::{Current, Found};
pub use error::{FunctionError, chain};
pub use held::Held;
pub use run::{Invocation, Step, start};
pub use telemetry::{EventLog, Unit, now_ms};
