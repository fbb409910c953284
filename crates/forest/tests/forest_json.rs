//! Version 2 of tribunal-forest-json: what it answers, what is refused, and with which words.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use tribunal_forest::{Forest, Format, Link, PredictError};

/// `f0 <= 0.5 ? -1 : (f1 in {1, 7} ? 2 : 3)`, missing values left and right; started from 0.5.
const SUM: &str = r#"{"format": "tribunal-forest", "version": 2, "n_features": 2, "objective": "log_loss",
    "aggregation": "sum", "start": [0.5], "link": {"name": "logistic"}, "trees": [{
    "children_left": [1, -1, 3, -1, -1], "children_right": [2, -1, 4, -1, -1], "feature": [0, -1, 1, -1, -1],
    "threshold": [0.5, 0, 0, 0, 0], "missing_go_to_left": [1, 0, 0, 0, 0], "value": [0, -1, 0, 2, 3],
    "category_set": [-1, -1, 0, -1, -1], "category_sets": [[1, 7]], "cover": [8, 4, 4, 2, 2]}]}"#;

/// `f0 <= 0.5 ? (0.25, 0.25, 0.5) : (0, 0, 1)`.
const MEAN: &str = r#"{"format": "tribunal-forest", "version": 2, "n_features": 1, "aggregation": "mean",
    "n_outputs": 3, "link": {"name": "probability"}, "trees": [{"children_left": [1, -1, -1],
    "children_right": [2, -1, -1], "feature": [0, -1, -1], "threshold": [0.5, 0, 0],
    "missing_go_to_left": [0, 0, 0], "values": [0.25, 0.25, 0.5, 0, 0, 1]}]}"#;

const LINEAR: &str = r#"{"format": "tribunal-forest", "version": 2, "n_features": 2, "n_outputs": 2,
    "link": {"name": "softmax"}, "linear": {"weights": [1, 2, -1, 0.5], "start": [0.5, 0]}}"#;

fn read(text: &str) -> Forest {
    Forest::parse(text.as_bytes(), Format::TribunalForest).unwrap()
}

fn margins(text: &str, rows: &[f32]) -> Vec<f64> {
    let mut out = Vec::new();
    read(text).margins(rows, &mut out).unwrap();
    out
}

/// The error and its causes.
fn refusal(text: &str) -> String {
    let error = Forest::parse(text.as_bytes(), Format::TribunalForest).expect_err("must be refused");
    let source = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
    format!("{error}{source}")
}

#[test]
fn sums_answer_as_written() {
    let rows: Vec<f32> =
        [7.0, 1.0, 3.5, 1.5, -1.0, f32::NAN, f32::INFINITY].into_iter().flat_map(|x| [1.0, x]).collect();
    assert_eq!(margins(SUM, &rows), [2.5, 2.5, 3.5, 3.5, 3.5, 3.5, 3.5]);
    assert_eq!(margins(SUM, &[f32::NAN, 1.0]), [-0.5]);
    // The set is of what goes right, and all else goes left.
    let other_way = SUM.replace("[1, 0, 0, 0, 0]", "[1, 0, 1, 0, 0]");
    assert_eq!(margins(&other_way, &rows), [3.5, 3.5, 2.5, 2.5, 2.5, 2.5, 2.5]);
    let forest = read(SUM);
    assert_eq!((forest.objective(), forest.link()), ("log_loss", Link::Logistic { slope: 1.0 }));
    let why = forest.contributions(&[1.0, 7.0]).unwrap();
    assert!((why.expected[0] - 1.25).abs() < 1e-12);
    assert!((why.values.iter().sum::<f64>() + why.expected[0] - 2.5).abs() < 1e-12);
}

