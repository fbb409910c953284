//! What is refused, and with which words; and the old forms that are still read.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use tribunal_forest::{Forest, Format, Link, PredictError};

/// An XGBoost 1.2 file as it was written then: scalar base score, booleans, no categories; the tree is
/// `f0 < 0.5 ? -1 : (f1 < -0.0 ? 2 : 3)`.
const XGBOOST: &str = r#"{"learner": {"attributes": {"best_iteration": "0"},
    "gradient_booster": {"model": {"gbtree_model_param": {"num_trees": "1", "size_leaf_vector": "0"},
        "tree_info": [0], "trees": [{"base_weights": [0, 0, 0, 0, 0], "categories": [],
            "default_left": [true, false, false, false, false], "id": 0,
            "left_children": [1, -1, 3, -1, -1], "right_children": [2, -1, 4, -1, -1],
            "parents": [2147483647, 0, 0, 2, 2], "split_indices": [0, 0, 1, 0, 0],
            "split_conditions": [0.5, -1, -0.0, 2, 3], "sum_hessian": [4, 2, 2, 1, 1],
            "tree_param": {"num_deleted": "0", "num_feature": "2", "num_nodes": "5",
                "size_leaf_vector": "0"}}]},
        "name": "gbtree"},
    "learner_model_param": {"base_score": "5E-1", "num_class": "0", "num_feature": "2"},
    "objective": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}}},
    "version": [1, 2, 1]}"#;

const LIGHTGBM: &str = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n\
    max_feature_idx=1\nobjective=binary sigmoid:1\nfeature_names=a b\nfeature_infos=[0:1] [0:1]\n\
    tree_sizes=1\n\n\
    Tree=0\nnum_leaves=3\nnum_cat=0\nsplit_feature=0 1\nthreshold=0.5 1.5\ndecision_type=10 2\n\
    left_child=-1 -2\nright_child=1 -3\n\
    leaf_value=-1 2 3\nleaf_count=2 1 1\ninternal_count=4 2\nis_linear=0\n\n\nend of trees\n";

const FOREST: &str = r#"{"format": "tribunal-forest", "version": 1, "aggregation": "mean", "n_features": 2,
    "feature_names": ["a", "b"], "trees": [{"children_left": [1, -1, 3, -1, -1],
    "children_right": [2, -1, 4, -1, -1], "feature": [0, -1, 1, -1, -1], "threshold": [0.5, 0, null, 0, 0],
    "missing_go_to_left": [1, 0, 0, 0, 0],
    "value": [0, 0.25, 0, 0.5, 1.0], "cover": [4, 2, 2, 1, 1]}]}"#;

fn margins(text: &str, format: Format, rows: &[f32]) -> Vec<f64> {
    let forest = Forest::parse(text.as_bytes(), format).unwrap();
    let mut out = Vec::new();
    forest.margins(rows, &mut out).unwrap();
    out
}

/// The error and its causes, as a log line has them.
fn refusal(text: &str, format: Format) -> String {
    let error = Forest::parse(text.as_bytes(), format).expect_err("must be refused");
    let mut message = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    message
}

#[test]
fn small_models_answer_as_written() {
    let rows = [0.4, 0.0, 0.5, -1e-45, 0.5, 0.0, f32::NAN, f32::NAN, 1.0, f32::NAN];
    assert_eq!(margins(XGBOOST, Format::XgboostJson, &rows), [-1.0, 2.0, 3.0, -1.0, 3.0]);
    assert_eq!(margins(LIGHTGBM, Format::LightgbmText, &rows), [-1.0, -1.0, -1.0, -1.0, 2.0]);
    assert_eq!(margins(FOREST, Format::TribunalForest, &rows), [0.25, 0.25, 0.25, 0.25, 1.0]);
    // Only a missing value goes right of `null`; infinity is present.
    assert_eq!(margins(FOREST, Format::TribunalForest, &[1.0, f32::INFINITY]), [0.5]);
}

#[test]
fn a_model_says_what_it_is() {
    let forest = Forest::parse(LIGHTGBM.as_bytes(), Format::LightgbmText).unwrap();
    assert_eq!((forest.n_features(), forest.n_trees(), forest.n_nodes(), forest.max_depth()), (2, 1, 5, 2));
    assert_eq!(forest.feature_names().unwrap(), ["a", "b"]);
    assert_eq!((forest.objective(), forest.link()), ("binary", Link::Logistic { slope: 1.0 }));
    let forest = Forest::parse(XGBOOST.as_bytes(), Format::XgboostJson).unwrap();
    assert_eq!((forest.objective(), forest.feature_names()), ("binary:logistic", None));
}

