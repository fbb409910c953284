//! What the steps say to each other.
//!
//! ```text
//! ExecutionInput -> extract -> FeatureBatch -> predict × N -> PredictionBatch -> ensemble -> EnsembleOutput
//! ```
//! All fields are JSON; times are RFC 3339 in UTC with milliseconds (`2026-11-24T07:49:58.123Z`), so that they
//! sort as text.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::entity::{Kind, SpecialUse};

/// Most entities in one execution: with 50, orchestration costs a fourteenth of what one entity each costs, and
/// the state stays well under the 256 KiB that a state machine carries.
pub const MAX_BATCH_ENTITIES: usize = 50;
/// Most bytes of an execution's input. Every state adds to it (features 1.9 KB, a member's prediction 0.4 KB per
/// entity), and the whole must stay under 256 KiB.
pub const MAX_BATCH_BYTES: usize = 36 * 1024;
/// Most bytes of extract's output: a full batch's input, 1.9 KB of features for each entity, and 8 KiB of what there
/// is once per batch. The rest of the 256 KiB is the predictions'.
pub const MAX_FEATURES_BYTES: usize = MAX_BATCH_BYTES + 8 * 1024 + MAX_BATCH_ENTITIES * 1_940;
/// Most bytes of what one predictor says of one row, with [`MAX_EXPLAINED`] contributions of features or
/// [`MAX_GRAMS`] of parts of the text, numbers at their longest.
pub const MAX_PREDICTION_BYTES: usize = 384;
/// Most bytes of what a predictor says once per batch: names of fields, its own name, version and digest, why it
/// abstains.
pub const MAX_PREDICTION_FRAME_BYTES: usize = 512;
/// Most bytes of an original text that are kept with a score; more is refused as `too_long`.
pub const MAX_ORIGINAL_BYTES: usize = 2_048;
/// Most contributions of features that a predictor says of a row.
pub const MAX_EXPLAINED: usize = 10;
/// Most contributions of parts of the text that a predictor says of a row.
pub const MAX_GRAMS: usize = 4;
/// Most bytes of such a part that are kept: a label has 63, of which the beginning says which are meant.
pub const MAX_GRAM_BYTES: usize = 32;
/// Most times that an entity is queued again because a source's quota was used up, whatever the sources say.
pub const MAX_ATTEMPT: u32 = 10;

/// One entity on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Normal form: the key everywhere.
    pub entity: String,
    /// Domain or address.
    pub kind: Kind,
    /// The text that was asked for, as it was given.
    pub original: String,
    /// When it was asked for.
    pub requested_at: String,
    /// Which request asked for it: with `requested_at`, the sort key of the score, so that a second delivery of
    /// the same message writes the same item.
    pub request_id: String,
    /// Who asked, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Traffic light protocol marking of the entity, if given (`clear`, `green`, `amber`, `amber+strict`, `red`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tlp: Option<String>,
    /// How many times it was queued again because a source's quota was used up; 0 the first time, at most
    /// [`MAX_ATTEMPT`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
}

/// Input of an execution as the dispatcher gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionInput {
    /// Identifies the batch in logs and scores.
    pub batch: String,
    /// At most [`MAX_BATCH_ENTITIES`].
    pub items: Vec<Item>,
}

/// Input of an execution: a dispatcher's, or the short form that a person gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AnyExecutionInput {
    /// Normalised already.
    Batch(ExecutionInput),
    /// As pasted; normalised by extract. Refused ones are reported in the outcome.
    Entities {
        /// At most [`MAX_BATCH_ENTITIES`].
        entities: Vec<String>,
    },
}

/// Input of extract, as the state machine composes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtractInput {
    /// The execution's input, whatever a person gave.
    pub input: serde_json::Value,
    /// Name of the execution: the request id of entities given in the short form.
    pub execution: String,
    /// When the execution started: the request time of entities given in the short form.
    pub started_at: String,
}

/// What became of asking a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceStatus {
    /// It answered with a fact.
    Ok,
    /// It answered that it knows nothing.
    Empty,
    /// It did not answer in time.
    Timeout,
    /// It failed.
    Error,
    /// Its quota is used up.
    Quota,
    /// Not asked, since it failed too often of late.
    OpenCircuit,
    /// Not asked: not configured, or not for this entity.
    Skipped,
}

impl SourceStatus {
    /// Whether the source was to be asked and gave no answer: its features could have been anything.
    pub const fn is_unanswered(self) -> bool {
        matches!(self, Self::Timeout | Self::Error | Self::Quota | Self::OpenCircuit)
    }

    /// As stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Empty => "empty",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::Quota => "quota",
            Self::OpenCircuit => "open_circuit",
            Self::Skipped => "skipped",
        }
    }
}

/// A fact that a person can check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who says so.
    pub source: String,
    /// What it says.
    pub fact: String,
    /// The value observed.
    pub value: String,
    /// When it was first seen, as the source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<String>,
    /// When it was last seen, as the source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// A page about the entity, for an analyst; it is never fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// Features of one entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The entity and its request.
    #[serde(flatten)]
    pub item: Item,
    /// Set when scoring makes no sense (private address, reserved name): `values` is empty then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub special: Option<SpecialUse>,
    /// One value per feature of the schema; `null` is missing.
    pub values: Vec<Option<f32>>,
    /// Facts found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// Every source's status, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, SourceStatus>,
    /// Facts that were found too, and left out to keep the batch within its size.
    #[serde(default, skip_serializing_if = "is_zero_size")]
    pub evidence_dropped: usize,
}

