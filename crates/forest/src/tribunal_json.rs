//! Trees and linear models in JSON: the format of `crates/forest/FORMAT.md`, which
//! `training/export_forest.py` writes from scikit-learn's models.
//!
//! A numeric split says `f64(x) <= threshold`, and `NaN` goes by `missing_go_to_left`. Version 1 is a mean of
//! trees whose leaves hold the probability of class 1; version 2 also has sums, several outputs, categorical
//! splits, link functions and linear models.

use serde::Deserialize;

use crate::Format;
use crate::engine::Prepared;
use crate::error::{ParseError, TreeFault};
use crate::forest::{Aggregation, Forest, check_features, check_outputs, check_trees};
use crate::linear::Linear;
use crate::link::Link;
use crate::tree::{CategoryRule, Missing, Nodes, RawNode, less_than_for_at_most};

/// Greatest probability at a leaf. scikit-learn divides sums of sample weights that were added in different
/// orders, so that a pure leaf may lie a rounding error above 1.
const MAX_LEAF: f64 = 1.0 + 1e-9;
/// Categories are below this; all larger ones are the same `f32` as others.
const MAX_CATEGORY: i64 = 1 << 24;
/// Longest name of an objective.
const MAX_OBJECTIVE: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    #[serde(default)]
    aggregation: Option<String>,
    n_features: i64,
    #[serde(default)]
    feature_names: Option<Vec<String>>,
    #[serde(default)]
    trees: Vec<Tree>,
    /// Where the model comes from; for people.
    #[serde(default, rename = "source")]
    _source: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    objective: Option<String>,
    #[serde(default)]
    n_outputs: Option<usize>,
    #[serde(default)]
    link: Option<FileLink>,
    #[serde(default)]
    start: Option<Vec<f64>>,
    #[serde(default)]
    linear: Option<FileLinear>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(tag = "name", rename_all = "snake_case", deny_unknown_fields)]
