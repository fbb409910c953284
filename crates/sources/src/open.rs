//! Why a declared source cannot be opened: what types cannot say and only the adapter knows.
//!
//! Opening makes no connection and reads no secret: a server that is down is no error here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tribunal_core::AddressFacts;

use crate::Source;
use crate::config::SourceConfig;
use crate::secret::SecretStore;
use crate::{dns, http, mongodb, mysql};

/// What the data sets say of an address.
pub type FactsOf = Arc<dyn Fn(IpAddr) -> Option<AddressFacts> + Send + Sync>;

/// Opens a declared source that is a server.
///
/// # Errors
/// When its adapter refuses the declaration, or the source is none of `mysql`, `mongodb`, `http`.
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
    if let Some(http) = &config.http {
        return Ok(Box::new(http::open(http, concurrency, timeout, Arc::clone(secrets))?));
    }
    Err(OpenError::new("", "none of the tables mysql, mongodb, http"))
}

/// Opens a declared source that is the domain name system; `facts_of` tells the networks of the addresses it finds.
///
/// # Errors
/// When the adapter refuses the declaration, or the source is none of `dns`.
pub fn open_dns(config: &SourceConfig, facts_of: FactsOf) -> Result<Box<dyn Source>, OpenError> {
    let Some(dns) = &config.dns else { return Err(OpenError::new("", "no table dns")) };
    let timeout = Duration::from_millis(config.timeout_ms);
    Ok(Box::new(dns::open(dns, config.concurrency, timeout, facts_of)?))
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
