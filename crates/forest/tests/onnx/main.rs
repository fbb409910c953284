//! ONNX models written field by field: what they answer, what is refused, and with which words.

#![cfg(feature = "onnx")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use tribunal_forest::{Forest, Format, Link, PredictError};

const FLOAT: u64 = 1;
const DOUBLE: u64 = 11;

/// A message in the wire format of protocol buffers.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn integer(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    fn floats(self, field: u64, values: &[f32]) -> Self {
        self.bytes(field, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    }
}

#[derive(Clone)]
enum Value {
    I(i64),
    S(&'static str),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Strings(Vec<&'static str>),
    Tensor(Vec<f32>),
    Doubles(Vec<f64>),
    Bytes(Vec<u8>),
}

use Value::{Bytes, Doubles, Floats, I, Ints, S, Strings, Tensor};

/// A node: operator, inputs, outputs, attributes.
#[derive(Clone)]
struct Node(&'static str, Vec<&'static str>, Vec<&'static str>, Vec<(&'static str, Value)>);

impl Node {
    /// With an attribute added, or replaced.
    fn with(mut self, name: &'static str, value: Value) -> Self {
        self.3.retain(|attribute| attribute.0 != name);
        self.3.push((name, value));
        self
    }

    fn without(mut self, name: &'static str) -> Self {
        self.3.retain(|attribute| attribute.0 != name);
        self
    }

    fn written(&self) -> Message {
        let mut node = Message::default();
        for input in &self.1 {
            node = node.text(1, input);
        }
        for output in &self.2 {
            node = node.text(2, output);
        }
        node = node.text(4, self.0);
        for (name, value) in &self.3 {
            node = node.message(5, &attribute(name, value));
        }
        let core = ["Identity", "Cast", "Mul", "Add", "Sub", "Gather"];
        if core.contains(&self.0) { node } else { node.text(7, "ai.onnx.ml") }
    }
}

