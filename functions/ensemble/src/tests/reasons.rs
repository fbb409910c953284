//! Reasons, groups, intervals, lists and profiles of a score.

use proptest::prelude::*;
use serde_json::json;
use tribunal_core::ensemble::EnsembleDefinition;
use tribunal_core::message::{
    EnsembleInput, Explanation, PredictionBatch, PredictionOutcome, Row, SourceFeatures, SourceStatus,
};
use tribunal_core::score::{Group, Interval, ListAction};
use tribunal_core::{Score, SpecialUse, Verdict};

use super::support::{SCORED_AT, batch, definition_json, input, row};
use crate::MAX_REASONS;
use crate::score::score_batch;

const NAMES: [&str; 3] = ["xgboost", "lightgbm", "forest"];

fn definition(more: &serde_json::Value) -> EnsembleDefinition {
    let mut definition = definition_json();
    for (field, value) in more.as_object().unwrap() {
        definition[field] = value.clone();
    }
    EnsembleDefinition::parse(definition.to_string().as_bytes()).unwrap()
}

fn explained(model: &str, p: f32, base: f32, top: &[(u32, f32)], rest: f32) -> PredictionBatch {
    let margin = top.iter().map(|(_, c)| c).sum::<f32>() + rest;
    let grams = Vec::new();
    let explanation =
        Explanation { base: 0.0, base_probability: base, margin, top: top.to_vec(), rest, grams };
    PredictionBatch { explanations: vec![Some(explanation)], ..batch(model, &[Some(p)]) }
}

fn run(source: &str, kind: &str, first: usize, count: usize) -> SourceFeatures {
    SourceFeatures { source: source.to_owned(), kind: kind.to_owned(), first, count, phrases: Vec::new() }
}

/// Two features of the entity, and two of a feed.
fn asked(row: Row, predictions: Vec<PredictionBatch>) -> EnsembleInput {
    let row = Row { values: vec![Some(12.0), None, Some(3.0), Some(0.5)], ..row };
    let mut input = input(vec![row], predictions.into_iter().map(PredictionOutcome::Answered).collect());
    input.features.features = ["length", "digits", "feed_hits", "feed_age"].map(str::to_owned).into();
    input.features.source_features = vec![run("feeds", "dataset", 2, 2)];
    input
}

fn one(definition: &EnsembleDefinition, input: &EnsembleInput) -> Score {
    score_batch(definition, "sha256:d", input, SCORED_AT).remove(0)
}

#[test]
fn a_score_says_why() {
    let decaying = definition(&json!({
        "half_life_hours": {"dataset": 72}, "valid_hours": {"domain": 24.5, "ip": 1},
    }));
    let trees = explained("xgboost", 0.75, 0.25, &[(2, 3.0), (0, 1.0), (1, -0.5)], 0.5);
    let mut text = explained("lightgbm", 0.5, 0.25, &[], 1.0);
    let explanation = text.explanations[0].as_mut().unwrap();
    (explanation.grams, explanation.margin) = (vec![("payp".to_owned(), 3.0)], 4.0);
    let score = one(&decaying, &asked(row("paypa1.com", "r"), vec![trees, text]));
    // Weights 2 and 1: base (2·0.25 + 0.25) / 3, risk (2·0.75 + 0.5) / 3.
    assert_eq!((score.base_risk, score.risk), (Some(25.0), Some(66.666_667)));
    let told: Vec<_> = score.reasons.iter().map(|r| (r.text.as_str(), r.points, r.source.as_str())).collect();
    assert_eq!(
        told,
        [
            ("feed hits is 3", 25.0, "feeds"),
            ("length is 12", 8.333_333, "entity"),
            ("the letters \"payp\" are typical of malicious names", 6.25, "entity"),
            ("digits is not known", -4.166_667, "entity"),
            ("the name as a whole reads like malicious ones", 2.083_333, "entity"),
        ]
    );
    assert_eq!(score.reasons[0].feature, "feed_hits");
    assert_eq!((score.reasons[0].value, score.reasons[2].value), (Some(3.0), None));
    assert_eq!(score.other_points, Some(4.166_668));
    let group = |source: &str, kind: &str, points, half_life_hours| Group {
        source: source.to_owned(),
        kind: kind.to_owned(),
        points,
        half_life_hours,
    };
    assert_eq!(
        score.groups,
        [
            group("feeds", "dataset", 25.0, Some(72.0)),
            group("entity", "entity", 12.5, None),
            group("other", "other", 4.166_667, None)
        ]
    );
    let points: Vec<_> = score.predictors.iter().map(|p| p.points).collect();
    assert_eq!(points, [Some(33.333_333), Some(8.333_334), None]);
    assert_eq!(score.valid_until.as_deref(), Some("2026-11-25T08:19:59.000Z"));
}

