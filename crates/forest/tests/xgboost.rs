//! What XGBoost's versions and encodings do differently, on models small enough to be computed by hand; and
//! what is refused in the old binary format and in pickles.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use tribunal_forest::{Forest, Format, Link};

/// A tree `f0 < 0.5 ? left : right` in JSON.
fn stump(id: usize, left: &str, right: &str) -> String {
    format!(
        r#"{{"left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0],
        "split_conditions": [0.5, {left}, {right}], "default_left": [0, 0, 0], "id": {id},
        "sum_hessian": [2, 1, 1], "tree_param": {{"num_deleted": "0"}}}}"#
    )
}

struct Json<'a> {
    version: &'a str,
    objective: &'a str,
    base_score: &'a str,
    /// `num_class` or `num_target`, and how many.
    outputs: (&'a str, usize),
    booster: String,
}

impl Json<'_> {
    fn text(&self) -> String {
        let Self { version, objective, base_score, outputs: (member, n), booster } = self;
        format!(
            r#"{{"version": {version}, "learner": {{"gradient_booster": {booster}, "learner_model_param":
            {{"base_score": "{base_score}", "{member}": "{n}", "num_feature": "1"}},
            "objective": {{"name": "{objective}"}}}}}}"#
        )
    }

    fn forest(&self) -> Forest {
        Forest::parse(self.text().as_bytes(), Format::XgboostJson).unwrap()
    }

    fn refusal(&self) -> String {
        Forest::parse(self.text().as_bytes(), Format::XgboostJson).unwrap_err().to_string()
    }
}

/// A gbtree of one stump for each output.
fn gbtree(trees: &[(&str, &str)]) -> String {
    let info: Vec<usize> = (0..trees.len()).collect();
    let trees: Vec<String> = trees.iter().enumerate().map(|(i, t)| stump(i, t.0, t.1)).collect();
    format!(r#"{{"name": "gbtree", "model": {{"tree_info": {info:?}, "trees": [{}]}}}}"#, trees.join(","))
}

fn one<'a>(version: &'a str, objective: &'a str, base_score: &'a str) -> Json<'a> {
    Json { version, objective, base_score, outputs: ("num_class", 0), booster: gbtree(&[("0", "1")]) }
}

fn margins(forest: &Forest, rows: &[f32]) -> Vec<f64> {
    let mut out = Vec::new();
    forest.margins(rows, &mut out).unwrap();
    out
}

fn responses(forest: &Forest, rows: &[f32]) -> Vec<f64> {
    let mut out = Vec::new();
    forest.responses(rows, &mut out).unwrap();
    out
}

fn logit(p: f32) -> f64 {
    f64::from(-(1.0 / p - 1.0).ln())
}

#[test]
fn the_base_score_is_in_the_space_of_the_objective() {
    for (version, objective, base_score, expected) in [
        ("[3, 4, 1]", "binary:logistic", "[2.5E-1]", logit(0.25)),
        ("[1, 2, 1]", "reg:logistic", "2.5E-1", logit(0.25)),
        ("[1, 2, 1]", "binary:logitraw", "2.5E-1", logit(0.25)),
        ("[1, 3, 0]", "binary:logitraw", "2.5E-1", 0.25),
        ("[3, 2, 0]", "binary:logistic", "1E0", logit(1.0 - 1e-6)),
        ("[3, 2, 0]", "binary:logistic", "0E0", logit(1e-6)),
        ("[2, 1, 4]", "binary:hinge", "2.5E-1", 0.25),
        ("[2, 1, 4]", "count:poisson", "2.5E-1", f64::from(0.25_f32.ln())),
        ("[2, 1, 4]", "reg:gamma", "2.5E-1", f64::from(0.25_f32.ln())),
        ("[2, 1, 4]", "reg:tweedie", "2.5E-1", f64::from(0.25_f32.ln())),
        ("[2, 1, 4]", "survival:cox", "2.5E-1", f64::from(0.25_f32.ln())),
        ("[2, 1, 4]", "survival:aft", "2.5E-1", f64::from(0.25_f32.ln())),
        ("[2, 1, 4]", "rank:ndcg", "2.5E-1", 0.25),
        ("[]", "reg:squarederror", "-3E0", -3.0),
        ("[0, 81]", "gpu:reg:linear", "-3E0", -3.0),
    ] {
        let forest = one(version, objective, base_score).forest();
        assert_eq!(margins(&forest, &[0.0]), [expected], "{objective} of {version}");
    }
    for (version, objective, base_score, expected) in [
        ("[3, 1, 3]", "binary:logistic", "0E0", "base_score: 0, must be between 0 and 1 for binary:logistic"),
        ("[3, 4, 1]", "binary:logistic", "2E0", "base_score: 2, must be between 0 and 1 for binary:logistic"),
        ("[3, 4, 1]", "reg:gamma", "0E0", "base_score: 0, must be above 0 for reg:gamma"),
    ] {
        assert_eq!(one(version, objective, base_score).refusal(), expected);
    }
}