fn attribute(name: &str, value: &Value) -> Message {
    let attribute = Message::default().text(1, name);
    let tensor = |element: u64, raw: Vec<u8>| Message::default().integer(2, element).bytes(9, &raw);
    match value {
        I(value) => attribute.integer(3, *value as u64),
        S(text) => attribute.text(4, text),
        Ints(values) => values.iter().fold(attribute, |a, &v| a.integer(8, v as u64)),
        Floats(values) => attribute.floats(7, values),
        Strings(values) => values.iter().fold(attribute, |a, v| a.text(9, v)),
        Tensor(values) => {
            attribute.message(5, &tensor(FLOAT, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        }
        Doubles(values) => {
            attribute.message(5, &tensor(DOUBLE, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
        }
        Bytes(values) => attribute.message(5, &tensor(2, values.clone())),
    }
}

/// A model whose rows have two features.
fn model(nodes: &[Node], outputs: &[&str]) -> Vec<u8> {
    model_of(nodes, outputs, &[], FLOAT, 3)
}

fn model_of(
    nodes: &[Node],
    outputs: &[&str],
    constants: &[(&str, &[f32])],
    element: u64,
    version: u64,
) -> Vec<u8> {
    let mut graph = Message::default();
    for node in nodes {
        graph = graph.message(1, &node.written());
    }
    for (name, values) in constants {
        graph = graph.message(5, &Message::default().integer(2, FLOAT).floats(4, values).text(8, name));
    }
    let length = |n: u64| Message::default().integer(1, n);
    let shape = Message::default().message(1, &Message::default().text(2, "n")).message(1, &length(2));
    let kind = Message::default().message(1, &Message::default().integer(1, element).message(2, &shape));
    graph = graph.message(11, &Message::default().text(1, "x").message(2, &kind));
    for output in outputs {
        graph = graph.message(12, &Message::default().text(1, output));
    }
    let opset = Message::default().text(1, "ai.onnx.ml").integer(2, version);
    Message::default().integer(1, 8).message(7, &graph).message(8, &opset).0
}

/// `x[0] <= 0.5 ? -1 : (x[1] < 2 ? 2 : 4)`, with `NaN` going to the true branch of the first split.
fn trees(operator: &'static str, outputs: &[&'static str], names: [&'static str; 4]) -> Node {
    let [trees, nodes, ids, weights] = names;
    let attributes = vec![
        ("nodes_treeids", Ints(vec![7, 7, 7, 7, 7])),
        ("nodes_nodeids", Ints(vec![0, 1, 2, 3, 4])),
        ("nodes_featureids", Ints(vec![0, 0, 1, 0, 0])),
        ("nodes_modes", Strings(vec!["BRANCH_LEQ", "LEAF", "BRANCH_LT", "LEAF", "LEAF"])),
        ("nodes_values", Floats(vec![0.5, 0.0, 2.0, 0.0, 0.0])),
        ("nodes_truenodeids", Ints(vec![1, 0, 3, 0, 0])),
        ("nodes_falsenodeids", Ints(vec![2, 0, 4, 0, 0])),
        ("nodes_missing_value_tracks_true", Ints(vec![1, 0, 0, 0, 0])),
        (trees, Ints(vec![7, 7, 7])),
        (nodes, Ints(vec![1, 3, 4])),
        (ids, Ints(vec![0, 0, 0])),
        (weights, Floats(vec![-1.0, 2.0, 4.0])),
    ];
    Node(operator, vec!["x"], outputs.to_vec(), attributes)
}

fn regressor() -> Node {
    let names = ["target_treeids", "target_nodeids", "target_ids", "target_weights"];
    trees("TreeEnsembleRegressor", &["y"], names).with("n_targets", I(1))
}

fn classifier() -> Node {
    let names = ["class_treeids", "class_nodeids", "class_ids", "class_weights"];
    trees("TreeEnsembleClassifier", &["label", "y"], names).with("classlabels_int64s", Ints(vec![0, 1]))
}

/// The same tree in ai.onnx.ml 5, but the second split is `x[1] in {2, 40} ? 2 : 4`.
fn ensemble() -> Node {
    let attributes = vec![
        ("tree_roots", Ints(vec![0])),
        ("n_targets", I(1)),
        ("nodes_featureids", Ints(vec![0, 1])),
        ("nodes_modes", Bytes(vec![0, 6])),
        ("nodes_splits", Tensor(vec![0.5, 0.0])),
        ("membership_values", Tensor(vec![2.0, 40.0, f32::NAN])),
        ("nodes_truenodeids", Ints(vec![0, 1])),
        ("nodes_trueleafs", Ints(vec![1, 1])),
        ("nodes_falsenodeids", Ints(vec![1, 2])),
        ("nodes_falseleafs", Ints(vec![0, 1])),
        ("nodes_missing_value_tracks_true", Ints(vec![1, 0])),
        ("leaf_targetids", Ints(vec![0, 0, 0])),
        ("leaf_weights", Tensor(vec![-1.0, 2.0, 4.0])),
    ];
    Node("TreeEnsemble", vec!["x"], vec!["y"], attributes)
}

fn linear(rows: usize, transform: &'static str) -> Node {
    Node(
        "LinearClassifier",
        vec!["x"],
        vec!["label", "y"],
        vec![
            ("coefficients", Floats([1.0, 2.0, -1.0, 0.5, 3.0, 1.0][..2 * rows].to_vec())),
            ("intercepts", Floats([0.5, -0.5, 0.25][..rows].to_vec())),
            ("classlabels_ints", Ints((0..rows.max(2) as i64).collect())),
            ("post_transform", S(transform)),
        ],
    )
}

fn read(bytes: &[u8]) -> Forest {
    assert_eq!(Format::detect(bytes), Some(Format::Onnx));
    Forest::parse(bytes, Format::Onnx).unwrap()
}

fn margins(forest: &Forest, rows: &[f32]) -> Vec<f64> {
    let mut out = Vec::new();
    forest.margins(rows, &mut out).unwrap();
    out
}

fn probabilities(forest: &Forest, rows: &[f32]) -> Vec<f64> {
    let mut out = Vec::new();
    forest.probabilities(rows, &mut out).unwrap();
    out
}

fn refusal(bytes: &[u8]) -> String {
    Forest::parse(bytes, Format::Onnx).expect_err("must be refused").to_string()
}

const ROWS: [f32; 10] = [0.5, 9.0, 0.6, 1.9, 0.6, 2.0, f32::NAN, 0.0, 1.0, f32::NAN];

#[test]
fn small_trees_answer_as_written() {
    let forest = read(&model(&[regressor()], &["y"]));
    assert_eq!(margins(&forest, &ROWS), [-1.0, 2.0, 4.0, -1.0, 4.0]);
    let shape = (forest.n_features(), forest.n_trees(), forest.n_nodes(), forest.max_depth());
    assert_eq!(shape, (2, 1, 5, 2));
    assert_eq!((forest.objective(), forest.link()), ("TreeEnsembleRegressor", Link::Identity));
    assert_eq!(forest.contributions(&[0.0; 2]), Err(PredictError::NoCovers));
    let mut leaves = Vec::new();
    forest.leaves(&ROWS, &mut leaves).unwrap();
    assert_eq!(leaves, [1, 3, 4, 1, 4]);

    let based = regressor().with("base_values", Floats(vec![0.25]));
    assert_eq!(margins(&read(&model(&[based], &["y"])), &ROWS), [-0.75, 2.25, 4.25, -0.75, 4.25]);
    let double = regressor()
        .without("nodes_values")
        .with("nodes_values_as_tensor", Doubles(vec![0.5, 0.0, 2.0, 0.0, 0.0]))
        .without("target_weights")
        .with("target_weights_as_tensor", Doubles(vec![-1.0, 0.1, 4.0]));
    assert_eq!(margins(&read(&model(&[double], &["y"])), &ROWS), [-1.0, 0.1, 4.0, -1.0, 4.0]);
}

#[test]
fn numbers_of_nodes_are_names() {
    // Numbers that are not positions, and leaves before their parents, but for the root.
    let shuffled = regressor()
        .with("nodes_nodeids", Ints(vec![3, 1, 0, -9, 4]))
        .with("nodes_truenodeids", Ints(vec![1, 0, -9, 0, 0]))
        .with("nodes_falsenodeids", Ints(vec![0, 0, 4, 0, 0]))
        .with("target_nodeids", Ints(vec![1, -9, 4]));
    assert_eq!(margins(&read(&model(&[shuffled], &["y"])), &ROWS), [-1.0, 2.0, 4.0, -1.0, 4.0]);
}

#[test]
fn modes_say_what_the_specification_says() {
    let rows = [0.5, 0.0, 0.5_f32.next_up(), 0.0, 0.5_f32.next_down(), 0.0, f32::NAN, 0.0];
    for (mode, value, tracks, expected) in [
        ("BRANCH_LEQ", 0.5, 0, [1, 0, 1, 0]),
        ("BRANCH_LT", 0.5, 1, [0, 0, 1, 1]),
        ("BRANCH_GTE", 0.5, 0, [1, 1, 0, 0]),
        ("BRANCH_GT", 0.5, 0, [0, 1, 0, 0]),
        ("BRANCH_GT", 0.5, 1, [0, 1, 0, 1]),
        ("BRANCH_EQ", 0.0, 1, [0, 0, 0, 1]),
        ("BRANCH_NEQ", 0.0, 0, [1, 1, 1, 1]),
    ] {
        let node = regressor()
            .with("nodes_modes", Strings(vec![mode, "LEAF", "LEAF"]))
            .with("nodes_treeids", Ints(vec![7; 3]))
            .with("nodes_nodeids", Ints(vec![0, 1, 2]))
            .with("nodes_featureids", Ints(vec![0; 3]))
            .with("nodes_values", Floats(vec![value, 0.0, 0.0]))
            .with("nodes_truenodeids", Ints(vec![1, 0, 0]))
            .with("nodes_falsenodeids", Ints(vec![2, 0, 0]))
            .with("nodes_missing_value_tracks_true", Ints(vec![tracks, 0, 0]))
            .with("target_treeids", Ints(vec![7; 2]))
            .with("target_nodeids", Ints(vec![1, 2]))
            .with("target_ids", Ints(vec![0; 2]))
            .with("target_weights", Floats(vec![1.0, 0.0]));
        let got = margins(&read(&model(&[node], &["y"])), &rows);
        assert_eq!(got, expected.map(f64::from), "{mode}");
    }
}

#[test]
fn sets_compare_the_value_itself() {
    let forest = read(&model_of(&[ensemble()], &["y"], &[], FLOAT, 5));
    let rows: Vec<f32> = [2.0, 40.0, 2.5, 39.0, -2.0, 0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30]
        .into_iter()
        .flat_map(|x| [1.0, x])
        .collect();
    assert_eq!(margins(&forest, &rows), [2.0, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]);
    assert_eq!(margins(&forest, &[f32::NAN, 2.0]), [-1.0]);
}

#[test]
fn a_chain_of_equalities_is_a_set() {
    // x[0] == 1 ? A : (x[0] == 5 ? A : (x[0] == 9 ? A : (x[1] == 5 ? A' : B)))
    let node = regressor()
        .with("nodes_treeids", Ints(vec![7; 7]))
        .with("nodes_nodeids", Ints((0..7).collect()))
        .with(
            "nodes_modes",
            Strings(vec!["BRANCH_EQ", "LEAF", "BRANCH_EQ", "BRANCH_EQ", "BRANCH_EQ", "LEAF", "LEAF"]),
        )
        .with("nodes_featureids", Ints(vec![0, 0, 0, 0, 1, 0, 0]))
        .with("nodes_values", Floats(vec![1.0, 0.0, 5.0, 9.0, 5.0, 0.0, 0.0]))
        .with("nodes_truenodeids", Ints(vec![1, 0, 1, 1, 5, 0, 0]))
        .with("nodes_falsenodeids", Ints(vec![2, 0, 3, 4, 6, 0, 0]))
        .with("nodes_missing_value_tracks_true", Ints(vec![0, 0, 1, 0, 0, 0, 0]))
        .with("target_nodeids", Ints(vec![1, 5, 6]));
    let forest = read(&model(std::slice::from_ref(&node), &["y"]));
    assert_eq!(forest.n_nodes(), 5);
    let rows = [1.0, 0.0, 5.0, 0.0, 9.0, 0.0, 3.0, 0.0, 3.0, 5.0, f32::NAN, 0.0];
    assert_eq!(margins(&forest, &rows), [-1.0, -1.0, -1.0, 4.0, 2.0, -1.0]);
    // Another feature in the middle does not go on with the chain: its leaf has two parents.
    let broken = node.with("nodes_featureids", Ints(vec![0, 0, 1, 0, 1, 0, 0]));
    assert!(refusal(&model(&[broken], &["y"])).contains("tree 0, node 1: reached twice"));
}

#[test]
fn two_classes_have_one_probability() {
    let bare = read(&model(&[classifier()], &["label", "y"]));
    assert_eq!((bare.n_outputs(), bare.link()), (1, Link::Identity));
    let logistic = read(&model(&[classifier().with("post_transform", S("LOGISTIC"))], &["label", "y"]));
    assert_eq!((logistic.n_outputs(), logistic.link()), (1, Link::Logistic { slope: 1.0 }));
    assert!((probabilities(&logistic, &[1.0, 9.0])[0] - 1.0 / (1.0 + (-4.0_f64).exp())).abs() < 1e-7);
    let averaged = classifier().with("class_weights", Floats(vec![0.25, 0.5, 1.0]));
    let averaged = read(&model(&[averaged], &["y"]));
    assert_eq!(averaged.link(), Link::Probability);
    assert_eq!(probabilities(&averaged, &ROWS), [0.25, 0.5, 1.0, 0.25, 1.0]);
    let both = classifier()
        .with("class_treeids", Ints(vec![7; 4]))
        .with("class_nodeids", Ints(vec![1, 1, 3, 4]))
        .with("class_ids", Ints(vec![0, 1, 1, 1]))
        .with("class_weights", Floats(vec![0.75, 0.25, 0.5, 1.0]));
    assert_eq!(
        probabilities(&read(&model(std::slice::from_ref(&both), &["y"])), &ROWS),
        [0.25, 0.5, 1.0, 0.25, 1.0]
    );
    let softmax = read(&model(&[both.with("post_transform", S("SOFTMAX"))], &["y"]));
    assert_eq!((softmax.n_outputs(), softmax.link()), (2, Link::Softmax));
    assert_eq!(margins(&softmax, &ROWS[..4]), [0.75, 0.25, 0.0, 0.5]);
}

#[test]
fn linear_models_answer_as_written() {
    let rows = [1.0, 2.0, f32::NAN, 1.0];
    let one = read(&model(&[linear(1, "LOGISTIC")], &["y"]));
    assert_eq!((one.n_outputs(), one.link()), (1, Link::Logistic { slope: 1.0 }));
    assert_eq!(margins(&one, &rows), [5.5, 2.5]);
    let two = read(&model(&[linear(2, "LOGISTIC")], &["y"]));
    assert_eq!((two.n_outputs(), margins(&two, &rows)), (1, vec![-0.5, 0.0]));
    let three = read(&model(&[linear(3, "SOFTMAX")], &["y"]));
    assert_eq!(margins(&three, &rows[..2]), [5.5, -0.5, 5.25]);
    assert!(three.has_covers());
    let normalizer = Node("Normalizer", vec!["y"], vec!["p"], vec![("norm", S("L1"))]);
    let rest = read(&model(&[linear(3, "LOGISTIC"), normalizer], &["p"]));
    assert_eq!(rest.link(), Link::OneVersusRest);
    assert!((probabilities(&rest, &rows[..2]).iter().sum::<f64>() - 1.0).abs() < 1e-6);
    let regressor =
        Node("LinearRegressor", vec!["x"], vec!["y"], vec![("coefficients", Floats(vec![2.0, 3.0]))]);
    assert_eq!(margins(&read(&model(&[regressor], &["y"])), &rows), [8.0, 3.0]);
}

#[test]
fn what_stands_around_the_model_is_followed() {
    let scaler = Node(
        "Scaler",
        vec!["x"],
        vec!["a"],
        vec![("offset", Floats(vec![1.0, 0.0])), ("scale", Floats(vec![0.5]))],
    );
    let add = Node("Add", vec!["c", "a"], vec!["b"], vec![]);
    let sub = Node("Sub", vec!["b", "d"], vec!["e"], vec![]);
    let cast = Node("Cast", vec!["e"], vec!["f"], vec![("to", I(1))]);
    let mut model_node = classifier();
    model_node.1 = vec!["f"];
    let label = Node("Cast", vec!["label"], vec!["l"], vec![("to", I(7))]);
    let one = Node("Mul", vec!["y", "one"], vec!["z"], vec![]);
    let zip = Node("ZipMap", vec!["z"], vec!["map"], vec![]);
    let nodes = [scaler, add, sub, cast, model_node, label, one, zip];
    let constants: [(&str, &[f32]); 3] = [("c", &[0.25, 0.5]), ("d", &[0.25]), ("one", &[1.0])];
    let forest = read(&model_of(&nodes, &["l", "map"], &constants, FLOAT, 3));
    // (x - 1) / 2 and x / 2 + 0.25, then as ever.
    assert_eq!(margins(&forest, &[2.0, 0.0, 2.5, 3.0, 2.5, 4.0]), [-1.0, 2.0, 4.0]);

    let gather = Node("Gather", vec!["x", "d"], vec!["a"], vec![]);
    for (nodes, expected) in [
        (vec![gather], "onnx operator Gather is not supported"),
        (vec![Node("Scaler", vec!["other"], vec!["a"], vec![])], "ai.onnx.ml.Scaler beside the chain"),
        (
            vec![Node("SVMClassifier", vec!["x"], vec!["a"], vec![])],
            "onnx operator ai.onnx.ml.SVMClassifier is not",
        ),
        (vec![Node("Cast", vec!["x"], vec!["a"], vec![("to", I(7))])], "onnx operator Cast is not"),
        (vec![regressor(), regressor()], "TreeEnsembleRegressor beside the chain"),
        (
            vec![regressor(), Node("Add", vec!["y", "c"], vec!["z"], vec![])],
            "onnx operator Add behind the model",
        ),
        (
            vec![regressor(), Node("Mul", vec!["y", "c"], vec!["z"], vec![])],
            "onnx operator Mul behind the model",
        ),
        (vec![], "onnx graph without an operator for trees"),
        (
            vec![regressor(), Node("Identity", vec!["y"], vec!["z"], vec![])],
            "whose outputs are not the scores",
        ),
    ] {
        let error = refusal(&model_of(&nodes, &["y"], &constants, FLOAT, 3));
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn trees_are_refused_by_name() {
    let cases: Vec<(Node, &str)> = vec![
        (
            regressor().with("aggregate_function", S("MIN")),
            "onnx aggregate_function \"MIN\" is not supported",
        ),
        (regressor().with("post_transform", S("PROBIT")), "onnx post_transform \"PROBIT\" is not supported"),
        (regressor().with("post_transform", S("LOGISTIC")), "post_transform \"LOGISTIC\" of one target"),
        (regressor().with("n_targets", I(5_000)), "5000 outputs, more than the limit 4096"),
        (regressor().with("n_targets", I(-1)), "n_targets: -1"),
        (regressor().with("base_values", Floats(vec![1.0, 2.0])), "base_values: 2 values for 1 outputs"),
        (regressor().with("base_values", Floats(vec![f32::NAN])), "base_values: a value is NaN"),
        (regressor().with("nodes_values_as_tensor", Doubles(vec![0.0])), "beside nodes_values_as_tensor"),
        (regressor().with("nodes_values", Floats(vec![0.5; 4])), "nodes_values: 4 values, expected 5"),
        (
            regressor().with("nodes_values", Floats(vec![f32::NAN, 0.0, 2.0, 0.0, 0.0])),
            "tree 0, node 0: threshold is NaN",
        ),
        (
            regressor().with("nodes_featureids", Ints(vec![0, 0, 2, 0, 0])),
            "splits on feature 2, the model has 2",
        ),
        (regressor().with("nodes_truenodeids", Ints(vec![0, 0, 3, 0, 0])), "tree 0, node 0: reached twice"),
        (regressor().with("nodes_truenodeids", Ints(vec![9, 0, 3, 0, 0])), "child -1 is outside"),
        (regressor().with("nodes_nodeids", Ints(vec![0, 1, 2, 3, 3])), "node 3 of tree 7 is there twice"),
        (regressor().with("nodes_nodeids", Ints(vec![0, 1, 2, 4, 4])), "node 4 of tree 7 is there twice"),
        (regressor().with("nodes_treeids", Ints(vec![7, 7, 8, 7, 7])), "nodes of tree 7 are not together"),
        (regressor().with("target_treeids", Ints(vec![7, 7, 8])), "weights: tree 8 has no leaf 4"),
        (regressor().with("target_nodeids", Ints(vec![1, 3, 2])), "weights: tree 7 has no leaf 2"),
        (regressor().with("target_nodeids", Ints(vec![1, 3, 3])), "a leaf has two weights for output 0"),
        (regressor().with("target_ids", Ints(vec![0, 0, 1])), "outputs: output 1 of 1"),
        (
            regressor().with("target_weights", Floats(vec![1.0, f32::INFINITY, 1.0])),
            "leaf 3 of tree 7 is inf",
        ),
        (
            regressor()
                .with("nodes_modes", Strings(vec!["BRANCH_LEQ", "LEAF", "BRANCH_SIN", "LEAF", "LEAF"])),
            "onnx node mode \"BRANCH_SIN\" is not supported",
        ),
        (
            regressor().with("nodes_modes", Strings(vec!["BRANCH_EQ", "LEAF", "BRANCH_LT", "LEAF", "LEAF"])),
            "tree 0, node 0: set of categories: equality with 0.5, must be whole",
        ),
        (classifier().with("classlabels_int64s", Ints(vec![0])), "onnx classifier of one class"),
        (classifier().with("base_values", Floats(vec![1.0, 2.0])), "two classes with a base value each"),
        (linear(1, "SOFTMAX"), "two classes with one score and post_transform \"SOFTMAX\""),
        (linear(2, "NONE").with("coefficients", Floats(vec![1.0])), "coefficients: 1 values, expected 4"),
        (linear(2, "NONE").with("intercepts", Floats(vec![1.0, f32::NAN])), "intercepts: a value is NaN"),
    ];
    for (node, expected) in cases {
        let error = refusal(&model(&[node], &["y"]));
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn trees_of_version_5_are_refused_by_name() {
    let cases: Vec<(Node, &str)> = vec![
        (ensemble().with("aggregate_function", I(2)), "onnx aggregate_function 2 is not supported"),
        (ensemble().with("post_transform", I(1)), "onnx post_transform 1 of TreeEnsemble is not supported"),
        (ensemble().with("n_targets", I(0)), "n_targets: 0, must be in [1, 4096]"),
        (ensemble().with("tree_roots", Ints(vec![0, 0])), "split 0 is reached twice"),
        (ensemble().with("tree_roots", Ints(vec![2])), "split 2 of 2"),
        (ensemble().with("tree_roots", Ints(vec![])), "the model has no trees"),
        (ensemble().with("nodes_falsenodeids", Ints(vec![0, 2])), "split 0 is reached twice"),
        (ensemble().with("nodes_truenodeids", Ints(vec![0, 3])), "leaf 3 of 3"),
        (ensemble().with("nodes_modes", Bytes(vec![0, 7])), "onnx node mode 7 is not supported"),
        (ensemble().with("nodes_modes", Tensor(vec![0.0, 6.0])), "onnx tensor nodes_modes of element type 1"),
        (ensemble().with("nodes_modes", Bytes(vec![0, 0])), "membership_values: more sets than splits"),
        (ensemble().with("membership_values", Tensor(vec![2.5])), "membership_values: equality with 2.5"),
        (ensemble().with("leaf_weights", Tensor(vec![1.0, f32::NAN, 1.0])), "leaf_weights: leaf 1 is NaN"),
        (ensemble().with("leaf_targetids", Ints(vec![0, 0])), "leaf_weights: 3 values, expected 2"),
        (ensemble().without("nodes_splits"), "nodes_splits: missing"),
    ];
    for (node, expected) in cases {
        let error = refusal(&model_of(&[node], &["y"], &[], FLOAT, 5));
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
    // A tree of a single leaf.
    let leaf = ensemble()
        .with("nodes_modes", Bytes(vec![0, 0]))
        .without("membership_values")
        .with("tree_roots", Ints(vec![0]))
        .with("nodes_truenodeids", Ints(vec![1, 1]))
        .with("nodes_falsenodeids", Ints(vec![1, 2]))
        .with("nodes_falseleafs", Ints(vec![1, 1]));
    assert_eq!(margins(&read(&model_of(&[leaf], &["y"], &[], FLOAT, 5)), &[0.0, 0.0]), [2.0]);
}

#[test]
fn graphs_are_refused_by_name() {
    for (bytes, expected) in [
        (model_of(&[regressor()], &["y"], &[], 7, 3), "onnx input of element type 7 is not supported"),
        (model_of(&[regressor()], &["y"], &[], FLOAT, 6), "ai.onnx.ml version 6 is not supported"),
        (Message::default().integer(1, 8).0, "onnx model is not readable at byte 0: the model has no graph"),
        (
            Message::default().integer(1, 8).message(7, &Message::default()).0,
            "the model imports no operators of ai.onnx.ml",
        ),
        (Message::default().integer(7, 1).0, "byte 0: field 7 is not a message"),
    ] {
        let error = refusal(&bytes);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn what_is_made_to_hurt_is_refused_at_once() {
    let n = 50_000_i64;
    // A chain of splits far deeper than the limit, each with a leaf.
    let deep = regressor()
        .with("nodes_treeids", Ints(vec![0; 2 * n as usize + 1]))
        .with("nodes_nodeids", Ints((0..2 * n + 1).collect()))
        .with("nodes_featureids", Ints(vec![0; 2 * n as usize + 1]))
        .with("nodes_values", Floats(vec![0.0; 2 * n as usize + 1]))
        .with(
            "nodes_modes",
            Strings((0..2 * n + 1).map(|i| if i < n { "BRANCH_LT" } else { "LEAF" }).collect()),
        )
        .with("nodes_truenodeids", Ints((0..2 * n + 1).map(|i| if i < n { i + 1 } else { 0 }).collect()))
        .with("nodes_falsenodeids", Ints((0..2 * n + 1).map(|i| if i < n { i + n + 1 } else { 0 }).collect()))
        .with("nodes_missing_value_tracks_true", Ints(vec![]))
        .with("target_treeids", Ints(vec![]))
        .with("target_nodeids", Ints(vec![]))
        .with("target_ids", Ints(vec![]))
        .with("target_weights", Floats(vec![]));
    // Leaves of a few of many outputs, which would be vectors of all.
    let wide = deep
        .clone()
        .with("nodes_treeids", Ints((0..n).flat_map(|tree| [tree; 2]).collect()))
        .with("nodes_nodeids", Ints((0..n).flat_map(|_| [0, 1]).collect()))
        .with("nodes_featureids", Ints(vec![0; 2 * n as usize]))
        .with("nodes_values", Floats(vec![0.0; 2 * n as usize]))
        .with("nodes_modes", Strings(vec!["LEAF"; 2 * n as usize]))
        .with("nodes_truenodeids", Ints(vec![0; 2 * n as usize]))
        .with("nodes_falsenodeids", Ints(vec![0; 2 * n as usize]))
        .with("n_targets", I(4_096))
        .with("aggregate_function", S("AVERAGE"));
    let long = Message::default().integer(1, 8).0;
    let long = [long, b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec()].concat();
    let sets = ensemble()
        .with("nodes_modes", Bytes(vec![6; 2]))
        .with("membership_values", Tensor(vec![16_777_215.0, f32::NAN, 16_777_216.0]));
    for (bytes, expected) in [
        (model(&[deep], &["y"]), "deeper than the limit 512"),
        (model(&[wide], &["y"]), "409600000 values of leaves, more than the limit"),
        (long, "9223372036854775807 bytes, but 0 are left"),
        (
            model_of(&[sets], &["y"], &[], FLOAT, 5),
            "equality with 16777216, must be whole and in [0, 16777216)",
        ),
        (
            model(&vec![Node("Identity", vec!["x"], vec!["x"], vec![]); 10_001], &["y"]),
            "10001 onnx operators",
        ),
    ] {
        let start = Instant::now();
        let error = refusal(&bytes);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        assert!(start.elapsed() < Duration::from_secs(2), "{expected}: {:?}", start.elapsed());
    }
}
