//! What models answer.

use tribunal_forest::{Link, PredictError};

use crate::models::*;

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
