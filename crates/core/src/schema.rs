//! The feature schema: which number stands at which position of a vector, and what it means.
//!
//! A vector has one `f32` per feature, in the order of the schema; a missing value is `NaN` in memory and
//! `null` in JSON, never a magic number. Values are finite otherwise. A model names the features that it reads,
//! so a schema may grow without a model being trained again; the digest says which schema made a vector.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::entity::Kind;

/// One position of a feature vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Unique name, `snake_case`, with the unit in it where it has one.
    pub name: Cow<'static, str>,
    /// The kinds of entity that the feature is computed for; it is missing for every other kind.
    pub kinds: Cow<'static, [Kind]>,
    /// Unit: `characters`, `count`, `ratio`, `bits`, `nats per character`, `flag`, `log10`, ...
    pub unit: Cow<'static, str>,
    /// Least value that occurs, inclusive.
    pub min: f32,
    /// Greatest value that occurs, inclusive.
    pub max: f32,
    /// What the number says, in one sentence.
    pub meaning: Cow<'static, str>,
    /// When the value is missing for an entity of the right kind; empty when it never is.
    pub missing: Cow<'static, str>,
    /// Template of the sentence that tells an analyst what the value says; empty where `meaning` has to do. It makes no
    /// vector another one, so the digest leaves it out.
    #[serde(default)]
    pub phrase: Cow<'static, str>,
}

/// An ordered, versioned list of features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureSchema {
    /// Raised when a feature changes its meaning without changing its name.
    pub version: u32,
    /// Digests of the data that the features are computed with (language model, word list, rates), by name.
    pub data: Vec<(String, String)>,
    /// The features, in the order of the vector.
    pub features: Vec<Feature>,
}

impl FeatureSchema {
    /// Digest over version, data and every field of every feature: any change gives another digest.
    pub fn digest(&self) -> String {
        let mut text = format!("tribunal-feature-schema {}\n", self.version);
        for (name, digest) in &self.data {
            text.push_str(&format!("data\t{name}\t{digest}\n"));
        }
        for f in &self.features {
            let kinds: Vec<&str> = f.kinds.iter().map(|k| k.as_str()).collect();
            text.push_str(&format!(
                "{}\t{}\t{}\t{:08x}\t{:08x}\t{}\t{}\n",
                f.name,
                kinds.join(","),
                f.unit,
                f.min.to_bits(),
                f.max.to_bits(),
                f.meaning,
                f.missing
            ));
        }
        crate::digest::sha256(text.as_bytes())
    }

    /// The schema with further features at its end, and the digest of what they are made with.
    pub fn extended(mut self, data: (&str, &str), features: &[Feature]) -> Self {
        if !features.is_empty() {
            self.data.push((data.0.to_owned(), data.1.to_owned()));
            self.features.extend_from_slice(features);
        }
        self
    }

    /// Position of each feature by name.
    pub fn positions(&self) -> HashMap<&str, usize> {
        self.features.iter().enumerate().map(|(i, f)| (f.name.as_ref(), i)).collect()
    }

    /// The names, in the order of the vector.
    pub fn names(&self) -> Vec<String> {
        self.features.iter().map(|f| f.name.clone().into_owned()).collect()
    }
}
