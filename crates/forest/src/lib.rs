//! Tree-ensemble inference that agrees with the trainer bit for bit.
//!
//! [`Forest::parse`] reads a model file, checks it whole, and brings it into one form; the forest then
//! answers [`Forest::margins`], [`Forest::probabilities`], [`Forest::contributions`] and [`Forest::bounds`].
//!
//! Shapes: rows are row-major, `n x n_features`, `f32`, and `NaN` is a missing value. Results are one `f64`
//! per row: the margin (before the link function) or the probability of class 1 (after it).
//!
//! Exactness: an XGBoost margin is the `f32` that XGBoost's own predictor gives, widened; a LightGBM raw
//! score and a scikit-learn forest's probability are the `f64` that the trainer gives.
//! `crates/forest/README.md` says what was measured.
//!
//! Errors: a file that is not a sound model gives a [`ParseError`] that names the place. No input panics, and
//! time and memory are proportional to the size of the file (and up to 64 MiB for sets of categories).
//!
//! What it does not do: train, read or write files, use threads, evaluate categories by value or linear leaves.
//!
//! ```
//! use tribunal_forest::{Forest, Format};
//!
//! let file = br#"{"format": "tribunal-forest", "version": 1, "aggregation": "mean", "n_features": 1,
//!     "feature_names": ["length"], "trees": [{"children_left": [1, -1, -1], "children_right": [2, -1, -1],
//!     "feature": [0, -1, -1], "threshold": [7.5, 0, 0], "missing_go_to_left": [1, 0, 0],
//!     "value": [0.5, 0.25, 0.75], "cover": [8, 4, 4]}]}"#;
//! assert_eq!(Format::detect(file), Some(Format::TribunalForest));
//! let forest = Forest::parse(file, Format::TribunalForest)?;
//! let mut probabilities = Vec::new();
//! forest.probabilities(&[7.0, 8.0, f32::NAN], &mut probabilities)?;
//! assert_eq!(probabilities, [0.25, 0.75, 0.25]);
//! let why = forest.contributions(&[8.0])?;
//! assert!((why.expected[0] - 0.5).abs() < 1e-12 && (why.values[0] - 0.25).abs() < 1e-12);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bounds;
#[cfg(feature = "catboost")]
mod catboost;
mod compiled;
mod engine;
mod error;
mod forest;
mod format;
mod input;
mod lightgbm;
mod linear;
mod link;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "pickle")]
mod pickle;
mod shap;
mod tree;
mod tribunal_json;
mod ubj;
mod xgboost;

pub use compiled::Source;
pub use engine::Engine;
pub use error::{ParseError, PredictError, TreeFault};
pub use forest::Forest;
pub use format::Format;
pub use link::Link;
pub use shap::Contributions;

/// Most features of a model.
pub const MAX_FEATURES: usize = 65_536;
/// Most classes or targets of a model.
pub const MAX_OUTPUTS: usize = 1 << 12;
/// Most trees of a model.
pub const MAX_TREES: usize = 1 << 20;
/// Most nodes of a model, over all trees.
pub const MAX_NODES: usize = 1 << 26;
/// Most edges between a root and a leaf.
pub const MAX_DEPTH: usize = 512;

/// The example of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
