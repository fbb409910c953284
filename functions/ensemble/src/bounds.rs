//! How much of a score is kept: DynamoDB refuses items above 400 KB, and one refused item fails a batch.
//!
//! All limits are bytes or counts. With every one of them reached an item stays under 100 KB, which a test
//! holds.

use tribunal_core::message::{Evidence, SourceStatus};

/// Most facts kept with a score.
pub const MAX_EVIDENCE: usize = 32;
/// Most bytes of each text of a fact.
pub const MAX_EVIDENCE_BYTES: usize = 512;
/// Most sources whose status is kept.
pub const MAX_SOURCES: usize = 64;
/// Most contributions kept with a score.
pub const MAX_CONTRIBUTIONS: usize = 8;
/// Most bytes of the reason why a predictor has no probability.
pub const MAX_REASON_BYTES: usize = 256;
/// Most features of a vector.
pub const MAX_FEATURES: usize = 4_096;
/// Most bytes of an identifier that only informs (batch, digest, version, name of a feature or a source).
pub(crate) const MAX_LABEL_BYTES: usize = 128;

/// `text` in at most `max` bytes, an ellipsis at the end if it was cut; control characters become spaces.
pub(crate) fn cut(text: &str, max: usize) -> String {
    const ELLIPSIS: char = '…';
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    if text.len() <= max {
        return text.chars().map(printable).collect();
    }
    let mut end = max.saturating_sub(ELLIPSIS.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().chars().map(printable).chain([ELLIPSIS]).collect()
}

/// An identifier, bounded.
pub(crate) fn label(text: &str) -> String {
    cut(text, MAX_LABEL_BYTES)
}

/// The first facts, each text bounded.
pub(crate) fn evidence(facts: &[Evidence]) -> Vec<Evidence> {
    let text = |text: &str| cut(text, MAX_EVIDENCE_BYTES);
    facts
        .iter()
        .take(MAX_EVIDENCE)
        .map(|e| Evidence { source: text(&e.source), fact: text(&e.fact), value: text(&e.value) })
        .collect()
}

/// The first sources by name.
pub(crate) fn sources<'a>(
    all: impl IntoIterator<Item = (&'a String, &'a SourceStatus)>,
) -> impl Iterator<Item = (String, SourceStatus)> {
    all.into_iter().take(MAX_SOURCES).map(|(name, status)| (label(name), *status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        for (text, max, expected) in [
            ("", 4, ""),
            ("abcd", 4, "abcd"),
            ("abcde", 4, "a…"),
            ("aéé", 4, "a…"),
            ("éééé", 7, "éé…"),
            ("a\r\nb\0", 9, "a  b "),
        ] {
            assert_eq!(cut(text, max), expected, "{text:?}");
            assert!(cut(text, max).len() <= max.max(3), "{text:?}");
        }
    }
}
