//! What can go wrong with a registry, and what a caller is to make of it.

use std::error::Error;
use std::fmt;

use object_store::client::HttpError;
use tribunal_core::ErrorName;

use crate::s3::HttpStatus;

/// Most characters of a store's own explanation that are repeated (S3 answers with whole XML documents).
const MAX_CAUSE_CHARS: usize = 400;

/// Why a registry did not answer.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The address of the registry is not one.
    #[error("registry address {address:?}: {reason}; give s3://bucket, s3://bucket/prefix, or a folder")]
    Address {
        /// As given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The folder does not exist, or the S3 client cannot be set up.
    #[error("cannot open registry {address:?}")]
    Open {
        /// As given.
        address: String,
        /// Why.
        source: Cause,
    },
    /// The HTTP client cannot be set up.
    #[error("cannot set up the HTTP client of registry {address:?}")]
    HttpClient {
        /// As given.
        address: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The store failed an operation.
    #[error("cannot {operation} {object} in {location}: {fault}")]
    Store {
        /// `read`, `write` or `list`.
        operation: &'static str,
        /// Path of the object in the registry.
        object: String,
        /// The registry.
        location: String,
        /// What kind of failure it is.
        fault: Fault,
        /// What the store says.
        source: Cause,
    },
    /// An object is larger than it may be; it was not fetched.
    #[error("{object} has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Path of the object.
        object: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// An object's size is not the one that the object that names it says; it was not fetched.
    #[error("{object} has {found} bytes, but {named_by} says {expected}")]
    WrongSize {
        /// Path of the object.
        object: String,
        /// Its size.
        found: u64,
        /// The object that names it.
        named_by: String,
        /// The size said there.
        expected: u64,
    },
    /// An object's digest is not the one that the object that names it says.
    #[error("{object} has digest {found}, but {named_by} says {expected}")]
    WrongDigest {
        /// Path of the object.
        object: String,
        /// Its digest.
        found: String,
        /// The object that names it.
        named_by: String,
        /// The digest said there.
        expected: String,
    },
    /// An object is not JSON, or lacks a field.
    #[error("{object} is not of its form")]
    Json {
        /// Path of the object.
        object: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A field of an object has a value that it may not have.
    #[error("{object}: {field} is {value}, allowed is {allowed}")]
    Invalid {
        /// Path of the object.
        object: String,
        /// The field, as a path: `parts[0].file`.
        field: String,
        /// Its value, cut to 100 characters.
        value: String,
        /// What is allowed.
        allowed: Box<str>,
    },
    /// A version is published already, with other bytes.
    #[error(
        "{object} in {location} exists already with other bytes, and versions never change: \
         publish under a new version"
    )]
    Immutable {
        /// Path of the object.
        object: String,
        /// The registry.
        location: String,
    },
    /// A pointer is not the one that was read before: somebody else has published since.
    #[error("{object} in {location} has changed since it was read: somebody else has published")]
    Moved {
        /// Path of the object.
        object: String,
        /// The registry.
        location: String,
    },
}

/// Kind of a store's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// There is no such object.
    Missing,
    /// Access was denied.
    Denied,
    /// The store asked to slow down.
    Throttled,
    /// The store could not be reached, failed, or did not answer in time.
    Unavailable,
    /// The store refused for another reason, which trying again does not mend.
    Refused,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "no such object",
            // S3 answers so for an object that is not there, unless the caller may list the bucket.
            Self::Denied => {
                "access denied (which is also S3's answer for a missing object without s3:ListBucket)"
            }
            Self::Throttled => "asked to slow down",
            Self::Unavailable => "store unavailable",
            Self::Refused => "refused",
        })
    }
}

impl Fault {
    pub(crate) fn of(error: &object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => return Self::Missing,
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                return Self::Denied;
            }
            object_store::Error::JoinError { .. } => return Self::Unavailable,
            _ => {}
        }
        if let Some(status) = find::<HttpStatus>(error) {
            return if status.is_throttling() { Self::Throttled } else { Self::Unavailable };
        }
        if find::<HttpError>(error).is_some() {
            return Self::Unavailable;
        }
        match find::<std::io::Error>(error).map(std::io::Error::kind) {
            Some(std::io::ErrorKind::PermissionDenied) => Self::Denied,
            Some(std::io::ErrorKind::NotFound) => Self::Missing,
            _ => Self::Refused,
        }
    }
}

/// The first error of a type in a chain of causes.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        next = current.source();
    }
    None
}

/// An error of the object store. Its text holds the texts of its own causes, so it shows them once, cut to a
/// length that fits into a log line, and names no further source.
#[derive(Debug)]
pub struct Cause(pub Box<object_store::Error>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let cut: String = text.chars().take(MAX_CAUSE_CHARS).collect();
        f.write_str(&cut)?;
        if cut.len() < text.len() { f.write_str(" ...") } else { Ok(()) }
    }
}

impl Error for Cause {}

impl RegistryError {
    /// The store's fault, if the store failed.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Store { fault, .. } => Some(*fault),
            _ => None,
        }
    }

    /// Whether the object is not there.
    pub fn is_missing(&self) -> bool {
        self.fault() == Some(Fault::Missing)
    }

    /// Whether the store asked to slow down.
    pub fn is_throttled(&self) -> bool {
        self.fault() == Some(Fault::Throttled)
    }

    /// Whether trying again may succeed without anything being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self.fault(), Some(Fault::Throttled | Fault::Unavailable))
    }

    /// The name that a state machine is to see; `content` is the name for an object that is missing or
    /// corrupt (`ModelUnavailable`, `EnsembleUnavailable`).
    pub fn error_name(&self, content: ErrorName) -> ErrorName {
        match self.fault() {
            Some(Fault::Throttled) => ErrorName::StoreThrottled,
            Some(Fault::Unavailable) => ErrorName::StoreUnavailable,
            Some(Fault::Denied | Fault::Refused) => ErrorName::StoreRefused,
            Some(Fault::Missing) | None => content,
        }
    }
}