#[test]
fn calls_that_do_not_fit_are_refused() {
    let forest = Forest::parse(FOREST.as_bytes(), Format::TribunalForest).unwrap();
    let mut out = vec![7.0];
    let expected = PredictError::RowLength { len: 3, n_features: 2 };
    assert_eq!(forest.margins(&[0.0; 3], &mut out), Err(expected.clone()));
    assert_eq!(forest.probabilities(&[0.0; 3], &mut out), Err(expected));
    assert_eq!(forest.contributions(&[0.0; 4]), Err(PredictError::RowLength { len: 4, n_features: 2 }));
    assert_eq!(forest.margins(&[], &mut out), Ok(()));
    assert!(out.is_empty());

    let regression = XGBOOST.replace("binary:logistic", "reg:squarederror");
    let forest = Forest::parse(regression.as_bytes(), Format::XgboostJson).unwrap();
    let objective = "reg:squarederror".to_owned();
    assert_eq!(forest.probabilities(&[0.0; 2], &mut out), Err(PredictError::NoProbability { objective }));

    let bare = FOREST.replace(", \"cover\": [4, 2, 2, 1, 1]", "");
    let forest = Forest::parse(bare.as_bytes(), Format::TribunalForest).unwrap();
    assert_eq!(forest.contributions(&[0.0; 2]), Err(PredictError::NoCovers));
}

