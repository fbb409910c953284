//! ONNX models: a chain from one input of rows through `Scaler` and `Normalizer` to one of the operators for trees or
//! linear models, whose scores are an output of the graph.
//!
//! Outputs: a classifier of two classes has one, of the second class, unless the classes' scores meet in a softmax; else
//! there is one per class or target. Classes' names and labels are not read.
//!
//! What is followed is onnxruntime where the specification leaves room: the score of two classes with one weight a leaf,
//! and base values of classifiers. Where it does otherwise than the specification says, the model is refused by name.
//! So are all other operators, `PROBIT`, `MIN` and `MAX`, and equality with what is not a whole number.
//!
//! Source: `onnx.proto` and the operators of ai.onnx.ml 1 to 5; onnxruntime `core/providers/cpu/ml`.

mod ensemble;
mod graph;
mod linear;
mod proto;
mod trees;
mod trees5;

use std::collections::HashSet;

use crate::engine::Prepared;
use crate::error::ParseError;
use crate::forest::{Aggregation, Forest, check_features, check_outputs};
use crate::input::{InputStep, Norm};
use crate::link::Link;
use crate::tree::Nodes;
use ensemble::{Ensemble, Part};
use graph::{DOUBLE, FLOAT, Graph, Node};

/// Newest version of ai.onnx.ml that is known.
const MAX_ML_VERSION: i64 = 5;

fn unsupported(what: String) -> ParseError {
    ParseError::Unsupported(what)
}

pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Forest, ParseError> {
    let (graph, version) = graph::read(bytes)?;
    if !(1..=MAX_ML_VERSION).contains(&version) {
        return Err(unsupported(format!("ai.onnx.ml version {version}")));
    }
    let [input] = graph.inputs.as_slice() else {
        return Err(unsupported(format!("onnx graph of {} inputs", graph.inputs.len())));
    };
    if ![FLOAT, DOUBLE].contains(&input.element) {
        return Err(unsupported(format!("onnx input of element type {}", input.element)));
    }
    let mut chain = Chain::new(&graph, input.name);
    for node in &graph.nodes {
        chain.step(node)?;
    }
    let Some(model) = chain.model else {
        return Err(unsupported("onnx graph without an operator for trees or linear models".to_owned()));
    };
    if !graph.outputs.contains(&chain.scores) {
        return Err(unsupported("onnx graph whose outputs are not the scores".to_owned()));
    }
    let declared = match input.shape.as_slice() {
        [_, n] if *n > 0 => Some(*n),
        [_, _] | [] => None,
        other => return Err(unsupported(format!("onnx input of {} dimensions", other.len()))),
    };
    build(model, chain.steps, chain.normalized, declared)
}

/// A walk along the graph: where the rows are, then where the scores are.
struct Chain<'a> {
    /// Name of the rows, or of the scores once there are some.
    rows: &'a str,
    scores: &'a str,
    model: Option<&'a Node<'a>>,
    steps: Vec<&'a Node<'a>>,
    /// Scores are divided by their sum.
    normalized: bool,
    /// Constants, labels, and what is made from nothing else.
    others: HashSet<&'a str>,
}

impl<'a> Chain<'a> {
    fn new(graph: &Graph<'a>, input: &'a str) -> Self {
        let (steps, others) = (Vec::new(), graph.constants.clone());
        Self { rows: input, scores: "", model: None, steps, normalized: false, others }
    }

    fn step(&mut self, node: &'a Node<'a>) -> Result<(), ParseError> {
        if node.inputs.iter().all(|input| self.others.contains(input)) {
            self.others.extend(&node.outputs);
            return Ok(());
        }
        let name = if node.domain.is_empty() {
            node.operator.to_owned()
        } else {
            format!("{}.{}", node.domain, node.operator)
        };
        let current = if self.model.is_some() { self.scores } else { self.rows };
        let first = node.outputs.first().copied().unwrap_or_default();
        if node.inputs.as_slice() != [current] {
            return Err(unsupported(format!("onnx operator {name} beside the chain")));
        }
        match (name.as_str(), self.model.is_some()) {
            ("Identity" | "ai.onnx.ml.ZipMap", true) => self.scores = first,
            ("Cast", true) if is_float(node)? => self.scores = first,
            ("ai.onnx.ml.Normalizer", true) if node.text("norm", "MAX")? == "L1" && !self.normalized => {
                self.normalized = true;
                self.scores = first;
            }
            ("Identity", false) => self.rows = first,
            ("Cast", false) if is_float(node)? => self.rows = first,
            ("ai.onnx.ml.Scaler" | "ai.onnx.ml.Normalizer", false) => {
                self.steps.push(node);
                self.rows = first;
            }
            ("ai.onnx.ml.TreeEnsembleClassifier" | "ai.onnx.ml.LinearClassifier", false) => {
                self.model = Some(node);
                self.others.insert(first);
                self.scores = node.outputs.get(1).copied().unwrap_or_default();
            }
            (
                "ai.onnx.ml.TreeEnsembleRegressor" | "ai.onnx.ml.TreeEnsemble" | "ai.onnx.ml.LinearRegressor",
                false,
            ) => {
                self.model = Some(node);
                self.scores = first;
            }
            (_, false) => return Err(unsupported(format!("onnx operator {name}"))),
            (_, true) => return Err(unsupported(format!("onnx operator {name} behind the model"))),
        }
        Ok(())
    }
}

