//! Why a score is what it is, put in order: groups of reasons that add up to the risk.
//!
//! A score keeps its strongest reasons, the points of every source over all features, and the points of what is not
//! among the reasons. Here each source gets its reasons and the rest of its points, so that
//! `base_risk + Σ groups.points + other_points = risk`. Stored scores may hold anything: a reason of a source
//! without a group gets a group of its own.
//!
//! It computes no points: a score that does not have them says why.

use std::collections::BTreeMap;

use serde::Serialize;
use tribunal_core::ensemble::Thresholds;
use tribunal_core::message::Evidence;
use tribunal_core::score::{EnsembleRef, Interval, Listed, PredictorOutcome, Reason};
use tribunal_core::time::rfc3339_millis;
use tribunal_core::{Kind, Score, Verdict};

/// Points below this are shown as nothing.
pub(crate) const LEAST_POINTS: f64 = 0.05;

/// A score and its reasons, as `explain --json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Explained<'a> {
    /// Normal form.
    pub(crate) entity: &'a str,
    /// Domain or address.
    pub(crate) kind: Kind,
    /// Which score.
    pub(crate) scored_key: &'a str,
    /// When it was scored.
    pub(crate) scored_at: &'a str,
    /// The time that it is looked at from.
    pub(crate) at: String,
    /// Until when it is to be relied on.
    pub(crate) valid_until: Option<&'a str>,
    /// Whether `at` lies behind that.
    pub(crate) expired: bool,
    /// What an analyst is told.
    pub(crate) verdict: Verdict,
    /// When it was scored.
    pub(crate) risk: Option<f64>,
    /// What is left of it at `at`.
    pub(crate) effective_risk: Option<f64>,
    /// Where the verdicts begin for this kind, if the definition is at hand.
    pub(crate) thresholds: Option<Thresholds>,
    /// What consumers make of it.
    pub(crate) profiles: &'a BTreeMap<String, Verdict>,
    /// The list entry that decided.
    pub(crate) listed: Option<&'a Listed>,
    /// How far the risk could have moved.
    pub(crate) interval: Option<Interval>,
    /// Sources that were to be asked and did not answer.
    pub(crate) unanswered: Vec<&'a str>,
    /// The risk of the average entity.
    pub(crate) base_risk: Option<f64>,
    /// Reasons by source, the source that moved most first.
    pub(crate) groups: Vec<Group<'a>>,
    /// Points of neither.
    pub(crate) other_points: Option<f64>,
    /// Why there are no reasons.
    pub(crate) unexplained: Option<String>,
    /// Every member.
    pub(crate) predictors: &'a [PredictorOutcome],
    /// Facts.
    pub(crate) evidence: &'a [Evidence],
    /// The definition.
    pub(crate) ensemble: &'a EnsembleRef,
}

/// What one source moved the risk by.
#[derive(Debug, Serialize)]
pub(crate) struct Group<'a> {
    /// Its name, or `entity`.
    pub(crate) source: &'a str,
    /// Its kind.
    pub(crate) kind: &'a str,
    /// Points of all its features.
    pub(crate) points: f64,
    /// Hours after which half of them is left.
    pub(crate) half_life_hours: Option<f64>,
    /// Its reasons, strongest first.
    pub(crate) reasons: Vec<&'a Reason>,
    /// Points of its other features.
    pub(crate) other_points: f64,
}

impl<'a> Explained<'a> {
    /// A score as it is at a time.
    pub(crate) fn of(score: &'a Score, thresholds: Option<Thresholds>, at_ms: u64) -> Self {
        let groups = groups(score);
        let in_groups: f64 = groups.iter().map(|group| group.other_points).sum();
        let unanswered = score.sources.iter().filter(|(_, status)| status.is_unanswered());
        Self {
            entity: &score.entity,
            kind: score.kind,
            scored_key: &score.scored_key,
            scored_at: &score.scored_at,
            at: rfc3339_millis(at_ms),
            valid_until: score.valid_until.as_deref(),
            expired: !score.is_valid(at_ms),
            verdict: score.verdict,
            risk: score.risk,
            effective_risk: score.effective_risk(at_ms),
            thresholds,
            profiles: &score.profiles,
            listed: score.listed.as_ref(),
            interval: score.interval,
            unanswered: unanswered.map(|(name, _)| name.as_str()).collect(),
            base_risk: score.base_risk,
            groups,
            other_points: score.other_points.map(|points| points - in_groups),
            unexplained: unexplained(score),
            predictors: &score.predictors,
            evidence: &score.evidence,
            ensemble: &score.ensemble,
        }
    }
}

