//! The definition as it is published: JSON, every field checked before it is used.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::entity::Kind;

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
/// Least and greatest slope of a calibration: it must rise, and stay within what `exp` can tell apart.
const SLOPES: (f64, f64) = (1e-3, 100.0);
/// Greatest absolute intercept of a calibration.
const MAX_INTERCEPT: f64 = 100.0;

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

/// Platt's calibration of the mean: `σ(a·logit(mean) + b)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Slope, above zero.
    pub a: f64,
    /// Intercept.
    pub b: f64,
}

/// An ensemble: who is asked, how much each counts, and where the verdicts begin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleDefinition {
    /// Version of this definition.
    pub version: String,
    /// The models; sums are taken in this order.
    pub members: Vec<Member>,
    /// How many members have to answer.
    pub quorum: PerKind<usize>,
    /// Where the verdicts begin.
    pub thresholds: PerKind<Thresholds>,
    /// Calibration of the mean; `null` leaves the mean as it is.
    #[serde(default)]
    pub calibration: PerKind<Option<Calibration>>,
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
        self.calibration.get(kind).map_or(Ok(()), |calibration| calibration.validate(k))
    }
}

impl Calibration {
    fn validate(self, kind: &str) -> Result<(), DefinitionError> {
        let (least, most) = SLOPES;
        if !(least..=most).contains(&self.a) {
            return Err(wrong(
                format!("calibration.{kind}.a"),
                &self.a,
                format!("{least} to {most} is allowed"),
            ));
        }
        if !(-MAX_INTERCEPT..=MAX_INTERCEPT).contains(&self.b) {
            let limit = format!("-{MAX_INTERCEPT} to {MAX_INTERCEPT} is allowed");
            return Err(wrong(format!("calibration.{kind}.b"), &self.b, limit));
        }
        Ok(())
    }
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
