//! XGBoost models, in JSON and in UBJSON: the same members in two encodings.
//!
//! Read: gbtree and DART of 1.x to 3.x with one output; `base_score` as a scalar or a vector of one, in the
//! space of the prediction (a probability for logistic objectives); numeric splits (`x < split_condition`,
//! `NaN` by `default_left`) and categorical splits over codes. `attributes` such as `best_iteration` change
//! nothing, as in `Booster.predict`. Source: `src/tree/tree_model.cc`, `src/gbm/gbtree_model.cc` and
//! `src/predictor/cpu_predictor.cc` of XGBoost 3.2.
//!
//! Refused by name: several classes or targets, vector leaves, gblinear, objectives that are neither logistic
//! nor of identity link, categories that the file stores by value (`cats.enc`).

use serde::Deserialize;
use serde::de::{self, Visitor};

use crate::Format;
use crate::engine::Prepared;
use crate::error::{ParseError, TreeFault};
use crate::forest::{Aggregation, Forest, check_features, check_trees};
use crate::link::Link;
use crate::tree::{CategoryRule, Missing, Nodes, RawNode};

/// XGBoost's `OutOfRangeCat`: categories are below 2^24, up to which every integer is an `f32`.
const MAX_CATEGORY: i64 = 1 << 24;

#[derive(Deserialize)]
struct File {
    learner: Learner,
}