/// Reasons by source, the source that moved most first.
fn groups(score: &Score) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for group in &score.groups {
        groups.push(Group {
            source: &group.source,
            kind: &group.kind,
            points: group.points,
            half_life_hours: group.half_life_hours,
            reasons: Vec::new(),
            other_points: group.points,
        });
    }
    let grouped = groups.len();
    for reason in &score.reasons {
        match groups.iter_mut().position(|group| group.source == reason.source) {
            Some(i) => groups[i].add(reason, i < grouped),
            None => {
                let mut group = Group {
                    source: &reason.source,
                    kind: "",
                    points: 0.0,
                    half_life_hours: None,
                    reasons: Vec::new(),
                    other_points: 0.0,
                };
                group.add(reason, false);
                groups.push(group);
            }
        }
    }
    groups.sort_by(|a, b| b.points.abs().total_cmp(&a.points.abs()).then_with(|| a.source.cmp(b.source)));
    groups
}

impl<'a> Group<'a> {
    /// Adds a reason, whose points the group's have already, or not.
    fn add(&mut self, reason: &'a Reason, counted: bool) {
        self.reasons.push(reason);
        if counted {
            self.other_points -= reason.points;
        } else {
            self.points += reason.points;
        }
    }
}

/// Why a score has no reasons; `None` when it has them.
fn unexplained(score: &Score) -> Option<String> {
    if score.base_risk.is_some() {
        return None;
    }
    if let Some(special) = score.special {
        return Some(format!("nobody was asked: {}", special.reason()));
    }
    if score.risk.is_none() {
        let quorum = score.quorum;
        return Some(format!(
            "there is no risk: {} of the {} predictors needed answered",
            quorum.answered, quorum.needed
        ));
    }
    Some(
        "no predictor gave reasons: they do from a probability on that their models say (`explain_from`), and \
         the entity is below it"
            .to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::scores::tests::{example, explained};

    #[test]
    fn base_groups_and_the_rest_add_up_to_the_risk() {
        let score = explained();
        let shown = Explained::of(&score, None, 0);
        let groups: f64 = shown.groups.iter().map(|g| g.points).sum();
        let sum = shown.base_risk.unwrap() + groups + shown.other_points.unwrap();
        assert!((sum - score.risk.unwrap()).abs() < 1e-9, "{sum}");
        for group in &shown.groups {
            let parts: f64 = group.reasons.iter().map(|r| r.points).sum::<f64>() + group.other_points;
            assert!((parts - group.points).abs() < 1e-9, "{group:?}");
        }
        assert_eq!(shown.groups[0].source, "entity");
        assert_eq!(shown.unanswered, ["whois"]);
    }

    #[test]
    fn a_reason_without_a_group_makes_one() {
        let mut score = explained();
        score.groups.clear();
        let shown = Explained::of(&score, None, 0);
        assert_eq!(shown.groups.len(), 2);
        let groups: f64 = shown.groups.iter().map(|g| g.points).sum();
        assert!((shown.base_risk.unwrap() + groups + shown.other_points.unwrap() - 92.5).abs() < 1e-9);
    }

    #[test]
    fn without_reasons_it_is_said_why() {
        let why = |verdict, risk| {
            let mut score = example("x.com", verdict, risk);
            score.base_risk = None;
            Explained::of(&score, None, 0).unexplained.unwrap()
        };
        assert!(why(Verdict::NotRoutable, None).starts_with("nobody was asked: "));
        assert_eq!(why(Verdict::Unknown, None), "there is no risk: 0 of the 2 predictors needed answered");
        assert!(why(Verdict::Benign, Some(1.0)).contains("`explain_from`"));
    }
}