#[test]
fn xgboost_files_are_refused_by_name() {
    for (from, to, expected) in [
        ("\"gbtree\"}", "\"gbforest\"}", "xgboost booster gbforest is not supported"),
        ("\"gbtree\"}", "\"gblinear\"}", "weights: 0 values, expected 3"),
        ("binary:logistic", "reg:quantum", "xgboost objective reg:quantum is not supported"),
        (
            "\"num_class\": \"0\"",
            "\"num_class\": \"3\", \"num_target\": \"2\"",
            "xgboost model of 3 classes for each of 2 targets is not supported",
        ),
        (
            "\"num_class\": \"0\"",
            "\"num_class\": \"4097\"",
            "model has 4097 outputs, more than the limit 4096",
        ),
        ("\"tree_info\": [0]", "\"tree_info\": [1]", "tree_info: 1, of 1 outputs"),
        ("\"tree_info\": [0]", "\"tree_info\": [-1]", "tree_info: -1, of 1 outputs"),
        ("\"tree_info\": [0]", "\"tree_info\": []", "tree_info: 0 values for 1 trees"),
        ("\"id\": 0", "\"id\": 1", "id: 1, of the tree at 0"),
        ("\"5E-1\"", "\"[1E-1,2E-1]\"", "base_score: 2 values for 1 outputs"),
        ("\"5E-1\"", "\"[1E-1,x]\"", "base_score: \"[1E-1,x]\" has something that is not a number"),
        ("\"5E-1\"", "\"1E39\"", "base_score: \"1E39\" has something that is not a number"),
        ("\"5E-1\"", "\"1E0\"", "base_score: 1, must be between 0 and 1 for binary:logistic"),
        ("\"num_feature\": \"2\"}", "\"num_feature\": \"0\"}", "num_feature: 0, must be at least 1"),
        ("[1, -1, 3, -1, -1]", "[1, -1, 0, -1, -1]", "tree 0, node 0: reached twice"),
        ("[1, -1, 3, -1, -1]", "[1, -1, 1, -1, -1]", "tree 0, node 1: reached twice"),
        (
            "[1, -1, 3, -1, -1]",
            "[1, -1, 9, -1, -1]",
            "tree 0, node 2: child 9 is outside of the tree's 5 nodes",
        ),
        ("[1, -1, 3, -1, -1]", "[1, -1, -1, -1, -1]", "tree 0, node 3: 2 nodes are not reached"),
        ("[0, 0, 1, 0, 0]", "[0, 0, 2, 0, 0]", "tree 0, node 2: splits on feature 2, the model has 2"),
        ("[0.5, -1, -0.0, 2, 3]", "[0.5, -1, -0.0, 2]", "tree 0: split_conditions has 4 values, expected 5"),
        ("[0.5, -1, -0.0, 2, 3]", "[0.5, -1, -0.0, 2, 1e39]", "number out of range at line 7"),
        ("[4, 2, 2, 1, 1]", "[4, 2, 2, -1, 1]", "tree 0, node 3: cover is -1"),
        ("[true, false,", "[3, false,", "xgboost-json model is not readable: invalid value: integer `3`"),
        (
            "\"name\": \"gbtree\"",
            "\"name\": \"gbtree\", \"weight_drop\": [1, 2]",
            "weight_drop: 2 weights for 1",
        ),
        ("[0.5, -1, -0.0, 2, 3]", "[NaN, -1, -0.0, 2, 3]", "tree 0, node 0: threshold is NaN"),
        ("[0.5, -1, -0.0, 2, 3]", "[0.5, -1, -0.0, 2, -Infinity]", "tree 0, node 4: leaf value is -inf"),
        ("[4, 2, 2, 1, 1]", "[4, 2, 2, 1, Infinity]", "tree 0, node 4: cover is inf"),
        (
            "\"size_leaf_vector\": \"0\"}}",
            "\"size_leaf_vector\": \"2\"}}",
            "size_leaf_vector: 2 in tree 0, of 1 outputs",
        ),
        (
            "\"categories\": []",
            "\"split_type\": [1, 0, 0, 0, 0]",
            "tree 0, node 0: set of categories: missing",
        ),
    ] {
        assert!(XGBOOST.contains(from), "{from}");
        let error = refusal(&XGBOOST.replacen(from, to, 1), Format::XgboostJson);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn lightgbm_files_are_refused_by_name() {
    for (from, to, expected) in [
        ("version=v4", "version=v5", "line 2: version \"v5\", read are v2, v3 and v4"),
        ("iteration=1", "iteration=3", "num_tree_per_iteration: 1 trees, not whole iterations of 3"),
        ("iteration=1", "iteration=0", "number of outputs: 0, must be at least 1"),
        ("iteration=1", "iteration=5000", "model has 5000 outputs, more than the limit 4096"),
        ("iteration=1", "iteration=x", "line 4: num_tree_per_iteration: \"x\" is not a number"),
        ("tree_sizes=1", "tree_sizes=1 2", "tree_sizes: 2 sizes for 1 trees"),
        ("is_linear=0", "is_linear=1", "lightgbm model with linear leaves is not supported"),
        ("binary sigmoid:1", "ordinal", "lightgbm objective ordinal is not supported"),
        ("sigmoid:1", "sigmoid:-1", "line 7: sigmoid: \"-1\" is not a number of the right kind"),
        ("feature_names=a b", "feature_names=a", "feature_names: 1 names for 2 features"),
        ("Tree=0", "Tree=1", "line 12: \"Tree=1\" instead of tree 0"),
        ("left_child=-1 -2", "left_child=-1 -1", "tree 0, node 2: reached twice"),
        ("right_child=1 -3", "right_child=0 -3", "tree 0, node 0: reached twice"),
        ("right_child=1 -3", "right_child=2 -3", "tree 0, node 0: child 2 is outside of the tree's 3 nodes"),
        ("right_child=1 -3", "right_child=1 -4", "tree 0, node 1: child -4 is outside of the tree's 3 nodes"),
        ("threshold=0.5 1.5", "threshold=nan 1.5", "tree 0, node 0: threshold is NaN"),
        ("threshold=0.5 1.5", "threshold=0.5 x", "line 16: threshold: \"x\" is not a number"),
        ("split_feature=0 1", "split_feature=0 -1", "tree 0, node 1: splits on feature -1, the model has 2"),
        ("decision_type=10 2", "decision_type=14 2", "tree 0, node 0: decision_type is 14"),
        ("decision_type=10 2", "decision_type=1 2", "tree 0, node 0: set of categories: 0.5 of 0"),
        ("num_leaves=3", "num_leaves=2", "tree 0: leaf_value has 3 values, expected 2"),
        ("end of trees", "end", "the file ends without \"end of trees\""),
    ] {
        assert!(LIGHTGBM.contains(from), "{from}");
        let error = refusal(&LIGHTGBM.replacen(from, to, 1), Format::LightgbmText);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn averaged_trees_are_refused_by_name() {
    for (from, to, expected) in [
        ("\"version\": 1", "\"version\": 3", "version: 3, this build reads 1 and 2"),
        ("\"mean\"", "\"vote\"", "aggregation \"vote\" is not supported"),
        ("\"n_features\": 2", "\"n_features\": -1", "n_features: -1, must be at least 1"),
        ("[\"a\", \"b\"]", "[\"a\"]", "feature_names: 1 names for 2 features"),
        ("0.25, 0, 0.5, 1.0]", "0.25, 0, 0.5, 1.5]", "tree 0, node 4: probability of a leaf is 1.5"),
        ("[1, 0, 0, 0, 0]", "[2, 0, 0, 0, 0]", "tree 0, node 0: missing_go_to_left is 2"),
        ("[1, -1, 3, -1, -1]", "[1, -1, 3, -1, 0]", "tree 0, node 4: splits on feature -1, the model has 2"),
        ("[4, 2, 2, 1, 1]", "[4, 2]", "tree 0: cover has 2 values, expected 5"),
        ("\"cover\"", "\"gain\"", "unknown field `gain`"),
        ("\"trees\": [{", "\"trees\": [], \"source\": [{", "trees: the model has no trees"),
    ] {
        assert!(FOREST.contains(from), "{from}");
        let error = refusal(&FOREST.replacen(from, to, 1), Format::TribunalForest);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn a_leaf_rounded_above_one_gives_the_probability_one() {
    let text = FOREST.replace("0.5, 1.0]", "0.5, 1.0000000000000002]");
    let forest = Forest::parse(text.as_bytes(), Format::TribunalForest).unwrap();
    let (mut margins, mut probabilities) = (Vec::new(), Vec::new());
    forest.margins(&[1.0, f32::NAN], &mut margins).unwrap();
    forest.probabilities(&[1.0, f32::NAN], &mut probabilities).unwrap();
    assert_eq!((margins[0], probabilities[0]), (1.000_000_000_000_000_2, 1.0));
}

/// A chain of `depth` splits: inner nodes first, the last leaf at the end.
fn chain(depth: usize) -> String {
    let list = |f: &dyn Fn(usize) -> String| (0..=2 * depth).map(f).collect::<Vec<_>>().join(",");
    format!(
        r#"{{"format": "tribunal-forest", "version": 1, "aggregation": "mean", "n_features": 1, "trees": [{{
        "children_left": [{}], "children_right": [{}], "feature": [{feature}], "threshold": [{zero}],
        "missing_go_to_left": [{zero}], "value": [{zero}], "cover": [{zero}]}}]}}"#,
        list(&|i| if i < depth { (i + 1 + depth).to_string() } else { "-1".to_owned() }),
        list(&|i| match i {
            _ if i >= depth => "-1".to_owned(),
            _ if i + 1 == depth => depth.to_string(),
            _ => (i + 1).to_string(),
        }),
        feature = list(&|_| "0".to_owned()),
        zero = list(&|_| "0".to_owned()),
    )
}

#[test]
fn depth_is_limited() {
    let forest = Forest::parse(chain(512).as_bytes(), Format::TribunalForest).unwrap();
    assert_eq!(forest.max_depth(), 512);
    assert_eq!(forest.contributions(&[1.0]).unwrap().values, [0.0]);
    let error = refusal(&chain(513), Format::TribunalForest);
    assert!(error.contains("deeper than the limit 512"), "{error}");
}

#[test]
fn sets_of_categories_are_limited() {
    // Few bytes that ask for much: large categories, or segments that all cover the same list.
    let with = |categories: &str, nodes: usize, segment: usize| {
        let repeat = |value: String| vec![value; nodes].join(",");
        XGBOOST.replace(
            "\"categories\": []",
            &format!(
                r#""categories": [{categories}], "categories_nodes": [{}], "categories_segments": [{}],
                "categories_sizes": [{}], "split_type": [1, 0, 0, 0, 0]"#,
                repeat("0".to_owned()),
                if segment == 1 {
                    (0..nodes).map(|i| i.to_string()).collect::<Vec<_>>().join(",")
                } else {
                    repeat("0".to_owned())
                },
                repeat(segment.to_string()),
            ),
        )
    };
    let sound = Forest::parse(with("3", 1, 1).as_bytes(), Format::XgboostJson).unwrap();
    let mut out = Vec::new();
    sound.margins(&[3.0, 0.0, 2.0, 0.0], &mut out).unwrap();
    assert_eq!(out, [3.0, -1.0]);
    for (text, expected) in [
        (with("16777216", 1, 1), "category 16777216, must be in [0, 16777216)"),
        (with("-1", 1, 1), "category -1, must be in [0, 16777216)"),
        (with("1, 2", 3, 2), "categories (by categories_sizes) has 6 values, expected 2"),
        (with(&["16777215"; 40].join(","), 40, 1), "more than the limit of 16777216 words"),
    ] {
        let error = refusal(&text, Format::XgboostJson);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}
