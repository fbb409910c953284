//! The ensemble step: predictions become one stored score per entity.
//!
//! ```text
//! EnsembleInput -> score_batch (pure) -> ScoreItem -> one conditional PutItem each -> EnsembleOutput
//!               \-> verdict -> an event per change of an entity's verdict, once all are written
//!               \-> requeue (pure) -> delayed messages, likewise
//! ```
//! The arithmetic is `tribunal_core::ensemble`; the table's layout, and why it is written as it is, stand in
//! `docs/scores.md`. Readers of the table need [`items`] and [`index`] only.
//!
//! Errors carry the names of `tribunal_core::ErrorName`: `InvalidInput` and `BatchTooLarge` for an event that
//! is not of the contract, `EnsembleUnavailable` for a definition that cannot be used, and `StoreThrottled`,
//! `StoreUnavailable` and `StoreRefused` for S3 and DynamoDB.
//!
//! It runs no model, and it does not read the table: "latest" is a question of the sort key.

mod bounds;
mod check;
mod definition;
pub mod index;
pub mod items;
mod reasons;
pub mod requeue;
mod score;
mod step;
mod store;
#[cfg(test)]
mod tests;
pub mod verdict;

pub use bounds::{
    MAX_EVIDENCE, MAX_EVIDENCE_BYTES, MAX_FEATURES, MAX_LINK_BYTES, MAX_REASON_BYTES, MAX_REASONS,
    MAX_SENTENCE_BYTES, MAX_SOURCES, MAX_TIME_BYTES,
};
pub use check::{InputError, check};
pub use definition::{Definitions, LOOK_AFTER, LoadError, Loaded, RETRY_AFTER};
pub use score::{score_batch, score_loaded};
pub use step::{ConfigError, Ensemble, Ttl};
pub use store::{DynamoStore, Fault, ScoreStore, StoreError, Written, write_all};
