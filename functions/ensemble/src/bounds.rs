//! How much of a score is kept: DynamoDB refuses items above 400 KB, and one refused item fails a batch.
//!
//! All limits are bytes or counts. With every one of them reached an item stays under 200 KB, which a test
//! holds.

use std::collections::BTreeMap;

use tribunal_core::message::{Evidence, Row, SourceStatus};

/// Most facts kept with a score.
pub const MAX_EVIDENCE: usize = 32;
/// Most bytes of each text of a fact.
pub const MAX_EVIDENCE_BYTES: usize = 512;
/// Most bytes of a time of a fact.
pub const MAX_TIME_BYTES: usize = 64;
/// Most bytes of the page of a fact; a longer one is left out, since a part of it leads elsewhere.
pub const MAX_LINK_BYTES: usize = 1_024;
/// Most sources whose status is kept.
pub const MAX_SOURCES: usize = 64;
/// Most reasons kept with a score.
pub const MAX_REASONS: usize = 10;
/// Most bytes of the reason why a predictor has no probability.
pub const MAX_REASON_BYTES: usize = 256;
/// Most bytes of a reason of the risk in words.
pub const MAX_SENTENCE_BYTES: usize = 160;
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
    let time = |time: &String| cut(time, MAX_TIME_BYTES);
    let fact = |e: &Evidence| Evidence {
        source: text(&e.source),
        fact: text(&e.fact),
        value: text(&e.value),
        first_seen: e.first_seen.as_ref().map(time),
        last_seen: e.last_seen.as_ref().map(time),
        link: e.link.as_ref().filter(|link| link.len() <= MAX_LINK_BYTES).map(|l| cut(l, MAX_LINK_BYTES)),
    };
    facts.iter().take(MAX_EVIDENCE).map(fact).collect()
}

/// How many facts of a row a score leaves out: those that [`evidence`] does, and those that extract did.
pub(crate) const fn evidence_dropped(row: &Row) -> usize {
    row.evidence_dropped.saturating_add(row.evidence.len().saturating_sub(MAX_EVIDENCE))
}

/// The first sources by name.
pub(crate) fn sources<'a>(
    all: impl IntoIterator<Item = (&'a String, &'a SourceStatus)>,
) -> impl Iterator<Item = (String, SourceStatus)> {
    all.into_iter().take(MAX_SOURCES).map(|(name, status)| (label(name), *status))
}

/// How long the sources of a row took, of those whose status is kept.
pub(crate) fn source_ms(row: &Row, source_ms: &BTreeMap<String, u32>) -> BTreeMap<String, u32> {
    let kept = row.sources.keys().take(MAX_SOURCES);
    kept.filter_map(|name| source_ms.get(name).map(|ms| (label(name), *ms))).collect()
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
