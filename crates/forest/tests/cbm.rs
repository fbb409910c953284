//! Files in CatBoost's binary format that CatBoost would not write: each is one change from a sound file, and is an
//! error that names it, or answers.

#![cfg(feature = "catboost")]

use std::collections::BTreeMap;

use tribunal_forest::{Forest, Format};

/// What a field of a FlatBuffers table holds.
#[derive(Clone)]
enum Value {
    I32(i32),
    F64(f64),
    Bytes(Vec<u8>),
    /// Little-endian elements of this many bytes.
    Vector(usize, Vec<u8>),
    Table(Table),
    /// One table, and how many offsets lead to it.
    Tables(Table, usize),
}

/// Fields by their numbers in the schema.
type Table = BTreeMap<usize, Value>;

fn i32s(values: &[i32]) -> Value {
    Value::Vector(4, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn f32s(values: &[f32]) -> Value {
    Value::Vector(4, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn f64s(values: &[f64]) -> Value {
    Value::Vector(8, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

/// Distances to the left and right child.
fn steps(values: &[(u16, u16)]) -> Value {
    Value::Vector(4, values.iter().flat_map(|v| [v.0.to_le_bytes(), v.1.to_le_bytes()].concat()).collect())
}

fn put(out: &mut [u8], at: usize, value: usize) {
    out[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
}

/// Appends a table and all that it leads to; gives its position.
fn write_table(out: &mut Vec<u8>, table: &Table) -> usize {
    let slots = table.keys().max().map_or(0, |max| max + 1);
    let vtable = out.len();
    out.extend(((4 + 2 * slots) as u16).to_le_bytes());
    out.extend(((4 + 8 * table.len()) as u16).to_le_bytes());
    for number in 0..slots {
        let place = table.keys().position(|&key| key == number);
        out.extend(place.map_or(0, |i| 4 + 8 * i as u16).to_le_bytes());
    }
    let at = out.len();
    out.extend(((at - vtable) as i32).to_le_bytes());
    out.resize(at + 4 + 8 * table.len(), 0);
    for (i, value) in table.values().enumerate() {
        write_value(out, at + 4 + 8 * i, value);
    }
    at
}

fn write_value(out: &mut Vec<u8>, slot: usize, value: &Value) {
    let to = out.len() - slot;
    match value {
        Value::I32(value) => out[slot..slot + 4].copy_from_slice(&value.to_le_bytes()),
        Value::F64(value) => out[slot..slot + 8].copy_from_slice(&value.to_le_bytes()),
        Value::Bytes(bytes) => {
            put(out, slot, to);
            out.extend((bytes.len() as u32).to_le_bytes());
            out.extend(bytes);
        }
        Value::Vector(size, bytes) => {
            put(out, slot, to);
            out.extend(((bytes.len() / size) as u32).to_le_bytes());
            out.extend(bytes);
        }
        Value::Table(table) => {
            let at = write_table(out, table);
            put(out, slot, at - slot);
        }
        Value::Tables(table, count) => {
            put(out, slot, to);
            let first = out.len() + 4;
            out.extend((*count as u32).to_le_bytes());
            out.resize(first + 4 * count, 0);
            let at = write_table(out, table);
            (0..*count).for_each(|i| put(out, first + 4 * i, at - (first + 4 * i)));
        }
    }
}

fn float_feature(border: f32) -> Table {
    [(2, Value::I32(0)), (3, f32s(&[border])), (4, Value::Bytes(b"length".to_vec()))].into()
}

/// One tree, `x > 0.5 ? (x > 0.5 ? 3 : 2) : 1` as steps: the second has a leaf of its own on the right.
fn trees() -> Table {
    [
        (0, Value::I32(1)),
        (1, i32s(&[0, 0, 0, 0])),
        (2, i32s(&[4])),
        (3, i32s(&[0])),
        (5, Value::Tables(float_feature(0.5), 1)),
        (8, f64s(&[1.0, 2.0, 3.0])),
        (9, f64s(&[5.0, 1.0, 4.0])),
        (10, steps(&[(1, 2), (0, 0), (1, 0), (0, 0)])),
        (11, i32s(&[-1, 0, 2, 1])),
        (14, Value::F64(1.0)),
        (16, f64s(&[0.5])),
    ]
    .into()
}

fn file(trees: &Table) -> Vec<u8> {
    let core = [(0, Value::Bytes(b"FlabuffersModel_v1".to_vec())), (1, Value::Table(trees.clone()))].into();
    let mut buffer = vec![0; 4];
    let root = write_table(&mut buffer, &core);
    put(&mut buffer, 0, root);
    [b"CBM1".as_slice(), &(buffer.len() as u32).to_le_bytes(), &buffer].concat()
}

/// The sound file with one field replaced.
fn with(number: usize, value: Value) -> Vec<u8> {
    let mut trees = trees();
    trees.insert(number, value);
    file(&trees)
}

#[test]
fn a_sound_file_answers() {
    let forest = Forest::parse(&file(&trees()), Format::CatboostCbm).unwrap();
    let (mut margins, mut leaves) = (Vec::new(), Vec::new());
    forest.margins(&[0.5, 0.6, f32::NAN], &mut margins).unwrap();
    assert_eq!(margins, [1.5, 3.5, 1.5]);
    forest.leaves(&[0.5, 0.6], &mut leaves).unwrap();
    assert_eq!(leaves, [0, 2]);
    assert_eq!(forest.feature_names().unwrap(), ["length"]);
    // 0.5 + (5 x 1 + 1 x 2 + 4 x 3) / 10.
    assert!((forest.contributions(&[0.6]).unwrap().expected[0] - 2.4).abs() < 1e-12);
}

#[test]
fn unsound_trees_are_refused() {
    for (number, value, expected) in [
        (0, Value::I32(0), "number of outputs: 0, must be at least 1"),
        (0, Value::I32(-1), "number of outputs: 0, must be at least 1"),
        (0, Value::I32(4_097), "model has 4097 outputs, more than the limit 4096"),
        (0, Value::I32(2), "NonSymmetricNodeIdToLeafId: tree 0 leads to more leaves than the model has"),
        (1, i32s(&[1, 0, 0, 0]), "split_index: 1 in tree 0, the model has 1 borders"),
        (1, i32s(&[-1, 0, 0, 0]), "split_index: -1 in tree 0, the model has 1 borders"),
        (1, i32s(&[0, 0, 0]), "TreeSizes: 4 of tree 0 at 0 of 3"),
        (2, i32s(&[-4]), "TreeSizes: -4 of tree 0 at 0 of 4"),
        (2, i32s(&[i32::MAX]), "TreeSizes: 2147483647 of tree 0 at 0 of 4"),
        (2, i32s(&[]), "the trees do not follow each other"),
        (3, i32s(&[1]), "the trees do not follow each other"),
        (5, Value::Tables(float_feature(f32::NAN), 1), "tree 0, node 0: border is NaN"),
        (5, Value::Tables(float_feature(0.5), 2), "flat_feature_index: 0 is that of two features"),
        (8, f64s(&[1.0, 2.0, f64::NAN]), "leaf value is NaN"),
        (9, f64s(&[5.0, -1.0, 4.0]), "cover is -1"),
        (10, steps(&[(1, 2), (0, 0), (1, 0)]), "tree 0: NonSymmetricStepNodes has 3 values, expected 4"),
        (10, steps(&[(1, 3), (0, 0), (1, 0), (0, 0)]), "tree 0, node 2: 2 nodes are not reached"),
        (
            10,
            steps(&[(1, 4), (0, 0), (1, 0), (0, 0)]),
            "tree 0, node 0: child 4 is outside of the tree's 4 nodes",
        ),
        (10, steps(&[(1, 1), (0, 0), (1, 0), (0, 0)]), "tree 0, node 1: reached twice"),
        (8, f64s(&[1.0, 2.0]), "NonSymmetricNodeIdToLeafId: tree 0 leads to more leaves than the model has"),
        (11, i32s(&[-1, 0, 3, 1]), "NonSymmetricNodeIdToLeafId: leaf 3 of tree 0, there are 3 values"),
        (14, Value::F64(f64::INFINITY), "scale_and_bias: inf is not finite"),
        (16, f64s(&[0.5, 0.5]), "scale_and_bias: 2 biases for 1 outputs"),
    ] {
        let error = Forest::parse(&with(number, value), Format::CatboostCbm).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn what_is_not_evaluated_is_refused_when_a_tree_asks_for_it() {
    let hashes = |index: i32| [(0, Value::I32(index)), (1, i32s(&[7, 593_172_586]))].into();
    let with_other = |number: usize, table: Table, split: i32| {
        let category = [(0, Value::I32(4)), (1, Value::I32(1)), (2, Value::Bytes(b"kind".to_vec()))].into();
        let mut trees = trees();
        trees.insert(4, Value::Tables(category, 1));
        trees.insert(number, Value::Tables(table, 1));
        trees.insert(1, i32s(&[split, 0, 0, 0]));
        Forest::parse(&file(&trees), Format::CatboostCbm)
    };
    let forest = with_other(6, hashes(4), 0).unwrap();
    assert_eq!(forest.feature_names().unwrap(), ["length", "kind"]);
    let mut margins = Vec::new();
    with_other(6, hashes(4), 2).unwrap().margins(&[0.6, 3.0, 0.6, 4.0], &mut margins).unwrap();
    assert_eq!(margins, [3.5, 1.5]);
    let borders: Table = [(1, f32s(&[0.5])), (3, f32s(&[0.5]))].into();
    for (number, table, expected) in [
        (
            6,
            hashes(4),
            "one-hot split on categorical feature 1 (\"kind\"), whose value of hash 7 is not a whole",
        ),
        (7, borders.clone(), "catboost split on a categorical feature's statistic is not supported"),
        (13, borders, "catboost split on a text or embedding feature is not supported"),
        (6, hashes(5), "one-hot values of a categorical feature 5 that the model does not have"),
    ] {
        let error = with_other(number, table, 1).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn offsets_to_one_place_do_not_make_a_file_larger() {
    let values = Value::Vector(4, vec![0; 40_000]);
    let mut trees = trees();
    trees.insert(4, Value::Tables([(1, Value::I32(1))].into(), 1));
    for (number, field) in [(6, 1), (7, 1), (13, 3)] {
        let mut trees = trees.clone();
        trees.insert(number, Value::Tables([(field, values.clone())].into(), 1_000));
        let error = Forest::parse(&file(&trees), Format::CatboostCbm).expect_err("larger than the file");
        let error = error.to_string();
        assert!(error.contains("features of more than the file's 44"), "{error}");
    }
}