#[derive(Deserialize)]
struct Learner {
    #[serde(default)]
    feature_names: Vec<String>,
    gradient_booster: Booster,
    learner_model_param: LearnerParam,
    objective: Objective,
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
struct Objective {
    name: String,
}

#[derive(Deserialize)]
struct Booster {
    name: String,
    #[serde(default)]
    model: Option<Model>,
    /// DART keeps its trees one level deeper.
    #[serde(default)]
    gbtree: Option<Inner>,
    #[serde(default)]
    weight_drop: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct Inner {
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    trees: Vec<Tree>,
    #[serde(default)]
    cats: Option<Cats>,
}

#[derive(Deserialize)]
struct Cats {
    #[serde(default)]
    enc: Vec<de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Tree {
    left_children: Vec<i32>,
    right_children: Vec<i32>,
    split_indices: Vec<i32>,
    split_conditions: Vec<f32>,
    default_left: Vec<Flag>,
    #[serde(default)]
    sum_hessian: Vec<f32>,
    #[serde(default)]
    split_type: Vec<Flag>,
    #[serde(default)]
    categories: Vec<i32>,
    #[serde(default)]
    categories_nodes: Vec<i32>,
    #[serde(default)]
    categories_segments: Vec<i64>,
    #[serde(default)]
    categories_sizes: Vec<i64>,
    tree_param: TreeParam,
}

#[derive(Deserialize)]
struct TreeParam {
    #[serde(default)]
    num_deleted: Text,
    #[serde(default)]
    size_leaf_vector: Text,
}

pub(crate) fn from_json(bytes: &[u8]) -> Result<Forest, ParseError> {
    let file = serde_json::from_slice(bytes)
        .map_err(|source| ParseError::Json { format: Format::XgboostJson, source })?;
    build(file)
}

pub(crate) fn from_ubj(bytes: &[u8]) -> Result<Forest, ParseError> {
    build(crate::ubj::from_slice(bytes)?)
}

fn build(file: File) -> Result<Forest, ParseError> {
    let Learner { feature_names, gradient_booster, learner_model_param: param, objective } = file.learner;
    param.check_one_output()?;
    let (model, weights) = trees_of(gradient_booster)?;
    let (link, base) = link_and_base(&objective.name, param.base_score()?)?;
    let names = (!feature_names.is_empty()).then_some(feature_names);
    let declared = param.num_feature.integer("num_feature")?.unwrap_or(0);
    let n_features = check_features("num_feature", declared, names.as_deref())?;
    check_trees(model.trees.len())?;
    if let Some(weights) = &weights {
        check_weights(weights, model.trees.len())?;
    }
    let mut trees = Nodes::default();
    let mut raw = Vec::new();
    for (index, tree) in model.trees.iter().enumerate() {
        push_tree(&mut trees, &mut raw, index, tree, n_features)?;
    }
    trees.drop_partial_covers();
    Ok(Forest {
        n_features,
        feature_names: names,
        objective: objective.name,
        link,
        aggregation: Aggregation::SumF32 {
            base: vec![base],
            tree_weights: weights,
            base_last: false,
            mean: false,
        },
        n_outputs: 1,
        input: Vec::new(),
        trees,
        tree_outputs: Vec::new(),
        linear: None,
        prepared: Prepared::default(),
    })
}

/// The trees, and their weights if the booster is DART.
fn trees_of(booster: Booster) -> Result<(Model, Option<Vec<f32>>), ParseError> {
    let missing = || ParseError::Member { member: "gradient_booster", reason: "has no trees".to_owned() };
    let (model, weights) = match booster.name.as_str() {
        "gbtree" => (booster.model, booster.weight_drop),
        "dart" => (booster.gbtree.map(|inner| inner.model).or(booster.model), booster.weight_drop),
        name => return Err(ParseError::Unsupported(format!("xgboost booster {name}"))),
    };
    let model = model.ok_or_else(missing)?;
    if model.cats.as_ref().is_some_and(|cats| !cats.enc.is_empty()) {
        return Err(ParseError::Unsupported("xgboost model with categories by value (cats.enc)".to_owned()));
    }
    Ok((model, weights))
}

fn check_weights(weights: &[f32], n_trees: usize) -> Result<(), ParseError> {
    let member = "weight_drop";
    if weights.len() != n_trees {
        let reason = format!("{} weights for {n_trees} trees", weights.len());
        return Err(ParseError::Member { member, reason });
    }
    match weights.iter().find(|w| !w.is_finite()) {
        Some(w) => Err(ParseError::Member { member, reason: format!("a weight is {w}") }),
        None => Ok(()),
    }
}

/// The link, and the base score in margin space.
fn link_and_base(objective: &str, base_score: f32) -> Result<(Link, f32), ParseError> {
    match objective {
        "binary:logistic" | "reg:logistic" | "binary:logitraw" => {
            if !(base_score > 0.0 && base_score < 1.0) {
                let reason = format!("{base_score}, must be between 0 and 1 for {objective}");
                return Err(ParseError::Member { member: "base_score", reason });
            }
            // As XGBoost computes it, in `f32`.
            Ok((Link::Logistic { slope: 1.0 }, -(1.0 / base_score - 1.0).ln()))
        }
        "reg:squarederror"
        | "reg:linear"
        | "reg:absoluteerror"
        | "reg:pseudohubererror"
        | "reg:quantileerror"
        | "reg:squaredlogerror" => Ok((Link::Identity, base_score)),
        _ => Err(ParseError::Unsupported(format!("xgboost objective {objective}"))),
    }
}

fn push_tree(
    trees: &mut Nodes,
    raw: &mut Vec<RawNode>,
    index: usize,
    tree: &Tree,
    n_features: usize,
) -> Result<(), ParseError> {
    let n = tree.left_children.len();
    let lengths = [
        ("right_children", tree.right_children.len()),
        ("split_indices", tree.split_indices.len()),
        ("split_conditions", tree.split_conditions.len()),
        ("default_left", tree.default_left.len()),
    ];
    let optional = [("sum_hessian", tree.sum_hessian.len()), ("split_type", tree.split_type.len())];
    let wrong = lengths.into_iter().chain(optional.into_iter().filter(|o| o.1 != 0)).find(|l| l.1 != n);
    if let Some((array, len)) = wrong {
        return Err(ParseError::Length { tree: index, array, len, expected: n });
    }
    if tree.tree_param.size_leaf_vector.integer("size_leaf_vector")?.unwrap_or(0) > 1 {
        return Err(ParseError::Unsupported("xgboost model with vector leaves".to_owned()));
    }
    let deleted = tree.tree_param.num_deleted.integer("num_deleted")?.unwrap_or(0);
    let sets = category_sets(trees, index, tree)?;
    raw.clear();
    for node in 0..n {
        let at = |fault| ParseError::Tree { tree: index, node, fault };
        raw.push(raw_node(tree, node, &sets).map_err(at)?);
    }
    let covers: Vec<f64> = tree.sum_hessian.iter().map(|&h| f64::from(h)).collect();
    trees.push_tree(raw, &covers, n_features, usize::try_from(deleted).unwrap_or(0))
}

fn raw_node(tree: &Tree, node: usize, sets: &[Option<u32>]) -> Result<RawNode, TreeFault> {
    let (left, right) = (i64::from(tree.left_children[node]), i64::from(tree.right_children[node]));
    let condition = tree.split_conditions[node];
    if left == -1 {
        return Ok(RawNode::Leaf { value: f64::from(condition), id: node as u32 });
    }
    let feature = i64::from(tree.split_indices[node]);
    let default_left = tree.default_left[node].0;
    if tree.split_type.get(node).is_some_and(|t| t.0) {
        let set = sets.get(node).copied().flatten();
        let set = set.ok_or_else(|| TreeFault::Categories("missing for this node".to_owned()))?;
        let rule = match default_left {
            true => CategoryRule::XgboostMissingLeft,
            false => CategoryRule::XgboostMissingRight,
        };
        return Ok(RawNode::Categorical { feature, rule, set, left, right });
    }
    if condition.is_nan() {
        return Err(TreeFault::Value { what: "threshold", value: f64::NAN });
    }
    let missing = if default_left { Missing::Left } else { Missing::Right };
    Ok(RawNode::Numeric { feature, missing, threshold: condition, left, right })
}

/// Appends the tree's sets of categories; gives each node's, or nothing if the tree has none.
fn category_sets(trees: &mut Nodes, index: usize, tree: &Tree) -> Result<Vec<Option<u32>>, ParseError> {
    if tree.categories_nodes.is_empty() {
        return Ok(Vec::new());
    }
    let expected = tree.categories_nodes.len();
    for (array, len) in [
        ("categories_segments", tree.categories_segments.len()),
        ("categories_sizes", tree.categories_sizes.len()),
    ] {
        if len != expected {
            return Err(ParseError::Length { tree: index, array, len, expected });
        }
    }
    // The segments lie side by side; overlapping ones would cost far more than the file's length.
    let total = tree.categories_sizes.iter().fold(0_i64, |sum, &size| sum.saturating_add(size.max(0)));
    if usize::try_from(total) != Ok(tree.categories.len()) {
        let len = usize::try_from(total).unwrap_or(usize::MAX);
        let array = "categories (by categories_sizes)";
        return Err(ParseError::Length { tree: index, array, len, expected: tree.categories.len() });
    }
    let mut of_node = vec![None; tree.left_children.len()];
    let segments = tree.categories_segments.iter().zip(&tree.categories_sizes);
    for (&node, (&start, &size)) in tree.categories_nodes.iter().zip(segments) {
        let number = usize::try_from(node).unwrap_or(usize::MAX);
        let at = |reason: String| ParseError::Tree {
            tree: index,
            node: number,
            fault: TreeFault::Categories(reason),
        };
        let slot = of_node.get_mut(number).ok_or_else(|| at("no such node".to_owned()))?;
        let (first, count) = (usize::try_from(start).ok(), usize::try_from(size).ok());
        let categories = first
            .zip(count)
            .and_then(|(first, count)| tree.categories.get(first..first.checked_add(count)?))
            .ok_or_else(|| at(format!("{size} from {start}, there are {}", tree.categories.len())))?;
        *slot = Some(trees.push_set(categories.iter().map(|&c| i64::from(c)), MAX_CATEGORY).map_err(at)?);
    }
    Ok(of_node)
}

impl LearnerParam {
    fn check_one_output(&self) -> Result<(), ParseError> {
        if self.num_class.integer("num_class")?.unwrap_or(0) > 1 {
            return Err(ParseError::Unsupported(format!("xgboost model of {} classes", self.num_class.0)));
        }
        if self.num_target.integer("num_target")?.unwrap_or(1) > 1 {
            return Err(ParseError::Unsupported(format!("xgboost model of {} targets", self.num_target.0)));
        }
        Ok(())
    }

