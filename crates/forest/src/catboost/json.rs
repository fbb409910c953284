//! CatBoost's JSON.
//!
//! Layout: `features_info` (`float_features` with their borders, `categorical_features`, `ctrs`), `oblivious_trees`
//! (`splits` by number, `leaf_values` leaf by leaf, `leaf_weights`) or `trees` (nested: `split`, `left`, `right`, or
//! `value` and `weight`), `scale_and_bias`, and `model_info` with the training parameters. Leaves of nested trees are
//! counted from left to right, as CatBoost does when it reads such a file.

use serde::Deserialize;

use super::build::{Border, Builder, Features, Leaf, NanTreatment};
use super::loss::Parameters;
use crate::Format;
use crate::error::ParseError;
use crate::forest::Forest;

#[derive(Deserialize)]
struct File {
    features_info: FeaturesInfo,
    #[serde(default)]
    oblivious_trees: Option<Vec<Oblivious>>,
    #[serde(default)]
    trees: Option<Vec<Node>>,
    #[serde(default)]
    scale_and_bias: Option<(f64, Bias)>,
    #[serde(default)]
    model_info: Option<ModelInfo>,
}

/// A number in old files.
#[derive(Deserialize)]
#[serde(untagged)]
enum Bias {
    One(f64),
    Many(Vec<f64>),
}

#[derive(Deserialize, Default)]
struct ModelInfo {
    #[serde(default)]
    params: Option<Parameters>,
}

#[derive(Deserialize)]
struct FeaturesInfo {
    #[serde(default)]
    float_features: Option<Vec<FloatFeature>>,
    #[serde(default)]
    categorical_features: Option<Vec<CategoricalFeature>>,
    #[serde(default)]
    ctrs: Option<Vec<Ctr>>,
}

#[derive(Deserialize)]
struct FloatFeature {
    feature_index: i64,
    flat_feature_index: i64,
    #[serde(default)]
    feature_id: String,
    #[serde(default)]
    borders: Option<Vec<f32>>,
    #[serde(default)]
    has_nans: bool,
    #[serde(default)]
    nan_value_treatment: NanTreatment,
}

#[derive(Deserialize)]
struct CategoricalFeature {
    flat_feature_index: i64,
    #[serde(default)]
    feature_id: String,
    /// Of the one-hot splits.
    #[serde(default)]
    values: Option<Vec<i64>>,
}

