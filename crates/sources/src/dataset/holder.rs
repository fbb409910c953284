//! Holds the version of a data set that is in force, and looks for a new one now and then.
//!
//! [`DatasetHolder::refresh`] is called beside every event. At most once in [`REVALIDATE_AFTER`] it reads the pointer
//! with the ETag that it knows; where that has changed it loads the version, checks size, digest and content, and
//! swaps it in. Until then, and where anything fails, the version before stays. A version that is not sound is
//! reported once and not loaded again until the pointer changes.
//!
//! Loading that does not end in the time that an event gives it goes on beside the next: a large file on a slow
//! day comes in within a few events, and no event waits for it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tribunal_registry::{DatasetState, Registry, RegistryError};

use super::{Dataset, MAX_FILE_BYTES, OpenError};

/// The pointer is read again after this time.
pub const REVALIDATE_AFTER: Duration = Duration::from_secs(60);
/// Loading that has not ended after this time is given up: its connection is dead.
const GIVE_UP_AFTER: Duration = Duration::from_secs(180);

/// Why a data set cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The registry does not give it.
    #[error("cannot load data set {name}")]
    Registry {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: RegistryError,
    },
    /// The file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than it may be.
    #[error("{path} has {bytes} bytes, the limit is {MAX_FILE_BYTES}")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
    },
    /// The content is not sound.
    #[error("{object} is not a sound data set")]
    Unsound {
        /// Path of the file.
        object: String,
        /// Why.
        #[source]
        source: OpenError,
    },
}

/// A version in memory.
#[derive(Debug)]
pub struct Loaded {
    /// The data set.
    pub dataset: Dataset,
    /// Its version; of a file: its size and time of change.
    pub version: String,
    /// Digest of the file.
    pub digest: String,
    /// Bytes of the file, and of memory.
    pub bytes: u64,
    /// How long checking it took, without reading it.
    pub opened_in: Duration,
}

/// What became of looking for a new version.
#[derive(Debug)]
pub enum Refreshed {
    /// It is not time to look, or another event looks.
    NotDue,
    /// The version in memory is in force.
    Unchanged,
    /// None is published. A version in memory stays.
    Absent,
    /// A new version is in memory.
    Changed(Arc<Loaded>),
    /// It is being loaded, and goes on beside the next event.
    Loading,
    /// It cannot be loaded. A version in memory stays.
    Failed(LoadError),
}

/// Whether there is a version in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum State {
    /// There is one.
    #[error("it is ready")]
    Ready,
    /// None is published.
    #[error("none is published")]
    Absent,
    /// One is published, but could not be loaded.
    #[error("it could not be loaded")]
    Broken,
    /// It was not loaded yet.
    #[error("it is not loaded yet")]
    Pending,
}

impl State {
    /// In a log line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Absent => "absent",
            Self::Broken => "broken",
            Self::Pending => "pending",
        }
    }
}

#[derive(Debug, Clone)]
enum Origin {
    Published(Registry),
    File(PathBuf),
    /// It does not change.
    Given,
}

/// What looking found. `tag` names what was looked at.
enum Found {
    Same { tag: Option<String> },
    Absent,
    New { loaded: Box<Loaded>, tag: Option<String> },
    Refused { error: LoadError, tag: Option<String> },
}

type Looking = Pin<Box<dyn Future<Output = Result<Found, LoadError>> + Send>>;

#[derive(Default)]
struct Refresh {
    /// When it was last looked, or looking began.
    at: Option<Instant>,
    /// ETag of the pointer, or size and time of the file, that was looked at last.
    tag: Option<String>,
    looking: Option<Looking>,
}

/// The version of a data set that is in force.
pub struct DatasetHolder {
    name: String,
    origin: Origin,
    /// The only format that is taken; any if not given.
    format: Option<&'static str>,
    current: RwLock<(State, Option<Arc<Loaded>>)>,
    refresh: Mutex<Refresh>,
}

