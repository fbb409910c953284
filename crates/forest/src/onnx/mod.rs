//! ONNX models: a chain from one input of rows through `Scaler`, `Normalizer`, and `Mul`, `Add` and `Sub` of
//! constants to one of the operators for trees or linear models, whose scores are an output of the graph.
//!
//! Outputs: a classifier of two classes has one, of the second class, unless the classes' scores meet in a
//! softmax; else there is one per class or target. Classes' names and labels are not read.
//!
//! What is followed is onnxruntime where the specification leaves room: the score of two classes with one
//! weight a leaf, and base values of classifiers. Where it does otherwise than the specification says, the
//! model is refused by name; but for sets of categories with members above 30, with which onnxruntime
//! compares a value's whole part, here the value. Of models of doubles the link functions are computed in
//! `f64`, where onnxruntime rounds to `f32` first. Refused are all other operators, `PROBIT`, `MIN` and
//! `MAX`, and equality with what is not a whole number.
//!
//! Source: `onnx.proto` and the operators of ai.onnx.ml 1 to 5; onnxruntime `core/providers/cpu/ml`.

mod chains;
mod ensemble;
mod graph;
mod linear;
mod proto;
mod trees;
mod trees5;

use std::collections::{HashMap, HashSet};

use crate::engine::Prepared;
use crate::error::ParseError;
use crate::forest::{Aggregation, Forest, check_features, check_outputs};
use crate::input::{InputStep, Norm};
use crate::link::Link;
use crate::tree::Nodes;
use ensemble::{Ensemble, Part};
use graph::{DOUBLE, FLOAT, Graph, Node, Reals};
use proto::Message;

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
    steps: Vec<InputStep>,
    /// Scores are divided by their sum.
    normalized: bool,
    constants: &'a HashMap<&'a str, Message<'a>>,
    /// Constants, labels, and what is made from nothing else.
    others: HashSet<&'a str>,
}

impl<'a> Chain<'a> {
    fn new(graph: &'a Graph<'a>, input: &'a str) -> Self {
        let constants = &graph.constants;
        let others = constants.keys().copied().collect();
        Self { rows: input, scores: "", model: None, steps: Vec::new(), normalized: false, constants, others }
    }

    fn step(&mut self, node: &'a Node<'a>) -> Result<(), ParseError> {
        if node.inputs.iter().all(|input| self.others.contains(input)) {
            self.others.extend(&node.outputs);
            return Ok(());
        }
        let name = match node.domain {
            "" => node.operator.to_owned(),
            domain => format!("{domain}.{}", node.operator),
        };
        let current = if self.model.is_some() { self.scores } else { self.rows };
        let constant = match *node.inputs.as_slice() {
            [only] if only == current => None,
            [first, second] if first == current => self.constants.get_key_value(second),
            [first, second] if second == current && name != "Sub" => self.constants.get_key_value(first),
            _ => return Err(unsupported(format!("onnx operator {name} beside the chain"))),
        };
        match (constant, node.inputs.len()) {
            (Some(_), _) if !["Mul", "Add", "Sub"].contains(&name.as_str()) => {
                return Err(unsupported(format!("onnx operator {name}")));
            }
            (Some((of, message)), _) => self.arithmetic(&name, &graph::constant(of, *message)?)?,
            (None, 1) if self.model.is_some() => self.behind(node, &name)?,
            (None, 1) => return self.before(node, &name),
            (None, _) => return Err(unsupported(format!("onnx operator {name} beside the chain"))),
        }
        let first = node.outputs.first().copied().unwrap_or_default();
        *(if self.model.is_some() { &mut self.scores } else { &mut self.rows }) = first;
        Ok(())
    }

    /// `Mul`, `Add` or `Sub` of rows and a constant; scores are multiplied with 1 only (LightGBM's
    /// converter).
    fn arithmetic(&mut self, name: &str, constant: &Reals) -> Result<(), ParseError> {
        if self.model.is_some() {
            return match name == "Mul" && constant.iter().all(|value| value == 1.0) {
                true => Ok(()),
                false => Err(unsupported(format!("onnx operator {name} behind the model"))),
            };
        }
        let Reals::Single(values) = constant else {
            return Err(unsupported(format!("onnx operator {name} of doubles")));
        };
        // x - 0 and x * 1 are x.
        let (offset, scale) = match name {
            "Mul" => (vec![0.0], values.clone()),
            "Add" => (values.iter().map(|value| -value).collect(), vec![1.0]),
            _ => (values.clone(), vec![1.0]),
        };
        self.steps.push(InputStep::Scale { offset, scale });
        Ok(())
    }

