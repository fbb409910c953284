//! The documents of a registry, and what they may say.
//!
//! A document comes from a bucket that others may write to: every field that becomes part of a path, a size
//! or an index is checked before it is used. Fields that are not listed here are ignored, so that a newer
//! trainer's manifest can be read.

use std::collections::HashSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tribunal_core::Kind;
use tribunal_core::ensemble::Calibration;

use crate::error::RegistryError;
use crate::layout::{FILE_RULE, VERSION_RULE, check_name, invalid, is_file, is_version};
use crate::{MAX_DATASET_BYTES, MAX_FILE_BYTES};

/// Most parts of a model.
const MAX_PARTS: usize = 16;
/// Most features that a part reads.
const MAX_FEATURES: usize = 4_096;
/// Most bytes of a feature's name.
const MAX_FEATURE_NAME: usize = 128;

const DIGEST_RULE: &str = "sha256: and 64 lower-case hex digits";
const MATCHING_RULE: &str = "the name or version that the path and the pointer say";

/// Which version of a model, or of the ensemble definition, is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The version.
    pub version: String,
    /// Digest of the manifest's or the definition's bytes.
    pub digest: String,
}

/// Which version of a data set is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetPointer {
    /// The version.
    pub version: String,
    /// Name of the file in the version's folder.
    pub file: String,
    /// Digest of the file's bytes.
    pub sha256: String,
    /// Size of the file.
    pub bytes: u64,
}

/// What a model is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the model.
    pub name: String,
    /// Version.
    pub version: String,
    /// When it was trained (RFC 3339).
    #[serde(default)]
    pub created: String,
    /// What trained it: `xgboost 3.2.0`.
    #[serde(default)]
    pub trainer: String,
    /// Digest of the feature schema that it was trained on.
    #[serde(default)]
    pub schema: String,
    /// One per group of kinds; a kind is covered by at most one.
    pub parts: Vec<Part>,
    /// Figures of the validation, as the training wrote them.
    #[serde(default)]
    pub metrics: serde_json::Value,
    /// Rows, split and sources of the training, with licences.
    #[serde(default)]
    pub training: serde_json::Value,
    /// File of the model card, in the same folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
}

/// The trees for some kinds of entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The kinds.
    pub kinds: Vec<Kind>,
    /// Name of the file in the version's folder.
    pub file: String,
    /// Format of the file, as `tribunal-forest` names it.
    pub format: String,
    /// Digest of the file's bytes.
    pub sha256: String,
    /// Size of the file.
    pub bytes: u64,
    /// Names of the features, in the order of the model; none where it reads the entity itself.
    pub features: Vec<String>,
    /// Those of the features that a schema may lack: they are missing values then, as the model was trained to meet
    /// them. Features of declared sources are such; without any other the model abstains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub optional: Vec<String>,
    /// Number of trees, for people.
    #[serde(default)]
    pub trees: u64,
    /// Contributions are computed for calibrated probabilities from here on, in [0, 1].
    #[serde(default)]
    pub explain_from: f64,
    /// Makes the file's probabilities calibrated; absent where they are already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
}

pub(crate) fn parse<T: DeserializeOwned>(object: &str, bytes: &[u8]) -> Result<T, RegistryError> {
    serde_json::from_slice(bytes).map_err(|source| RegistryError::Json { object: object.to_owned(), source })
}

impl Pointer {
    pub(crate) fn check(&self, object: &str) -> Result<(), RegistryError> {
        check_version(object, &self.version)?;
        check_digest(object, "digest", &self.digest)
    }
}

impl DatasetPointer {
    pub(crate) fn check(&self, object: &str) -> Result<(), RegistryError> {
        check_version(object, &self.version)?;
        check_digest(object, "sha256", &self.sha256)?;
        check_file(object, "file", &self.file)?;
        if (1..=MAX_DATASET_BYTES).contains(&self.bytes) {
            return Ok(());
        }
        Err(invalid(object, "bytes", &self.bytes, "1 to 268435456 (256 MiB)"))
    }
}

