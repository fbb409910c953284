//! CatBoost's files: what is refused, and with which words; and forms that no golden has.

#![cfg(feature = "catboost")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;

use tribunal_forest::{Forest, Format, Link};

/// Leaf bit 0 is `f0 > 0.5`, bit 1 is `f2 > -0.0`; feature 1 is categorical, and a tree may split on it.
const OBLIVIOUS: &str = r#"{"features_info": {
    "categorical_features": [{"feature_id": "kind", "feature_index": 0, "flat_feature_index": 1, "values": [7]}],
    "ctrs": [{"ctr_type": "Borders", "borders": [3.0]}],
    "float_features": [
        {"borders": [0.5, 2.0], "feature_id": "a", "feature_index": 0, "flat_feature_index": 0, "has_nans": true,
            "nan_value_treatment": "AsTrue"},
        {"borders": [-0.0], "feature_id": "", "feature_index": 1, "flat_feature_index": 2, "has_nans": false,
            "nan_value_treatment": "AsTrue"}]},
    "model_info": {"params": {"loss_function": {"params": {}, "type": "Logloss"}}},
    "oblivious_trees": [{"leaf_values": [1, 2, 3, 4], "leaf_weights": [4, 0, 1, 5], "splits": [
        {"border": 0.5, "float_feature_index": 0, "split_index": 0, "split_type": "FloatFeature"},
        {"border": -0.0, "float_feature_index": 1, "split_index": 2, "split_type": "FloatFeature"}]}],
    "scale_and_bias": [2, [0.5]]}"#;

/// The same answers.
const NESTED: &str = r#"{"features_info": {"float_features": [
        {"borders": [0.5], "feature_index": 0, "flat_feature_index": 0, "has_nans": true,
            "nan_value_treatment": "AsTrue"},
        {"borders": [0.0], "feature_index": 1, "flat_feature_index": 2}]},
    "trees": [{"split": {"split_index": 1}, "left": {"split": {"split_index": 0},
            "left": {"value": 1, "weight": 4}, "right": {"value": 2, "weight": 0}},
        "right": {"split": {"split_index": 0}, "left": {"value": 3, "weight": 1},
            "right": {"value": 4, "weight": 5}}}],
    "scale_and_bias": [2, 0.5]}"#;

fn parse(text: &str) -> Forest {
    Forest::parse(text.as_bytes(), Format::CatboostJson).unwrap()
}

/// The error and its causes, as a log line has them.
fn refusal(bytes: &[u8], format: Format) -> String {
    let error = Forest::parse(bytes, format).expect_err("must be refused");
    let mut message = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    message
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)).unwrap()
}

#[test]
fn small_models_answer_as_written() {
    let nan = f32::NAN;
    let rows = [0.5, 0.0, -0.0, 0.6, nan, 1e-45, nan, 0.0, nan, -1.0, 9.0, 3.0];
    for text in [OBLIVIOUS, NESTED] {
        let forest = parse(text);
        let (mut margins, mut leaves) = (Vec::new(), Vec::new());
        forest.margins(&rows, &mut margins).unwrap();
        assert_eq!(margins, [2.5, 8.5, 4.5, 6.5]);
        forest.leaves(&rows, &mut leaves).unwrap();
        assert_eq!(leaves, [0, 3, 1, 2]);
        let why = forest.contributions(&rows[..3]).unwrap();
        // (4 x 1 + 1 x 3 + 5 x 4) / 10, scaled.
        assert!((why.expected[0] - 5.9).abs() < 1e-12, "{:?}", why.expected);
        assert!((why.values.iter().sum::<f64>() + 3.4).abs() < 1e-12, "{:?}", why.values);
    }
}

