//! The definition as it is published: JSON, every field checked before it is used.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use crate::entity::Kind;
use crate::score::ListAction;

/// Most bytes of a definition.
pub const MAX_DEFINITION_BYTES: usize = 256 * 1024;
/// Most members.
pub const MAX_MEMBERS: usize = 16;
/// Longest name or version, in bytes.
const MAX_NAME_BYTES: usize = 64;
const VERSIONS: &str = "1 to 64 of A-Z a-z 0-9 . _ - are allowed";
const MEMBERS: &str = "1 to 16 are allowed";
const MODELS: &str = "1 to 64 of a-z 0-9 _ - are allowed";
/// Least and greatest weight other than zero: outside them products lose the precision that makes a mean.
const WEIGHTS: (f64, f64) = (1e-6, 1e6);
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

fn wrong(field: impl Into<String>, value: &dyn fmt::Display, limit: impl Into<String>) -> DefinitionError {
    DefinitionError::Field { field: field.into(), value: value.to_string(), limit: limit.into() }
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

    /// Checks every field; arithmetic on a checked definition cannot yield anything but a risk in [0, 100].
    ///
    /// # Errors
    /// Names the first field outside its limits, its value, and the limit.
    pub fn validate(&self) -> Result<(), DefinitionError> {
        if !is_version(&self.version) {
            return Err(wrong("version", &shown(&self.version), VERSIONS));
        }
        let members = self.members.len();
        if members == 0 || members > MAX_MEMBERS {
            return Err(wrong("members", &format!("{members} members"), MEMBERS));
        }
        for (i, member) in self.members.iter().enumerate() {
            self.validate_member(i, member)?;
        }
        Kind::ALL.into_iter().try_for_each(|kind| self.validate_kind(kind))
    }

    /// Members with a say in `kind`, in the order of the definition.
    pub fn voters(&self, kind: Kind) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| *member.weight.get(kind) > 0.0)
    }

    fn validate_member(&self, i: usize, member: &Member) -> Result<(), DefinitionError> {
        let field = format!("members[{i}].model");
        if !is_model(&member.model) {
            return Err(wrong(field, &shown(&member.model), MODELS));
        }
        if let Some(first) = self.members.iter().take(i).position(|other| other.model == member.model) {
            return Err(wrong(field, &member.model, format!("members[{first}] has that name already")));
        }
        for kind in Kind::ALL {
            let weight = *member.weight.get(kind);
            let (least, most) = WEIGHTS;
            if weight != 0.0 && !(least..=most).contains(&weight) {
                let field = format!("members[{i}].weight.{}", kind.as_str());
                return Err(wrong(field, &weight, format!("0, or {least} to {most}, is allowed")));
            }
        }
        Ok(())
    }

    fn validate_kind(&self, kind: Kind) -> Result<(), DefinitionError> {
        let k = kind.as_str();
        let voters = self.voters(kind).count();
        if voters == 0 {
            return Err(wrong(format!("members[*].weight.{k}"), &"0", "at least one has to be above 0"));
        }
        let quorum = *self.quorum.get(kind);
        if !(1..=voters).contains(&quorum) {
            let limit = format!("1 to {voters} is allowed: so many members have a weight above 0");
            return Err(wrong(format!("quorum.{k}"), &quorum, limit));
        }
        let Thresholds { suspicious, malicious } = *self.thresholds.get(kind);
        if !(0.0..=100.0).contains(&suspicious) {
            return Err(wrong(format!("thresholds.{k}.suspicious"), &suspicious, "0 to 100 is allowed"));
        }
        if !(suspicious..=100.0).contains(&malicious) {
            let limit = format!("{suspicious} (thresholds.{k}.suspicious) to 100 is allowed");
            return Err(wrong(format!("thresholds.{k}.malicious"), &malicious, limit));
        }
        self.calibration.get(kind).as_ref().map_or(Ok(()), |calibration| {
            calibration.validate().map_err(|fault| DefinitionError::Field {
                field: format!("calibration.{k}.{}", fault.field),
                value: fault.value,
                limit: fault.limit,
            })
        })
    }
}

const fn is_false(value: &bool) -> bool {
    !*value
}

fn is_version(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_model(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

/// A refused name, quoted, and cut: it may be as long as the definition.
fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(MAX_NAME_BYTES).collect::<String>())
}
