//! The ensemble definition in force, and what happens while there is none.
//!
//! It is loaded once per cold start. A definition that cannot be used does not end the process: every event
//! is answered with the reason, and it is tried again, at most every [`RETRY_AFTER`], so that a corrected
//! object is picked up without a deployment. A definition is followed: beside an event, at most every
//! [`LOOK_AFTER`], the pointer is asked for, and another version is in force from then on. One that cannot be used is
//! logged and counted, and the one before stays. Every score names the version and the digest that made it.

use std::sync::Arc;
use std::time::Duration;

use tribunal_core::ErrorName;
use tribunal_core::ensemble::{DefinitionError, EnsembleDefinition, Lists};
use tribunal_registry::{Definition, PointerState, Registry, RegistryError};
use tribunal_runtime::{Current, EventLog, Found, chain};

/// Name of the function in logs.
const FUNCTION: &str = "ensemble";
/// Least time between two attempts to load.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);
/// How often it is looked whether another definition is in force.
pub const LOOK_AFTER: Duration = Duration::from_secs(30);
/// Time for a look. The process may stand still meanwhile.
const LOOK_LIMIT: Duration = Duration::from_secs(60);
/// Time for loading at cold start. Lambda ends an initialisation after 10 s, and starts over.
const COLD_START_LIMIT: Duration = Duration::from_secs(8);

/// A definition, checked, and its digest.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The definition.
    pub definition: EnsembleDefinition,
    /// Digest of its bytes.
    pub digest: String,
    /// Its lists, compiled.
    pub lists: Lists,
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
        Self::of(registry.load_ensemble().await?)
    }

    /// Checks a definition that was read.
    fn of(published: Definition) -> Result<Self, LoadError> {
        let definition = EnsembleDefinition::parse(&published.bytes)
            .map_err(|source| LoadError::Definition { object: published.object.clone(), source })?;
        if definition.version == published.version {
            Ok(Self { lists: Lists::of(&definition), definition, digest: published.digest })
        } else {
            let (object, expected) = (published.object, published.version);
            Err(LoadError::Version { object, found: definition.version, expected })
        }
    }

    /// The definition in force, if its pointer's ETag is not `known` and its digest is not `digest`; within a time.
    async fn newer_within(
        registry: &Registry,
        known: Option<&str>,
        digest: &str,
        limit: Duration,
    ) -> Result<Option<Found<Self>>, LoadError> {
        let load = async {
            match registry.ensemble_state(known).await? {
                PointerState::InForce { pointer, etag } if pointer.digest != digest => {
                    Ok(Some((Self::of(registry.load_ensemble_version(&pointer).await?)?, etag)))
                }
                PointerState::InForce { .. } | PointerState::Unchanged => Ok(None),
            }
        };
        tokio::time::timeout(limit, load).await.unwrap_or_else(|_| {
            let location = registry.location().to_owned();
            Err(LoadError::TimedOut { location, limit_ms: limit.as_millis() })
        })
    }

    /// Like [`Loaded::from`], within a time, and with the pointer's ETag.
    async fn within(registry: &Registry, limit: Duration) -> Result<Found<Self>, LoadError> {
        match Self::newer_within(registry, None, "", limit).await? {
            Some(found) => Ok(found),
            // No digest is empty, and a store that is told no ETag has no reason to say that it is the same.
            None => Ok((Self::from(registry).await?, None)),
        }
    }
}

/// The definition of a registry, loaded when there is one, and followed.
#[derive(Debug)]
pub struct Definitions {
    registry: Registry,
    current: Arc<Current<Loaded, LoadError>>,
}

impl Definitions {
    /// Loads the definition, or remembers why not.
    pub async fn start(registry: Registry, retry_after: Duration) -> Self {
        let loaded = Loaded::within(&registry, COLD_START_LIMIT).await;
        Self { registry, current: Arc::new(Current::new(loaded, retry_after, LOOK_AFTER)) }
    }

    /// The definition, loading it within `limit` if it is time to try again. If it is time to look for another one,
    /// that is begun, and nobody waits for it.
    ///
    /// # Errors
    /// Why the last attempt failed.
    pub async fn current(&self, limit: Duration) -> Result<Arc<Loaded>, Arc<LoadError>> {
        let loaded = self.current.get(async || Loaded::within(&self.registry, limit).await).await?;
        let (registry, digest) = (self.registry.clone(), loaded.digest.clone());
        self.current.look(async move |known| newer(&registry, known, &digest).await);
        Ok(loaded)
    }

    /// The definition as it is now: nothing is loaded.
    ///
    /// # Errors
    /// Why the last attempt failed.
    pub async fn now(&self) -> Result<Arc<Loaded>, Arc<LoadError>> {
        self.current.now().await
    }

    /// Waits until the look that is under way has ended.
    #[cfg(test)]
    pub(crate) async fn settled(&self) {
        self.current.settled().await;
    }
}

/// Another definition than the one with `digest`, if there is one that can be used.
async fn newer(registry: &Registry, known: Option<String>, digest: &str) -> Option<Found<Loaded>> {
    let found = Loaded::newer_within(registry, known.as_deref(), digest, LOOK_LIMIT).await;
    let mut log = EventLog::new(FUNCTION);
    match &found {
        Ok(None) => return None,
        Ok(Some((loaded, _))) => {
            log.field("event", "definition_loaded");
            log.field("version", loaded.definition.version.as_str());
            log.field("digest", loaded.digest.as_str());
            log.count("Swaps", 1);
        }
        Err(error) => {
            // Where the store did not answer, the definition goes on, and the next look may be answered.
            let transient = error.error_name().is_transient();
            log.field("event", if transient { "look_failed" } else { "definition_refused" });
            log.field("error", error.error_name().as_str());
            log.field("cause", chain(error));
            if !transient {
                log.count("Failures", 1);
            }
        }
    }
    log.emit();
    found.ok().flatten()
}
