//! The predict function.
//!
//! Environment: `TRIBUNAL_REGISTRY` (`s3://bucket[/prefix]` or a folder), `TRIBUNAL_MODEL` (name of the
//! model).

use std::process::ExitCode;

use tribunal_predict::Predict;
use tribunal_registry::Registry;
use tribunal_runtime::Environment;

fn main() -> ExitCode {
    tribunal_runtime::start(async || {
        let environment = Environment::read(&["TRIBUNAL_REGISTRY", "TRIBUNAL_MODEL"], &[])?;
        let registry = Registry::open(environment.get("TRIBUNAL_REGISTRY"))?;
        Ok(Predict::start(registry, environment.get("TRIBUNAL_MODEL")).await)
    })
}
