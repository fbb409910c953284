//! The port: what an adapter does, and in which words it answers.
//!
//! ```text
//! subjects of one batch -> Source::ask -> one reply each: Record (rows of JSON), or an error
//! ```
//! An adapter keeps its connections between batches, asks about many subjects at once where it can, and puts
//! each reply down as soon as it has it: when the time is up its future is dropped, and what was put down counts.
//! It knows no deadline, cache, breaker or quota ([`crate::Sources`] does), and nothing of features.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tribunal_core::{AddressFacts, Entity};

use crate::config::Near;

/// Most rows of one answer about one subject that are kept.
pub const MAX_ROWS: usize = 1_000;

/// What a source is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// In normal form.
    pub entity: &'a Entity,
    /// What the data set of address ranges says of it, if it is an address.
    pub facts: Option<&'a AddressFacts>,
}

/// What a source says of one subject: rows of JSON, in the source's order. No rows: it knows nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// At most [`MAX_ROWS`]; usually objects.
    pub rows: Vec<Value>,
    /// What a data set lists around an address, by the network that features read; at most [`MAX_ROWS`] rows each.
    pub near: Vec<(Near, Vec<Value>)>,
}

impl Record {
    /// Of these rows.
    pub const fn of(rows: Vec<Value>) -> Self {
        Self { rows, near: Vec::new() }
    }

    /// Whether the source knows nothing.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row, unless there are [`MAX_ROWS`].
    pub fn push(&mut self, row: Value) {
        if self.rows.len() < MAX_ROWS {
            self.rows.push(row);
        }
    }
}

/// One subject's reply.
pub type Reply = Result<Record, SourceError>;

/// A batch's replies, by the position of the subject.
#[derive(Debug)]
pub struct Replies {
    slots: Mutex<Vec<Option<Reply>>>,
}

impl Replies {
    /// For `n` subjects, none of which has a reply.
    pub fn new(n: usize) -> Self {
        Self { slots: Mutex::new((0..n).map(|_| None).collect()) }
    }

    /// Puts a reply down. A position that is out of range is ignored; a second reply replaces the first.
    pub fn put(&self, position: usize, reply: Reply) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(position) {
            *slot = Some(reply);
        }
    }

    /// All replies; `None` where there is none.
    pub fn into_inner(self) -> Vec<Option<Reply>> {
        self.slots.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that can be asked.
#[async_trait::async_trait]
pub trait Source: Send + Sync + fmt::Debug {
    /// Most subjects of one request (one query, one HTTP exchange): a quota counts requests.
    fn subjects_per_request(&self) -> usize;

    /// The number, from 0, of the request that asks about each subject; `None` where none is made, since the source
    /// cannot know it. Two subjects of one number are asked about at once.
    fn requests(&self, subjects: &[Subject<'_>]) -> Vec<Option<usize>> {
        let per_request = self.subjects_per_request().max(1);
        (0..subjects.len()).map(|position| Some(position / per_request)).collect()
    }

    /// Asks about every subject. A reply is put down for each that the source answered about, also when it knows
    /// nothing; subjects without a reply have the error that is returned.
    async fn ask(&self, subjects: &[Subject<'_>], replies: &Replies) -> Result<(), SourceError>;
}

/// The cause of a failure, kept for a person's eyes; never logged as a whole, since servers quote what they were sent.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a source did not answer.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No connection, or it broke.
    #[error("cannot be reached")]
    Unreachable(#[source] Cause),
    /// It did not answer in time.
    #[error("no answer within {limit_ms} ms")]
    Timeout {
        /// The time it was given.
        limit_ms: u64,
    },
    /// It refuses the credentials or the permission.
    #[error("access is refused")]
    Refused(#[source] Cause),
    /// It asks to slow down.
    #[error("asks to slow down")]
    Throttled {
        /// When it may be asked again, if it says so.
        retry_after: Option<Duration>,
    },
    /// It answers with a failure of its own: an error in the query, a status that nobody expects.
    #[error("answers with failure {code}")]
    Failed {
        /// Its code, without any text of the server's.
        code: String,
        /// What it says.
        #[source]
        source: Option<Cause>,
    },
    /// Its answer is not of the form that is declared.
    #[error("answer is malformed: {reason}")]
    Malformed {
        /// What is wrong, without the answer's content.
        reason: String,
    },
    /// Its answer is larger than allowed.
    #[error("answer of more than {limit} {unit}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// `bytes` or `rows`.
        unit: &'static str,
    },
    /// Its secret cannot be had.
    #[error("secret {name} cannot be had")]
    Secret {
        /// Name of the secret.
        name: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// Its data set is not there or not sound.
    #[error("data set {name} cannot be used")]
    Dataset {
        /// Name or path.
        name: String,
        /// Why.
        #[source]
        source: Cause,
    },
}

impl SourceError {
    /// Stable code for logs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Timeout { .. } => "timeout",
            Self::Refused(_) => "refused",
            Self::Throttled { .. } => "throttled",
            Self::Failed { .. } => "failed",
            Self::Malformed { .. } => "malformed",
            Self::TooLarge { .. } => "too_large",
            Self::Secret { .. } => "secret",
            Self::Dataset { .. } => "dataset",
        }
    }
}
