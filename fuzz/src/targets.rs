//! What is done with an input, by target. Shared with `crates/forest/tests/corpus.rs`, which runs every kept input.

use tribunal_forest::{Forest, Format};

use crate::{answers, written};

/// Something to run on any bytes. It panics where `crates/forest` is at fault.
pub(crate) struct Target {
    /// Also of its folders under `fuzz/corpus` and `fuzz/regressions`.
    pub(crate) name: &'static str,
    pub(crate) run: fn(&[u8]),
}

/// One per format; `engines` writes a model from the input, and compares engines on larger forests than others.
pub(crate) const TARGETS: [Target; 11] = [
    Target { name: "xgboost-ubj", run: |input| parse(input, Format::XgboostUbj) },
    Target { name: "xgboost-json", run: |input| parse(input, Format::XgboostJson) },
    Target { name: "xgboost-binary", run: |input| parse(input, Format::XgboostBinary) },
    Target { name: "xgboost-pickle", run: |input| parse(input, Format::XgboostPickle) },
    Target { name: "lightgbm-text", run: |input| parse(input, Format::LightgbmText) },
    Target { name: "catboost-json", run: |input| parse(input, Format::CatboostJson) },
    Target { name: "catboost-cbm", run: |input| parse(input, Format::CatboostCbm) },
    Target { name: "onnx", run: |input| parse(input, Format::Onnx) },
    Target { name: "tribunal-forest-json", run: |input| parse(input, Format::TribunalForest) },
    Target { name: "tribunal-compiled", run: compiled },
    Target { name: "engines", run: engines },
];

fn parse(input: &[u8], format: Format) {
    let _ = Format::detect(input);
    match Forest::parse(input, format) {
        Ok(forest) => answers::check(&forest, input),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A compiled file with its length and checksum made right, so that what they protect is reached.
fn compiled(input: &[u8]) {
    let mut file = input.to_vec();
    let length = file.len() as u64;
    if let Some(bytes) = file.get_mut(16..24) {
        bytes.copy_from_slice(&length.to_le_bytes());
    }
    if let Some(bytes) = file.get_mut(24..28) {
        bytes.fill(0);
        let sum = crc32fast::hash(&file);
        file[24..28].copy_from_slice(&sum.to_le_bytes());
    }
    parse(&file, Format::Compiled);
}

/// A sound model that the input describes.
fn engines(input: &[u8]) {
    let (format, file) = written::model(input);
    match Forest::parse(&file, format) {
        Ok(forest) => answers::check(&forest, input),
        Err(error) => panic!("a sound model: {error:?}: {}", String::from_utf8_lossy(&file)),
    }
}