impl fmt::Debug for DatasetHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatasetHolder")
            .field("name", &self.name)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl DatasetHolder {
    /// The data set `name` of a registry; nothing is loaded yet.
    pub fn published(registry: Registry, name: &str) -> Self {
        Self::new(name.to_owned(), Origin::Published(registry), State::Pending, None)
    }

    /// A file; nothing is loaded yet.
    pub fn file(path: &Path) -> Self {
        Self::new(path.display().to_string(), Origin::File(path.to_owned()), State::Pending, None)
    }

    /// A data set that is in memory and does not change.
    pub fn given(name: &str, dataset: Dataset) -> Self {
        let (version, digest) = (String::new(), String::new());
        let loaded = Loaded { dataset, version, digest, bytes: 0, opened_in: Duration::ZERO };
        Self::new(name.to_owned(), Origin::Given, State::Ready, Some(Arc::new(loaded)))
    }

    fn new(name: String, origin: Origin, state: State, loaded: Option<Arc<Loaded>>) -> Self {
        Self { name, origin, format: None, current: RwLock::new((state, loaded)), refresh: Mutex::default() }
    }

    /// Takes versions of one format alone ([`Dataset::format`]); another is refused as one that is not sound.
    #[must_use]
    pub const fn expecting(mut self, format: &'static str) -> Self {
        self.format = Some(format);
        self
    }

    /// Its name, or the file's path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The version in memory.
    pub fn current(&self) -> Option<Arc<Loaded>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Whether there is a version in memory, and if not, why.
    pub fn state(&self) -> State {
        self.current.read().unwrap_or_else(PoisonError::into_inner).0
    }

    /// Looks for a new version if it is time, for at most `limit`; also loads the first.
    pub async fn refresh(&self, limit: Duration) -> Refreshed {
        let Ok(mut refresh) = self.refresh.try_lock() else { return Refreshed::NotDue };
        let elapsed = refresh.at.map(|at| at.elapsed());
        if refresh.looking.is_some() && elapsed.is_some_and(|elapsed| elapsed >= GIVE_UP_AFTER) {
            refresh.looking = None;
        }
        if refresh.looking.is_none() {
            if elapsed.is_some_and(|elapsed| elapsed < REVALIDATE_AFTER) {
                return Refreshed::NotDue;
            }
            let Some(looking) = self.look(refresh.tag.clone()) else { return Refreshed::NotDue };
            refresh.looking = Some(looking);
            refresh.at = Some(Instant::now());
        }
        let Some(looking) = refresh.looking.as_mut() else { return Refreshed::NotDue };
        let Ok(found) = tokio::time::timeout(limit, looking).await else { return Refreshed::Loading };
        refresh.looking = None;
        match found {
            Ok(found) => self.settle(found, &mut refresh),
            Err(error) => self.failed(error),
        }
    }

    fn look(&self, tag: Option<String>) -> Option<Looking> {
        let current = self.current().map(|loaded| loaded.digest.clone());
        match &self.origin {
            Origin::Published(registry) => Some(Box::pin(look_in_registry(
                registry.clone(),
                self.name.clone(),
                (tag, current),
                self.format,
            ))),
            Origin::File(path) => {
                let (path, format) = (path.clone(), self.format);
                let name = self.name.clone();
                Some(Box::pin(aside(name, move || look_at_file(&path, tag.as_deref(), format))))
            }
            Origin::Given => None,
        }
    }

    fn settle(&self, found: Found, refresh: &mut Refresh) -> Refreshed {
        match found {
            Found::Same { tag } => {
                refresh.tag = tag;
                Refreshed::Unchanged
            }
            Found::Absent => {
                refresh.tag = None;
                self.without(State::Absent);
                Refreshed::Absent
            }
            Found::New { loaded, tag } => {
                refresh.tag = tag;
                let loaded = Arc::from(loaded);
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = (State::Ready, Some(Arc::clone(&loaded)));
                Refreshed::Changed(loaded)
            }
            Found::Refused { error, tag } => {
                refresh.tag = tag;
                self.failed(error)
            }
        }
    }

    fn failed(&self, error: LoadError) -> Refreshed {
        self.without(State::Broken);
        Refreshed::Failed(error)
    }

    /// Says why there is no version in memory, if there is none.
    fn without(&self, state: State) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.1.is_none() {
            current.0 = state;
        }
    }
}