#[test]
fn without_explanations_a_score_has_no_reasons() {
    let definition = definition(&json!({}));
    let score = one(&definition, &asked(row("a.com", "r"), NAMES.map(|m| batch(m, &[Some(0.5)])).into()));
    assert_eq!((score.base_risk, score.other_points, score.valid_until), (None, None, None));
    assert!(score.reasons.is_empty() && score.groups.is_empty());
    assert!(score.predictors.iter().all(|p| p.points.is_none()));
}

#[test]
fn runs_that_are_none_are_passed_over() {
    let definition = definition(&json!({}));
    let trees = || NAMES.map(|m| explained(m, 1.0, 0.0, &[(2, 1.0), (0, 1.0)], 0.0)).to_vec();
    let mut asked = asked(row("a.com", "r"), trees());
    for runs in [
        vec![run("x", "http", 2, 3)],
        vec![run("x", "http", usize::MAX, 1)],
        vec![run("x", "http", 4, 0)],
        vec![run("entity", "entity", 0, 4), run("x", "http", 2, 1)],
    ] {
        asked.features.source_features = runs;
        let score = one(&definition, &asked);
        assert!(score.reasons.iter().all(|r| r.source == "entity"), "{:?}", score.reasons);
        assert_eq!(score.groups.len(), 1);
    }
}

#[test]
fn an_interval_is_given_where_a_source_was_silent() {
    let definition = definition(&json!({}));
    let bounded = |m: &str| {
        let bounds = vec![(m != "forest").then_some((0.25, 1.0))];
        PredictionBatch { bounds, ..batch(m, &[Some(0.5)]) }
    };
    let mut row = row("a.com", "r");
    for (status, expected) in [
        (SourceStatus::Timeout, Some(Interval { low: 31.25, high: 87.5 })),
        (SourceStatus::Quota, Some(Interval { low: 31.25, high: 87.5 })),
        (SourceStatus::Empty, None),
        (SourceStatus::Skipped, None),
    ] {
        row.sources = [("feeds".to_owned(), status)].into();
        let score = one(&definition, &asked(row.clone(), NAMES.map(bounded).into()));
        assert_eq!(score.interval, expected, "{status:?}");
    }
}

fn listing(pattern: &str, action: &str, expires: Option<&str>) -> serde_json::Value {
    let mut entry = json!({"match": pattern, "action": action, "reason": "incident 7"});
    if let Some(expires) = expires {
        entry["expires"] = json!(expires);
    }
    entry
}