#[test]
fn old_versions_add_the_base_score_last() {
    // 2^24 + 1 + 1 in `f32`: from the left 2^24, from the right 2^24 + 2.
    let trees = [stump(0, "1", "1"), stump(1, "1", "1")].join(",");
    let model = format!(r#""model": {{"tree_info": [0, 0], "trees": [{trees}]}}"#);
    let gbtree = format!(r#"{{"name": "gbtree", {model}}}"#);
    let dart = format!(r#"{{"name": "dart", "weight_drop": [1, 1], "gbtree": {{{model}}}}}"#);
    for (version, booster, expected) in [
        ("[1, 2, 1]", &gbtree, 16_777_218.0),
        ("[1, 3, 0]", &gbtree, 16_777_216.0),
        ("[1, 3, 3]", &dart, 16_777_218.0),
        ("[1, 4, 0]", &dart, 16_777_216.0),
        ("[]", &dart, 16_777_216.0),
    ] {
        let json = Json { booster: booster.clone(), ..one(version, "reg:squarederror", "1.6777216E7") };
        assert_eq!(margins(&json.forest(), &[0.0]), [expected], "{booster} of {version}");
    }
}

#[test]
fn weights_of_dropout_are_found_where_every_version_has_them() {
    let model = r#""tree_info": [0, 0], "trees": [TREES]"#;
    let trees = [stump(0, "1", "1"), stump(1, "1", "1")].join(",");
    for booster in [
        r#"{"name": "dart", "weight_drop": [0.25, 0.5], "gbtree": {"name": "gbtree", "model": {MODEL}}}"#,
        r#"{"name": "gbtree", "weight_drop": [0.25, 0.5], "model": {MODEL}}"#,
        r#"{"name": "gbtree", "model": {MODEL, "weight_drop": [0.25, 0.5]}}"#,
    ] {
        let booster = booster.replace("MODEL", model).replace("TREES", &trees);
        let json = Json { booster, ..one("[3, 4, 1]", "reg:squarederror", "0E0") };
        assert_eq!(margins(&json.forest(), &[0.0]), [0.75]);
    }
}

#[test]
fn several_outputs_have_a_tree_each() {
    let json = Json {
        outputs: ("num_class", 3),
        booster: gbtree(&[("1", "0"), ("3", "0"), ("2", "0")]),
        ..one("[3, 4, 1]", "multi:softmax", "[0E0,0E0,5E-1]")
    };
    let forest = json.forest();
    assert_eq!((forest.n_outputs(), forest.link()), (3, Link::SoftmaxClass));
    assert_eq!(margins(&forest, &[0.0, 1.0]), [1.0, 3.0, 2.5, 0.0, 0.0, 0.5]);
    assert_eq!(responses(&forest, &[0.0, 1.0]), [1.0, 2.0]);
    let mut probabilities = Vec::new();
    forest.probabilities(&[0.0], &mut probabilities).unwrap();
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-6 && probabilities[1] > probabilities[2]);

    let targets = ("num_target", 3);
    let json = Json { outputs: targets, objective: "reg:quantileerror", ..json };
    assert_eq!(responses(&json.forest(), &[0.0]), [1.0, 2.5, 3.0]);
    let json = Json { version: "[3, 3, 0]", ..json };
    assert_eq!(responses(&json.forest(), &[0.0]), [1.0, 3.0, 2.5]);
    let json = Json { objective: "reg:expectileerror", ..json };
    let refused = "xgboost objective reg:expectileerror of several expectiles is not supported";
    assert_eq!(json.refusal(), refused);
}

/// A tree of vectors of two; NaN stands where a leaf has no threshold.
const VECTORS: &str = r#"{"name": "gbtree", "model": {"tree_info": [0], "trees": [{
    "left_children": [1, -1, -1], "right_children": [2, RIGHT], "split_indices": [0, 0, 0],
    "split_conditions": [0.5, NaN, NaN], "default_left": [0, 0, 0], "base_weights": [9, 9, 1, 2, 3, 4],
    LEAVES "tree_param": {"num_deleted": "0", "size_leaf_vector": "2"}}]}}"#;

