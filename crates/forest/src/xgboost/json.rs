//! XGBoost's JSON and UBJSON: the same members in two encodings.
//!
//! The file has a `learner`; a pickle has that file as `Model`, beside the trainer's `Config`. JSON is as
//! XGBoost writes it, with `NaN` and infinities, which JSON does not have: see [`to_json`].

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{self, Visitor};

use super::column::{Column, INFINITY, NEGATIVE_INFINITY};
use super::tree::Tree;
use super::{Model, Part, Version, build};
use crate::Format;
use crate::error::ParseError;
use crate::forest::Forest;

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    learner: Option<Learner>,
    #[serde(default)]
    version: Vec<u32>,
    #[serde(default, rename = "Model")]
    model: Option<Inside>,
}

/// A file inside of a pickle.
#[derive(Deserialize)]
struct Inside {
    learner: Learner,
    #[serde(default)]
    version: Vec<u32>,
}

#[derive(Deserialize)]
struct Learner {
    #[serde(default)]
    feature_names: Vec<String>,
    gradient_booster: Booster,
    learner_model_param: LearnerParam,
    objective: Named,
}

#[derive(Deserialize)]
struct LearnerParam {
    base_score: Text,
    #[serde(default)]
    num_class: Text,
    num_feature: Text,
    #[serde(default)]
    num_target: Text,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Booster {
    name: String,
    #[serde(default)]
    model: Option<Boosted>,
    /// DART kept its trees one level deeper, up to 3.3.
    #[serde(default)]
    gbtree: Option<Deeper>,
    #[serde(default)]
    weight_drop: Column<f32>,
}

#[derive(Deserialize)]
struct Deeper {
    model: Boosted,
}

#[derive(Deserialize)]
struct Boosted {
    #[serde(default)]
    trees: Vec<Tree>,
    #[serde(default)]
    tree_info: Vec<i64>,
    #[serde(default)]
    weights: Column<f32>,
    /// Here since 3.4.
    #[serde(default)]
    weight_drop: Column<f32>,
}

pub(crate) fn from_json(bytes: &[u8]) -> Result<Forest, ParseError> {
    let file: File = serde_json::from_slice(&to_json(bytes))
        .map_err(|source| ParseError::Json { format: Format::XgboostJson, source })?;
    build(file.into_model()?)
}

pub(crate) fn from_ubj(bytes: &[u8]) -> Result<Forest, ParseError> {
    build(crate::ubj::from_slice::<File>(bytes)?.into_model()?)
}

impl File {
    fn into_model(self) -> Result<Model, ParseError> {
        let missing = || ParseError::Member { member: "learner", reason: "missing".to_owned() };
        let (learner, version) = match self.model {
            Some(inside) => (inside.learner, inside.version),
            None => (self.learner.ok_or_else(missing)?, self.version),
        };
        let version = match version[..] {
            [] => Version::NEWEST,
            [major] => Version(major, 0),
            [major, minor, ..] => Version(major, minor),
        };
        learner.into_model(version)
    }
}

impl Learner {
    fn into_model(self, version: Version) -> Result<Model, ParseError> {
        let param = self.learner_model_param;
        Ok(Model {
            version,
            objective: self.objective.name,
            base_score: param.base_score()?,
            n_features: param.num_feature.integer("num_feature")?.unwrap_or(0),
            n_classes: param.num_class.integer("num_class")?.unwrap_or(0),
            n_targets: param.num_target.integer("num_target")?.unwrap_or(0),
            feature_names: self.feature_names,
            part: self.gradient_booster.into_part()?,
        })
    }
}

impl Booster {
    fn into_part(self) -> Result<Part, ParseError> {
        let model = self.gbtree.map(|deeper| deeper.model).or(self.model);
        let missing = || ParseError::Member { member: "gradient_booster", reason: "has no model".to_owned() };
        let dart = match self.name.as_str() {
            "gblinear" => return Ok(Part::Linear(model.ok_or_else(missing)?.weights.0)),
            "gbtree" => false,
            "dart" => true,
            name => return Err(ParseError::Unsupported(format!("xgboost booster {name}"))),
        };
        let Boosted { trees, tree_info: outputs, weight_drop, .. } = model.ok_or_else(missing)?;
        let weights = if weight_drop.0.is_empty() { self.weight_drop } else { weight_drop };
        Ok(Part::Trees { trees, outputs, weights: weights.0, dart })
    }
}

impl LearnerParam {
    /// A scalar, or a vector: `5E-1`, `[5E-1]`, `[-1E-1,2E-1]`.
    fn base_score(&self) -> Result<Vec<f32>, ParseError> {
        let text = self.base_score.0.trim();
        let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        inner
            .split(',')
            .map(|score| match score.trim().parse::<f32>() {
                Ok(score) if score.is_finite() => Ok(score),
                _ => {
                    let reason = format!("{:?} has something that is not a number", clip(text));
                    Err(ParseError::Member { member: "base_score", reason })
                }
            })
            .collect()
    }
}

/// `bytes`, with numbers that JSON has for those that it has not: `null` for `NaN`, and integers for
/// infinities that [`Column`] knows. XGBoost writes no integer that is as long.
fn to_json(bytes: &[u8]) -> Cow<'_, [u8]> {
    let words = [
        (&b"NaN"[..], "null".to_owned()),
        (b"Infinity", INFINITY.to_string()),
        (b"-Infinity", NEGATIVE_INFINITY.to_string()),
    ];
    let mut out = Vec::new();
    let (mut done, mut at, mut in_string) = (0, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'N' | b'I' | b'-' if !in_string => {
                if let Some((word, number)) = words.iter().find(|(word, _)| bytes[at..].starts_with(word)) {
                    out.extend_from_slice(&bytes[done..at]);
                    out.extend_from_slice(number.as_bytes());
                    at += word.len();
                    done = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if done == 0 {
        return Cow::Borrowed(bytes);
    }
    out.extend_from_slice(&bytes[done..]);
    Cow::Owned(out)
}

/// A parameter, which XGBoost writes as text; a plain number is taken as well.
#[derive(Default)]
pub(super) struct Text(pub(super) String);

impl Text {
    pub(super) fn integer(&self, member: &'static str) -> Result<Option<i64>, ParseError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let wrong =
            |_| ParseError::Member { member, reason: format!("{:?} is not an integer", clip(&self.0)) };
        self.0.trim().parse().map(Some).map_err(wrong)
    }
}

/// The first characters, for a message.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = Text;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a parameter as text or as a number")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Text, E> {
                Ok(Text(v.to_owned()))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Text, E> {
                Ok(Text(v.to_string()))
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Text, E> {
                Ok(Text(v.to_string()))
            }
            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Text, E> {
                Ok(Text(v.to_string()))
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}
