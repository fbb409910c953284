//! Why a declared source cannot be opened: what types cannot say and only the adapter knows.
//!
//! Opening makes no connection and reads no secret: a server that is down is no error here.

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