#[test]
fn leaves_that_are_vectors_are_read_in_both_layouts() {
    let vectors = |right: &str, leaves: &str| Json {
        outputs: ("num_target", 2),
        booster: VECTORS.replace("RIGHT", right).replace("LEAVES", leaves),
        ..one("[3, 4, 1]", "reg:squarederror", "[0E0,1E0]")
    };
    let old = vectors("-1, -1", "").forest();
    assert_eq!(margins(&old, &[0.0, 1.0]), [1.0, 3.0, 3.0, 5.0]);
    let new = vectors("1, 0", "\"leaf_weights\": [5, 6, 7, 8],").forest();
    assert_eq!(margins(&new, &[0.0, 1.0]), [7.0, 9.0, 5.0, 7.0]);
    for (right, leaves, expected) in [
        (
            "1, 2",
            "\"leaf_weights\": [5, 6, 7, 8],",
            "tree 0, node 2: child 2 is outside of the tree's 2 nodes",
        ),
        ("1, -1", "\"leaf_weights\": [5, 6, 7, 8],", "tree 0, node 2: child -1 is outside"),
        ("1, 0", "\"leaf_weights\": [5, 6, 7],", "tree 0, node 1: child 1 is outside of the tree's 1 nodes"),
        ("0, 0", "\"leaf_weights\": [5, NaN],", "tree 0, node 1: leaf value is NaN"),
        ("-1, -1", "\"split_type\": [0],", "tree 0: split_type has 1 values, expected 3"),
    ] {
        let refusal = vectors(right, leaves).refusal();
        assert!(refusal.contains(expected), "{refusal:?} does not say {expected:?}");
    }
    let json = Json { outputs: ("num_target", 3), ..vectors("-1, -1", "") };
    assert_eq!(Json { base_score: "0", ..json }.refusal(), "size_leaf_vector: 2 in tree 0, of 3 outputs");
}

#[test]
fn linear_models_start_from_bias_plus_base_score() {
    let booster = r#"{"name": "gblinear", "model": {"boosted_rounds": 4, "weights": [2, -3, 0.5, 0.25]}}"#;
    let json = Json {
        outputs: ("num_class", 2),
        booster: booster.to_owned(),
        ..one("[3, 4, 1]", "multi:softprob", "[1E0,7E0]")
    };
    let forest = json.forest();
    assert_eq!(margins(&forest, &[0.0, 2.0, f32::NAN]), [1.5, 1.25, 5.5, -4.75, 1.5, 1.25]);
    for (from, to, expected) in
        [("0.25]", "0.25, 1]", "weights: 5 values, expected 4"), ("[2,", "[NaN,", "weights: a weight is NaN")]
    {
        let json = Json { booster: booster.replace(from, to), ..one("[]", "multi:softprob", "0") };
        assert_eq!(Json { outputs: ("num_class", 2), ..json }.refusal(), expected);
    }
}

#[test]
fn thresholds_may_be_infinite() {
    for (threshold, expected) in [
        ("Infinity", [0.0, 0.0, 1.0, 1.0]),
        ("-Infinity", [1.0, 1.0, 1.0, 1.0]),
        ("3.4028235E38", [0.0, 1.0, 1.0, 1.0]),
    ] {
        let json = one("[3, 4, 1]", "reg:squarederror", "0E0");
        let booster = json.booster.replace("[0.5,", &format!("[{threshold},"));
        let forest = Json { booster, ..json }.forest();
        assert_eq!(margins(&forest, &[0.0, f32::MAX, f32::INFINITY, f32::NAN]), expected, "{threshold}");
    }
}

/// The old binary format: `f0 < 0.5 ? -1 : 2`, missing to the left.
struct Binary {
    magic: bool,
    base_score: f32,
    version: [u32; 2],
    objective: &'static str,
    booster: &'static str,
    n_trees: i32,
    n_nodes: i32,
    size_leaf_vector: i32,
    tail: Vec<u8>,
}

impl Default for Binary {
    fn default() -> Self {
        Self {
            magic: true,
            base_score: 0.25,
            version: [1, 2],
            objective: "binary:logistic",
            booster: "gbtree",
            n_trees: 1,
            n_nodes: 3,
            size_leaf_vector: 0,
            tail: Vec::new(),
        }
    }
}

