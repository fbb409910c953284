//! XGBoost models, in every encoding that it has had: JSON, UBJSON, the old binary format, pickles.
//!
//! Each encoding is read into a [`Model`], which [`build`] checks and brings into the common form.
//!
//! Read: gbtree, DART and gblinear of 1.x to 3.x (in the binary format and in pickles also of 0.x); one
//! output, several classes or targets, by one tree each or by leaves that are vectors; numeric splits (`x <
//! split_condition`, `NaN` by `default_left`) and categorical splits over codes. `attributes` such as
//! `best_iteration` change nothing, as in `Booster.predict`. Where versions of XGBoost differ, the answer is
//! that of the version that wrote the file, on x86-64: see [`Version`].
//!
//! `cats.enc` (3.x) holds the categories' values, in the order of their codes. XGBoost itself uses them only
//! to give a data frame of other categories the codes of training; an array is taken as codes, and so is a
//! row here.
//!
//! A file may say less than the booster knew: 1.0 and 1.1 wrote the base score into JSON with six digits (but
//! whole into the binary format). And 1.6, where categories were an experiment, sent codes that it never saw
//! in training by the default direction; here they go left, as in every version since.
//!
//! Refused by name: unknown objectives and boosters, several expectiles.
//!
//! Source: `src/learner.cc`, `src/gbm/*.cc`, `src/tree/*_model.cc`, `src/predictor/cpu_predictor.cc` and
//! `src/objective/*` of XGBoost 0.90, 1.2.1, 1.7.6, 2.1.4 and 3.4.1.

#[cfg(feature = "pickle")]
mod binary;
mod column;
mod json;
mod objective;
#[cfg(feature = "pickle")]
mod pickle;
mod tree;

use crate::engine::Prepared;
use crate::error::ParseError;
use crate::forest::{Aggregation, Forest, check_features, check_outputs, check_trees};
use crate::linear::Linear;
use crate::tree::Nodes;
use objective::Objective;
use tree::{Tree, push_tree};

#[cfg(feature = "pickle")]
pub(crate) use binary::from_binary;
pub(crate) use json::{from_json, from_ubj};
#[cfg(feature = "pickle")]
pub(crate) use pickle::from_pickle;

/// The version that wrote a file, as far as answers depend on it; a file without one counts as the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

impl Version {
    const NEWEST: Self = Self(u32::MAX, 0);

    /// Before 1.0 the base score was saved as a margin, but for several classes, where both are the same.
    fn base_is_margin(self) -> bool {
        self < Self(1, 0)
    }

    /// The leaves were first summed from zero, and then added to the base score: gbtree up to 1.2, DART up to
    /// 1.3.
    fn base_last(self, dart: bool) -> bool {
        self < if dart { Self(1, 4) } else { Self(1, 3) }
    }
}

/// What every encoding holds.
struct Model {
    version: Version,
    objective: String,
    /// One for all outputs, or one each; in the space of the prediction, unless [`Version::base_is_margin`].
    base_score: Vec<f32>,
    n_features: i64,
    n_classes: i64,
    n_targets: i64,
    feature_names: Vec<String>,
    part: Part,
}

/// Trees or weights.
enum Part {
    Trees {
        trees: Vec<Tree>,
        /// Output of each tree (`tree_info`).
        outputs: Vec<i64>,
        /// One per tree (`weight_drop`); empty without dropout.
        weights: Vec<f32>,
        /// The booster is called `dart`, whatever its weights are.
        dart: bool,
    },
    /// Feature by feature, one per output; then one bias per output.
    Linear(Vec<f32>),
}

fn build(model: Model) -> Result<Forest, ParseError> {
    let n_outputs = model.n_outputs()?;
    let names = (!model.feature_names.is_empty()).then_some(model.feature_names.as_slice());
    let n_features = check_features("num_feature", model.n_features, names)?;
    let objective = Objective::find(&model.objective, n_outputs, model.version)?;
    let base = model.margins(&objective, n_outputs)?;
    let forest = Forest {
        n_features,
        feature_names: names.map(<[String]>::to_vec),
        objective: model.objective,
        n_outputs,
        link: objective.link,
        aggregation: Aggregation::Mean,
        input: Vec::new(),
        trees: Nodes::default(),
        tree_outputs: Vec::new(),
        linear: None,
        prepared: Prepared::default(),
    };
    match model.part {
        Part::Linear(weights) => with_weights(forest, &weights, base),
        Part::Trees { trees, outputs, weights, dart } => {
            let base_last = model.version.base_last(dart);
            let weights = tree_weights(weights, trees.len())?;
            // Weights tell this sum from ONNX's, whose link functions are others.
            let weights = weights.or_else(|| base_last.then(|| vec![1.0; trees.len()]));
            let forest = with_trees(forest, &trees, &outputs)?;
            let aggregation = Aggregation::SumF32 { base, tree_weights: weights, base_last, mean: false };
            Ok(Forest { aggregation, ..forest })
        }
    }
}