/// An entity that is to be scored again, because a source's quota was used up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescore {
    /// Normal form; one of the rows.
    pub entity: String,
    /// Seconds until the source has tokens again.
    pub after_s: u64,
}

/// An entity that was not scored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedEntity {
    /// As given, cut to 256 bytes.
    pub original: String,
    /// Stable code of the reason.
    pub code: String,
    /// The reason, for a person.
    pub reason: String,
}

/// Output of extract; input of every predictor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureBatch {
    /// Identifies the batch.
    pub batch: String,
    /// Digest of the schema.
    pub schema: String,
    /// Names of the features, in the order of `values`.
    pub features: Vec<String>,
    /// One per entity.
    pub rows: Vec<Row>,
    /// Entities of the short form that are not entities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedEntity>,
    /// Entities that ensemble puts on the queue again once their scores are written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rescore: Vec<Rescore>,
    /// Milliseconds that asking each source took, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub source_ms: BTreeMap<String, u32>,
    /// Which positions of the vector are whose: a source may have several runs. Positions of no run are computed from
    /// the entity alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_features: Vec<SourceFeatures>,
}

/// A run of features that one source makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFeatures {
    /// Name of the source, as in [`Row::sources`].
    pub source: String,
    /// Kind of the source: `ranges`, `dataset`, `mysql`, `mongodb`, `http`, `dns`.
    pub kind: String,
    /// First position.
    pub first: usize,
    /// How many positions.
    pub count: usize,
    /// One template of a sentence per position, or none; see [`crate::schema::Feature::phrase`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phrases: Vec<String>,
}

/// Why a model gave the probability that it gave, in its margin space: `base + Σ top + rest + Σ grams = margin`.
///
/// The margin is what the model's trees sum to before any link function and calibration: log odds of boosters, the
/// mean itself of models that average probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Expected margin over the training rows.
    pub base: f32,
    /// The calibrated probability at `base`, in [0, 1].
    pub base_probability: f32,
    /// Margin of the row.
    pub margin: f32,
    /// The strongest contributions, strongest first: position of the feature in [`FeatureBatch::features`], and how
    /// far it moved the margin (above zero towards malicious). At most [`MAX_EXPLAINED`].
    pub top: Vec<(u32, f32)>,
    /// What the other features moved it by.
    pub rest: f32,
    /// The strongest parts of the entity's text, of a model that reads it, likewise. At most [`MAX_GRAMS`], of at most
    /// [`MAX_GRAM_BYTES`] each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grams: Vec<(String, f32)>,
}

/// Output of a predictor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PredictionBatch {
    /// Name of the model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// Digest of its manifest.
    pub digest: String,
    /// One per row: calibrated probability of malice in [0, 1]; `null` abstains.
    pub probabilities: Vec<Option<f32>>,
    /// One per row, or empty: why; `null` where none was computed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explanations: Vec<Option<Explanation>>,
    /// One per row, or empty: the least and the greatest probability that the model could have given, had the sources
    /// that did not answer answered anything; `null` where they all did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bounds: Vec<Option<(f32, f32)>>,
    /// Why the model abstains from every row of a kind (`kind_not_covered`, `feature_unknown: x`), if it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abstentions: Vec<String>,
}

/// What a branch of the state machine yields: a prediction, or the failure that its `Catch` made an abstention.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PredictionOutcome {
    /// The predictor answered.
    Answered(PredictionBatch),
    /// The predictor failed.
    Failed {
        /// Name of the model.
        model: String,
        /// The error as Step Functions caught it.
        error: CaughtError,
    },
}

/// What `Catch` hands on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaughtError {
    /// Error name.
    #[serde(rename = "Error")]
    pub error: String,
    /// Cause: for a function, JSON with `errorMessage`.
    #[serde(rename = "Cause", default)]
    pub cause: String,
}

/// Input of ensemble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnsembleInput {
    /// Output of extract.
    pub features: FeatureBatch,
    /// One per predictor.
    pub predictions: Vec<PredictionOutcome>,
}

/// Output of ensemble, and of the execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnsembleOutput {
    /// Identifies the batch.
    pub batch: String,
    /// Scores written (a second delivery counts again).
    pub scored: usize,
    /// Scores without a risk: fewer predictors answered than the quorum asks.
    pub abstained: usize,
    /// Keys of the scores, so that a caller can read them.
    pub scores: Vec<ScoreKey>,
    /// Entities of the short form that are not entities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedEntity>,
    /// Always empty: a batch is written whole, or fails.
    #[serde(rename = "batchItemFailures")]
    pub batch_item_failures: Vec<serde_json::Value>,
}

/// Key of a score in the table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScoreKey {
    /// Partition key.
    pub entity: String,
    /// Sort key.
    pub scored_key: String,
}

/// Sort key of a score: request time and request id.
pub fn scored_key(requested_at: &str, request_id: &str) -> String {
    format!("{requested_at}#{request_id}")
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
pub(crate) const fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
pub(crate) const fn is_zero_size(n: &usize) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests;