    /// An operator that takes the scores.
    fn behind(&mut self, node: &Node<'_>, name: &str) -> Result<(), ParseError> {
        match name {
            "Identity" | "ai.onnx.ml.ZipMap" => Ok(()),
            "Cast" if is_float(node)? => Ok(()),
            "ai.onnx.ml.Normalizer" if node.text("norm", "MAX")? == "L1" && !self.normalized => {
                self.normalized = true;
                Ok(())
            }
            _ => Err(unsupported(format!("onnx operator {name} behind the model"))),
        }
    }

    /// An operator that takes the rows.
    fn before(&mut self, node: &'a Node<'a>, name: &str) -> Result<(), ParseError> {
        let output = |i: usize| node.outputs.get(i).copied().unwrap_or_default();
        match name {
            "Identity" => self.rows = output(0),
            "Cast" if is_float(node)? => self.rows = output(0),
            "ai.onnx.ml.Scaler" | "ai.onnx.ml.Normalizer" => {
                self.steps.push(input_step(node)?);
                self.rows = output(0);
            }
            "ai.onnx.ml.TreeEnsembleClassifier" | "ai.onnx.ml.LinearClassifier" => {
                self.model = Some(node);
                self.others.insert(output(0));
                self.scores = output(1);
            }
            "ai.onnx.ml.TreeEnsembleRegressor" | "ai.onnx.ml.TreeEnsemble" | "ai.onnx.ml.LinearRegressor" => {
                self.model = Some(node);
                self.scores = output(0);
            }
            _ => return Err(unsupported(format!("onnx operator {name}"))),
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
    steps: Vec<InputStep>,
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
    steps.iter().try_for_each(|step| check_step(step, forest.n_features))?;
    forest.input = steps;
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
        Part::Leaf { .. } | Part::Merged => 0,
    });
    let n = declared.unwrap_or_else(|| greatest.max().unwrap_or(0).saturating_add(1));
    check_features("input", n, None)
}

fn linear_features(model: &Node<'_>, declared: Option<i64>, n_outputs: usize) -> Result<usize, ParseError> {
    let inferred = model.floats("coefficients")?.len() / n_outputs;
    check_features("input", declared.unwrap_or(inferred as i64), None)
}

fn input_step(node: &Node<'_>) -> Result<InputStep, ParseError> {
    if node.operator == "Scaler" {
        return Ok(InputStep::Scale { offset: node.floats("offset")?, scale: node.floats("scale")? });
    }
    Ok(InputStep::Normalize(match node.text("norm", "MAX")? {
        "MAX" => Norm::Max,
        "L1" => Norm::L1,
        "L2" => Norm::L2,
        other => return Err(unsupported(format!("onnx norm {other:?}"))),
    }))
}

fn check_step(step: &InputStep, n_features: usize) -> Result<(), ParseError> {
    let InputStep::Scale { offset, scale } = step else { return Ok(()) };
    for (member, values) in [("offset", offset), ("scale", scale)] {
        if ![1, n_features].contains(&values.len()) {
            let reason = format!("{} values for {n_features} features", values.len());
            return Err(ParseError::Member { member, reason });
        }
        if let Some(value) = values.iter().find(|v| !v.is_finite()) {
            return Err(ParseError::Member { member, reason: format!("a value is {value}") });
        }
    }
    Ok(())
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
        let name = match node.integer("post_transform", 0)? {
            0 => "NONE",
            3 => "SOFTMAX_ZERO",
            // The specification's 1 is SOFTMAX and 2 LOGISTIC; onnxruntime (1.32) has it the other way.
            other => return Err(unsupported(format!("onnx post_transform {other} of TreeEnsemble"))),
        };
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
        two_classes(&mut ensemble, link)?;
        if ensemble.n_outputs == 1 && link != (Link::Logistic { slope: 1.0 }) {
            link = Link::Identity;
        }
    }
    if link == Link::Identity && ensemble.is_probability() {
        link = Link::Probability;
    }
    Ok((ensemble, link))
}

/// onnxruntime's rules for two classes (`TreeAggregatorClassifier`): when all weights are for the first
/// class, there is one score, of the second class, to which no softmax is applied.
fn two_classes(ensemble: &mut Ensemble, link: Link) -> Result<(), ParseError> {
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
