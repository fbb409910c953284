//! The definition as it is published: JSON, every field checked before it is used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use crate::entity::Kind;
use crate::score::ListAction;

/// Most bytes of a definition.
pub const MAX_DEFINITION_BYTES: usize = 4 * 1024 * 1024;
/// Most members: their parts in a risk are computed exactly, over every set of them.
pub const MAX_MEMBERS: usize = 8;
/// Most entries of the lists.
pub const MAX_LIST_ENTRIES: usize = 10_000;
/// Most profiles.
pub const MAX_PROFILES: usize = 8;
/// A value per kind of entity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerKind<T> {
    /// For domain names.
    pub domain: T,
    /// For addresses.
    pub ip: T,
}

impl<T> PerKind<T> {
    /// The value for `kind`.
    pub const fn get(&self, kind: Kind) -> &T {
        match kind {
            Kind::Domain => &self.domain,
            Kind::Ip => &self.ip,
        }
    }
}

/// One model of the ensemble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Name of the model in the registry.
    pub model: String,
    /// Weight per kind; zero where the model has no say.
    pub weight: PerKind<f64>,
    /// Whether there is no verdict without it, where it has a say.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
}

/// Where a verdict begins, in units of risk (0 to 100), inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// From here on `suspicious`.
    pub suspicious: f64,
    /// From here on `malicious`.
    pub malicious: f64,
}

/// How the members' probabilities become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// Weighted mean.
    #[default]
    Mean,
    /// Weighted median.
    Median,
    /// Greatest.
    Maximum,
    /// `1 - Π (1 - p)^(w / Σ w)`, over those that answered.
    NoisyOr,
    /// Logistic stacking, weights not negative: `σ(bias + W·Σ w·logit(p) / Σ w)`, `W` the weights of all members,
    /// sums over those that answered.
    Logistic {
        /// Intercept.
        bias: f64,
    },
}

/// Thresholds of a consumer, by kind.
pub type Profile = PerKind<Thresholds>;

/// An entry of the lists that overrule the models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListEntry {
    /// An entity in normal form, `*.` and a domain for everything below it, or a network in CIDR form.
    #[serde(rename = "match")]
    pub pattern: String,
    /// What it does.
    pub action: ListAction,
    /// Why, for a person.
    pub reason: String,
    /// From when on it does nothing any more (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// An ensemble: who is asked, how much each counts, and where the verdicts begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleDefinition {
    /// Version of this definition.
    pub version: String,
    /// The models; sums are taken in this order.
    pub members: Vec<Member>,
    /// How their probabilities become one.
    #[serde(default)]
    pub method: PerKind<Method>,
    /// How many members have to answer.
    pub quorum: PerKind<usize>,
    /// Where the verdicts begin.
    pub thresholds: PerKind<Thresholds>,
    /// Thresholds of consumers that want others, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub profiles: BTreeMap<String, Profile>,
    /// Calibration of the combined probability; `null` leaves it as it is.
    #[serde(default)]
    pub calibration: PerKind<Option<Calibration>>,
    /// Malicious share that risks are stated for, in (0, 1); for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_rate: Option<PerKind<f64>>,
    /// Entities whose verdict is not the models' to say; the first that fits decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ListEntry>,
    /// Hours after which half of what a source said is left, by kind of source (`dataset`, `http`, ...); a kind that is
    /// not here does not decay.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub half_life_hours: BTreeMap<String, f64>,
    /// Hours that a score is valid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_hours: Option<PerKind<f64>>,
    /// When it was made.
    pub created: String,
    /// What was measured when it was made; for people, not read here.
    #[serde(default)]
    pub metrics: serde_json::Value,
}

/// Why a definition cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// Too large to be read.
    #[error("ensemble definition has {bytes} bytes; at most {MAX_DEFINITION_BYTES} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not JSON, or not of the form.
    #[error("ensemble definition is not of the form")]
    NotOfTheForm(#[source] serde_json::Error),
    /// A field holds a value outside its limits.
    #[error("ensemble definition: {field} is {value}; {limit}")]
    Field {
        /// Path of the field.
        field: String,
        /// Its value.
        value: String,
        /// What is allowed.
        limit: String,
    },
}

impl EnsembleDefinition {
    /// Reads and checks a definition.
    ///
    /// # Errors
    /// When it is too large, not JSON of the form (an unknown field included), or [`Self::validate`] refuses
    /// it.
    pub fn parse(bytes: &[u8]) -> Result<Self, DefinitionError> {
        if bytes.len() > MAX_DEFINITION_BYTES {
            return Err(DefinitionError::TooLarge { bytes: bytes.len() });
        }
        let definition: Self = serde_json::from_slice(bytes).map_err(DefinitionError::NotOfTheForm)?;
        definition.validate()?;
        Ok(definition)
    }

    /// Members with a say in `kind`, in the order of the definition.
    pub fn voters(&self, kind: Kind) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| *member.weight.get(kind) > 0.0)
    }
}

const fn is_false(value: &bool) -> bool {
    !*value
}
