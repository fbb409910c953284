//! Why a declared source cannot be opened: what types cannot say and only the adapter knows.
//!
//! Opening makes no connection and reads no secret: a server that is down is no error here.

use std::sync::Arc;
use std::time::Duration;

use crate::Source;
use crate::config::SourceConfig;
use crate::secret::SecretStore;
use crate::{mongodb, mysql};

/// Opens a declared source that is a server.
///
/// # Errors
/// When its adapter refuses the declaration, or the source is none of `mysql`, `mongodb`.
pub fn open_server(
    config: &SourceConfig,
    secrets: &Arc<dyn SecretStore>,
) -> Result<Box<dyn Source>, OpenError> {
    let (concurrency, timeout) = (config.concurrency, Duration::from_millis(config.timeout_ms));
    if let Some(mysql) = &config.mysql {
        return Ok(Box::new(mysql::open(mysql, concurrency, timeout, Arc::clone(secrets))?));
    }
    if let Some(mongodb) = &config.mongodb {
        return Ok(Box::new(mongodb::open(mongodb, concurrency, timeout, Arc::clone(secrets))?));
    }
    Err(OpenError::new("", "none of the tables mysql, mongodb"))
}

/// A declaration that an adapter refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct OpenError {
    /// The key below the source's name: `mysql.query`.
    pub key: String,
    /// What is wrong with its value, for the person who wrote it.
    pub reason: String,
}

impl OpenError {
    /// That the value of `key` is wrong for `reason`.
    pub fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), reason: reason.into() }
    }
}
