use proptest::prelude::*;
use tribunal_core::message::{EnsembleInput, Evidence, PredictionOutcome, Row, SourceStatus};
use tribunal_core::score::Quorum;
use tribunal_core::{Score, SpecialUse, Verdict};

use super::support::{REQUESTED_AT, SCORED_AT, answered, batch, definition, failed, input, row, unanimous};
use crate::score::{Answers, score_batch};
use crate::{MAX_EVIDENCE, MAX_LINK_BYTES, MAX_TIME_BYTES};

fn scores(rows: Vec<Row>, predictions: Vec<PredictionOutcome>) -> Vec<Score> {
    score_batch(&definition(), "sha256:d", &input(rows, predictions), SCORED_AT)
}

fn one(predictions: Vec<PredictionOutcome>) -> Score {
    scores(vec![row("evil.com", "r1")], predictions).remove(0)
}

fn reasons(score: &Score) -> Vec<Option<&str>> {
    score.predictors.iter().map(|p| p.reason.as_deref()).collect()
}

#[test]
fn all_answer() {
    let score = one(vec![
        answered("forest", &[Some(0.5)]),
        answered("xgboost", &[Some(0.75)]),
        answered("lightgbm", &[Some(1.0)]),
    ]);
    assert_eq!((score.risk, score.verdict, score.agreement), (Some(75.0), Verdict::Malicious, Some(0.5)));
    assert_eq!(score.quorum, Quorum { met: true, needed: 2, answered: 3 });
    assert_eq!(score.scored_key, format!("{REQUESTED_AT}#r1"));
    assert_eq!((score.entity.as_str(), score.original.as_str()), ("evil.com", "hxxp://evil.com/"));
    assert_eq!((score.source.as_deref(), score.tlp.as_deref()), (Some("feed"), Some("amber")));
    assert_eq!((score.batch.as_str(), score.schema.as_str()), ("b-1", "sha256:schema"));
    assert_eq!((score.ensemble.version.as_str(), score.ensemble.digest.as_str()), ("7", "sha256:d"));
    let models: Vec<_> =
        score.predictors.iter().map(|p| (p.model.as_str(), p.probability, p.weight)).collect();
    assert_eq!(
        models,
        [("xgboost", Some(0.75), 2.0), ("lightgbm", Some(1.0), 1.0), ("forest", Some(0.5), 1.0)],
        "in the order of the definition"
    );
    assert_eq!(score.predictors[2].digest.as_deref(), Some("sha256:forest"));
    assert_eq!(score.predictors[2].version.as_deref(), Some("3"));
    assert_eq!(reasons(&score), [None, None, None]);
}