#[test]
fn vectors_answer_as_written() {
    assert_eq!(margins(MEAN, &[0.5, 0.6, f32::NAN]), [0.25, 0.25, 0.5, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    assert_eq!(read(MEAN).contributions(&[0.0]), Err(PredictError::NoCovers));
    let targets = MEAN.replace("\"probability\"", "\"identity\"").replace("0.25, 0.25, 0.5", "-2.5, 0.25, 7");
    assert_eq!(margins(&targets, &[0.5]), [-2.5, 0.25, 7.0]);
}

#[test]
fn linear_models_answer_as_written() {
    assert_eq!(margins(LINEAR, &[1.0, 2.0, f32::NAN, 1.0]), [-0.5, 3.0, -0.5, 0.5]);
    let why = read(LINEAR).contributions(&[1.0, 2.0]).unwrap();
    assert_eq!((why.values, why.expected), (vec![1.0, -2.0, 2.0, 1.0], vec![0.5, 0.0]));
    let single = LINEAR
        .replace("[0.5, 0]}", "[0.1, 0], \"single\": true}")
        .replace("[1, 2, -1, 0.5]", "[0.1, 2, -1, 0.5]");
    assert_eq!(margins(&single, &[1.0, 0.0])[0], f64::from(0.1_f32 + 0.1_f32));
}

#[test]
fn links_are_read() {
    let linked = |link: &str| read(&LINEAR.replace("{\"name\": \"softmax\"}", link)).link();
    assert_eq!(linked(r#"{"name": "logistic", "slope": 2}"#), Link::Logistic { slope: 2.0 });
    assert_eq!(linked(r#"{"name": "one_versus_rest"}"#), Link::OneVersusRest);
    assert_eq!(linked(r#"{"name": "exp"}"#), Link::Exp);
    assert_eq!(linked(r#"{"name": "path_length", "normal": 1.5}"#), Link::PathLength { normal: 1.5 });
}

#[test]
fn what_is_not_sound_is_refused_by_name() {
    let cases: [(&str, &str, &str, &str); 27] = [
        (SUM, "\"version\": 2", "\"version\": 1", "objective: not in version 1"),
        (SUM, "\"start\": [0.5]", "\"start\": [0.5, 1]", "start: 2 values, expected 1"),
        (SUM, "\"sum\"", "\"vote\"", "aggregation \"vote\" is not supported"),
        (SUM, "\"aggregation\": \"sum\", ", "", "aggregation: missing"),
        (SUM, "\"sum\"", "\"mean\"", "start: a mean starts from zero"),
        (SUM, "\"link\": {\"name\": \"logistic\"}, ", "", "link: missing"),
        (SUM, "\"logistic\"}", "\"cloglog\"}", "unknown variant `cloglog`"),
        (SUM, "\"logistic\"}", "\"logistic\", \"slope\": 0}", "link: slope is 0, must be above zero"),
        (SUM, "\"logistic\"}", "\"path_length\", \"normal\": -1}", "link: normal is -1, must be above zero"),
        (SUM, "\"logistic\"}", "\"softmax\"}", "link: over classes, but there is one output"),
        (SUM, "\"logistic\"}", "\"probability\"}", "tree 0, node 1: probability of a leaf is -1"),
        (
            SUM,
            "\"n_features\"",
            "\"n_outputs\": 0, \"n_features\"",
            "number of outputs: 0, must be at least 1",
        ),
        (SUM, "\"start\": [0.5]", "\"n_outputs\": 2", "output: None in tree 0, of 2 outputs"),
        (SUM, "\"cover\"", "\"output\": 1, \"cover\"", "output: Some(1) in tree 0, of 1 outputs"),
        (SUM, "[-1, -1, 0, -1, -1]", "[-1, -1, 1, -1, -1]", "set of categories: number 1 of 1"),
        (SUM, "[-1, -1, 0, -1, -1]", "[-1, -1, -2, -1, -1]", "set of categories: number -2 of 1"),
        (SUM, "[-1, -1, 0, -1, -1]", "[-1, -1, 0]", "category_set has 3 values, expected 5"),
        (SUM, "[[1, 7]]", "[[1, 16777216]]", "category 16777216, must be in [0, 16777216)"),
        (SUM, "[[1, 7]]", "[[-1]]", "category -1, must be in"),
        (SUM, "\"value\": [0, -1, 0, 2, 3]", "\"value\": [0, -1, 0, 2]", "value has 4 values, expected 5"),
        (SUM, "\"value\": [0, -1, 0, 2, 3],", "", "value: tree 0 has 0 values"),
        (SUM, "\"cover\"", "\"values\": [1, 2, 3], \"cover\"", "value: tree 0 has 3 values of the kind"),
        (MEAN, "0, 0, 1]}", "0, 0]}", "tree 0: values has 5 values, expected 6"),
        (MEAN, "\"values\": [0.25, 0.25, 0.5, 0, 0, 1]", "\"value\": [0, 0, 1]", "leaves are not vectors"),
        (MEAN, "0.25, 0.25, 0.5", "0.25, 1.5, 0.5", "tree 0, node 1: probability of a leaf is 1.5"),
        (LINEAR, "[1, 2, -1, 0.5]", "[1, 2, -1]", "linear.weights: 3 values, expected 4"),
        (LINEAR, "\"n_outputs\": 2,", "\"n_outputs\": 2, \"start\": [1, 2],", "linear: stands beside trees"),
    ];
    for (text, from, to, expected) in cases {
        assert!(text.contains(from), "{from}");
        let error = refusal(&text.replacen(from, to, 1));
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}
