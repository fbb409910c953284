//! Files that are cut, flipped, or made to hurt: an error that names the place, or a forest that answers;
//! never a panic, never more memory or time than the file's length is worth.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tribunal_forest::{Forest, Format, PredictError};

/// Small models, one of each kind of file and split.
const MODELS: [(&str, Format); 26] = [
    ("xgboost-pruned/model.ubj", Format::XgboostUbj),
    ("xgboost-dart/model.ubj", Format::XgboostUbj),
    ("xgboost-categorical/model.json", Format::XgboostJson),
    ("xgboost-multi-output-tree/model.ubj", Format::XgboostUbj),
    ("xgboost-linear-classes/model.ubj", Format::XgboostUbj),
    ("xgboost-1.2-dart/model.deprecated", Format::XgboostBinary),
    ("xgboost-1.2-linear/model.deprecated", Format::XgboostBinary),
    ("xgboost-1.2-pickle-booster/model-0.pickle", Format::XgboostPickle),
    ("xgboost-1.2-pickle-classifier/model.joblib", Format::XgboostPickle),
    ("xgboost-pickle-regressor/model-5.pickle", Format::XgboostPickle),
    ("lightgbm-no-missing/model.txt", Format::LightgbmText),
    ("lightgbm-categorical/model.txt", Format::LightgbmText),
    ("lightgbm-multiclass-random-forest/model.txt", Format::LightgbmText),
    ("lightgbm-v2/model.txt", Format::LightgbmText),
    ("catboost-nan-as-is/model.json", Format::CatboostJson),
    ("catboost-nan-as-is/model.cbm", Format::CatboostCbm),
    ("catboost-lossguide-multiclass-json/model.json", Format::CatboostJson),
    ("catboost-lossguide-multiclass/model.cbm", Format::CatboostCbm),
    ("onnx-modes/model.onnx", Format::Onnx),
    ("onnx-scaler/model.onnx", Format::Onnx),
    ("onnx-two-classes-softmax/model.onnx", Format::Onnx),
    ("onnx-5-targets/model.onnx", Format::Onnx),
    ("extra-trees/model.json", Format::TribunalForest),
    ("extra-trees-targets/model.json", Format::TribunalForest),
    ("hist-boosting-classes/model.json", Format::TribunalForest),
    ("logistic-regression-classes/model.json", Format::TribunalForest),
];
/// Bits flipped per model.
const FLIPS: u64 = 3_000;

fn model(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)).unwrap()
}

/// Whatever was read has to answer.
fn exercise(forest: &Forest) {
    let n = forest.n_features();
    let values = [0.5, f32::NAN, -0.0, f32::INFINITY, -3.0, 1e30, 7.0];
    let rows: Vec<f32> = (0..3 * n).map(|i| values[i % values.len()]).collect();
    let mut out = Vec::new();
    forest.margins(&rows, &mut out).unwrap();
    assert_eq!(out.len(), 3 * forest.n_outputs());
    match forest.contributions(&rows[..n]) {
        Ok(why) => assert_eq!(why.values.len(), n * forest.n_outputs()),
        Err(error) => assert_eq!(error, PredictError::NoCovers),
    }
}

#[test]
fn a_cut_file_is_an_error() {
    for (name, format) in MODELS {
        let bytes = model(name);
        let find = |end: &[u8]| bytes.windows(end.len()).position(|w| w == end);
        // What follows is not read.
        let after: &[u8] = if name.contains("v2") { b"feature importances:" } else { b"end of trees" };
        let (end, last) = match format {
            Format::LightgbmText => (find(after).unwrap(), after.len()),
            Format::CatboostCbm => (bytes.len(), 0),
            // Versions of other operators may follow.
            Format::Onnx => (find(b"ai.onnx.ml\x10").unwrap(), 12),
            _ => (bytes.trim_ascii_end().len(), 0),
        };
        let whole = format!("{:?}", Forest::parse(&bytes[..end + last], format).unwrap());
        for cut in (0..200).map(|i| end * i / 200) {
            match Forest::parse(&bytes[..cut], format) {
                Err(error) => assert!(!error.to_string().is_empty(), "{name} cut to {cut}"),
                // A message that ends behind a field is a message: what follows the graph is not computed with.
                Ok(forest) if format == Format::Onnx => {
                    assert!(format!("{forest:?}") == whole, "{name}: {cut}");
                }
                Ok(_) => panic!("{name} cut to {cut} is a model"),
            }
        }
    }
}