impl Binary {
    fn bytes(&self) -> Vec<u8> {
        let mut out = if self.magic { b"binf".to_vec() } else { Vec::new() };
        let words = |out: &mut Vec<u8>, words: &[u32], length: usize| {
            let end = out.len() + 4 * length;
            words.iter().for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
            out.resize(end, 0);
        };
        let header = [self.base_score.to_bits(), 1, 0, 0, 0, self.version[0], self.version[1]];
        words(&mut out, &header, 34);
        for name in [self.objective, self.booster] {
            out.extend_from_slice(&(name.len() as u64).to_le_bytes());
            out.extend_from_slice(name.as_bytes());
        }
        words(&mut out, &[self.n_trees as u32], 40);
        words(&mut out, &[1, self.n_nodes as u32, 0, 0, 1, self.size_leaf_vector as u32], 37);
        let none = u32::MAX;
        let nodes = [
            [none, 1, 2, 1 << 31, 0.5_f32.to_bits()],
            [1 << 31, none, none, 0, (-1_f32).to_bits()],
            [0, none, none, 0, 2_f32.to_bits()],
        ];
        words(&mut out, nodes.as_flattened(), 15);
        let statistics = [2_f32, 1.0, 1.0].map(|hessian| [0, hessian.to_bits(), 0, 0]);
        words(&mut out, statistics.as_flattened(), 12);
        words(&mut out, &[0], 1);
        out.extend_from_slice(&self.tail);
        out
    }

    fn forest(&self) -> Forest {
        Forest::parse(&self.bytes(), Format::XgboostBinary).unwrap()
    }

    fn refusal(&self) -> String {
        Forest::parse(&self.bytes(), Format::XgboostBinary).unwrap_err().to_string()
    }
}

#[test]
fn the_binary_format_is_read_with_and_without_magic() {
    let new = Binary::default();
    assert_eq!(Format::detect(&new.bytes()), Some(Format::XgboostBinary));
    let add = |leaf: f32| f64::from(leaf + logit(0.25) as f32);
    assert_eq!(margins(&new.forest(), &[0.0, 0.5, f32::NAN]), [add(-1.0), add(2.0), add(-1.0)]);
    // Before 1.0 the base score was saved as a margin, and there was no magic.
    let old = Binary { magic: false, version: [0, 0], ..Binary::default() };
    assert_eq!(Format::detect(&old.bytes()), Some(Format::XgboostBinary));
    assert_eq!(margins(&old.forest(), &[0.0, 0.5]), [-0.75, 2.25]);
    let step = [&3_u64.to_le_bytes()[..], b"0.7"].concat();
    let poisson = Binary { version: [0, 0], objective: "count:poisson", tail: step, ..Binary::default() };
    assert_eq!(margins(&poisson.forest(), &[0.0]), [-0.75]);
    let config =
        [&b"CONFIG-offset:"[..], &(new.bytes().len() as u64).to_le_bytes(), &new.bytes(), b"{}"].concat();
    assert_eq!(Format::detect(&config), Some(Format::XgboostBinary));
    let forest = Forest::parse(&config, Format::XgboostBinary).unwrap();
    assert_eq!(margins(&forest, &[0.0]), [add(-1.0)]);
}

#[test]
fn binary_files_are_refused_by_name() {
    for (binary, expected) in [
        (Binary { booster: "gbforest", ..Binary::default() }, "xgboost booster gbforest is not supported"),
        (Binary { objective: "reg:quantum", ..Binary::default() }, "objective reg:quantum is not supported"),
        (
            Binary { size_leaf_vector: 2, ..Binary::default() },
            "with leaves that are vectors is not supported",
        ),
        (Binary { n_trees: -1, ..Binary::default() }, "at byte 337: -1 x tree, but 260 bytes are left"),
        (Binary { n_trees: 4, ..Binary::default() }, "at byte 337: 4 x tree, but 260 bytes are left"),
        (Binary { n_nodes: 1 << 30, ..Binary::default() }, "1073741824 x node, but 112 bytes are left"),
        (Binary { n_nodes: -7, ..Binary::default() }, "-7 x node, but 112 bytes are left"),
        (Binary { n_trees: 0, ..Binary::default() }, "260 bytes after the end of the model"),
        (Binary { tail: vec![0; 3], ..Binary::default() }, "3 bytes after the end of the model"),
        (Binary { booster: "dart", ..Binary::default() }, "8 bytes expected, 0 left"),
        (Binary { booster: "gblinear", ..Binary::default() }, "276 bytes after the end of the model"),
    ] {
        let refusal = binary.refusal();
        assert!(refusal.contains(expected), "{refusal:?} does not say {expected:?}");
    }
}