/// Whether a `Cast` gives real numbers.
fn is_float(node: &Node<'_>) -> Result<bool, ParseError> {
    Ok([FLOAT, DOUBLE].contains(&node.integer("to", 0)?))
}

fn build(
    model: &Node<'_>,
    steps: Vec<&Node<'_>>,
    normalized: bool,
    declared: Option<i64>,
) -> Result<Forest, ParseError> {
    let mut forest = Forest {
        n_features: 0,
        feature_names: None,
        objective: model.operator.to_owned(),
        n_outputs: 1,
        link: Link::Identity,
        aggregation: Aggregation::Mean,
        input: Vec::new(),
        trees: Nodes::default(),
        tree_outputs: Vec::new(),
        linear: None,
        prepared: Prepared::default(),
    };
    match model.operator {
        "TreeEnsembleClassifier" => {
            let (ensemble, link) = classifier(model)?;
            forest.link = link;
            forest.n_features = n_features(declared, &ensemble)?;
            ensemble.into_forest(&mut forest)?;
        }
        "LinearClassifier" => linear_classifier(model, declared, &mut forest)?,
        "LinearRegressor" => {
            let n_outputs = count("targets", model.integer("targets", 1)?)?;
            forest.link = regression_link(model.text("post_transform", "NONE")?, n_outputs)?;
            forest.n_features = linear_features(model, declared, n_outputs)?;
            linear::into_forest(model, None, n_outputs, &mut forest)?;
        }
        operator => {
            let (ensemble, link) = regressor(model, operator == "TreeEnsemble")?;
            forest.link = link;
            forest.n_features = n_features(declared, &ensemble)?;
            ensemble.into_forest(&mut forest)?;
        }
    }
    forest.link = match (normalized, forest.link) {
        (false, link) => link,
        // Probabilities of a softmax sum to 1 already.
        (true, link @ (Link::Softmax | Link::SoftmaxZero)) => link,
        (true, Link::Logistic { .. }) if forest.n_outputs > 1 => Link::OneVersusRest,
        (true, _) => {
            return Err(unsupported("onnx operator ai.onnx.ml.Normalizer behind the model".to_owned()));
        }
    };
    forest.input =
        steps.into_iter().map(|node| input_step(node, forest.n_features)).collect::<Result<_, _>>()?;
    Ok(forest)
}

fn count(member: &'static str, n: i64) -> Result<usize, ParseError> {
    let n = usize::try_from(n).map_err(|_| ParseError::Member { member, reason: format!("{n}") })?;
    check_outputs(n)?;
    Ok(n)
}

/// As the graph declares, else as many as the trees need.
fn n_features(declared: Option<i64>, ensemble: &Ensemble) -> Result<usize, ParseError> {
    let greatest = ensemble.parts.iter().map(|part| match part {
        Part::Split(split) => split.feature,
        Part::Leaf { .. } => 0,
    });
    let n = declared.unwrap_or_else(|| greatest.max().unwrap_or(0).saturating_add(1));
    check_features("input", n, None)
}

fn linear_features(model: &Node<'_>, declared: Option<i64>, n_outputs: usize) -> Result<usize, ParseError> {
    let inferred = model.floats("coefficients")?.len() / n_outputs;
    check_features("input", declared.unwrap_or(inferred as i64), None)
}

fn input_step(node: &Node<'_>, n_features: usize) -> Result<InputStep, ParseError> {
    if node.operator == "Normalizer" {
        return Ok(InputStep::Normalize(match node.text("norm", "MAX")? {
            "MAX" => Norm::Max,
            "L1" => Norm::L1,
            "L2" => Norm::L2,
            other => return Err(unsupported(format!("onnx norm {other:?}"))),
        }));
    }
    let (offset, scale) = (node.floats("offset")?, node.floats("scale")?);
    for (member, values) in [("offset", &offset), ("scale", &scale)] {
        if ![1, n_features].contains(&values.len()) {
            let reason = format!("{} values for {n_features} features", values.len());
            return Err(ParseError::Member { member, reason });
        }
        if let Some(value) = values.iter().find(|v| !v.is_finite()) {
            return Err(ParseError::Member { member, reason: format!("a value is {value}") });
        }
    }
    Ok(InputStep::Scale { offset, scale })
}