#[test]
fn lists_decide_the_verdict_and_not_the_risk() {
    let profile = json!({"suspicious": 5, "malicious": 100});
    let definition = definition(&json!({
        "lists": [
            listing("*.corp.example", "allow", None),
            listing("gone.com", "deny", Some("2026-11-24T07:49:59Z")),
            listing("evil.com", "deny", Some("2026-11-24T08:00:00Z")),
            listing("printer.local", "deny", None),
        ],
        "profiles": {"hunt": {"domain": profile, "ip": profile}},
        "valid_hours": {"domain": 1, "ip": 1},
    }));
    let verdict = |entity: &str, p: Option<f32>| {
        let score = one(&definition, &asked(row(entity, "r"), NAMES.map(|m| batch(m, &[p])).into()));
        let listed = score.listed.map(|listed| (listed.action, listed.entry, listed.reason));
        (score.risk, score.verdict, score.profiles["hunt"], listed, score.valid_until)
    };
    let by = |action, entry: &str| Some((action, entry.to_owned(), "incident 7".to_owned()));
    let (hour, expiry) =
        (Some("2026-11-24T08:49:59.000Z".to_owned()), Some("2026-11-24T08:00:00.000Z".to_owned()));
    let (benign, malicious, suspicious) = (Verdict::Benign, Verdict::Malicious, Verdict::Suspicious);
    let allow = by(ListAction::Allow, "*.corp.example");
    let deny = by(ListAction::Deny, "evil.com");
    let cases = [
        ("a.corp.example", Some(0.875), (Some(87.5), benign, benign, allow, hour.clone())),
        ("gone.com", Some(0.25), (Some(25.0), benign, suspicious, None, hour)),
        ("evil.com", Some(0.25), (Some(25.0), malicious, malicious, deny.clone(), expiry.clone())),
        ("evil.com", None, (None, malicious, malicious, deny, expiry)),
        ("other.com", None, (None, Verdict::Unknown, Verdict::Unknown, None, None)),
    ];
    for (entity, p, expected) in cases {
        assert_eq!(verdict(entity, p), expected, "{entity} {p:?}");
    }
    let mut special = row("printer.local", "r");
    special.special = Some(SpecialUse::Local);
    let score = one(&definition, &asked(special, Vec::new()));
    assert_eq!((score.verdict, score.listed), (Verdict::NotRoutable, None));
    assert_eq!(score.profiles["hunt"], Verdict::NotRoutable);
}

/// Contributions of features, of the rest, and the base probability.
type Contributions = (Vec<(u32, f32)>, f32, f32);

fn explanations() -> impl Strategy<Value = Option<Contributions>> {
    let top = prop::collection::vec((0..40_u32, -2.0..2.0_f32), 0..=10);
    prop::option::weighted(0.9, (top, -1.0..1.0_f32, 0.0..=1.0_f32))
}

proptest! {
    #[test]
    fn what_is_stored_adds_up(
        members in prop::collection::vec((0.0..=1.0_f32, explanations()), 3),
        firsts in prop::collection::vec(0..45_usize, 0..6),
    ) {
        let predictions = NAMES.iter().zip(members).map(|(model, (p, explanation))| match explanation {
            Some((top, rest, base)) => explained(model, p, base, &top, rest),
            None => batch(model, &[Some(p)]),
        });
        let mut asked = asked(row("a.com", "r"), predictions.collect());
        asked.features.features = (0..40).map(|i| format!("f{i}")).collect();
        asked.features.rows[0].values = vec![Some(1.0); 40];
        asked.features.source_features = firsts.iter().map(|&at| run(&format!("s{at}"), "http", at, 7)).collect();
        let score = one(&definition(&json!({})), &asked);
        let Some(base) = score.base_risk else { return Ok(()) };
        let risk = score.risk.unwrap();
        let told: f64 = score.reasons.iter().map(|r| r.points).sum();
        prop_assert!((base + told + score.other_points.unwrap() - risk).abs() < 1e-9);
        let groups: f64 = score.groups.iter().map(|g| g.points).sum();
        prop_assert!((base + groups - risk).abs() < 1e-5, "{base} {groups} {risk}");
        let members: f64 = score.predictors.iter().filter_map(|p| p.points).sum();
        prop_assert!((base + members - risk).abs() < 1e-9);
        prop_assert!(score.reasons.len() <= MAX_REASONS);
        prop_assert!(score.reasons.windows(2).all(|w| w[0].points.abs() >= w[1].points.abs()));
        prop_assert!(score.reasons.iter().all(|r| !r.text.is_empty() && r.points != 0.0));
    }
}
