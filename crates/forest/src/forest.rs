//! The forest: what every format is brought into.

use serde::{Deserialize, Serialize};

use crate::engine::Prepared;
use crate::error::ParseError;
use crate::input::InputStep;
use crate::linear::Linear;
use crate::link::Link;
use crate::tree::Nodes;
use crate::{Format, MAX_FEATURES, MAX_OUTPUTS, MAX_TREES};

/// How the leaves that a row reaches become its margins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Aggregation {
    /// XGBoost and ONNX: `f32`, in tree order.
    SumF32 {
        /// Start of the sum, one per output.
        base: Vec<f32>,
        /// Each leaf times its tree's weight, rounded, before it is added (DART).
        tree_weights: Option<Vec<f32>>,
        /// ONNX, and XGBoost up to 1.3: the sum starts from zero, and the base is added last.
        base_last: bool,
        /// ONNX `AVERAGE`: the sum is divided by the number of trees before the base is added.
        mean: bool,
    },
    /// `f64`, in tree order: LightGBM (from zero), gradient boosting of scikit-learn (from its baseline), CatBoost
    /// (from zero, then `scale` and `bias`).
    SumF64 {
        /// Start of the sum, one per output.
        start: Vec<f64>,
        /// The finished sum times this, plus `bias`; not computed when it would be x 1 + 0.
        scale: f64,
        /// One per output; empty for zeros.
        bias: Vec<f64>,
        /// LightGBM's random forests: the raw score is the sum, the link function takes the sum divided by the
        /// number of trees of an output.
        averaged: bool,
    },
    /// `f64` sum from zero in tree order, divided by the number of trees of an output.
    Mean,
}

impl Aggregation {
    /// LightGBM's sum: `f64`, from zero.
    pub(crate) fn sum_f64(n_outputs: usize, averaged: bool) -> Self {
        Self::SumF64 { start: vec![0.0; n_outputs], scale: 1.0, bias: Vec::new(), averaged }
    }

    /// Whether link functions are computed as onnxruntime does. XGBoost up to 1.3, which adds the base last, too, is
    /// given weights of its trees.
    pub(crate) fn is_onnx(&self) -> bool {
        matches!(self, Self::SumF32 { base_last: true, tree_weights: None, .. })
    }

    /// Whether the sum, and with it the link function, is in `f32`.
    pub(crate) fn is_f32(&self) -> bool {
        matches!(self, Self::SumF32 { .. })
    }
}

/// A model, checked and ready.
///
/// It has trees or a linear part. A tree has scalar leaves and belongs to one output, or has leaves with one
/// value per output.
#[derive(Debug, Clone)]
pub struct Forest {
    pub(crate) n_features: usize,
    pub(crate) feature_names: Option<Vec<String>>,
    pub(crate) objective: String,
    pub(crate) n_outputs: usize,
    pub(crate) link: Link,
    pub(crate) aggregation: Aggregation,
    /// What happens to a row before any tree sees it.
    pub(crate) input: Vec<InputStep>,
    pub(crate) trees: Nodes,
    /// Output of each tree; empty when there is one output, or leaves are vectors.
    pub(crate) tree_outputs: Vec<u16>,
    /// Instead of trees.
    pub(crate) linear: Option<Linear>,
    /// Layouts of the fast engines, made when they are first needed.
    pub(crate) prepared: Prepared,
}

impl Forest {
    /// Reads and checks a model file.
    ///
    /// # Errors
    /// [`ParseError`] when the file is not of `format`, not sound, larger than this crate's limits, or of a
    /// kind that is not evaluated.
    pub fn parse(bytes: &[u8], format: Format) -> Result<Self, ParseError> {
        match format {
            #[cfg(feature = "pickle")]
            Format::XgboostBinary => crate::xgboost::from_binary(bytes),
            #[cfg(feature = "pickle")]
            Format::XgboostPickle => crate::xgboost::from_pickle(bytes),
            #[cfg(not(feature = "pickle"))]
            Format::XgboostBinary | Format::XgboostPickle => {
                Err(ParseError::Unsupported(format!("{format}, in a build without the feature pickle,")))
            }
            #[cfg(feature = "catboost")]
            Format::CatboostJson => crate::catboost::from_json(bytes),
            #[cfg(feature = "catboost")]
            Format::CatboostCbm => crate::catboost::from_cbm(bytes),
            #[cfg(not(feature = "catboost"))]
            Format::CatboostJson | Format::CatboostCbm => {
                Err(ParseError::Unsupported(format!("{format}, in a build without the feature catboost,")))
            }
            #[cfg(feature = "onnx")]
            Format::Onnx => crate::onnx::from_bytes(bytes),
            #[cfg(not(feature = "onnx"))]
            Format::Onnx => {
                Err(ParseError::Unsupported(format!("{format}, in a build without the feature onnx,")))
            }
            Format::XgboostJson => crate::xgboost::from_json(bytes),
            Format::XgboostUbj | Format::LightgbmText | Format::TribunalForest | Format::Compiled => {
                Self::parse_served(bytes, format)
            }
        }
    }