#[test]
fn a_flipped_bit_is_an_error_or_another_forest() {
    for (name, format) in MODELS {
        let mut bytes = model(name);
        let mut refused = 0;
        for i in 0..FLIPS {
            let bit = (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) as usize % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            match Forest::parse(&bytes, format) {
                Ok(forest) => exercise(&forest),
                Err(_) => refused += 1,
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        // Most bits of a float make another float, so not every flip can be seen; but many must be.
        assert!(refused > FLIPS / 20, "{name}: {refused} of {FLIPS} refused");
    }
}

#[test]
fn a_word_replaced_is_an_error_or_another_forest() {
    let words: [&[u8]; 8] =
        [b"-1", b"2147483647", b"-9999999999", b"1e999", b"nan", b"", b"0", b"99999999999999999999"];
    for (name, format) in MODELS {
        let bytes = model(name);
        let starts: Vec<usize> = (1..bytes.len())
            .filter(|&i| bytes[i].is_ascii_digit() && !bytes[i - 1].is_ascii_alphanumeric())
            .collect();
        for (i, start) in starts.iter().step_by(starts.len().div_ceil(150)).enumerate() {
            let length = bytes[*start..].iter().take_while(|b| b.is_ascii_digit()).count();
            let mut changed = bytes[..*start].to_vec();
            changed.extend_from_slice(words[i % words.len()]);
            changed.extend_from_slice(&bytes[start + length..]);
            if let Ok(forest) = Forest::parse(&changed, format) {
                exercise(&forest);
            }
        }
    }
}

#[test]
fn what_is_made_to_hurt_is_refused_at_once() {
    let nested = format!("{}{}", "{\"learner\":[".repeat(50_000), "[".repeat(50_000));
    let ubj_nested = b"{L\0\0\0\0\0\0\0\x01a[".repeat(100_000);
    let ubj_count = b"{L\0\0\0\0\0\0\0\x07learner[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec();
    let ubj_negative = b"{L\xff\xff\xff\xff\xff\xff\xff\xfflearner".to_vec();
    let leaves = "tree\nversion=v4\nnum_tree_per_iteration=1\nmax_feature_idx=0\nfeature_names=a\nTree=0\n\
        num_leaves=4000000000\nleaf_value=1\nend of trees\n";
    let features = leaves.replace("max_feature_idx=0", "max_feature_idx=9223372036854775807");
    let cbm_root = [b"CBM1\x04\0\0\0".as_slice(), &[0xFF; 4]].concat();
    let cases: [(Format, &[u8], &str); 7] = [
        (Format::XgboostJson, nested.as_bytes(), "not readable"),
        (Format::XgboostUbj, &ubj_nested, "deeper than the limit 32"),
        (Format::XgboostUbj, &ubj_count, "count 9223372036854775807, but 0 bytes are left"),
        (Format::XgboostUbj, &ubj_negative, "count -1, but 7 bytes are left"),
        (Format::LightgbmText, leaves.as_bytes(), "tree 0: leaf_value has 1 values, expected 4000000000"),
        (Format::CatboostCbm, &cbm_root, "at byte 4294967303: 4 bytes wanted, the buffer has 4"),
        (Format::LightgbmText, features.as_bytes(), "more than the limit 65536"),
    ];
    for (format, bytes, expected) in cases {
        let start = Instant::now();
        let error = Forest::parse(bytes, format).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        assert!(start.elapsed() < Duration::from_secs(2), "{expected}: {:?}", start.elapsed());
    }
}

/// Pieces of every format, so that what is drawn comes further than the first byte.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let tokens: Vec<&'static [u8]> = vec![
        b"{",
        b"}",
        b"[",
        b"]",
        b"$",
        b"#",
        b"L\0\0\0\0\0\0\0\x01",
        b"i\x02",
        b"U\xff",
        b"d\x7f\xc0\0\0",
        b"S",
        b"Z",
        b"L\0\0\0\0\0\0\0\x07learner",
        b"\"learner\":",
        b"tree\n",
        b"version=v4\n",
        b"num_tree_per_iteration=1\n",
        b"max_feature_idx=1\n",
        b"feature_names=a b\n",
        b"Tree=0\n",
        b"Tree=1\n",
        b"num_leaves=2\n",
        b"leaf_value=1 2\n",
        b"split_feature=1\n",
        b"threshold=0.5\n",
        b"decision_type=9\n",
        b"decision_type=2\n",
        b"left_child=-1\n",
        b"right_child=-2\n",
        b"right_child=0\n",
        b"cat_boundaries=0 1\n",
        b"cat_threshold=7\n",
        b"end of trees\n",
        b"CBM1",
        b"\x08\0\0\0",
        b"\x04\0\x08\0",
        b"{\"features_info\":{\"float_features\":[",
        b"{\"borders\":[0.5],\"feature_index\":0,\"flat_feature_index\":0}]},",
        b"\"oblivious_trees\":[",
        b"{\"splits\":[{\"split_index\":0}],\"leaf_values\":[1,2]}",
        b"]}",
        b",",
        b"1",
        b"-1",
        b"null",
        b"\xff",
    ];
    prop::collection::vec(prop::sample::select(tokens), 0..60).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..300), pieces()]) {
        let _ = Format::detect(&bytes);
        for format in Format::ALL {
            if let Ok(forest) = Forest::parse(&bytes, format) {
                exercise(&forest);
            }
        }
    }

    #[test]
    fn any_arrays_are_a_tree_or_an_error(
        nodes in prop::collection::vec(
            (-2_i32..9, -2_i32..9, -1_i32..3, prop::option::of(-2.0_f64..2.0)),
            0..9,
        ),
    ) {
        let left: Vec<i32> = nodes.iter().map(|n| n.0).collect();
        let right: Vec<i32> = nodes.iter().map(|n| n.1).collect();
        let feature: Vec<i32> = nodes.iter().map(|n| n.2).collect();
        let threshold = serde_json::to_string(&nodes.iter().map(|n| n.3).collect::<Vec<_>>()).unwrap();
        let (flags, values) = (vec![1; nodes.len()], vec![0.5; nodes.len()]);
        let text = format!(
            r#"{{"format": "tribunal-forest", "version": 1, "aggregation": "mean", "n_features": 2,
            "trees": [{{"children_left": {left:?}, "children_right": {right:?}, "feature": {feature:?},
            "threshold": {threshold}, "missing_go_to_left": {flags:?}, "value": {values:?},
            "cover": {values:?}}}]}}"#
        );
        if let Ok(forest) = Forest::parse(text.as_bytes(), Format::TribunalForest) {
            // A tree of n splits has n + 1 leaves.
            prop_assert_eq!(forest.n_nodes() % 2, 1);
            exercise(&forest);
        }
    }
}
