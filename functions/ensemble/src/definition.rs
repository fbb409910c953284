//! The ensemble definition in force, and what happens while there is none.
//!
//! It is loaded once per cold start. A definition that cannot be used does not end the process: every event
//! is answered with the reason, and it is tried again, at most every [`RETRY_AFTER`], so that a corrected
//! object is picked up without a deployment. A definition that is in force stays so until the process ends.

use std::sync::Arc;
use std::time::Duration;

use tribunal_core::ErrorName;
use tribunal_core::ensemble::{DefinitionError, EnsembleDefinition};
use tribunal_registry::{Registry, RegistryError};
use tribunal_runtime::Held;

/// Least time between two attempts to load.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Time for loading at cold start. Lambda ends an initialisation after 10 s, and starts over.
const COLD_START_LIMIT: Duration = Duration::from_secs(8);

/// A definition, checked, and its digest.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The definition.
    pub definition: EnsembleDefinition,
    /// Digest of its bytes.
    pub digest: String,
}

/// Why there is no definition.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The registry does not give it.
    #[error("cannot load the ensemble definition")]
    Registry(#[from] RegistryError),
    /// The registry did not answer in time.
    #[error("cannot load the ensemble definition: {location} did not answer within {limit_ms} ms")]
    TimedOut {
        /// The registry.
        location: String,
        /// The limit.
        limit_ms: u128,
    },
    /// It is not one.
    #[error("cannot use {object}")]
    Definition {
        /// Path of the object.
        object: String,
        /// What is wrong with it.
        source: DefinitionError,
    },
    /// It says another version than the pointer that leads to it.
    #[error("{object} is version {found}, but ensemble/current.json says {expected}")]
    Version {
        /// Path of the object.
        object: String,
        /// The version in it.
        found: String,
        /// The version of the pointer.
        expected: String,
    },
}

impl LoadError {
    /// As a state machine sees it.
    pub fn error_name(&self) -> ErrorName {
        match self {
            Self::Registry(error) => error.error_name(ErrorName::EnsembleUnavailable),
            Self::TimedOut { .. } => ErrorName::StoreUnavailable,
            Self::Definition { .. } | Self::Version { .. } => ErrorName::EnsembleUnavailable,
        }
    }
}

impl Loaded {
    /// Reads and checks the definition of a registry.
    ///
    /// # Errors
    /// Names the object and what is wrong with it.
    pub async fn from(registry: &Registry) -> Result<Self, LoadError> {
        let published = registry.load_ensemble().await?;
        let definition = EnsembleDefinition::parse(&published.bytes)
            .map_err(|source| LoadError::Definition { object: published.object.clone(), source })?;
        if definition.version == published.version {
            Ok(Self { definition, digest: published.digest })
        } else {
            let (object, expected) = (published.object, published.version);
            Err(LoadError::Version { object, found: definition.version, expected })
        }
    }

    /// Like [`Loaded::from`], within a time.
    async fn within(registry: &Registry, limit: Duration) -> Result<Self, LoadError> {
        tokio::time::timeout(limit, Self::from(registry)).await.unwrap_or_else(|_| {
            let location = registry.location().to_owned();
            Err(LoadError::TimedOut { location, limit_ms: limit.as_millis() })
        })
    }
}

/// The definition of a registry, loaded when there is one.
#[derive(Debug)]
pub struct Definitions {
    registry: Registry,
    held: Held<Loaded, LoadError>,
}

impl Definitions {
    /// Loads the definition, or remembers why not.
    pub async fn start(registry: Registry, retry_after: Duration) -> Self {
        let loaded = Loaded::within(&registry, COLD_START_LIMIT).await;
        Self { registry, held: Held::new(loaded, retry_after) }
    }

    /// The definition, loading it within `limit` if it is time to try again.
    ///
    /// # Errors
    /// Why the last attempt failed.
    pub async fn current(&self, limit: Duration) -> Result<Arc<Loaded>, Arc<LoadError>> {
        self.held.get(async || Loaded::within(&self.registry, limit).await).await
    }

    /// The definition as it is now: nothing is loaded.
    ///
    /// # Errors
    /// Why the last attempt failed.
    pub async fn now(&self) -> Result<Arc<Loaded>, Arc<LoadError>> {
        self.held.now().await
    }
}
