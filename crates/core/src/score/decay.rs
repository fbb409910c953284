//! What is left of a score after a time: facts grow old, names do not.
//!
//! ```text
//! effective risk = risk − Σ points_g · (1 − 2^(−age / half_life_g))     over the groups g with a half-life
//!                = base_risk + Σ points_g · 2^(−age / half_life_g)      (no half-life: the points stay)
//! ```
//! The two are the same because base risk and points add up to the risk; the first is the risk itself at age zero, to
//! the last bit, and also for a score that is not explained, which does not decay. The result is clamped to
//! [0, 100]. Times are milliseconds since 1970; a time before the scoring has age zero.
//!
//! Items of a table are read here too, and may hold anything: a half-life or points that are not finite, and a
//! half-life that is not above zero, are as if they were not there.

use super::Score;
use crate::time::parse_rfc3339;

const HOUR_MS: f64 = 3_600_000.0;

impl Score {
    /// The risk that is left at a time; `None` when there was none.
    pub fn effective_risk(&self, at_ms: u64) -> Option<f64> {
        let risk = self.risk?;
        let scored_ms = parse_rfc3339(&self.scored_at).unwrap_or(at_ms);
        let hours = at_ms.saturating_sub(scored_ms) as f64 / HOUR_MS;
        let lost: f64 = self
            .groups
            .iter()
            .filter(|group| group.points.is_finite())
            .map(|group| group.points * (1.0 - left(hours, group.half_life_hours)))
            .sum();
        Some((risk - lost).clamp(0.0, 100.0))
    }

    /// Whether the score may still be relied on at a time; one that says nothing of it may.
    pub fn is_valid(&self, at_ms: u64) -> bool {
        let until = self.valid_until.as_deref().and_then(|text| parse_rfc3339(text).ok());
        until.is_none_or(|until| at_ms <= until)
    }
}

/// The part that is left after some hours.
fn left(hours: f64, half_life_hours: Option<f64>) -> f64 {
    match half_life_hours {
        Some(half_life) if half_life.is_finite() && half_life > 0.0 => (-hours / half_life).exp2(),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::entity::Kind;
    use crate::score::{EnsembleRef, Group, Quorum, Verdict};

    const SCORED: u64 = 1_795_521_600_000;
    const DAY: u64 = 24 * 3_600_000;

    fn score(groups: &[(f64, Option<f64>)]) -> Score {
        let group = |&(points, half_life_hours)| Group {
            source: "feeds".to_owned(),
            kind: "dataset".to_owned(),
            points,
            half_life_hours,
        };
        Score {
            entity: "a.com".to_owned(),
            scored_key: "k".to_owned(),
            kind: Kind::Domain,
            original: "a.com".to_owned(),
            source: None,
            tlp: None,
            attempt: 0,
            requested_at: crate::time::rfc3339_millis(SCORED),
            scored_at: crate::time::rfc3339_millis(SCORED),
            batch: "b".to_owned(),
            risk: Some(80.0),
            verdict: Verdict::Malicious,
            agreement: None,
            quorum: Quorum { met: true, needed: 1, answered: 1 },
            predictors: Vec::new(),
            interval: None,
            base_risk: Some(10.0),
            reasons: Vec::new(),
            other_points: None,
            groups: groups.iter().map(group).collect(),
            profiles: BTreeMap::new(),
            listed: None,
            valid_until: Some(crate::time::rfc3339_millis(SCORED + DAY)),
            evidence: Vec::new(),
            evidence_dropped: 0,
            sources: BTreeMap::new(),
            source_ms: BTreeMap::new(),
            special: None,
            schema: "s".to_owned(),
            ensemble: EnsembleRef { version: "1".to_owned(), digest: "d".to_owned() },
        }
    }

    #[test]
    fn only_groups_with_a_half_life_decay() {
        let score = score(&[(30.0, None), (40.0, Some(24.0))]);
        for (days, risk) in [(0, 80.0), (1, 60.0), (2, 50.0), (3, 45.0)] {
            assert!((score.effective_risk(SCORED + days * DAY).unwrap() - risk).abs() < 1e-12, "{days} days");
        }
        assert!((score.effective_risk(u64::MAX).unwrap() - 40.0).abs() < 1e-9, "the name's points stay");
        assert_eq!(score.effective_risk(0), Some(80.0), "before it was scored");
    }

    #[test]
    fn what_spoke_for_an_entity_decays_too_and_the_result_is_a_risk() {
        let risk = |groups| score(groups).effective_risk(SCORED + DAY).unwrap();
        assert!((risk(&[(100.0, None), (-30.0, Some(24.0))]) - 95.0).abs() < 1e-12);
        assert!((risk(&[(-90.0, Some(24.0))]) - 100.0).abs() < 1e-12);
        assert!(risk(&[(200.0, Some(24.0))]).abs() < 1e-12);
    }

    #[test]
    fn hostile_items_do_not_break_it() {
        for half_life in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(score(&[(40.0, Some(half_life))]).effective_risk(SCORED + DAY), Some(80.0));
        }
        assert_eq!(score(&[(f64::NAN, Some(1.0))]).effective_risk(SCORED + DAY), Some(80.0));
        let mut odd = score(&[(40.0, Some(24.0))]);
        odd.scored_at = "yesterday".to_owned();
        assert_eq!(odd.effective_risk(SCORED + DAY), Some(80.0));
        odd.risk = None;
        assert_eq!(odd.effective_risk(SCORED), None);
    }

    #[test]
    fn a_score_is_valid_until_its_time() {
        let mut score = score(&[]);
        assert!(score.is_valid(SCORED + DAY) && !score.is_valid(SCORED + DAY + 1));
        score.valid_until = None;
        assert!(score.is_valid(u64::MAX));
    }
}