    /// As [`Forest::parse`], for the formats of [`Format::SERVED`] only: a program that calls this and not the other
    /// is linked without the rest.
    ///
    /// # Errors
    /// As for [`Forest::parse`]; [`ParseError::Unsupported`] for any other format.
    pub fn parse_served(bytes: &[u8], format: Format) -> Result<Self, ParseError> {
        match format {
            Format::XgboostUbj => crate::xgboost::from_ubj(bytes),
            Format::LightgbmText => crate::lightgbm::from_text(bytes),
            Format::TribunalForest => crate::tribunal_json::from_json(bytes),
            Format::Compiled => crate::compiled::from_bytes(bytes),
            other => Err(ParseError::Unsupported(format!("{other}, where models are served uncompiled,"))),
        }
    }

    /// Features of a row.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// Names of the features, in the order of a row; `None` when the file has none.
    pub fn feature_names(&self) -> Option<&[String]> {
        self.feature_names.as_deref()
    }

    /// Values that a row's answer has: 1, or the number of classes or targets.
    pub fn n_outputs(&self) -> usize {
        self.n_outputs
    }

    /// Number of trees; 0 for a linear model.
    pub fn n_trees(&self) -> usize {
        self.prepared.packed().map_or(self.trees.roots.len(), |packed| packed.meta.n_trees)
    }

    /// Number of nodes over all trees, leaves included.
    pub fn n_nodes(&self) -> usize {
        self.prepared.packed().map_or(self.trees.nodes.len(), |packed| packed.meta.n_nodes)
    }

    /// Edges of the longest walk; 0 when every tree is a single leaf.
    pub fn max_depth(&self) -> usize {
        self.prepared.packed().map_or(self.trees.max_depth, |packed| packed.meta.max_depth)
    }

    /// The trainer's name of the objective: `binary:logistic`, `binary`, `mean`, ...
    pub fn objective(&self) -> &str {
        &self.objective
    }

    /// How a margin becomes an output.
    pub fn link(&self) -> Link {
        self.link
    }

    /// Whether margins are computed in `f32`, as the trainer does, so that an `f32` holds them.
    pub fn is_single(&self) -> bool {
        match &self.linear {
            Some(linear) => linear.single,
            None => self.aggregation.is_f32(),
        }
    }

    /// Name of the layout that the fast engines use; `None` when they do not take this forest.
    pub fn layout(&self) -> Option<&'static str> {
        self.prepared.layout(self).map(crate::engine::Layout::name)
    }

    /// Whether [`Forest::contributions`] can be computed: the file holds covers, or the model is linear.
    pub fn has_covers(&self) -> bool {
        let covers = match self.prepared.packed() {
            Some(packed) => packed.meta.cover_width > 0,
            None => !self.trees.covers.is_empty(),
        };
        self.linear.is_some() || covers
    }

    /// Whether leaves hold one value per output.
    pub(crate) fn has_vector_leaves(&self) -> bool {
        self.prepared.packed().map_or(!self.trees.vectors.is_empty(), |packed| packed.meta.n_vectors > 0)
    }

    /// The output that a tree with scalar leaves adds to.
    pub(crate) fn output_of(&self, tree: usize) -> usize {
        self.tree_outputs.get(tree).map_or(0, |&output| usize::from(output))
    }

    /// Trees that add to one output.
    pub(crate) fn trees_per_output(&self) -> usize {
        if self.tree_outputs.is_empty() { self.n_trees() } else { self.n_trees() / self.n_outputs }
    }
}

/// Checks the number of features, and that there are as many names, if there are names.
pub(crate) fn check_features(
    member: &'static str,
    n_features: i64,
    names: Option<&[String]>,
) -> Result<usize, ParseError> {
    let n = match usize::try_from(n_features) {
        Ok(0) | Err(_) => {
            return Err(ParseError::Member { member, reason: format!("{n_features}, must be at least 1") });
        }
        Ok(n) if n > MAX_FEATURES => {
            return Err(ParseError::TooLarge { what: "features", value: n, limit: MAX_FEATURES });
        }
        Ok(n) => n,
    };
    match names {
        Some(names) if names.len() != n => Err(ParseError::Member {
            member: "feature_names",
            reason: format!("{} names for {n} features", names.len()),
        }),
        _ => Ok(n),
    }
}

/// Checks the number of trees.
pub(crate) fn check_trees(n_trees: usize) -> Result<(), ParseError> {
    if n_trees == 0 {
        return Err(ParseError::Member { member: "trees", reason: "the model has no trees".to_owned() });
    }
    if n_trees > MAX_TREES {
        return Err(ParseError::TooLarge { what: "trees", value: n_trees, limit: MAX_TREES });
    }
    Ok(())
}

/// Checks the number of classes or targets.
pub(crate) fn check_outputs(n_outputs: usize) -> Result<(), ParseError> {
    if n_outputs == 0 {
        let reason = "0, must be at least 1".to_owned();
        return Err(ParseError::Member { member: "number of outputs", reason });
    }
    if n_outputs > MAX_OUTPUTS {
        return Err(ParseError::TooLarge { what: "outputs", value: n_outputs, limit: MAX_OUTPUTS });
    }
    Ok(())
}
