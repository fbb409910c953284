//! What is refused, and with which words.

use std::time::{Duration, Instant};

use crate::models::*;

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
