//! The extract function.
//!
//! Environment: `TRIBUNAL_REGISTRY` (`s3://bucket[/prefix]` or a folder); `TRIBUNAL_SOURCE_TABLE`, the table of quotas
//! and shared answers: without it both are this environment's alone.

use std::process::ExitCode;
use std::sync::Arc;

use tribunal_extract::Extract;
use tribunal_registry::Registry;
use tribunal_runtime::{Environment, sdk};
use tribunal_sources::aws::{DynamoCache, DynamoQuota, SecretsManager};
use tribunal_sources::{Context, Stores};

fn main() -> ExitCode {
    tribunal_runtime::start(async || {
        let environment = Environment::read(&["TRIBUNAL_REGISTRY"], &["TRIBUNAL_SOURCE_TABLE"])?;
        let registry = Registry::open(environment.get("TRIBUNAL_REGISTRY"))?;
        let config = sdk::function_config();
        let mut context = Context { secrets: Arc::new(SecretsManager::new(&config)), ..Context::local() };
        if let Some(table) = environment.optional("TRIBUNAL_SOURCE_TABLE") {
            context.stores = Stores {
                quota: Some(Arc::new(DynamoQuota::new(&config, table))),
                cache: Some(Arc::new(DynamoCache::new(&config, table))),
            };
        }
        Ok(Extract::start(registry, context).await?)
    })
}