    /// A scalar, or a vector of one: `5E-1`, `[5E-1]`.
    fn base_score(&self) -> Result<f32, ParseError> {
        let text = self.base_score.0.trim();
        let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        match inner.trim().parse::<f32>() {
            Ok(score) if score.is_finite() => Ok(score),
            _ => Err(ParseError::Member {
                member: "base_score",
                reason: format!("{:?} is not one number", clip(text)),
            }),
        }
    }
}

/// A parameter, which XGBoost writes as text; a plain number is taken as well.
#[derive(Default)]
struct Text(String);

impl Text {
    fn integer(&self, member: &'static str) -> Result<Option<i64>, ParseError> {
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

/// A flag, which XGBoost wrote as a boolean up to 1.6 and writes as 0 or 1 since.
#[derive(Clone, Copy)]
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    #[inline]
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FlagVisitor;
        impl Visitor<'_> for FlagVisitor {
            type Value = Flag;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a boolean, 0 or 1")
            }
            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Flag, E> {
                Ok(Flag(v))
            }
            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Flag, E> {
                match v {
                    0 => Ok(Flag(false)),
                    1 => Ok(Flag(true)),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(v), &self)),
                }
            }
            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Flag, E> {
                self.visit_i64(i64::try_from(v).unwrap_or(i64::MAX))
            }
        }
        deserializer.deserialize_any(FlagVisitor)
    }
}