fn pickle(bytes: &[u8]) -> Result<Forest, String> {
    Forest::parse(bytes, Format::XgboostPickle).map_err(|e| e.to_string())
}

/// A booster with this content, by protocol 5.
fn booster(content: &[u8]) -> Vec<u8> {
    let start = b"\x80\x05\x8c\x0cxgboost.core\x8c\x07Booster\x93)\x81}\x8c\x06handle\x96";
    [start, &(content.len() as u64).to_le_bytes()[..], content, b"sb"].concat()
}

#[test]
fn the_content_of_a_pickle_may_be_any_of_the_encodings() {
    let json = one("[1, 2, 1]", "binary:logistic", "2.5E-1").text();
    let both = format!(r#"{{"Config": {{"learner": 7}}, "Model": {json}}}"#);
    let binary = Binary::default().bytes();
    let config = [&b"CONFIG-offset:"[..], &(binary.len() as u64).to_le_bytes(), &binary, b"{}"].concat();
    for content in [json.as_bytes(), both.as_bytes(), &binary, &config] {
        let bytes = [&booster(content)[..], b"."].concat();
        assert_eq!(Format::detect(&bytes), Some(Format::XgboostPickle));
        assert_eq!(pickle(&bytes).unwrap().objective(), "binary:logistic");
    }
}

#[test]
fn pickles_are_refused_by_name() {
    let model = booster(one("[1, 2, 1]", "binary:logistic", "2.5E-1").text().as_bytes());
    let wrapper = |inside: &[u8]| {
        let start = b"\x80\x05\x8c\x0fxgboost.sklearn\x8c\x0dXGBClassifier\x93)\x81}(\x8c\x08_Booster";
        [start, inside, b"ub."].concat()
    };
    assert!(pickle(&wrapper(&model)).is_ok());
    let two = [&model[..], b"\x8c\x01b", &model].concat();
    let pipeline = b"\x80\x04\x8c\x10sklearn.pipeline\x8c\x08Pipeline\x93)\x81}\x8c\x05steps".to_vec();
    for (bytes, expected) in [
        (wrapper(b"N"), "handle: xgboost.sklearn.XGBClassifier holds no booster, as when it was not fitted"),
        (wrapper(&two), "handle: xgboost.sklearn.XGBClassifier holds 2 boosters"),
        ([&pipeline[..], &model, b"sb."].concat(), "pickle of sklearn.pipeline.Pipeline is not supported"),
        ([b"\x80\x04}\x8c\x05model", &model[..], b"s."].concat(), "pickle of a dictionary is not supported"),
        ([&booster(b"bs64AAAA")[..], b"."].concat(), "handle: content of a kind that is not known"),
        (b"\x78\x9c\x01".to_vec(), "pickle compressed by zlib is not supported"),
        (b"\x1f\x8b\x08".to_vec(), "pickle compressed by gzip is not supported"),
        (b"\x80\x05\x97.".to_vec(), "at byte 2: opcode '\\x97' refers to what is not in the file"),
        (b"\x80\x04cposix\nsystem\n(S'true'\ntR.".to_vec(), "pickle of posix.system is not supported"),
    ] {
        let refusal = pickle(&bytes).unwrap_err();
        assert!(refusal.contains(expected), "{refusal:?} does not say {expected:?}");
    }
}

#[test]
fn pickles_that_are_made_to_hurt_are_refused_at_once() {
    let marks = b"(".repeat(2_000_000);
    let copies = [&b"N"[..], &b"2".repeat(2_000_000)].concat();
    let tuples = [&b")"[..], &b"\x85".repeat(1_000_000), b"."].concat();
    let states = [&b"}\x8c\x05shape)s0"[..]].concat().repeat(1_200_000);
    for (bytes, expected) in [
        (marks, "more than 1048576 values on the stack"),
        (copies, "more than 1048576 values on the stack"),
        (tuples, "pickle of a tuple is not supported"),
        (states, "of more than 1048576"),
    ] {
        let start = std::time::Instant::now();
        let refusal = pickle(&bytes).unwrap_err();
        assert!(refusal.contains(expected), "{refusal:?} does not say {expected:?}");
        assert!(start.elapsed() < std::time::Duration::from_secs(2), "{expected}: {:?}", start.elapsed());
    }
}
