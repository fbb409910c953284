//! The extract function.
//!
//! Environment: `TRIBUNAL_REGISTRY` (`s3://bucket[/prefix]` or a folder).

use std::process::ExitCode;

use tribunal_extract::Extract;
use tribunal_registry::Registry;
use tribunal_runtime::Environment;

fn main() -> ExitCode {
    tribunal_runtime::start(async || {
        let environment = Environment::read(&["TRIBUNAL_REGISTRY"], &[])?;
        let registry = Registry::open(environment.get("TRIBUNAL_REGISTRY"))?;
        Ok(Extract::start(registry).await?)
    })
}
