//! ONNX models, written field by field.

use tribunal_forest::{Forest, Format};

pub(crate) const FLOAT: u64 = 1;
pub(crate) const DOUBLE: u64 = 11;

/// A message in the wire format of protocol buffers.
#[derive(Clone, Default)]
pub(crate) struct Message(pub(crate) Vec<u8>);

impl Message {
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub(crate) fn integer(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    pub(crate) fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn message(self, field: u64, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    pub(crate) fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub(crate) fn floats(self, field: u64, values: &[f32]) -> Self {
        self.bytes(field, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    }
}

#[derive(Clone)]
pub(crate) enum Value {
    I(i64),
    S(&'static str),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Strings(Vec<&'static str>),
    Tensor(Vec<f32>),
    Doubles(Vec<f64>),
    Bytes(Vec<u8>),
}

pub(crate) use Value::{Bytes, Doubles, Floats, I, Ints, S, Strings, Tensor};

/// A node: operator, inputs, outputs, attributes.
#[derive(Clone)]
pub(crate) struct Node(
    pub(crate) &'static str,
    pub(crate) Vec<&'static str>,
    pub(crate) Vec<&'static str>,
    pub(crate) Vec<(&'static str, Value)>,
);

impl Node {
    /// With an attribute added, or replaced.
    pub(crate) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.3.retain(|attribute| attribute.0 != name);
        self.3.push((name, value));
        self
    }

    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.3.retain(|attribute| attribute.0 != name);
        self
    }

    pub(crate) fn written(&self) -> Message {
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

pub(crate) fn attribute(name: &str, value: &Value) -> Message {
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
pub(crate) fn model(nodes: &[Node], outputs: &[&str]) -> Vec<u8> {
    model_of(nodes, outputs, &[], FLOAT, 3)
}

pub(crate) fn model_of(
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
pub(crate) fn trees(operator: &'static str, outputs: &[&'static str], names: [&'static str; 4]) -> Node {
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

pub(crate) fn regressor() -> Node {
    let names = ["target_treeids", "target_nodeids", "target_ids", "target_weights"];
    trees("TreeEnsembleRegressor", &["y"], names).with("n_targets", I(1))
}

pub(crate) fn classifier() -> Node {
    let names = ["class_treeids", "class_nodeids", "class_ids", "class_weights"];
    trees("TreeEnsembleClassifier", &["label", "y"], names).with("classlabels_int64s", Ints(vec![0, 1]))
}

/// The same tree in ai.onnx.ml 5, but the second split is `x[1] in {2, 40} ? 2 : 4`.
pub(crate) fn ensemble() -> Node {
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

pub(crate) fn linear(rows: usize, transform: &'static str) -> Node {
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

pub(crate) fn read(bytes: &[u8]) -> Forest {
    assert_eq!(Format::detect(bytes), Some(Format::Onnx));
    Forest::parse(bytes, Format::Onnx).unwrap()
}

pub(crate) fn margins(forest: &Forest, rows: &[f32]) -> Vec<f64> {
    let mut out = Vec::new();
    forest.margins(rows, &mut out).unwrap();
    out
}

pub(crate) fn probabilities(forest: &Forest, rows: &[f32]) -> Vec<f64> {
    let mut out = Vec::new();
    forest.probabilities(rows, &mut out).unwrap();
    out
}

pub(crate) fn refusal(bytes: &[u8]) -> String {
    Forest::parse(bytes, Format::Onnx).expect_err("must be refused").to_string()
}
