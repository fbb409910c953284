//! The forest: what every format is brought into.

use crate::error::ParseError;
use crate::tree::Nodes;
use crate::{Format, MAX_FEATURES, MAX_TREES};

/// How a margin becomes an output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Link {
    /// The margin is the output, and no probability (regression).
    Identity,
    /// The margin is the probability of class 1 already (averaged trees).
    Probability,
    /// Probability of class 1 = 1 / (1 + exp(-slope x margin)), in `f32` where the trainer computes in `f32`.
    /// For a LightGBM random forest the margin is divided by the number of trees first: its raw score is the
    /// sum.
    Logistic {
        /// LightGBM's parameter `sigmoid`; 1 for XGBoost.
        slope: f64,
    },
}

/// How the leaves that a row reaches become its margin.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Aggregation {
    /// XGBoost: `f32`, starting from `base`, in tree order; each leaf times its tree's weight where there are
    /// weights (DART).
    SumF32 { base: f32, tree_weights: Option<Vec<f32>> },
    /// LightGBM: `f64`, starting from zero, in tree order. Its random forests are `averaged`: the raw score
    /// is the sum, and the link function takes the sum divided by the number of trees.
    SumF64 { averaged: bool },
    /// `f64` sum from zero in tree order, divided by the number of trees.
    Mean,
}

/// A model, checked and ready.
#[derive(Debug, Clone)]
pub struct Forest {
    pub(crate) n_features: usize,
    pub(crate) feature_names: Option<Vec<String>>,
    pub(crate) objective: String,
    pub(crate) link: Link,
    pub(crate) aggregation: Aggregation,
    /// LightGBM takes a value of at most 1e-35 in magnitude for zero before it looks at any tree.
    pub(crate) flush_tiny: bool,
    pub(crate) trees: Nodes,
}

impl Forest {
    /// Reads and checks a model file.
    ///
    /// # Errors
    /// [`ParseError`] when the file is not of `format`, not sound, larger than this crate's limits, or of a
    /// kind that is not evaluated.
    pub fn parse(bytes: &[u8], format: Format) -> Result<Self, ParseError> {
        match format {
            Format::XgboostUbj => crate::xgboost::from_ubj(bytes),
            Format::XgboostJson => crate::xgboost::from_json(bytes),
            Format::LightgbmText => crate::lightgbm::from_text(bytes),
            Format::TribunalForest => crate::tribunal_json::from_json(bytes),
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

    /// Number of trees.
    pub fn n_trees(&self) -> usize {
        self.trees.roots.len()
    }

    /// Number of nodes over all trees, leaves included.
    pub fn n_nodes(&self) -> usize {
        self.trees.nodes.len()
    }

    /// Edges of the longest walk; 0 when every tree is a single leaf.
    pub fn max_depth(&self) -> usize {
        self.trees.max_depth
    }

    /// The trainer's name of the objective: `binary:logistic`, `binary`, `mean`, ...
    pub fn objective(&self) -> &str {
        &self.objective
    }

    /// How a margin becomes an output.
    pub fn link(&self) -> Link {
        self.link
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
