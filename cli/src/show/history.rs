//! Scores of an entity over time, and what changed from each to the next.

use std::collections::BTreeMap;
use std::io::{self, Write};

use comfy_table::Cell;
use serde::Serialize;
use tribunal_core::{Score, Verdict};

use super::scores::{now, risk, tint, verdict};
use crate::output::{Screen, escape, foreign, number, table, write_table};

/// Reasons that are told of a change.
const TOLD: usize = 3;
/// Points that a reason has to move by to be told.
const LEAST: f64 = 0.5;
/// Steps of the line of risks, least first.
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Most risks of the line: the newest.
const MAX_STEPS: usize = 60;

/// What changed from one score to the next.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Change {
    /// The later score.
    pub(crate) scored_key: String,
    /// Verdict before and after, where it changed.
    pub(crate) verdict: Option<(Verdict, Verdict)>,
    /// How far the risk moved; absent where one has none.
    pub(crate) risk: Option<f64>,
    /// Features whose points moved most, most first: name, and by how much.
    pub(crate) reasons: Vec<(String, f64)>,
    /// Members whose version changed (`xgboost 1 -> 2`), and the definition.
    pub(crate) versions: Vec<String>,
}

impl Change {
    /// From one score to the next.
    pub(crate) fn between(before: &Score, after: &Score) -> Self {
        Self {
            scored_key: after.scored_key.clone(),
            verdict: (before.verdict != after.verdict).then_some((before.verdict, after.verdict)),
            risk: before.risk.zip(after.risk).map(|(before, after)| after - before),
            reasons: moved(before, after),
            versions: versions(before, after),
        }
    }

    /// In one line.
    fn text(&self) -> String {
        let mut parts = Vec::new();
        if let Some((before, after)) = self.verdict {
            parts.push(format!("was {}, is {}", verdict(before), verdict(after)));
        }
        parts.extend(self.reasons.iter().map(|(name, points)| format!("{name} {points:+.1}")));
        parts.extend(self.versions.iter().cloned());
        parts.join("; ")
    }
}

/// The features whose points moved most. One that is not among the reasons counts as nothing.
fn moved(before: &Score, after: &Score) -> Vec<(String, f64)> {
    let mut points: BTreeMap<&str, f64> = BTreeMap::new();
    for (score, sign) in [(before, -1.0), (after, 1.0)] {
        for reason in &score.reasons {
            *points.entry(&reason.feature).or_default() += sign * reason.points;
        }
    }
    let mut moved: Vec<(String, f64)> = points
        .into_iter()
        .filter(|(_, points)| points.abs() >= LEAST)
        .map(|(name, points)| (name.to_owned(), points))
        .collect();
    moved.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    moved.truncate(TOLD);
    moved
}

fn versions(before: &Score, after: &Score) -> Vec<String> {
    let of = |score: &Score| {
        let mut versions: BTreeMap<String, String> =
            score.predictors.iter().filter_map(|p| Some((p.model.clone(), p.version.clone()?))).collect();
        versions.insert("ensemble".to_owned(), score.ensemble.version.clone());
        versions
    };
    let (before, after) = (of(before), of(after));
    after
        .into_iter()
        .filter_map(|(name, new)| {
            let old = before.get(&name)?;
            (*old != new).then(|| format!("{name} {old} -> {new}"))
        })
        .collect()
}

/// Writes scores, oldest first, as they are at a time (milliseconds since 1970).
pub(crate) fn write(
    out: &mut impl Write,
    screen: Screen,
    scores: &[Score],
    changes: &[Change],
    at_ms: u64,
) -> io::Result<()> {
    let entity = scores.first().map_or("", |score| score.entity.as_str());
    writeln!(out, "{}  {}\n", escape(entity), line(scores))?;
    let mut rows = table(screen, &["", "asked for", "risk", "now", "verdict", "what changed"]);
    for (i, score) in scores.iter().enumerate() {
        let change = i.checked_sub(1).and_then(|i| changes.get(i));
        let mark = if change.is_some_and(|change| change.verdict.is_some()) { "*" } else { "" };
        let left = now(score, score.effective_risk(at_ms));
        let mut left = left.map_or_else(String::new, |left| format!("{left:.1}"));
        if !score.is_valid(at_ms) {
            left = format!("{left} expired").trim_start().to_owned();
        }
        rows.add_row([
            Cell::new(mark),
            foreign(score.requested_at.get(..19).unwrap_or(&score.requested_at)),
            tint(number(risk(score)), score, screen),
            number(left),
            tint(Cell::new(verdict(score.verdict)), score, screen),
            foreign(&change.map_or_else(String::new, Change::text)),
        ]);
    }
    write_table(out, &rows)
}

/// The risks as a line of blocks, oldest first; a score without a risk is a dot.
fn line(scores: &[Score]) -> String {
    let newest = scores.iter().skip(scores.len().saturating_sub(MAX_STEPS));
    let step = |score: &Score| {
        // Clamped first, so that the cast cannot leave the range.
        score.risk.map_or('·', |risk| STEPS[((risk.clamp(0.0, 100.0) / 100.0) * 7.0).round() as usize])
    };
    newest.map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::scores::tests::explained;

    #[test]
    fn what_changed_is_told_and_changes_of_the_verdict_are_marked() {
        let mut scores = vec![explained(), explained(), explained()];
        (scores[0].risk, scores[0].verdict) = (Some(20.0), Verdict::Benign);
        scores[0].reasons.truncate(1);
        scores[0].scored_at = "2026-11-20T07:49:58.456Z".to_owned();
        scores[0].requested_at = "2026-11-20T07:49:58.123Z".to_owned();
        (scores[2].risk, scores[2].verdict) = (None, Verdict::Unknown);
        scores[2].predictors[0].version = Some("2\u{1b}".to_owned());
        scores[2].valid_until = None;
        let changes: Vec<Change> =
            scores.windows(2).map(|pair| Change::between(&pair[0], &pair[1])).collect();
        assert_eq!(changes[0].risk, Some(72.5));
        assert_eq!(changes[0].reasons, [("feeds_count".to_owned(), 30.0), ("tld_rate".to_owned(), -6.5)]);
        let mut out = Vec::new();
        write(&mut out, Screen::PLAIN, &scores, &changes, 1_795_765_798_456).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        insta::assert_snapshot!(text);
    }
}