#[test]
fn a_failed_predictor_says_why() {
    let cases = [
        (
            "ModelUnavailable",
            r#"{"errorMessage":"models/x: digest mismatch","errorType":"ModelUnavailable"}"#,
            "ModelUnavailable: models/x: digest mismatch",
        ),
        ("States.Timeout", "", "States.Timeout"),
        (
            "Lambda.Unknown",
            "The cause could not be determined\n",
            "Lambda.Unknown: The cause could not be determined",
        ),
        ("E", r#"{"errorMessage":7}"#, r#"E: {"errorMessage":7}"#),
        ("E", r#"{"errorMessage":"a\u0000\u001b[31mb"}"#, "E: a  [31mb"),
    ];
    for (error, cause, expected) in cases {
        let score = one(vec![
            failed("lightgbm", error, cause),
            answered("xgboost", &[Some(0.5)]),
            answered("forest", &[Some(0.5)]),
        ]);
        assert_eq!((score.risk, score.verdict), (Some(50.0), Verdict::Suspicious), "{expected}");
        assert_eq!(reasons(&score), [None, Some(expected), None]);
        assert_eq!((score.predictors[1].version.as_ref(), score.predictors[1].probability), (None, None));
    }
    let long = one(vec![failed("lightgbm", &"E".repeat(9_000), &"é".repeat(9_000))]);
    assert!(reasons(&long)[1].unwrap().len() <= 256);
}

#[test]
fn answers_that_cannot_be_used_say_why() {
    let nothing = Some("no prediction");
    let mut covered = batch("xgboost", &[None]);
    covered.abstentions = vec!["feature_unknown: x".to_owned(), "kind_not_covered".to_owned()];
    let cases = [
        (vec![], [nothing, nothing, nothing]),
        (vec![answered("xgboost", &[])], [Some("0 probabilities for 1 rows"), nothing, nothing]),
        (vec![answered("xgboost", &[None, None])], [Some("2 probabilities for 1 rows"), nothing, nothing]),
        (vec![answered("xgboost", &[None])], [Some("abstained"), nothing, nothing]),
        (
            vec![PredictionOutcome::Answered(covered)],
            [Some("abstained: feature_unknown: x, kind_not_covered"), nothing, nothing],
        ),
        (
            vec![answered("forest", &[Some(f32::NAN)]), answered("lightgbm", &[Some(-0.5)])],
            [nothing, Some("probability -0.5 is outside 0 to 1"), Some("probability NaN is outside 0 to 1")],
        ),
        (
            vec![answered("forest", &[Some(0.5)]), failed("forest", "E", "")],
            [nothing, nothing, Some("more than one prediction")],
        ),
    ];
    for (predictions, expected) in cases {
        let score = one(predictions);
        assert_eq!(reasons(&score), expected);
        assert_eq!((score.risk, score.verdict), (None, Verdict::Unknown), "{expected:?}");
        assert!(!score.quorum.met && score.predictors.iter().all(|p| p.probability.is_none()));
    }
}

#[test]
fn a_member_without_weight_is_watched_and_has_no_say() {
    let predictions = vec![
        answered("xgboost", &[Some(0.25)]),
        answered("lightgbm", &[Some(0.25)]),
        answered("forest", &[Some(1.0)]),
    ];
    let score = scores(vec![row("1.2.3.4", "r1")], predictions).remove(0);
    assert_eq!((score.risk, score.agreement), (Some(25.0), Some(1.0)));
    assert_eq!(score.predictors[2].probability, Some(1.0));
    assert_eq!(reasons(&score), [None, None, Some("weight 0 for this kind")]);
}

#[test]
fn special_entities_are_not_scored() {
    let mut special = row("printer.local", "r1");
    (special.special, special.values) = (Some(SpecialUse::Local), Vec::new());
    let score = scores(vec![special], unanimous(1, 0.9)).remove(0);
    assert_eq!((score.risk, score.verdict), (None, Verdict::NotRoutable));
    assert_eq!(score.special, Some(SpecialUse::Local));
    assert_eq!(score.quorum, Quorum { met: true, needed: 0, answered: 0 });
    assert_eq!(reasons(&score), [Some("not asked"); 3]);
    assert!(score.predictors.iter().all(|p| p.probability.is_none()));
}

#[test]
fn strangers_and_missing_members_are_counted() {
    let input = input(
        vec![row("a.com", "r")],
        vec![
            answered("other", &[Some(1.0)]),
            failed("another", "E", ""),
            answered("xgboost", &[None]),
            failed("lightgbm", "E", ""),
        ],
    );
    let definition = definition();
    let answers = Answers::of(&definition, &input);
    assert_eq!((answers.strangers, answers.missing()), (2, 2));
}

#[test]
fn times_are_stored_in_one_spelling() {
    for text in ["2026-11-24T07:49:58.123456Z", "2026-11-24T08:49:58.123+01:00", REQUESTED_AT] {
        let mut row = row("evil.com", "r1");
        text.clone_into(&mut row.item.requested_at);
        let score = scores(vec![row], unanimous(1, 0.5)).remove(0);
        assert_eq!((score.requested_at.as_str(), score.scored_key.len()), (REQUESTED_AT, 27), "{text}");
    }
}

#[test]
fn the_state_machines_fixtures_are_scored() {
    for (text, missing) in [
        (include_str!("../../../../statemachine/test/fixtures/ensemble-input.json"), 0),
        (include_str!("../../../../statemachine/test/fixtures/ensemble-input.one-failed.json"), 1),
    ] {
        let input: EnsembleInput = serde_json::from_str(text).unwrap();
        crate::check(&input).unwrap();
        let definition = definition();
        let scores = score_batch(&definition, "sha256:d", &input, SCORED_AT);
        assert_eq!(scores.len(), input.features.rows.len());
        assert_eq!(Answers::of(&definition, &input).missing(), missing);
        for score in scores {
            assert!(matches!(score.verdict, Verdict::Unknown | Verdict::NotRoutable) == score.risk.is_none());
        }
    }
}

fn outcome() -> impl Strategy<Value = PredictionOutcome> {
    let model = prop_oneof![Just("xgboost"), Just("lightgbm"), Just("forest"), Just("other")];
    let probabilities = prop::collection::vec(prop::option::of(any::<f32>()), 0..4);
    prop_oneof![
        (model.clone(), probabilities).prop_map(|(model, probabilities)| {
            let batch = batch(model, &probabilities);
            PredictionOutcome::Answered(batch)
        }),
        (model, ".*", ".*").prop_map(|(model, error, cause)| failed(model, &error, &cause)),
    ]
}

proptest! {
    #[test]
    fn any_predictions_give_one_storable_score_per_row(
        predictions in prop::collection::vec(outcome(), 0..6),
        rows in 0..4_usize,
    ) {
        let rows: Vec<Row> = (0..rows).map(|i| row(&format!("host{i}.com"), "r")).collect();
        let scores = scores(rows.clone(), predictions);
        prop_assert_eq!(scores.len(), rows.len());
        for score in scores {
            prop_assert!(score.risk.is_none_or(|risk| (0.0..=100.0).contains(&risk)));
            prop_assert_eq!(score.risk.is_some(), score.quorum.met);
            prop_assert_eq!(score.predictors.len(), 3);
            prop_assert!(score.predictors.iter().all(|p| p.probability.is_some() != p.reason.is_some()));
        }
    }
}

#[test]
fn what_the_sources_did_is_kept_within_bounds() {
    let mut row = row("evil.com", "r1");
    row.item.attempt = 2;
    row.evidence_dropped = 5;
    row.sources = [("feed".to_owned(), SourceStatus::Ok), ("slow".to_owned(), SourceStatus::Timeout)].into();
    let fact = |link: String| Evidence {
        source: "feed".to_owned(),
        fact: "listed".to_owned(),
        value: "phishing".to_owned(),
        first_seen: Some("2026-11-01T00:00:00Z".to_owned()),
        last_seen: Some("9".repeat(MAX_TIME_BYTES + 1)),
        link: Some(link),
    };
    let link = "https://feed.example/evil.com".to_owned();
    row.evidence =
        [vec![fact("l".repeat(MAX_LINK_BYTES + 1))], vec![fact(link.clone()); MAX_EVIDENCE]].concat();
    let mut input = input(vec![row], unanimous(1, 0.5));
    input.features.source_ms =
        [("feed", 12), ("slow", 800), ("not asked", 1)].map(|(n, ms)| (n.to_owned(), ms)).into();
    let score = score_batch(&definition(), "sha256:d", &input, SCORED_AT).remove(0);
    assert_eq!((score.attempt, score.evidence.len(), score.evidence_dropped), (2, MAX_EVIDENCE, 6));
    assert_eq!(score.source_ms, [("feed".to_owned(), 12), ("slow".to_owned(), 800)].into());
    assert_eq!(score.evidence[0].link, None, "a part of a link leads elsewhere");
    assert_eq!(score.evidence[1].link, Some(link));
    assert_eq!(score.evidence[1].first_seen.as_deref(), Some("2026-11-01T00:00:00Z"));
    assert_eq!(score.evidence[1].last_seen.as_ref().unwrap().len(), MAX_TIME_BYTES);
}