impl Model {
    fn n_outputs(&self) -> Result<usize, ParseError> {
        let (n_classes, n_targets) = (self.n_classes.max(1), self.n_targets.max(1));
        if n_classes > 1 && n_targets > 1 {
            let kind = format!("xgboost model of {n_classes} classes for each of {n_targets} targets");
            return Err(ParseError::Unsupported(kind));
        }
        let n_outputs = usize::try_from(n_classes.max(n_targets)).unwrap_or(usize::MAX);
        check_outputs(n_outputs)?;
        Ok(n_outputs)
    }

    /// The base score of each output as a margin.
    fn margins(&self, objective: &Objective, n_outputs: usize) -> Result<Vec<f32>, ParseError> {
        let scores = &self.base_score;
        if scores.len() != 1 && scores.len() != n_outputs {
            let reason = format!("{} values for {n_outputs} outputs", scores.len());
            return Err(ParseError::Member { member: "base_score", reason });
        }
        let margins: Result<Vec<f32>, _> = scores
            .iter()
            .map(|&score| match self.version.base_is_margin() {
                true => Ok(score),
                false => objective.margin(score, &self.objective),
            })
            .collect();
        let mut margins = margins?;
        if let Some(margin) = margins.iter().find(|m| !m.is_finite()) {
            let reason = format!("{margin} as a margin, must be finite");
            return Err(ParseError::Member { member: "base_score", reason });
        }
        // Up to 3.0 there was one for all outputs.
        margins.resize(n_outputs, margins[0]);
        Ok(margins)
    }
}

/// The weights of dropout; newer files may leave out those at the end that are 1.
fn tree_weights(mut weights: Vec<f32>, n_trees: usize) -> Result<Option<Vec<f32>>, ParseError> {
    let member = "weight_drop";
    if weights.is_empty() {
        return Ok(None);
    }
    if weights.len() > n_trees {
        let reason = format!("{} weights for {n_trees} trees", weights.len());
        return Err(ParseError::Member { member, reason });
    }
    if let Some(weight) = weights.iter().find(|w| !w.is_finite()) {
        return Err(ParseError::Member { member, reason: format!("a weight is {weight}") });
    }
    weights.resize(n_trees, 1.0);
    Ok(Some(weights))
}

fn with_trees(mut forest: Forest, trees: &[Tree], outputs: &[i64]) -> Result<Forest, ParseError> {
    check_trees(trees.len())?;
    let n_outputs = forest.n_outputs;
    let vectors = trees[0].leaf_size()? > 1;
    let mut raw = Vec::new();
    for (index, tree) in trees.iter().enumerate() {
        let size = tree.leaf_size()?;
        if size != if vectors { n_outputs } else { 1 } {
            let reason = format!("{size} in tree {index}, of {n_outputs} outputs");
            return Err(ParseError::Member { member: "size_leaf_vector", reason });
        }
        push_tree(&mut forest.trees, &mut raw, index, tree, forest.n_features, size)?;
    }
    forest.trees.drop_partial_covers();
    if !vectors {
        forest.tree_outputs = tree_outputs(outputs, trees.len(), n_outputs)?;
    }
    Ok(forest)
}

/// The output of each tree; empty when there is only one.
fn tree_outputs(outputs: &[i64], n_trees: usize, n_outputs: usize) -> Result<Vec<u16>, ParseError> {
    let member = "tree_info";
    if outputs.len() != n_trees {
        let reason = format!("{} values for {n_trees} trees", outputs.len());
        return Err(ParseError::Member { member, reason });
    }
    let checked: Result<Vec<u16>, _> = outputs
        .iter()
        .map(|&output| match u16::try_from(output) {
            Ok(o) if usize::from(o) < n_outputs => Ok(o),
            _ => Err(ParseError::Member { member, reason: format!("{output}, of {n_outputs} outputs") }),
        })
        .collect();
    checked.map(|outputs| if n_outputs == 1 { Vec::new() } else { outputs })
}

/// gblinear: the sum starts from bias plus base score. It takes the first base score for every output,
/// whatever they are (`GBLinear::PredictBatchInternal`).
fn with_weights(mut forest: Forest, weights: &[f32], base: Vec<f32>) -> Result<Forest, ParseError> {
    let n_weights = forest.n_features * forest.n_outputs;
    let member = "weights";
    let Some((weights, biases)) = weights.split_at_checked(n_weights).filter(|w| w.1.len() == base.len())
    else {
        let reason = format!("{} values, expected {}", weights.len(), n_weights + base.len());
        return Err(ParseError::Member { member, reason });
    };
    if let Some(weight) = weights.iter().chain(biases).find(|w| !w.is_finite()) {
        return Err(ParseError::Member { member, reason: format!("a weight is {weight}") });
    }
    forest.linear = Some(Linear {
        weights: weights.iter().map(|&w| f64::from(w)).collect(),
        start: biases.iter().map(|&bias| f64::from(bias + base[0])).collect(),
        single: true,
    });
    forest.aggregation = Aggregation::SumF32 { base, tree_weights: None, base_last: false, mean: false };
    Ok(forest)
}
