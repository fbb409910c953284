//! What an environment keeps between events: the address ranges, the sources that are declared, and the extraction
//! that goes with them.
//!
//! All of it is loaded before the first event and looked at again beside an event, at most once a minute: publishing
//! needs no redeploy. What cannot be loaded is logged, and fails no event: the version before it stays, or the
//! features that need it are missing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join;
use tokio::time::{Instant, timeout};
use tribunal_features::{Lexicon, LexiconError};
use tribunal_registry::{Declared, Registry, RegistryError};
use tribunal_runtime::{EventLog, chain};
use tribunal_sources::dataset::{Dataset, DatasetHolder, Refreshed};
use tribunal_sources::{Context, Declaration, DeclarationError, Sources};

use crate::extraction::Extraction;
use crate::ranges::{RANGES, Ranges};
use crate::step::FUNCTION;

/// How often it is looked whether another declaration is in force.
pub const LOOK_AFTER: Duration = Duration::from_secs(60);

/// Why a declaration of sources cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeclaredError {
    /// The registry does not give it.
    #[error("cannot load the declaration of sources")]
    Registry(#[from] RegistryError),
    /// It is not text.
    #[error("{object} is not UTF-8")]
    NotUtf8 {
        /// Path of the object.
        object: String,
    },
    /// It says what it must not.
    #[error("{object} cannot be used")]
    Declaration {
        /// Path of the object.
        object: String,
        /// Why.
        source: DeclarationError,
    },
    /// The lexicon that is built in is damaged.
    #[error(transparent)]
    Lexicon(#[from] LexiconError),
}

/// The sources of one declaration, and the extraction of their features.
#[derive(Debug)]
pub struct Asking {
    /// Entities to features.
    pub extraction: Extraction,
    /// What is asked.
    pub sources: Sources,
    /// Digest of the declaration; none without one.
    digest: Option<String>,
}

impl Asking {
    /// No sources.
    ///
    /// # Errors
    /// When the lexicon that is built in is damaged.
    pub fn nothing() -> Result<Self, LexiconError> {
        let (sources, _) = Sources::open(&Declaration::default(), &Context::local());
        Ok(Self { extraction: Extraction::new()?, sources, digest: None })
    }

    /// The sources of a declaration. What cannot be opened is logged, and answers with an error.
    ///
    /// # Errors
    /// When the text is no declaration.
    pub fn declared(declared: &Declared, context: &Context) -> Result<Self, DeclaredError> {
        let object = &declared.object;
        let text = std::str::from_utf8(&declared.bytes)
            .map_err(|_| DeclaredError::NotUtf8 { object: object.clone() })?;
        let built_in = tribunal_features::schema(Lexicon::embedded()?);
        let taken = built_in.positions();
        let declaration = Declaration::parse(text, |name| taken.contains_key(name))
            .map_err(|source| DeclaredError::Declaration { object: object.clone(), source })?;
        let (sources, unopened) = Sources::open(&declaration, context);
        for unopened in unopened {
            let cause = format!("source {}: {}", unopened.source, unopened.error);
            log_failure("source_not_opened", &cause);
        }
        let extraction = Extraction::with_features(sources.features(), sources.digest(), sources.runs())?;
        Ok(Self { extraction, sources, digest: Some(declared.digest.clone()) })
    }
}

/// What an environment keeps.
#[derive(Debug)]
pub struct Desk {
    registry: Registry,
    context: Context,
    ranges: Arc<DatasetHolder>,
    asking: Mutex<Arc<Asking>>,
    looked: Mutex<Instant>,
}

impl Desk {
    /// Loads everything, each for at most `limit`.
    ///
    /// # Errors
    /// When the lexicon that is built in is damaged.
    pub async fn open(registry: Registry, context: Context, limit: Duration) -> Result<Self, LexiconError> {
        let ranges = Arc::new(DatasetHolder::published(registry.clone(), RANGES).expecting(Dataset::RANGES));
        let context =
            Context { registry: Some(registry.clone()), ranges: Some(Arc::clone(&ranges)), ..context };
        let desk = Self {
            registry,
            context,
            ranges,
            asking: Mutex::new(Arc::new(Asking::nothing()?)),
            looked: Mutex::new(Instant::now()),
        };
        // The address ranges are the largest file: they are fetched while the declaration is.
        let (ranges, ()) = join(desk.ranges.refresh(limit), desk.load_declaration(limit)).await;
        tell(RANGES, ranges);
        desk.refresh_datasets(limit).await;
        Ok(desk)
    }

    /// What is asked now.
    pub fn asking(&self) -> Arc<Asking> {
        Arc::clone(&self.asking.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The address ranges as they are now.
    pub fn ranges(&self) -> Ranges {
        Ranges::of(&self.ranges)
    }

    /// Looks whether anything else is in force, for at most `limit`; for the next event.
    pub async fn refresh(&self, limit: Duration) {
        let due = {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            let due = looked.elapsed() >= LOOK_AFTER;
            if due {
                *looked = Instant::now();
            }
            due
        };
        if due {
            self.load_declaration(limit).await;
        }
        self.refresh_datasets(limit).await;
    }

    async fn load_declaration(&self, limit: Duration) {
        let loaded = match timeout(limit, self.changed_declaration()).await {
            Ok(loaded) => loaded,
            Err(_) => {
                let location = self.registry.location();
                let cause = format!("{location} did not answer within {} ms", limit.as_millis());
                return log_failure("sources_failed", &cause);
            }
        };
        match loaded {
            Ok(None) => {}
            Ok(Some(asking)) => {
                *self.asking.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(asking);
            }
            Err(error) => log_failure("sources_failed", &chain(&error)),
        }
    }

    /// The declaration that is in force, if it is another than before.
    async fn changed_declaration(&self) -> Result<Option<Asking>, DeclaredError> {
        let known = self.asking().digest.clone();
        let pointer = self.registry.sources_pointer().await?;
        if pointer.as_ref().map(|pointer| &pointer.digest) == known.as_ref() {
            return Ok(None);
        }
        Ok(Some(match pointer {
            Some(pointer) => {
                Asking::declared(&self.registry.load_sources_version(pointer).await?, &self.context)?
            }
            None => Asking::nothing()?,
        }))
    }

    async fn refresh_datasets(&self, limit: Duration) {
        let asking = self.asking();
        let (ranges, mut others) = join(self.ranges.refresh(limit), asking.sources.refresh(limit)).await;
        others.push((RANGES.to_owned(), ranges));
        for (name, refreshed) in others {
            tell(&name, refreshed);
        }
    }
}

/// Logs what became of looking at a data set, where something did.
fn tell(name: &str, refreshed: Refreshed) {
    match refreshed {
        Refreshed::Failed(error) => log_failure("data_set_failed", &chain(&error)),
        // Without address ranges every score says `skipped`; a data set that a source names ought to be there.
        Refreshed::Absent if name != RANGES => {
            log_failure("data_set_absent", &format!("data set {name} is not published"));
        }
        Refreshed::Changed(loaded) => {
            let mut log = EventLog::new(FUNCTION);
            log.field("event", "data_set_loaded");
            log.field("data_set", name);
            log.field("version", loaded.version.as_str());
            log.field("bytes", loaded.bytes);
            log.emit();
        }
        _ => {}
    }
}

fn log_failure(event: &str, cause: &str) {
    let mut log = EventLog::new(FUNCTION);
    log.field("event", event);
    log.field("cause", cause);
    log.count("Failures", 1);
    log.emit();
}
