//! The file formats that are read, and how they are told apart.

use serde::{Deserialize, Serialize};

/// How far into a file [`Format::detect`] looks.
const DETECT_BYTES: usize = 4_096;
/// First bytes of a `.cbm` file.
pub(crate) const CBM_MAGIC: &[u8] = b"CBM1";

/// A model file's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Format {
    /// XGBoost's UBJSON (`save_model("x.ubj")`, 1.6 and later).
    #[serde(rename = "xgboost-ubj")]
    XgboostUbj,
    /// XGBoost's JSON (`save_model("x.json")`, 1.0 and later).
    #[serde(rename = "xgboost-json")]
    XgboostJson,
    /// XGBoost's old binary format (`save_model` up to 2.x).
    #[serde(rename = "xgboost-binary")]
    XgboostBinary,
    /// Python's pickle of an XGBoost booster or scikit-learn wrapper; it is read without being executed.
    #[serde(rename = "xgboost-pickle")]
    XgboostPickle,
    /// LightGBM's text (`save_model`, format v2 to v4).
    #[serde(rename = "lightgbm-text")]
    LightgbmText,
    /// CatBoost's JSON (`save_model(format="json")`).
    #[serde(rename = "catboost-json")]
    CatboostJson,
    /// CatBoost's binary format (`save_model("x.cbm")`).
    #[serde(rename = "catboost-cbm")]
    CatboostCbm,
    /// ONNX: the operators for trees and linear models of ai.onnx.ml, with scalers and normalizers before them.
    #[serde(rename = "onnx")]
    Onnx,
    /// Trees and linear models in JSON, described in `crates/forest/FORMAT.md`.
    #[serde(rename = "tribunal-forest-json")]
    TribunalForest,
    /// The compiled form of any of the others, made by [`crate::Forest::compile`].
    #[serde(rename = "tribunal-compiled")]
    Compiled,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 10] = [
        Self::XgboostUbj,
        Self::XgboostJson,
        Self::XgboostBinary,
        Self::XgboostPickle,
        Self::LightgbmText,
        Self::CatboostJson,
        Self::CatboostCbm,
        Self::Onnx,
        Self::TribunalForest,
        Self::Compiled,
    ];

    /// The formats that are read where models are served: the compiled form, and what was served before there was
    /// one. Models of all other formats are compiled first.
    pub const SERVED: [Self; 4] =
        [Self::Compiled, Self::XgboostUbj, Self::LightgbmText, Self::TribunalForest];

    /// As in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::XgboostUbj => "xgboost-ubj",
            Self::XgboostJson => "xgboost-json",
            Self::XgboostBinary => "xgboost-binary",
            Self::XgboostPickle => "xgboost-pickle",
            Self::LightgbmText => "lightgbm-text",
            Self::CatboostJson => "catboost-json",
            Self::CatboostCbm => "catboost-cbm",
            Self::Onnx => "onnx",
            Self::TribunalForest => "tribunal-forest-json",
            Self::Compiled => "tribunal-compiled",
        }
    }

    /// The format that the first bytes look like; `None` when they look like none. A hint for a person who
    /// did not say the format: [`crate::Forest::parse`] decides whether the file is sound.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..DETECT_BYTES.min(bytes.len()))?;
        if head.starts_with(&crate::compiled::MAGIC) {
            return Some(Self::Compiled);
        }
        if head.starts_with(CBM_MAGIC) {
            return Some(Self::CatboostCbm);
        }
        if is_xgboost_binary(head) {
            return Some(Self::XgboostBinary);
        }
        if is_pickle(head) {
            return Some(Self::XgboostPickle);
        }
        if is_onnx(head) {
            return Some(Self::Onnx);
        }
        let text = head.trim_ascii_start();
        if text.starts_with(b"tree\n") || text.starts_with(b"tree\r\n") {
            return Some(Self::LightgbmText);
        }
        let body = text.strip_prefix(b"{")?;
        // A UBJSON key starts with the marker of its length; a JSON key with a quote.
        if matches!(body.first(), Some(b'L' | b'l' | b'I' | b'i' | b'U')) {
            return Some(Self::XgboostUbj);
        }
        let contains = |needle: &[u8]| head.windows(needle.len()).any(|w| w == needle);
        if contains(b"\"tribunal-forest\"") {
            return Some(Self::TribunalForest);
        }
        if contains(b"\"features_info\"") || contains(b"\"oblivious_trees\"") {
            return Some(Self::CatboostJson);
        }
        contains(b"\"learner\"").then_some(Self::XgboostJson)
    }
}

/// Up to 0.90 there was no magic, but behind 136 bytes the length of the objective's name and the name.
pub(crate) fn is_xgboost_binary(head: &[u8]) -> bool {
    let objective = || match head.get(136..144)? {
        [1..64, 0, 0, 0, 0, 0, 0, 0] => head.get(144..),
        _ => None,
    };
    let families: [&[u8]; 7] = [b"reg:", b"binary:", b"multi:", b"count:", b"rank:", b"survival:", b"gpu:"];
    head.starts_with(b"binf")
        || head.starts_with(b"CONFIG-offset:")
        || objective().is_some_and(|name| families.iter().any(|family| name.starts_with(family)))
}

/// Protocols 2 to 5 have a head; 0 and 1 start an object by the name of a function. What zlib compressed is
/// most likely joblib's, and refused with these words.
fn is_pickle(head: &[u8]) -> bool {
    matches!(head, [0x80, 2..=5, ..] | [0x78, 0x01 | 0x5E | 0x9C | 0xDA, ..])
        || head.starts_with(b"ccopy_reg\n_reconstructor\n")
        || head.starts_with(b"ccopyreg\n_reconstructor\n")
}

/// A message that starts with its version (field 1, a small integer) and goes on with another of `ModelProto`'s first
/// fields: producer, domain, version of the model, documentation, graph, operator sets.
fn is_onnx(head: &[u8]) -> bool {
    matches!(head, [0x08, 1..32, 0x12 | 0x1A | 0x22 | 0x28 | 0x32 | 0x3A | 0x42, ..])
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_json_are_those_of_as_str() {
        for format in Format::ALL {
            assert_eq!(serde_json::to_string(&format).unwrap(), format!("\"{format}\""));
        }
    }

    #[test]
    fn detects_by_the_first_bytes() {
        let cases: [(&[u8], Option<Format>); 13] = [
            (b"", None),
            (b"tree\nversion=v4\n", Some(Format::LightgbmText)),
            (b"{L\0\0\0\0\0\0\0\x07learner{", Some(Format::XgboostUbj)),
            (b" {\"learner\": {", Some(Format::XgboostJson)),
            (b"{\"format\": \"tribunal-forest\"", Some(Format::TribunalForest)),
            (b"tribunal\x01\0\0\0", Some(Format::Compiled)),
            (b"CBM1@\x1f\0\0", Some(Format::CatboostCbm)),
            (b"{\n  \"features_info\":\n", Some(Format::CatboostJson)),
            (b"\x08\x0a\x12\x08skl2onnx", Some(Format::Onnx)),
            (b"{\n  \"oblivious_trees\":[\n", Some(Format::CatboostJson)),
            (b"{\"x\": 1}", None),
            (b"\x80\x04\x95", Some(Format::XgboostPickle)),
            (b"{", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Format::detect(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
