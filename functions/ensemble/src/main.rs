//! The Lambda function `ensemble`.

use std::process::ExitCode;

use tribunal_ensemble::Ensemble;

fn main() -> ExitCode {
    tribunal_runtime::start(async || Ok(Ensemble::start().await?))
}