#[test]
fn a_model_says_what_it_is() {
    let forest = parse(OBLIVIOUS);
    assert_eq!(forest.feature_names().unwrap(), ["a", "kind", "2"]);
    assert_eq!((forest.objective(), forest.link()), ("Logloss", Link::Logistic { slope: 1.0 }));
    assert_eq!((forest.n_trees(), forest.n_nodes(), forest.max_depth()), (1, 7, 2));
    let forest = parse(NESTED);
    assert_eq!((forest.feature_names(), forest.n_features()), (None, 3));
    assert_eq!((forest.objective(), forest.link()), ("none", Link::Identity));
    // Without weights there are no covers, but answers.
    assert!(!parse(&OBLIVIOUS.replace(r#""leaf_weights": [4, 0, 1, 5], "#, "")).has_covers());
    assert!(!parse(&NESTED.replace(r#", "weight": 5"#, "")).has_covers());
}

#[test]
fn one_hot_splits_ask_for_a_code() {
    // The hash of "3", at bit 1 of the leaf.
    let text = OBLIVIOUS.replace("\"values\": [7]", "\"values\": [593172586]");
    let text = text.replace(
        r#"{"border": -0.0, "float_feature_index": 1, "split_index": 2, "split_type": "FloatFeature"}"#,
        r#"{"cat_feature_index": 0, "split_index": 3, "split_type": "OneHotFeature", "value": 593172586}"#,
    );
    let forest = parse(&text);
    let (mut leaves, nan) = (Vec::new(), f32::NAN);
    let codes = [3.0, 3.9, 2.9, 4.0, -3.0, nan, f32::INFINITY, 65539.0];
    let rows: Vec<f32> = codes.iter().flat_map(|&code| [0.0, code, 0.0]).collect();
    forest.leaves(&rows, &mut leaves).unwrap();
    assert_eq!(leaves, [2, 2, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn leaves_with_several_values_are_several_outputs() {
    let text = OBLIVIOUS.replace("[1, 2, 3, 4]", "[1, -1, 2, -2, 3, -3, 4, -4]");
    let forest = parse(&text.replace("[0.5]]", "[0.5, 0.25]]").replace("Logloss", "MultiClass"));
    let mut margins = Vec::new();
    forest.margins(&[0.6, 0.0, -1.0], &mut margins).unwrap();
    assert_eq!((forest.n_outputs(), forest.link(), margins), (2, Link::Softmax, vec![4.5, -3.75]));
}

#[test]
fn json_is_refused_by_name() {
    for (from, to, expected) in [
        (
            "\"split_index\": 2",
            "\"split_index\": 3",
            "categorical feature 1 (\"kind\"), whose value of hash 7 is not",
        ),
        (
            "\"split_index\": 2",
            "\"split_index\": 4",
            "a categorical feature's statistic (Borders) is not supported",
        ),
        ("\"split_index\": 2", "\"split_index\": 5", "split_index: 5 in tree 0, the model has 5 borders"),
        ("\"split_index\": 2", "\"split_index\": -1", "split_index: -1 in tree 0, the model has 5 borders"),
        (
            "\"split_index\": 2",
            "\"split_index\": 1",
            "split_index: 1 in tree 0 is border 2 of feature 0, but",
        ),
        ("Logloss", "RMSEWithUncertainty", "catboost loss RMSEWithUncertainty is not supported"),
        (
            "\"flat_feature_index\": 2",
            "\"flat_feature_index\": 1",
            "flat_feature_index: 1 is that of two features",
        ),
        (
            "\"flat_feature_index\": 2",
            "\"flat_feature_index\": -1",
            "flat_feature_index: 0, must be at least 1",
        ),
        ("\"flat_feature_index\": 2", "\"flat_feature_index\": 65536", "more than the limit 65536"),
        ("[1, 2, 3, 4]", "[1, 2, 3]", "tree 0: leaf_values has 3 values, expected 4"),
        ("[1, 2, 3, 4]", "[1, 2, 3, 4, 5]", "tree 0: leaf_values has 5 values, expected 4"),
        ("[4, 0, 1, 5]", "[4, 0, 1]", "tree 0: leaf_weights has 3 values, expected 4"),
        ("[4, 0, 1, 5]", "[4, -1, 1, 5]", "cover is -1"),
        ("[2, [0.5]]", "[2, [0.5, 1]]", "scale_and_bias: 2 biases for 1 outputs"),
        ("\"AsTrue\"},", "\"AsZero\"},", "unknown variant `AsZero`"),
        ("\"oblivious_trees\"", "\"forest\"", "trees: the model has not one of oblivious_trees and trees"),
        ("[{\"leaf_values\"", "[], \"rest\": [{\"leaf_values\"", "trees: the model has no trees"),
        ("\"border\": 0.5", "\"border\": 0.25", "split_index: 0 in tree 0 is border 0.5 of feature 0"),
    ] {
        assert!(OBLIVIOUS.contains(from), "{from}");
        let error = refusal(OBLIVIOUS.replacen(from, to, 1).as_bytes(), Format::CatboostJson);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
    for (from, to, expected) in [
        (
            "\"left\": {\"value\": 3, \"weight\": 1},",
            "",
            "a node of tree 0 has neither split, left and right, nor",
        ),
        ("\"value\": 3", "\"value\": [3, 4]", "tree 0: leaf_values has 2 values, expected 1"),
    ] {
        assert!(NESTED.contains(from), "{from}");
        let error = refusal(NESTED.replacen(from, to, 1).as_bytes(), Format::CatboostJson);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn depth_of_oblivious_trees_is_limited() {
    let split = r#"{"split_index": 0}"#;
    let model = |depth: usize, values: usize| {
        let (splits, values) = (vec![split; depth].join(","), vec!["0"; values].join(","));
        format!(
            r#"{{"features_info": {{"float_features": [{{"borders": [0.5], "feature_index": 0,
            "flat_feature_index": 0}}]}}, "oblivious_trees": [{{"splits": [{splits}], "leaf_values": [{values}]}}]}}"#
        )
    };
    assert_eq!(parse(&model(16, 1 << 16)).max_depth(), 16);
    for (depth, values, expected) in [
        (17, 1 << 17, "tree 0, node 0: deeper than the limit 16"),
        (64, 1, "tree 0, node 0: deeper than the limit 16"),
        (0, 4097, "model has 4097 outputs, more than the limit 4096"),
    ] {
        let error = refusal(model(depth, values).as_bytes(), Format::CatboostJson);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
    let mut nested = r#"{"value": 1}"#.to_owned();
    for _ in 0..200 {
        nested = format!(r#"{{"split": {split}, "left": {nested}, "right": {{"value": 0}}}}"#);
    }
    let text = NESTED.replacen("\"trees\": [", &format!("\"trees\": [{nested}, "), 1);
    let error = refusal(text.as_bytes(), Format::CatboostJson);
    assert!(error.contains("recursion limit exceeded"), "{error}");
}

/// `bytes` with the only occurrence of `from` replaced by `to`, of the same length.
fn patched(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut found = bytes.windows(from.len()).enumerate().filter(|(_, window)| *window == from);
    let at = found.next().expect("there").0;
    assert!(found.next().is_none(), "twice");
    let mut changed = bytes.to_vec();
    changed[at..at + to.len()].copy_from_slice(to);
    changed
}

#[test]
fn cbm_is_refused_by_name() {
    let bytes = golden("catboost-rmse/model.cbm");
    Forest::parse(&bytes, Format::CatboostCbm).unwrap();
    let version = patched(&bytes, b"FlabuffersModel_v1", b"FlabuffersModel_v2");
    let loss: &[u8] = br#""loss_function":{"type":"RMSE""#;
    let unknown = patched(&bytes, loss, br#""loss_function":{"type":"RMSF""#);
    let unreadable = patched(&bytes, loss, br#""loss_function":{"typo":"RMSE""#);
    let long = [b"CBM1".as_slice(), &[0xFF; 4], &[0xFF; 8]].concat();
    for (bytes, expected) in [
        (b"CBM2".to_vec(), "at byte 0: the file does not start with \"CBM1\""),
        (b"CBM1\x08".to_vec(), "at byte 4: the file ends within the core's size"),
        (b"CBM1\x08\0\0\0".to_vec(), "at byte 4: the core has 8 bytes, but 0 bytes are left"),
        (long, "at byte 4: the core has 18446744073709551615 bytes, but 0 bytes are left"),
        (b"CBM1\x00\0\0\0".to_vec(), "at byte 8: 4 bytes wanted, the buffer has 0"),
        (version, "format version \"FlabuffersModel_v2\", must be \"FlabuffersModel_v1\""),
        (unknown, "catboost loss RMSF is not supported"),
        (unreadable, "catboost-cbm model is not readable: missing field `type`"),
    ] {
        let error = refusal(&bytes, Format::CatboostCbm);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
    // The size may also be written in eight bytes.
    let mut long = [b"CBM1".as_slice(), &[0xFF; 4]].concat();
    long.extend(u64::from(u32::from_le_bytes(bytes[4..8].try_into().unwrap())).to_le_bytes());
    long.extend(&bytes[8..]);
    Forest::parse(&long, Format::CatboostCbm).unwrap();
}
