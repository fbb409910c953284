//! A reason in words.

use std::collections::HashMap;
use std::sync::LazyLock;

use tribunal_core::score::Reason;
use tribunal_core::{Score, Verdict};
use tribunal_features::Lexicon;

/// The reason that explains a score best: the strongest, and of an alarm the strongest towards it.
pub(crate) fn top(score: &Score) -> Option<&Reason> {
    let alarm = matches!(score.verdict, Verdict::Malicious | Verdict::Suspicious);
    let fits = |reason: &&Reason| reason.points > 0.0 || !alarm;
    score.reasons.iter().find(fits).or_else(|| score.reasons.first())
}

/// `seen on 3 feeds ↑`: what it says, and which way it moved the risk.
pub(crate) fn words(reason: &Reason) -> String {
    let arrow = if reason.points > 0.0 { '↑' } else { '↓' };
    format!("{} {arrow}", sentence(reason))
}

/// What a reason says: its sentence, or what its feature means, or at least the feature and its value.
pub(crate) fn sentence(reason: &Reason) -> String {
    if !reason.text.is_empty() {
        return reason.text.clone();
    }
    let value = value(reason.value);
    match meaning(&reason.feature) {
        Some(meaning) => format!("{meaning}: {value}"),
        None => format!("{} {value}", reason.feature),
    }
}

/// A number with at most two decimals.
pub(crate) fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What a feature says; `None` for one that this version does not compute.
pub(crate) fn meaning(feature: &str) -> Option<&'static str> {
    static MEANINGS: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
        let lexicon = Lexicon::embedded();
        let schema = lexicon.map(tribunal_features::schema);
        schema
            .into_iter()
            .flat_map(|s| s.features)
            .map(|f| (f.name.into_owned(), f.meaning.into_owned()))
            .collect()
    });
    MEANINGS.get(feature).map(String::as_str)
}

/// A value with at most three decimals; a missing one is `missing`.
pub(crate) fn value(value: Option<f32>) -> String {
    match value {
        None => "missing".to_owned(),
        Some(v) if v == v.trunc() && v.abs() < 1e9 => format!("{v:.0}"),
        Some(v) if v.abs() >= 0.001 && v.abs() < 1e9 => {
            let text = format!("{v:.3}");
            text.trim_end_matches('0').to_owned()
        }
        Some(v) => format!("{v:e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short() {
        for (v, text) in [
            (None, "missing"),
            (Some(3.0), "3"),
            (Some(-0.5), "-0.5"),
            (Some(0.8339), "0.834"),
            (Some(0.000_012), "1.2e-5"),
            (Some(f32::MAX), "3.4028235e38"),
        ] {
            assert_eq!(value(v), text);
        }
    }
}
