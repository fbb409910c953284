//! Pickles of `Booster` and of the scikit-learn wrappers, by Python's `pickle` or by joblib without
//! compression.
//!
//! The booster's content is one of the other encodings: UBJSON (since 1.6), JSON (1.3 to 1.5), the binary
//! format with a configuration behind it (1.0 to 1.2), or the binary format (0.x). All trees are used:
//! `best_iteration`, which the wrappers' `predict` stops at after early stopping, is not heeded, as in
//! `Booster.predict`.
//!
//! Refused by name: objects that are not XGBoost's (a pipeline does more than its booster), and compressed
//! files.

use super::{from_binary, from_json, from_ubj};
use crate::Format;
use crate::error::ParseError;
use crate::forest::Forest;
use crate::format::is_xgboost_binary;
use crate::pickle::{Payload, scan};

/// First bytes of what `joblib.dump(..., compress=...)` writes.
const COMPRESSED: [(&[u8], &str); 9] = [
    (b"\x78\x01", "zlib"),
    (b"\x78\x5e", "zlib"),
    (b"\x78\x9c", "zlib"),
    (b"\x78\xda", "zlib"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x5d\0\0", "lzma"),
    (b"\x04\x22\x4d\x18", "lz4"),
];

pub(crate) fn from_pickle(bytes: &[u8]) -> Result<Forest, ParseError> {
    let format = Format::XgboostPickle;
    if let Some((_, kind)) = COMPRESSED.into_iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(ParseError::Unsupported(format!("pickle compressed by {kind}")));
    }
    let found = scan(bytes).map_err(|fault| ParseError::Bytes {
        format,
        offset: fault.offset,
        reason: fault.reason,
    })?;
    if !found.class.starts_with("xgboost.") {
        return Err(ParseError::Unsupported(format!("pickle of {}", found.class)));
    }
    let member = "handle";
    let reason = match found.payloads[..] {
        [payload] => return from_payload(payload),
        [] => format!("{} holds no booster, as when it was not fitted", found.class),
        _ => format!("{} holds {} boosters", found.class, found.payloads.len()),
    };
    Err(ParseError::Member { member, reason })
}

fn from_payload(payload: Payload<'_>) -> Result<Forest, ParseError> {
    let wrong = |reason: &str| ParseError::Member { member: "handle", reason: reason.to_owned() };
    let bytes = payload.bytes().ok_or_else(|| wrong("text that does not stand for bytes"))?;
    match bytes[..] {
        // A UBJSON key starts with the marker of its length.
        [b'{', b'L' | b'l' | b'I' | b'i' | b'U', ..] => from_ubj(&bytes),
        [b'{', ..] => from_json(&bytes),
        _ if is_xgboost_binary(&bytes) => from_binary(&bytes),
        _ => Err(wrong("content of a kind that is not known")),
    }
}
