//! The ensemble definition in force, and what happens while there is none.
//!
//! It is loaded once per cold start. A definition that cannot be used does not end the process: every event
//! is answered with the reason, and it is tried again, at most every [`RETRY_AFTER`], so that a corrected
//! object is picked up without a deployment. A definition that is in force stays so until the process ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tribunal_core::ErrorName;
use tribunal_core::ensemble::{DefinitionError, EnsembleDefinition};
use tribunal_registry::{Registry, RegistryError};

/// Least time between two attempts to load.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

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
}

/// The definition of a registry, loaded when there is one.
#[derive(Debug)]
pub struct Definitions {
    registry: Registry,
    retry_after: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Ready(Arc<Loaded>),
    Failed { error: Arc<LoadError>, at: Instant },
}

impl Definitions {
    /// Loads the definition, or remembers why not.
    pub async fn start(registry: Registry, retry_after: Duration) -> Self {
        let state = Mutex::new(State::load(&registry).await);
        Self { registry, retry_after, state }
    }

    /// The definition, loading it if it is time to try again.
    ///
    /// # Errors
    /// Why the last attempt failed.
    pub async fn current(&self) -> Result<Arc<Loaded>, Arc<LoadError>> {
        let mut state = self.state.lock().await;
        if let State::Failed { at, .. } = &*state
            && at.elapsed() >= self.retry_after
        {
            *state = State::load(&self.registry).await;
        }
        match &*state {
            State::Ready(loaded) => Ok(Arc::clone(loaded)),
            State::Failed { error, .. } => Err(Arc::clone(error)),
        }
    }
}

impl State {
    async fn load(registry: &Registry) -> Self {
        match Loaded::from(registry).await {
            Ok(loaded) => Self::Ready(Arc::new(loaded)),
            // The time is taken after the attempt: a slow one is not followed by the next at once.
            Err(error) => Self::Failed { error: Arc::new(error), at: Instant::now() },
        }
    }
}
