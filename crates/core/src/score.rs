//! The score of an entity, as it is stored and shown.

mod decay;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::entity::{Kind, SpecialUse};
use crate::message::{Evidence, SourceStatus, is_zero, is_zero_size};

/// What an analyst is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Below the threshold `suspicious` of the kind.
    Benign,
    /// Between the thresholds.
    Suspicious,
    /// At or above the threshold `malicious` of the kind.
    Malicious,
    /// Fewer predictors answered than the quorum asks.
    Unknown,
    /// Special-use name or address: scoring makes no sense, and nothing was asked.
    NotRoutable,
}

impl Verdict {
    /// Every verdict, least alarming first.
    pub const ALL: [Self; 5] =
        [Self::Benign, Self::Suspicious, Self::Malicious, Self::Unknown, Self::NotRoutable];

    /// As stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Benign => "benign",
            Self::Suspicious => "suspicious",
            Self::Malicious => "malicious",
            Self::Unknown => "unknown",
            Self::NotRoutable => "not_routable",
        }
    }
}

/// How many predictors had to answer, and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// Whether enough answered.
    pub met: bool,
    /// How many have to.
    pub needed: usize,
    /// How many did.
    pub answered: usize,
}

/// One predictor's part in a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PredictorOutcome {
    /// Name of the model.
    pub model: String,
    /// Version, if it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Digest of its manifest, if it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Probability of malice in [0, 1]; `None` when it abstained or failed.
    pub probability: Option<f32>,
    /// Weight in the ensemble for this kind of entity.
    pub weight: f64,
    /// How many points of the risk are its doing; absent when the score is not explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<f64>,
    /// Why it has no probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One reason of a score: what a feature moved the risk by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Name of the feature.
    pub feature: String,
    /// Its value; absent when it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f32>,
    /// Points of the risk, signed: above zero towards malicious.
    pub points: f64,
    /// Which group it is of: the name of a source, or `entity` for what is computed from the entity alone.
    pub source: String,
    /// In words.
    pub text: String,
}

/// What all features of a source moved the risk by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Name of the source, `entity`, or `other` for what the predictors do not name.
    pub source: String,
    /// Kind of the source, `entity`, or `other`.
    pub kind: String,
    /// Points of the risk, signed.
    pub points: f64,
    /// Hours after which half of the points are left; absent when they do not decay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_life_hours: Option<f64>,
}

/// How far the risk could have moved, had the sources that did not answer answered anything.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Least risk, in [0, 100].
    pub low: f64,
    /// Greatest risk, in [0, 100].
    pub high: f64,
}

/// The entry of the ensemble definition's lists that decided a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// What the entry does.
    pub action: ListAction,
    /// The entry, as it is written there.
    pub entry: String,
    /// Why it is there.
    pub reason: String,
    /// Until when (RFC 3339), if not for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// What an entry of a list does to the verdict; the risk stays what the models say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListAction {
    /// The verdict is `benign`.
    Allow,
    /// The verdict is `malicious`.
    Deny,
}

/// The definition that made a score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnsembleRef {
    /// Version of the definition.
    pub version: String,
    /// Digest of the definition.
    pub digest: String,
}

/// A score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Normal form; partition key.
    pub entity: String,
    /// Request time and request id; sort key.
    pub scored_key: String,
    /// Domain or address.
    pub kind: Kind,
    /// As it was asked for.
    pub original: String,
    /// Who asked, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Traffic light protocol marking of the entity, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tlp: Option<String>,
    /// How many times it was scored before because a source's quota was used up; 0 the first time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// When it was asked for (RFC 3339, UTC, milliseconds).
    pub requested_at: String,
    /// When it was scored (likewise).
    pub scored_at: String,
    /// Batch that it was scored in.
    pub batch: String,
    /// Probability of malice x 100, in [0, 100]; `None` without a quorum and for what is not routable, which makes the
    /// verdict `unknown` or `not_routable`, unless a list decides it.
    pub risk: Option<f64>,
    /// What an analyst is told.
    pub verdict: Verdict,
    /// 1 minus the spread (greatest minus least) of the predictors' probabilities, in [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f32>,
    /// How many predictors had to answer, and did.
    pub quorum: Quorum,
    /// Every member of the ensemble.
    pub predictors: Vec<PredictorOutcome>,
    /// How far the risk could have moved; absent when every source answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// The risk that the average entity of the training has: `base_risk + Σ reasons.points + other_points = risk`.
    /// Absent when the score is not explained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_risk: Option<f64>,
    /// The strongest reasons over all members, strongest first.
    #[serde(default)]
    pub reasons: Vec<Reason>,
    /// Points of all features that are not among the reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_points: Option<f64>,
    /// Points by source, all features counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// What each consumer profile of the definition makes of the risk, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub profiles: BTreeMap<String, Verdict>,
    /// The list entry that decided the verdict, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Listed>,
    /// Until when the score is to be relied on (RFC 3339, UTC, milliseconds); absent when the definition says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// Facts found.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// Facts that were found too, and left out to bound the size.
    #[serde(default, skip_serializing_if = "is_zero_size")]
    pub evidence_dropped: usize,
    /// Every source's status, by name.
    #[serde(default)]
    pub sources: BTreeMap<String, SourceStatus>,
    /// Milliseconds that asking each source took, for the whole batch, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub source_ms: BTreeMap<String, u32>,
    /// Why scoring makes no sense, when `verdict` is `not_routable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub special: Option<SpecialUse>,
    /// Digest of the feature schema.
    pub schema: String,
    /// The ensemble definition.
    pub ensemble: EnsembleRef,
}