async fn look_in_registry(
    registry: Registry,
    name: String,
    (tag, current): (Option<String>, Option<String>),
    format: Option<&'static str>,
) -> Result<Found, LoadError> {
    let failed = |source| LoadError::Registry { name: name.clone(), source };
    let (pointer, etag) = match registry.dataset_state(&name, tag.as_deref()).await.map_err(failed)? {
        DatasetState::Unchanged => return Ok(Found::Same { tag }),
        DatasetState::Absent => return Ok(Found::Absent),
        DatasetState::InForce { pointer, etag } => (pointer, etag),
    };
    if current.as_ref() == Some(&pointer.sha256) {
        return Ok(Found::Same { tag: etag });
    }
    let bytes = match registry.load_dataset_version(&name, &pointer).await {
        Ok(bytes) => bytes,
        // What the store says may change without the pointer; what the bytes are does not.
        Err(source) if source.fault().is_some() => return Err(failed(source)),
        Err(source) => return Ok(Found::Refused { error: failed(source), tag: etag }),
    };
    let object = format!("datasets/{name}/versions/{}/{}", pointer.version, pointer.file);
    let version = (pointer.version, pointer.sha256);
    aside(object.clone(), move || {
        Ok(match open(bytes, object, version, format) {
            Ok(loaded) => Found::New { loaded, tag: etag },
            Err(error) => Found::Refused { error, tag: etag },
        })
    })
    .await
}

/// Does what keeps a processor busy on another thread: an event goes on meanwhile.
async fn aside(
    path: String,
    work: impl FnOnce() -> Result<Found, LoadError> + Send + 'static,
) -> Result<Found, LoadError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(LoadError::File { path, source: error.into() }))
}

fn look_at_file(path: &Path, tag: Option<&str>, format: Option<&'static str>) -> Result<Found, LoadError> {
    let shown = path.display().to_string();
    let failed = |source| LoadError::File { path: shown.clone(), source };
    let about = std::fs::metadata(path).map_err(failed)?;
    let bytes = about.len();
    if bytes > MAX_FILE_BYTES as u64 {
        return Err(LoadError::TooLarge { path: shown, bytes });
    }
    let since = about.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let version = format!("{bytes}-{}", since.unwrap_or_default().as_nanos());
    if tag == Some(version.as_str()) {
        return Ok(Found::Same { tag: Some(version) });
    }
    let content = std::fs::read(path).map_err(failed)?;
    let digest = tribunal_core::digest::sha256(&content);
    Ok(match open(content.into(), shown.clone(), (version.clone(), digest), format) {
        Ok(loaded) => Found::New { loaded, tag: Some(version) },
        Err(error) => Found::Refused { error, tag: Some(version) },
    })
}

fn open(
    bytes: Bytes,
    object: String,
    (version, digest): (String, String),
    format: Option<&'static str>,
) -> Result<Box<Loaded>, LoadError> {
    let size = bytes.len() as u64;
    let started = Instant::now();
    let opened = Dataset::open(bytes).and_then(|dataset| match format {
        Some(expected) if expected != dataset.format() => {
            Err(OpenError::Format { found: dataset.format(), expected })
        }
        _ => Ok(dataset),
    });
    match opened {
        Ok(dataset) => {
            Ok(Box::new(Loaded { dataset, version, digest, bytes: size, opened_in: started.elapsed() }))
        }
        Err(source) => Err(LoadError::Unsound { object, source }),
    }
}

#[cfg(test)]
#[path = "holder_tests.rs"]
mod tests;