#[derive(Deserialize)]
struct Ctr {
    #[serde(default)]
    ctr_type: String,
    #[serde(default)]
    borders: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct Oblivious {
    #[serde(default)]
    splits: Option<Vec<Split>>,
    leaf_values: Vec<f64>,
    #[serde(default)]
    leaf_weights: Option<Vec<f64>>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    split: Option<Split>,
    #[serde(default)]
    left: Option<Box<Node>>,
    #[serde(default)]
    right: Option<Box<Node>>,
    #[serde(default)]
    value: Option<Bias>,
    #[serde(default)]
    weight: Option<f64>,
}

/// What it says twice must agree; CatBoost looks at the number only.
#[derive(Deserialize)]
struct Split {
    split_index: i64,
    #[serde(default)]
    border: Option<f32>,
    #[serde(default)]
    float_feature_index: Option<i64>,
}

pub(crate) fn from_json(bytes: &[u8]) -> Result<Forest, ParseError> {
    let file: File = serde_json::from_slice(bytes)
        .map_err(|source| ParseError::Json { format: Format::CatboostJson, source })?;
    let mut indices = Vec::new();
    let features = features(&file.features_info, &mut indices)?;
    let trees = match (&file.oblivious_trees, &file.trees) {
        (Some(trees), None) => Trees::Oblivious(trees),
        (None, Some(trees)) => Trees::Nested(trees),
        _ => {
            let reason = "the model has not one of oblivious_trees and trees".to_owned();
            return Err(ParseError::Member { member: "trees", reason });
        }
    };
    let reader = Reader { indices };
    let mut builder = Builder::new(features, trees.n_outputs())?;
    match trees {
        Trees::Oblivious(trees) => {
            trees.iter().try_for_each(|tree| reader.oblivious(&mut builder, tree))?;
        }
        Trees::Nested(trees) => trees.iter().try_for_each(|tree| {
            reader.node(&mut builder, tree, &mut 0)?;
            builder.finish_tree()
        })?,
    }
    let (scale, bias) = match file.scale_and_bias {
        None => (1.0, Vec::new()),
        Some((scale, Bias::One(bias))) => (scale, vec![bias]),
        Some((scale, Bias::Many(bias))) => (scale, bias),
    };
    let parameters = file.model_info.unwrap_or_default().params.unwrap_or_default();
    builder.finish(parameters.objective()?, scale, bias)
}

/// Reads the features, and notes by flat index the index of each among those of numbers.
fn features(info: &FeaturesInfo, indices: &mut Vec<Option<i64>>) -> Result<Features, ParseError> {
    let mut features = Features::default();
    for feature in info.float_features.iter().flatten() {
        let flat_index = features.push(feature.flat_feature_index, &feature.feature_id)?;
        let at = usize::from(flat_index);
        indices.resize(indices.len().max(at + 1), None);
        indices[at] = Some(feature.feature_index);
        let nan = if feature.has_nans { feature.nan_value_treatment } else { NanTreatment::Nothing };
        features.push_borders(flat_index, feature.borders.as_deref().unwrap_or_default(), nan);
    }
    for feature in info.categorical_features.iter().flatten() {
        let flat_index = features.push(feature.flat_feature_index, &feature.feature_id)?;
        // A hash, which is written with a sign.
        let hashes = feature.values.iter().flatten().map(|&value| value as u32);
        features.push_values(flat_index, &feature.feature_id, hashes);
    }
    for ctr in info.ctrs.iter().flatten() {
        let what = format!("catboost split on a categorical feature's statistic ({})", clip(&ctr.ctr_type));
        features.push_unsupported(&what, ctr.borders.as_ref().map_or(0, Vec::len));
    }
    Ok(features)
}

fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

enum Trees<'a> {
    Oblivious(&'a [Oblivious]),
    Nested(&'a [Node]),
}

impl Trees<'_> {
    /// By the first leaf; that all have as many values is checked tree by tree.
    fn n_outputs(&self) -> usize {
        match self {
            Self::Oblivious(trees) => trees.first().map_or(1, |tree| {
                let depth = tree.splits.as_ref().map_or(0, Vec::len);
                (tree.leaf_values.len() >> depth.min(63)).max(1)
            }),
            Self::Nested(trees) => {
                let mut node = trees.first();
                while let Some(left) = node.and_then(|node| node.left.as_deref()) {
                    node = Some(left);
                }
                match node.and_then(|leaf| leaf.value.as_ref()) {
                    Some(Bias::Many(values)) => values.len(),
                    _ => 1,
                }
            }
        }
    }
}

struct Reader {
    /// By flat index: the index among the features of numbers.
    indices: Vec<Option<i64>>,
}

impl Reader {
    fn oblivious(&self, builder: &mut Builder, tree: &Oblivious) -> Result<(), ParseError> {
        let splits = tree.splits.as_deref().unwrap_or_default();
        splits.iter().try_for_each(|split| self.check(builder, split))?;
        let borders: Vec<i64> = splits.iter().map(|split| split.split_index).collect();
        builder.push_oblivious(&borders, &tree.leaf_values, tree.leaf_weights.as_deref().unwrap_or_default())
    }

    /// Adds a subtree in preorder. Recursion ends: the JSON reader bounds nesting.
    fn node(&self, builder: &mut Builder, node: &Node, leaves: &mut u32) -> Result<(), ParseError> {
        let member = "trees";
        let tree = builder.tree();
        match (&node.split, &node.left, &node.right, &node.value) {
            (Some(split), Some(left), Some(right), None) => {
                self.check(builder, split)?;
                let at = builder.next_node();
                builder.push_split(split.split_index, at as i64 + 1, 0)?;
                self.node(builder, left, leaves)?;
                builder.set_right(at, builder.next_node() as i64);
                self.node(builder, right, leaves)
            }
            (None, None, None, Some(value)) => {
                let values = match value {
                    Bias::One(value) => std::slice::from_ref(value),
                    Bias::Many(values) => values,
                };
                builder.push_leaf(&Leaf { values, weight: node.weight, id: *leaves })?;
                *leaves += 1;
                Ok(())
            }
            _ => {
                let reason = format!("a node of tree {tree} has neither split, left and right, nor value");
                Err(ParseError::Member { member, reason })
            }
        }
    }

    /// That what a split says of its border is what the border of its number is.
    fn check(&self, builder: &Builder, split: &Split) -> Result<(), ParseError> {
        let Some(&Border::Float { flat_index, border, .. }) = builder.border(split.split_index) else {
            return Ok(());
        };
        let index = self.indices.get(usize::from(flat_index)).copied().flatten();
        let same = split.border.is_none_or(|b| b == border)
            && (split.float_feature_index.is_none() || split.float_feature_index == index);
        if same {
            return Ok(());
        }
        let reason = format!(
            "{} in tree {} is border {border} of feature {flat_index}, but the split says otherwise",
            split.split_index,
            builder.tree()
        );
        Err(ParseError::Member { member: "split_index", reason })
    }
}