impl Manifest {
    /// Parses and checks the manifest that is said to be `version` of `name`.
    pub(crate) fn parse(
        object: &str,
        bytes: &[u8],
        name: &str,
        version: &str,
    ) -> Result<Self, RegistryError> {
        let manifest: Self = parse(object, bytes)?;
        if manifest.name != name {
            return Err(invalid(object, "name", &manifest.name, MATCHING_RULE));
        }
        if manifest.version != version {
            return Err(invalid(object, "version", &manifest.version, MATCHING_RULE));
        }
        if let Some(card) = &manifest.card {
            check_file(object, "card", card)?;
        }
        if !(1..=MAX_PARTS).contains(&manifest.parts.len()) {
            return Err(invalid(object, "parts.length", &manifest.parts.len(), "1 to 16"));
        }
        let mut covered: Vec<Kind> = Vec::new();
        for (i, part) in manifest.parts.iter().enumerate() {
            part.check(object, &format!("parts[{i}]."), &mut covered)?;
        }
        Ok(manifest)
    }
}

impl Part {
    fn check(&self, object: &str, at: &str, covered: &mut Vec<Kind>) -> Result<(), RegistryError> {
        if self.kinds.is_empty() {
            return Err(invalid(object, format!("{at}kinds.length"), &0, "at least 1"));
        }
        for kind in &self.kinds {
            if covered.contains(kind) {
                let value = kind.as_str();
                return Err(invalid(object, format!("{at}kinds"), value, "a kind that no part covers yet"));
            }
            covered.push(*kind);
        }
        check_file(object, &format!("{at}file"), &self.file)?;
        check_digest(object, &format!("{at}sha256"), &self.sha256)?;
        check_bytes(object, at, self.bytes)?;
        if !(0.0..=1.0).contains(&self.explain_from) {
            return Err(invalid(object, format!("{at}explain_from"), &self.explain_from, "0 to 1"));
        }
        if let Some(Err(fault)) = self.calibration.as_ref().map(Calibration::validate) {
            return Err(invalid(
                object,
                format!("{at}calibration.{}", fault.field),
                &fault.value,
                fault.limit,
            ));
        }
        check_features(object, at, &self.features)?;
        let known: HashSet<&String> = self.features.iter().collect();
        let mut seen = HashSet::new();
        for (i, name) in self.optional.iter().enumerate() {
            if !known.contains(name) || !seen.insert(name) {
                let name: String = name.chars().take(MAX_FEATURE_NAME).collect();
                let rule = "a name in features, each once";
                return Err(invalid(object, format!("{at}optional[{i}]"), &name, rule));
            }
        }
        Ok(())
    }
}

fn check_features(object: &str, at: &str, features: &[String]) -> Result<(), RegistryError> {
    // None at all is for formats that read the entity itself; whoever runs the file knows whether it does.
    if features.len() > MAX_FEATURES {
        return Err(invalid(object, format!("{at}features.length"), &features.len(), "0 to 4096"));
    }
    let mut seen = HashSet::new();
    for (i, feature) in features.iter().enumerate() {
        if !(1..=MAX_FEATURE_NAME).contains(&feature.len()) || !seen.insert(feature) {
            return Err(invalid(
                object,
                format!("{at}features[{i}]"),
                feature,
                "1 to 128 bytes, each name once",
            ));
        }
    }
    Ok(())
}

fn check_version(object: &str, version: &str) -> Result<(), RegistryError> {
    if is_version(version) { Ok(()) } else { Err(invalid(object, "version", version, VERSION_RULE)) }
}

fn check_file(object: &str, field: &str, file: &str) -> Result<(), RegistryError> {
    if is_file(file) { Ok(()) } else { Err(invalid(object, field, file, FILE_RULE)) }
}

fn check_bytes(object: &str, at: &str, bytes: u64) -> Result<(), RegistryError> {
    if (1..=MAX_FILE_BYTES).contains(&bytes) {
        return Ok(());
    }
    Err(invalid(object, format!("{at}bytes"), &bytes, "1 to 67108864 (64 MiB)"))
}

fn check_digest(object: &str, field: &str, digest: &str) -> Result<(), RegistryError> {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(invalid(object, field, digest, DIGEST_RULE))
}

/// Refuses a name of a data set, a version or a file that may not be written.
pub(crate) fn check_dataset(name: &str, version: &str, file: &str) -> Result<(), RegistryError> {
    check_name("data set", name)?;
    check_version("request", version)?;
    check_file("request", "file", file)
}