enum FileLink {
    Identity,
    Probability,
    Logistic {
        #[serde(default = "one")]
        slope: f64,
    },
    Softmax,
    OneVersusRest,
    Exp,
    PathLength {
        normal: f64,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLinear {
    weights: Vec<f64>,
    start: Vec<f64>,
    #[serde(default)]
    single: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tree {
    children_left: Vec<i32>,
    children_right: Vec<i32>,
    feature: Vec<i32>,
    /// `null`: every present value goes left.
    threshold: Vec<Option<f64>>,
    missing_go_to_left: Vec<u8>,
    #[serde(default)]
    value: Vec<f64>,
    /// Instead of `value`: the leaves' vectors, one after the other.
    #[serde(default)]
    values: Vec<f64>,
    #[serde(default)]
    cover: Vec<f64>,
    #[serde(default)]
    output: Option<usize>,
    #[serde(default)]
    category_sets: Vec<Vec<i64>>,
    /// Position in `category_sets`, or -1 for a numeric split.
    #[serde(default)]
    category_set: Vec<i32>,
}

fn one() -> f64 {
    1.0
}

fn member(member: &'static str, reason: String) -> ParseError {
    ParseError::Member { member, reason }
}

pub(crate) fn from_json(bytes: &[u8]) -> Result<Forest, ParseError> {
    let file: File = serde_json::from_slice(bytes)
        .map_err(|source| ParseError::Json { format: Format::TribunalForest, source })?;
    if file.format != "tribunal-forest" {
        return Err(member("format", format!("{:?}, must be \"tribunal-forest\"", clip(&file.format))));
    }
    match file.version {
        1 => check_version_1(&file)?,
        2 => {}
        other => return Err(member("version", format!("{other}, this build reads 1 and 2"))),
    }
    let n_features = check_features("n_features", file.n_features, file.feature_names.as_deref())?;
    let n_outputs = file.n_outputs.unwrap_or(1);
    check_outputs(n_outputs)?;
    let (linear, aggregation) = match &file.linear {
        Some(linear) => {
            if !file.trees.is_empty() || file.start.is_some() || file.aggregation.is_some() {
                return Err(member("linear", "stands beside trees, start or aggregation".to_owned()));
            }
            linear.check(n_features, n_outputs)?
        }
        None => (None, file.aggregation(n_outputs)?),
    };
    let mut forest = Forest {
        n_features,
        objective: file.objective(),
        link: file.link(n_outputs)?,
        feature_names: file.feature_names,
        aggregation,
        n_outputs,
        input: Vec::new(),
        trees: Nodes::default(),
        tree_outputs: Vec::new(),
        linear,
        prepared: Prepared::default(),
    };
    if forest.linear.is_none() {
        push_trees(&mut forest, &file.trees)?;
    }
    Ok(forest)
}

fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Nothing that version 1 did not know.
fn check_version_1(file: &File) -> Result<(), ParseError> {
    let tree = |f: fn(&Tree) -> bool| file.trees.iter().any(f);
    let newer = [
        ("objective", file.objective.is_some()),
        ("n_outputs", file.n_outputs.is_some()),
        ("link", file.link.is_some()),
        ("start", file.start.is_some()),
        ("linear", file.linear.is_some()),
        ("values", tree(|t| !t.values.is_empty())),
        ("output", tree(|t| t.output.is_some())),
        ("category_sets", tree(|t| !t.category_sets.is_empty())),
        ("category_set", tree(|t| !t.category_set.is_empty())),
    ];
    if let Some((name, _)) = newer.into_iter().find(|(_, present)| *present) {
        return Err(member(name, "not in version 1".to_owned()));
    }
    match file.aggregation.as_deref() {
        Some("mean") => Ok(()),
        Some(other) => Err(ParseError::Unsupported(format!("aggregation {:?}", clip(other)))),
        None => Err(member("aggregation", "missing".to_owned())),
    }
}

impl File {
    fn objective(&self) -> String {
        let name = self.objective.as_deref().or(self.aggregation.as_deref()).unwrap_or("linear");
        name.chars().take(MAX_OBJECTIVE).collect()
    }

    fn aggregation(&self, n_outputs: usize) -> Result<Aggregation, ParseError> {
        match (self.aggregation.as_deref(), &self.start) {
            (Some("mean"), None) => Ok(Aggregation::Mean),
            (Some("mean"), Some(_)) => Err(member("start", "a mean starts from zero".to_owned())),
            (Some("sum"), None) => Ok(Aggregation::sum_f64(n_outputs, false)),
            (Some("sum"), Some(start)) => {
                check_numbers("start", start, n_outputs)?;
                let (start, bias) = (start.clone(), Vec::new());
                Ok(Aggregation::SumF64 { start, scale: 1.0, bias, averaged: false })
            }
            (Some(other), _) => Err(ParseError::Unsupported(format!("aggregation {:?}", clip(other)))),
            (None, _) => Err(member("aggregation", "missing".to_owned())),
        }
    }

    fn link(&self, n_outputs: usize) -> Result<Link, ParseError> {
        let positive = |name: &str, value: f64| match value.is_finite() && value > 0.0 {
            true => Ok(value),
            false => Err(member("link", format!("{name} is {value}, must be above zero"))),
        };
        let link = match self.link {
            None if self.version == 1 => Link::Probability,
            None => return Err(member("link", "missing".to_owned())),
            Some(FileLink::Identity) => Link::Identity,
            Some(FileLink::Probability) => Link::Probability,
            Some(FileLink::Logistic { slope }) => Link::Logistic { slope: positive("slope", slope)? },
            Some(FileLink::Softmax) => Link::Softmax,
            Some(FileLink::OneVersusRest) => Link::OneVersusRest,
            Some(FileLink::Exp) => Link::Exp,
            Some(FileLink::PathLength { normal }) => Link::PathLength { normal: positive("normal", normal)? },
        };
        match (link, n_outputs) {
            (Link::Softmax | Link::OneVersusRest, 1) => {
                Err(member("link", "over classes, but there is one output".to_owned()))
            }
            _ => Ok(link),
        }
    }
}

impl FileLinear {
    fn check(
        &self,
        n_features: usize,
        n_outputs: usize,
    ) -> Result<(Option<Linear>, Aggregation), ParseError> {
        check_numbers("linear.weights", &self.weights, n_features.saturating_mul(n_outputs))?;
        check_numbers("linear.start", &self.start, n_outputs)?;
        let linear = Linear { weights: self.weights.clone(), start: self.start.clone(), single: self.single };
        let aggregation = if self.single {
            let base = vec![0.0; n_outputs];
            Aggregation::SumF32 { base, tree_weights: None, base_last: false, mean: false }
        } else {
            Aggregation::sum_f64(n_outputs, false)
        };
        Ok((Some(linear), aggregation))
    }
}

fn check_numbers(name: &'static str, values: &[f64], expected: usize) -> Result<(), ParseError> {
    if values.len() != expected {
        return Err(member(name, format!("{} values, expected {expected}", values.len())));
    }
    match values.iter().find(|v| !v.is_finite()) {
        Some(value) => Err(member(name, format!("a value is {value}"))),
        None => Ok(()),
    }
}

fn push_trees(forest: &mut Forest, trees: &[Tree]) -> Result<(), ParseError> {
    check_trees(trees.len())?;
    let vectors = !trees[0].values.is_empty();
    if forest.n_outputs > 1 && !vectors && matches!(forest.aggregation, Aggregation::Mean) {
        return Err(member(
            "aggregation",
            "a mean of several outputs, but leaves are not vectors".to_owned(),
        ));
    }
    let mut raw = Vec::new();
    for (index, tree) in trees.iter().enumerate() {
        tree.check_lengths(index, vectors)?;
        match (forest.n_outputs, vectors, tree.output) {
            (1, _, None) | (_, true, None) => {}
            (n, false, Some(output)) if output < n => forest.tree_outputs.push(output as u16),
            (n, ..) => {
                let reason = format!("{:?} in tree {index}, of {n} outputs", tree.output);
                return Err(member("output", reason));
            }
        }
        push_tree(forest, &mut raw, index, tree)?;
    }
    if forest.n_outputs == 1 {
        forest.tree_outputs = Vec::new();
    }
    forest.trees.drop_partial_covers();
    Ok(())
}

impl Tree {
    fn check_lengths(&self, tree: usize, vectors: bool) -> Result<(), ParseError> {
        let expected = self.children_left.len();
        let or = |len: usize, absent: bool| if absent { expected } else { len };
        let n_values = if vectors { self.values.len() } else { self.value.len() };
        let n_others = if vectors { self.value.len() } else { self.values.len() };
        if n_values == 0 || n_others > 0 {
            let reason = format!(
                "tree {tree} has {n_values} values of the kind that tree 0 has, and {n_others} others"
            );
            return Err(member("value", reason));
        }
        let lengths = [
            ("children_right", self.children_right.len()),
            ("feature", self.feature.len()),
            ("threshold", self.threshold.len()),
            ("missing_go_to_left", self.missing_go_to_left.len()),
            ("value", or(self.value.len(), vectors)),
            // Optional: contributions need it, predictions do not.
            ("cover", or(self.cover.len(), self.cover.is_empty())),
            ("category_set", or(self.category_set.len(), self.category_set.is_empty())),
        ];
        match lengths.into_iter().find(|l| l.1 != expected) {
            Some((array, len)) => Err(ParseError::Length { tree, array, len, expected }),
            None => Ok(()),
        }
    }
}

fn push_tree(
    forest: &mut Forest,
    raw: &mut Vec<RawNode>,
    index: usize,
    tree: &Tree,
) -> Result<(), ParseError> {
    let n_leaves = tree.children_left.iter().zip(&tree.children_right).filter(|c| is_leaf(*c)).count();
    let expected = n_leaves * forest.n_outputs;
    if !tree.values.is_empty() && tree.values.len() != expected {
        return Err(ParseError::Length { tree: index, array: "values", len: tree.values.len(), expected });
    }
    let first_set = forest.trees.sets.len() as u32;
    for set in &tree.category_sets {
        forest.trees.push_set(set.iter().copied(), MAX_CATEGORY).map_err(|reason| ParseError::Tree {
            tree: index,
            node: 0,
            fault: TreeFault::Categories(reason),
        })?;
    }
    let mut vectors = tree.values.chunks_exact(forest.n_outputs);
    raw.clear();
    for node in 0..tree.children_left.len() {
        let made = match is_leaf((&tree.children_left[node], &tree.children_right[node])) {
            true => leaf(forest, tree, node, vectors.next()),
            false => split(tree, node, first_set),
        };
        raw.push(made.map_err(|fault| ParseError::Tree { tree: index, node, fault })?);
    }
    forest.trees.push_tree(raw, &tree.cover, forest.n_features, 0)
}

fn is_leaf((left, right): (&i32, &i32)) -> bool {
    *left == -1 && *right == -1
}

fn leaf(forest: &mut Forest, tree: &Tree, node: usize, vector: Option<&[f64]>) -> Result<RawNode, TreeFault> {
    let id = node as u32;
    let bounded = forest.link == Link::Probability;
    let value = tree.value.get(node);
    if let Some(&value) =
        vector.unwrap_or_default().iter().chain(value).find(|v| !(0.0..=MAX_LEAF).contains(*v))
        && bounded
    {
        return Err(TreeFault::Value { what: "probability of a leaf", value });
    }
    match (vector, value) {
        (Some(vector), _) => Ok(RawNode::Vector { at: forest.trees.push_vector(vector)?, id }),
        (None, Some(&value)) => Ok(RawNode::Leaf { value, id }),
        (None, None) => Err(TreeFault::Empty),
    }
}

fn split(tree: &Tree, node: usize, first_set: u32) -> Result<RawNode, TreeFault> {
    let (left, right) = (i64::from(tree.children_left[node]), i64::from(tree.children_right[node]));
    let feature = i64::from(tree.feature[node]);
    let missing_left = match tree.missing_go_to_left[node] {
        0 => false,
        1 => true,
        other => return Err(TreeFault::Value { what: "missing_go_to_left", value: f64::from(other) }),
    };
    match tree.category_set.get(node).copied().unwrap_or(-1) {
        -1 => {
            let missing = if missing_left { Missing::Left } else { Missing::Right };
            let threshold = less_than_for_at_most(tree.threshold[node].unwrap_or(f64::INFINITY))?;
            Ok(RawNode::Numeric { feature, missing, threshold, left, right })
        }
        number => {
            let rule = if missing_left { CategoryRule::MemberRight } else { CategoryRule::MemberLeft };
            let sets = tree.category_sets.len();
            let set = u32::try_from(number).ok().filter(|&n| (n as usize) < sets);
            let set = set.ok_or_else(|| TreeFault::Categories(format!("number {number} of {sets}")))?;
            Ok(RawNode::Categorical { feature, rule, set: first_set + set, left, right })
        }
    }
}