/// The link of several outputs that have a `post_transform`.
fn link(transform: &str) -> Result<Link, ParseError> {
    match transform {
        "NONE" => Ok(Link::Identity),
        "LOGISTIC" => Ok(Link::Logistic { slope: 1.0 }),
        "SOFTMAX" => Ok(Link::Softmax),
        "SOFTMAX_ZERO" => Ok(Link::SoftmaxZero),
        other => Err(unsupported(format!("onnx post_transform {other:?}"))),
    }
}

/// onnxruntime transforms the scores of several targets only.
fn regression_link(transform: &str, n_outputs: usize) -> Result<Link, ParseError> {
    match (link(transform)?, n_outputs) {
        (Link::Identity, _) => Ok(Link::Identity),
        (_, 1) => Err(unsupported(format!("onnx post_transform {transform:?} of one target"))),
        (link, _) => Ok(link),
    }
}

fn regressor(node: &Node<'_>, is_version_5: bool) -> Result<(Ensemble, Link), ParseError> {
    if is_version_5 {
        let ensemble = trees5::read(node)?;
        let number = node.integer("post_transform", 0)?;
        let names = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"];
        let name = usize::try_from(number).ok().and_then(|i| names.get(i)).copied();
        let name = name.ok_or_else(|| unsupported(format!("onnx post_transform {number}")))?;
        let link = regression_link(name, ensemble.n_outputs)?;
        return Ok((ensemble, link));
    }
    let n_outputs = count("n_targets", node.integer("n_targets", 1)?)?;
    let ensemble = trees::read(node, "target", n_outputs)?;
    Ok((ensemble, regression_link(node.text("post_transform", "NONE")?, n_outputs)?))
}

/// Number of a classifier's classes.
fn classes(node: &Node<'_>, integers: &str) -> Result<usize, ParseError> {
    let mut n = node.integers(integers)?.len();
    node.each_text("classlabels_strings", |_| {
        n += 1;
        Ok(())
    })?;
    check_outputs(n)?;
    match n {
        1 => Err(unsupported("onnx classifier of one class".to_owned())),
        n => Ok(n),
    }
}

fn classifier(node: &Node<'_>) -> Result<(Ensemble, Link), ParseError> {
    let n_classes = classes(node, "classlabels_int64s")?;
    let transform = node.text("post_transform", "NONE")?;
    let mut link = link(transform)?;
    let mut ensemble = trees::read(node, "class", n_classes)?;
    if n_classes == 2 {
        two_classes(&mut ensemble, link, transform)?;
        if ensemble.n_outputs == 1 && link != (Link::Logistic { slope: 1.0 }) {
            link = Link::Identity;
        }
    }
    if link == Link::Identity && ensemble.is_probability() {
        link = Link::Probability;
    }
    Ok((ensemble, link))
}

/// onnxruntime's rules for two classes (`TreeAggregatorClassifier`): when all weights are for the first class, there
/// is one score, of the second class.
fn two_classes(ensemble: &mut Ensemble, link: Link, transform: &str) -> Result<(), ParseError> {
    if ensemble.base.len() > 1 {
        return Err(unsupported("onnx classifier of two classes with a base value each".to_owned()));
    }
    let is_softmax = matches!(link, Link::Softmax | Link::SoftmaxZero);
    if ensemble.weights.iter().any(|weight| weight.output == 1) {
        // The base value is the first class's.
        match is_softmax {
            true if !ensemble.base.is_empty() => ensemble.base.push(0.0),
            true => {}
            false => {
                ensemble.base.clear();
                ensemble.keep(1);
            }
        }
        return Ok(());
    }
    let is_logistic = matches!(link, Link::Logistic { .. });
    if !is_logistic && ensemble.weights.iter().any(|weight| weight.value < 0.0) {
        let what = "onnx classifier of two classes with one score, which may be negative";
        return Err(unsupported(format!("{what}, and post_transform {transform:?}")));
    }
    ensemble.keep(0);
    Ok(())
}

fn linear_classifier(node: &Node<'_>, declared: Option<i64>, forest: &mut Forest) -> Result<(), ParseError> {
    let n_classes = classes(node, "classlabels_ints")?;
    let transform = node.text("post_transform", "NONE")?;
    forest.link = link(transform)?;
    let n_rows = node.floats("intercepts")?.len();
    let is_softmax = matches!(forest.link, Link::Softmax | Link::SoftmaxZero);
    let (n_outputs, keep) = match (n_classes, n_rows) {
        // One row of weights: of the second class.
        (2, 1) if is_softmax => {
            let what = "onnx classifier of two classes with one score";
            return Err(unsupported(format!("{what} and post_transform {transform:?}")));
        }
        (2, 1) => (1, None),
        (2, _) if !is_softmax => (2, Some(1)),
        (n, _) => (n, None),
    };
    forest.n_features = linear_features(node, declared, n_outputs)?;
    linear::into_forest(node, keep, n_outputs, forest)
}
