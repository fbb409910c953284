//! The error names that a state machine sees.
//!
//! A function answers a failed event with `errorType` = one of these names. `Retry` and `Catch` in
//! `statemachine/scoring.asl.json` match on them, so a name is a contract: renaming one is a breaking change,
//! and a test holds the state machine against [`ErrorName::ALL`].

use std::fmt;

/// Why a function failed an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorName {
    /// The event is not of the step's contract. Permanent: the same event fails again.
    InvalidInput,
    /// The event holds more entities or bytes than one execution may carry. Permanent.
    BatchTooLarge,
    /// The model is missing, corrupt, or of a form that cannot be run. Permanent until it is published anew.
    ModelUnavailable,
    /// The ensemble definition is missing, corrupt or inconsistent. Permanent until it is published anew.
    EnsembleUnavailable,
    /// A store (S3, DynamoDB) asked to slow down. Transient.
    StoreThrottled,
    /// A store (S3, DynamoDB) could not be reached or failed. Transient.
    StoreUnavailable,
    /// A store refused for a reason that trying again does not mend (access denied, no such table). Permanent.
    StoreRefused,
}

impl ErrorName {
    /// Every name, in the order of declaration.
    pub const ALL: [Self; 7] = [
        Self::InvalidInput,
        Self::BatchTooLarge,
        Self::ModelUnavailable,
        Self::EnsembleUnavailable,
        Self::StoreThrottled,
        Self::StoreUnavailable,
        Self::StoreRefused,
    ];

    /// The name as a state machine matches it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "InvalidInput",
            Self::BatchTooLarge => "BatchTooLarge",
            Self::ModelUnavailable => "ModelUnavailable",
            Self::EnsembleUnavailable => "EnsembleUnavailable",
            Self::StoreThrottled => "StoreThrottled",
            Self::StoreUnavailable => "StoreUnavailable",
            Self::StoreRefused => "StoreRefused",
        }
    }

    /// Whether the same event may succeed when it is tried again: exactly these names stand in `Retry`.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::StoreThrottled | Self::StoreUnavailable)
    }
}

impl fmt::Display for ErrorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
